//! Seeded runs of meetings over several relays, with joins, leaves, lost connections, slow
//! receivers and a lossy bus. A failure prints its seed; `VIDEOCALL_SIMULATION_SEED=<seed>` replays
//! it alone.

mod client;
mod network;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::{Scenario, World};

const RUNS: u64 = 200;

fn run_seeds(scenario: Scenario) {
    let replay = std::env::var("VIDEOCALL_SIMULATION_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seeds = replay.map_or(0..RUNS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| World::new(seed, scenario).run()));
        assert!(run.is_ok(), "replay with VIDEOCALL_SIMULATION_SEED={seed}");
    }
}

#[test]
fn one_relay() {
    run_seeds(Scenario {
        relays: 1,
        bus_loss: 0.0,
    });
}

#[test]
fn three_relays_and_a_lossy_bus() {
    run_seeds(Scenario {
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
    let first = World::new(7, scenario).run();
    let second = World::new(7, scenario).run();
    assert_eq!(first, second);
    assert!(first.frames > 1000, "the run is about something: {first:?}");
}
