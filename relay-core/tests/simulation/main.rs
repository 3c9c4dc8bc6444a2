//! Seeded runs of meetings over several relays. A failure prints its seed;
//! `VIDEOCALL_SIMULATION_SEED=<seed>` replays it alone.

mod client;
mod encoder;
mod network;
mod turmoil;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use turmoil::{Scenario, Turmoil};

/// Runs of each kind of turmoil.
const RUNS: u64 = 60;

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
