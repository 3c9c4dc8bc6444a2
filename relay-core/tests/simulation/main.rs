//! Seeded runs of meetings over several relays. A failure prints its seed;
//! `VIDEOCALL_SIMULATION_SEED=<seed>` replays it alone.

mod client;
mod crowd;
mod encoder;
mod network;
mod slow;
mod speech;
mod turmoil;
mod wishes;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crowd::Crowd;
use slow::Slow;
use speech::Speech;
use turmoil::{Scenario, Turmoil};
use wishes::Wishes;

/// Runs of each kind of turmoil.
const RUNS: u64 = 200;

/// Runs these seeds, or the one that is asked for.
fn run_seeds(seeds: std::ops::Range<u64>, run: impl Fn(u64)) {
    let replay = std::env::var("VIDEOCALL_SIMULATION_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds = replay.map_or(seeds, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(seed)));
        assert!(outcome.is_ok(), "replay with VIDEOCALL_SIMULATION_SEED={seed}");
    }
}

fn turmoil(scenario: Scenario) {
    run_seeds(0..RUNS, |seed| {
        Turmoil::new(seed, scenario).run();
    });
}

#[test]
fn one_relay() {
    turmoil(Scenario {
        relays: 1,
        bus_loss: 0.0,
    });
}

#[test]
fn three_relays_and_a_lossy_bus() {
    turmoil(Scenario {
        relays: 3,
        bus_loss: 0.02,
    });
}

#[test]
fn a_thousand_people_on_four_relays() {
    run_seeds(0..1, |seed| Crowd::new(seed).run());
}

#[test]
fn viewers_get_the_sizes_they_show_and_nothing_else_is_sent() {
    run_seeds(0..20, |seed| Wishes::new(seed).run());
}

#[test]
fn few_are_heard_at_a_time_and_all_are_told_who() {
    run_seeds(0..8, |seed| Speech::new(seed, 1).run());
    run_seeds(0..8, |seed| Speech::new(seed, 3).run());
}

#[test]
fn a_slow_receiver_loses_pictures_first_and_alone() {
    run_seeds(0..10, |seed| Slow::new(seed).run());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let scenario = Scenario {
        relays: 2,
        bus_loss: 0.05,
    };
    let first = Turmoil::new(7, scenario).run();
    let second = Turmoil::new(7, scenario).run();
    assert_eq!(first, second);
    assert!(first.frames > 1000, "the run is about something: {first:?}");
}
