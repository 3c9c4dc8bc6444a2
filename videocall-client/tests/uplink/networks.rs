//! The networks of `make bench-network`, with a clock and chance of their own: what the sending half makes of
//! each, over both carriers.

use std::time::Duration;

use crate::KBIT;
use crate::link::{Carrier, Path};
use crate::world::{Figures, World};

/// Until what was sent at first has met the path.
const BEGINNING: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(40);

const CARRIERS: [Carrier; 2] = [Carrier::WebTransport, Carrier::WebSocket];
const SEEDS: std::ops::RangeInclusive<u64> = 1..=4;

/// What is asked for at a bottleneck: most of it used, and short queues.
const USED: f64 = 0.9;
const SHORT_QUEUE: Duration = Duration::from_millis(80);

/// A gap that concealment hides.
const AUDIBLE: Duration = Duration::from_millis(60);

/// After relief.
const RECOVERY: Duration = Duration::from_secs(3);

const CLEAN: Path = Path::of(20_000.0 * KBIT);
const MEGABIT: Path = Path::of(1000.0 * KBIT);
const NARROW: Path = Path::of(300.0 * KBIT);
const WIDE: Path = Path::of(3000.0 * KBIT);
const HALF_MEGABIT: Path = Path::of(500.0 * KBIT);

const JITTER: Path = Path {
    jitter: Duration::from_millis(40),
    ..CLEAN
};

/// Five packets in a row on average, at a round trip of 150 ms.
const BURSTS: Path = Path {
    delay: Duration::from_millis(75),
    loss: 0.05,
    burst: 5.0,
    ..CLEAN
};

const fn lossy(loss: f64) -> Path {
    Path { loss, ..CLEAN }
}

fn call(path: Path, carrier: Carrier, seed: u64) -> Figures {
    let mut world = World::new(path, carrier, seed);
    world.run(BEGINNING);
    world.forget();
    world.run(CALL);
    world.figures()
}

fn each(path: Path, carrier: Carrier, check: impl Fn(&Figures) -> bool) {
    for seed in SEEDS {
        let figures = call(path, carrier, seed);
        assert!(check(&figures), "{carrier:?}, seed {seed}: {figures:?}");
    }
}

#[test]
fn nothing_is_held_back_on_a_clean_path() {
    for carrier in CARRIERS {
        each(CLEAN, carrier, |figures| {
            figures.full_quality == 1.0
                && figures.layer_changes_per_minute == 0.0
                && figures.sound_missing == 0.0
                && figures.sound_delay_p95 <= Duration::from_millis(25)
        });
    }
}

#[test]
fn bottlenecks_are_used_and_their_queues_stay_short() {
    for carrier in CARRIERS {
        for path in [MEGABIT, NARROW] {
            each(path, carrier, |figures| {
                figures.queueing_p95 < SHORT_QUEUE
                    && figures.utilisation >= USED
                    && figures.layer_changes_per_minute <= 3.0
                    && figures.restlessness <= 0.2
                    && figures.sound_hole <= AUDIBLE
            });
        }
    }
}

/// Repeated sounds make up for lost ones, and streams for lost parts of pictures.
#[test]
fn loss_is_not_heard_and_costs_no_quality() {
    for loss in [0.02, 0.05] {
        each(lossy(loss), Carrier::WebTransport, |figures| {
            figures.full_quality >= 0.99 && figures.sound_hole <= AUDIBLE && figures.sound_missing <= 0.002
        });
    }
    each(lossy(0.10), Carrier::WebTransport, |figures| {
        figures.full_quality >= 0.97 && figures.sound_hole <= AUDIBLE && figures.sound_missing <= 0.01
    });
    each(BURSTS, Carrier::WebTransport, |figures| {
        figures.full_quality >= 0.9 && figures.sound_missing <= 0.02
    });
}

/// On a stream what is behind a lost part waits for it, and the system's congestion control takes loss for
/// congestion. What is left of the path is used, sound first.
#[test]
fn loss_delays_a_stream_and_does_not_silence_it() {
    each(lossy(0.02), Carrier::WebSocket, |figures| {
        figures.full_quality >= 0.95 && figures.sound_hole <= AUDIBLE && figures.sound_missing <= 0.005
    });
    each(lossy(0.05), Carrier::WebSocket, |figures| {
        figures.full_quality >= 0.8 && figures.sound_missing <= 0.02
    });
    each(lossy(0.10), Carrier::WebSocket, |figures| {
        figures.pictures >= 1000 && figures.sound_missing <= 0.1
    });
}

#[test]
fn jitter_is_not_taken_for_a_queue() {
    for carrier in CARRIERS {
        each(JITTER, carrier, |figures| {
            figures.full_quality >= 0.9
                && figures.layer_changes_per_minute == 0.0
                && figures.sound_missing == 0.0
        });
    }
}

#[test]
fn a_path_that_gets_narrow_is_followed_down_at_once_and_up_within_three_seconds() {
    for carrier in CARRIERS {
        for seed in SEEDS {
            let mut world = World::new(WIDE, carrier, seed);
            world.run(BEGINNING);
            world.set_path(HALF_MEGABIT);
            world.forget();
            let drained = world.run_until_short_queue(SHORT_QUEUE, RECOVERY);
            assert!(
                drained.is_some_and(|time| time <= Duration::from_secs(2)),
                "{carrier:?}, seed {seed}: {drained:?}"
            );
            world.run(Duration::from_secs(2));
            world.forget();
            world.run(Duration::from_secs(15));
            let figures = world.figures();
            assert!(
                figures.queueing_p95 < SHORT_QUEUE && figures.utilisation >= USED,
                "{carrier:?}, seed {seed}: {figures:?}"
            );
            world.set_path(WIDE);
            let recovered = world.run_until_full_quality(RECOVERY);
            assert!(recovered.is_some(), "{carrier:?}, seed {seed}");
            world.forget();
            world.run(BEGINNING);
            let figures = world.figures();
            assert!(
                figures.full_quality >= 0.95 && figures.sound_missing == 0.0,
                "{carrier:?}, seed {seed}: {figures:?}"
            );
        }
    }
}

#[test]
fn full_quality_is_back_within_three_seconds_of_an_outage() {
    for carrier in CARRIERS {
        for seed in SEEDS {
            let mut world = World::new(CLEAN, carrier, seed);
            world.run(BEGINNING);
            world.set_path(Path { up: false, ..CLEAN });
            world.run(Duration::from_secs(5));
            world.set_path(CLEAN);
            let recovered = world.run_until_full_quality(RECOVERY);
            assert!(recovered.is_some(), "{carrier:?}, seed {seed}");
        }
    }
}

/// Prints the worst of eight runs of each:
/// `cargo test -p videocall-client --test uplink network_figures -- --ignored --nocapture`
#[test]
#[ignore = "prints figures"]
fn network_figures() {
    let networks = [
        ("clean", CLEAN),
        ("2 % loss", lossy(0.02)),
        ("5 % loss", lossy(0.05)),
        ("10 % loss", lossy(0.10)),
        ("5 % in bursts", BURSTS),
        ("1 Mbit/s", MEGABIT),
        ("300 kbit/s", NARROW),
        ("40 ms jitter", JITTER),
    ];
    for (name, path) in networks {
        for carrier in CARRIERS {
            let runs: Vec<Figures> = (1..=8).map(|seed| call(path, carrier, seed)).collect();
            println!("{name:>13} {carrier:>12?}: {}", worst(&runs));
        }
    }
    for carrier in CARRIERS {
        for seed in SEEDS {
            println!(
                "3 Mbit/s to 500 kbit/s and back {carrier:?}: {}",
                change(carrier, seed)
            );
        }
    }
}

fn worst(runs: &[Figures]) -> String {
    let most = |of: fn(&Figures) -> f64| runs.iter().map(of).fold(f64::MIN, f64::max);
    let least = |of: fn(&Figures) -> f64| runs.iter().map(of).fold(f64::MAX, f64::min);
    format!(
        "queueing p95 {:3.0} ms, used {:3.0} %, full quality {:3.0} %, layer changes {:3.0} a minute; \
         sound: longest hole {:4.0} ms, missing {:5.2} %, delay p95 {:3.0} ms",
        most(|run| run.queueing_p95.as_secs_f64() * 1e3),
        least(|run| run.utilisation * 1e2),
        least(|run| run.full_quality * 1e2),
        most(|run| run.layer_changes_per_minute),
        most(|run| run.sound_hole.as_secs_f64() * 1e3),
        most(|run| run.sound_missing * 1e2),
        most(|run| run.sound_delay_p95.as_secs_f64() * 1e3),
    )
}

fn change(carrier: Carrier, seed: u64) -> String {
    let mut world = World::new(WIDE, carrier, seed);
    world.run(BEGINNING);
    world.set_path(HALF_MEGABIT);
    world.forget();
    let drained = world.run_until_short_queue(SHORT_QUEUE, RECOVERY * 2);
    let hole = world.figures().sound_hole;
    world.run(Duration::from_secs(17));
    world.set_path(WIDE);
    let recovered = world.run_until_full_quality(RECOVERY * 4);
    format!("queue short after {drained:?}, hole in the sound {hole:?}, full quality after {recovered:?}")
}
