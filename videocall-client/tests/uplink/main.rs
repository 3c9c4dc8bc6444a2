//! The quality controller in the loop it is for: the client's core sends over a simulated bottleneck
//! to the relay's own rules, which report what arrives, and encoders obey. Time is simulated, chance has a
//! seed, and nothing is a stand-in for code of this repository.

mod encoder;
mod link;
mod networks;
mod receivers;
mod watching;
mod world;

use std::time::Duration;

use link::{Carrier, Path};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use videocall_client::stats::SendingLimit;
use world::{Figures, World};

const KBIT: f64 = 1000.0;

/// Until the first guess has met the path.
const SETTLED: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(40);

fn steady(path: Path, seed: u64) -> Figures {
    let mut world = World::new(path, Carrier::WebTransport, seed);
    world.run(SETTLED);
    world.forget();
    world.run(LONG);
    world.figures()
}

/// What has to hold at any bottleneck.
fn assert_sound_and_calm(figures: &Figures) {
    assert!(figures.sound_gap <= Duration::from_millis(200), "{figures:?}");
    assert!(figures.layer_changes_per_minute <= 12.0, "{figures:?}");
}

fn assert_bottleneck(figures: &Figures) {
    assert_sound_and_calm(figures);
    assert!(figures.queueing_p95 < Duration::from_millis(80), "{figures:?}");
    assert!(figures.utilisation >= 0.8, "{figures:?}");
    assert!(figures.restlessness <= 0.35, "{figures:?}");
}

/// The same runs each time, as a change is to be compared with what was before; others with PROPTEST_RNG_SEED, and
/// many of them with [`survey`].
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: 6,
        max_shrink_iters: 0,
        failure_persistence: None,
        rng_seed: match usual.rng_seed {
            RngSeed::Random => RngSeed::Fixed(1),
            fixed => fixed,
        },
        ..usual
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_bottleneck_of_a_megabit_is_used_without_filling_its_queue(seed: u64) {
        assert_bottleneck(&steady(Path::of(1000.0 * KBIT), seed));
    }

    #[test]
    fn a_bottleneck_of_300_kilobits_is_used_without_filling_its_queue(seed: u64) {
        assert_bottleneck(&steady(Path::of(300.0 * KBIT), seed));
    }

    #[test]
    fn any_bottleneck_is_used_without_filling_its_queue(
        kilobits in 200_u32..1800,
        delay_ms in 5_u64..80,
        seed: u64,
    ) {
        let path = Path {
            delay: Duration::from_millis(delay_ms),
            ..Path::of(f64::from(kilobits) * KBIT)
        };
        assert_bottleneck(&steady(path, seed));
    }

    #[test]
    fn another_scene_does_not_fill_the_queue(seed: u64) {
        let mut world = World::new(Path::of(300.0 * KBIT), Carrier::WebTransport, seed);
        world.run(SETTLED);
        world.forget();
        for _ in 0..4 {
            world.cut();
            world.run(Duration::from_secs(10));
        }
        let figures = world.figures();
        prop_assert!(figures.queueing_max <= Duration::from_millis(250), "{figures:?}");
        prop_assert!(figures.sound_gap <= Duration::from_millis(270), "{figures:?}");
        prop_assert!(figures.utilisation >= 0.8, "{figures:?}");
    }

    #[test]
    fn jitter_is_no_bottleneck(seed: u64) {
        let path = Path {
            jitter: Duration::from_millis(40),
            ..Path::of(4000.0 * KBIT)
        };
        let figures = steady(path, seed);
        assert_sound_and_calm(&figures);
        assert!(figures.full_quality >= 0.95, "{figures:?}");
    }

    #[test]
    fn loss_alone_costs_no_quality(percent in 2_u32..=10, seed: u64) {
        let path = Path {
            loss: f64::from(percent) / 100.0,
            ..Path::of(4000.0 * KBIT)
        };
        let figures = steady(path, seed);
        assert_sound_and_calm(&figures);
        assert!(figures.full_quality >= 0.9, "{figures:?}");
    }

    #[test]
    fn a_path_that_gets_narrow_and_wide_again(seed: u64) {
        let mut world = World::new(Path::of(3000.0 * KBIT), Carrier::WebTransport, seed);
        world.run(SETTLED);
        world.forget();
        world.run(Duration::from_secs(10));
        let figures = world.figures();
        assert_sound_and_calm(&figures);
        prop_assert!(figures.full_quality >= 0.95, "{figures:?}");

        world.set_path(Path::of(500.0 * KBIT));
        world.forget();
        // The queue of half a second is full before anybody hears of it, and takes its time to drain.
        world.run(Duration::from_secs(3));
        prop_assert!(world.figures().sound_gap <= Duration::from_millis(700), "{:?}", world.figures());
        world.forget();
        world.run(Duration::from_secs(20));
        assert_bottleneck(&world.figures());

        world.set_path(Path::of(3000.0 * KBIT));
        let recovered = world.run_until_full_quality(Duration::from_secs(10));
        prop_assert!(recovered.is_some_and(|time| time <= Duration::from_secs(3)), "{recovered:?}");
        world.forget();
        world.run(Duration::from_secs(10));
        let figures = world.figures();
        prop_assert!(figures.full_quality >= 0.95 && figures.layer_changes_per_minute <= 12.0, "{figures:?}");
    }

    #[test]
    fn an_outage_of_five_seconds_is_over_soon_after_it(seed: u64) {
        let path = Path::of(3000.0 * KBIT);
        let mut world = World::new(path, Carrier::WebTransport, seed);
        world.run(Duration::from_secs(12));
        world.set_path(Path { up: false, ..path });
        world.run(Duration::from_secs(5));
        world.set_path(path);
        let recovered = world.run_until_full_quality(Duration::from_secs(10));
        prop_assert!(recovered.is_some_and(|time| time <= Duration::from_secs(3)), "{recovered:?}");
    }

    #[test]
    fn a_way_that_becomes_longer_is_no_bottleneck_for_long(longer_ms in 30_u64..150, seed: u64) {
        let mut world = World::new(Path::of(4000.0 * KBIT), Carrier::WebTransport, seed);
        world.run(Duration::from_secs(12));
        let path = Path::of(4000.0 * KBIT);
        world.set_path(Path {
            delay: path.delay + Duration::from_millis(longer_ms),
            ..path
        });
        world.run(Duration::from_secs(5));
        world.forget();
        world.run(Duration::from_secs(10));
        let figures = world.figures();
        prop_assert!(figures.full_quality >= 0.9, "{figures:?}");
    }

    #[test]
    fn a_path_that_stops_for_a_moment_is_no_bottleneck(stop_ms in 50_u64..350, easy: bool, seed: u64) {
        let path = Path::of(4000.0 * KBIT);
        let mut world = World::new(path, Carrier::WebTransport, seed);
        world.run(SETTLED);
        if easy {
            world.set_need(40.0 * KBIT);
        }
        world.run(Duration::from_secs(5));
        world.forget();
        for _ in 0..10 {
            world.set_path(Path { up: false, ..path });
            world.run(Duration::from_millis(stop_ms));
            world.set_path(path);
            world.run(Duration::from_millis(500));
            let estimate = world.connection().upload_estimate_bps;
            prop_assert!(estimate >= 400_000, "{estimate}");
            world.run(Duration::from_millis(2490));
        }
        let figures = world.figures();
        prop_assert!(figures.full_quality >= 0.8, "{figures:?}");
    }

    #[test]
    fn encoders_that_make_too_much_do_not_fill_the_queue(kilobits in 250_u32..500, seed: u64) {
        let mut world = World::new(Path::of(f64::from(kilobits) * KBIT), Carrier::WebTransport, seed);
        world.set_floor(0.9);
        world.run(SETTLED);
        world.forget();
        world.run(LONG);
        let figures = world.figures();
        prop_assert!(figures.queueing_p95 < Duration::from_millis(120), "{figures:?}");
        prop_assert!(figures.sound_missing < 0.02 && figures.pictures > 500, "{figures:?}");
    }

    #[test]
    fn easy_pictures_become_large(seed: u64) {
        let mut world = World::new(Path::of(4000.0 * KBIT), Carrier::WebTransport, seed);
        world.set_need(150.0 * KBIT);
        for _ in 0..50 {
            world.run(Duration::from_millis(100));
            prop_assert_eq!(world.connection().sending_limit, None, "nothing has shown that the path is slow");
        }
        world.run(Duration::from_secs(2));
        world.forget();
        world.run(Duration::from_secs(5));
        prop_assert!(world.figures().full_quality >= 0.95, "{:?}", world.figures());
    }

    #[test]
    fn pictures_that_are_easy_hold_nothing_back(seed: u64) {
        let mut world = World::new(Path::of(120.0 * KBIT), Carrier::WebTransport, seed);
        world.set_need(40.0 * KBIT);
        world.run(SETTLED);
        world.set_path(Path::of(4000.0 * KBIT));
        world.run(Duration::from_secs(20));
        let estimate = world.connection().upload_estimate_bps;
        prop_assert!(estimate >= 450_000, "{estimate}");
    }

    #[test]
    fn a_machine_that_stops_now_and_then_is_no_outage_of_the_path(stop_ms in 300_u64..1500, seed: u64) {
        let mut world = World::new(Path::of(4000.0 * KBIT), Carrier::WebTransport, seed);
        world.run(SETTLED);
        world.forget();
        let awake = Duration::from_millis(1500);
        for _ in 0..10 {
            world.sleep(Duration::from_millis(stop_ms));
            world.run(awake);
        }
        let figures = world.figures();
        let most = awake.as_secs_f64() / (awake.as_secs_f64() + stop_ms as f64 / 1000.0);
        prop_assert!(figures.full_quality >= 0.9 * most, "{figures:?}");
    }

    #[test]
    fn a_busy_machine_is_no_bottleneck_of_the_path(late_ms in 20_u64..200, seed: u64) {
        let mut world = World::new(Path::of(4000.0 * KBIT), Carrier::WebTransport, seed);
        world.run(SETTLED);
        world.forget();
        for _ in 0..10 {
            world.set_lateness(Duration::from_millis(late_ms));
            world.run(Duration::from_secs(2));
            world.set_lateness(Duration::ZERO);
            world.run(Duration::from_secs(1));
        }
        let figures = world.figures();
        prop_assert!(figures.full_quality >= 0.97, "{figures:?}");
        prop_assert!(figures.layer_changes_per_minute <= 4.0, "{figures:?}");
    }
}

#[test]
fn sound_alone_is_left_of_a_path_for_sound_alone() {
    let figures = steady(Path::of(90.0 * KBIT), 1);
    assert_sound_and_calm(&figures);
    // A trial now and then.
    assert!(figures.pictures < 100, "{figures:?}");
}

#[test]
fn full_quality_comes_soon_after_the_beginning() {
    let mut world = World::new(Path::of(5000.0 * KBIT), Carrier::WebTransport, 1);
    let reached = world.run_until_full_quality(Duration::from_secs(10));
    assert!(
        reached.is_some_and(|time| time <= Duration::from_secs(3)),
        "{reached:?}"
    );
}

#[test]
fn what_keeps_from_sending_everything_is_said() {
    let limit = |kilobits: f64| {
        let mut world = World::new(Path::of(kilobits * KBIT), Carrier::WebTransport, 1);
        world.run(SETTLED);
        world.connection()
    };
    let narrow = limit(500.0);
    assert_eq!(narrow.sending_limit, Some(SendingLimit::Network));
    assert!(
        narrow.upload_estimate_bps < narrow.upload_wanted_bps,
        "{narrow:?}"
    );
    // The layer that the watcher gets, and the voice twice, with what is around them.
    assert!(
        (1_564_000..1_700_000).contains(&narrow.upload_wanted_bps),
        "{narrow:?}"
    );
    let wide = limit(5000.0);
    assert_eq!(wide.sending_limit, None);
    assert!(wide.upload_estimate_bps >= wide.upload_wanted_bps, "{wide:?}");
}

#[test]
fn a_machine_that_is_too_slow_is_said_to_be() {
    let mut world = World::new(Path::of(5000.0 * KBIT), Carrier::WebTransport, 1);
    world.run(SETTLED);
    let wanted = world.connection().upload_wanted_bps;
    for _ in 0..4 {
        world.overload();
        world.run(Duration::from_secs(1));
    }
    let connection = world.connection();
    assert_eq!(connection.sending_limit, Some(SendingLimit::Machine));
    assert_eq!(connection.upload_wanted_bps, wanted, "what is wanted stays");
}

/// Prints how often which promise is broken at bottlenecks of any rate and delay, for whoever changes a constant:
/// `cargo test -p videocall-client --test uplink survey -- --ignored --nocapture`
#[test]
#[ignore = "prints figures"]
fn survey() {
    let mut rng = StdRng::seed_from_u64(1);
    for (name, kilobits, delay_ms) in [
        ("1 Mbit/s", 1000..=1000, 25..=25),
        ("300 kbit/s", 300..=300, 25..=25),
        ("any", 200..=1800, 5..=80),
        ("near layers", 240..=420, 5..=80),
    ] {
        let runs: Vec<_> = (0..100)
            .map(|_| {
                let path = Path {
                    delay: Duration::from_millis(rng.random_range(delay_ms.clone())),
                    ..Path::of(f64::from(rng.random_range::<u32, _>(kilobits.clone())) * KBIT)
                };
                let seed = rng.random();
                (path, seed, steady(path, seed))
            })
            .collect();
        let count = |broken: fn(&Figures) -> bool| runs.iter().filter(|run| broken(&run.2)).count();
        println!(
            "{name}: of {} runs {} with a gap, {} with changing layers, {} with a queue, {} with a path unused, {} restless",
            runs.len(),
            count(|run| run.sound_gap > Duration::from_millis(200)),
            count(|run| run.layer_changes_per_minute > 12.0),
            count(|run| run.queueing_p95 >= Duration::from_millis(80)),
            count(|run| run.utilisation < 0.8),
            count(|run| run.restlessness > 0.35),
        );
        for (path, seed, run) in &runs {
            if std::panic::catch_unwind(|| assert_bottleneck(run)).is_err() {
                println!(
                    "  {} bit/s, {:?}, seed {seed}: {run:?}",
                    path.bits_per_second, path.delay
                );
            }
        }
    }
}

/// Prints what the scenarios give, for whoever changes a constant:
/// `cargo test -p videocall-client --test uplink figures -- --ignored --nocapture`
#[test]
#[ignore = "prints figures"]
fn figures() {
    for seed in 1..=3 {
        for kilobits in [100.0, 200.0, 300.0, 500.0, 700.0, 1000.0, 1500.0] {
            let figures = steady(Path::of(kilobits * KBIT), seed);
            println!("{kilobits:>6} kbit/s, seed {seed}: {figures:?}");
        }
    }
    for (name, path) in [
        (
            "jitter",
            Path {
                jitter: Duration::from_millis(40),
                ..Path::of(4000.0 * KBIT)
            },
        ),
        (
            "2 %",
            Path {
                loss: 0.02,
                ..Path::of(4000.0 * KBIT)
            },
        ),
        (
            "10 %",
            Path {
                loss: 0.10,
                ..Path::of(4000.0 * KBIT)
            },
        ),
    ] {
        println!("{name}: {:?}", steady(path, 1));
    }
    let path = Path::of(3000.0 * KBIT);
    let mut world = World::new(path, Carrier::WebTransport, 1);
    println!(
        "start: {:?}",
        world.run_until_full_quality(Duration::from_secs(10))
    );
    world.run(Duration::from_secs(10));
    world.set_path(Path::of(500.0 * KBIT));
    world.forget();
    world.run(Duration::from_secs(3));
    println!("3 Mbit/s to 500 kbit/s, first: {:?}", world.figures());
    world.forget();
    world.run(Duration::from_secs(20));
    println!("3 Mbit/s to 500 kbit/s: {:?}", world.figures());
    world.set_path(path);
    println!(
        "back: {:?}",
        world.run_until_full_quality(Duration::from_secs(20))
    );
    world.run(Duration::from_secs(10));
    world.set_path(Path { up: false, ..path });
    world.run(Duration::from_secs(5));
    world.set_path(path);
    println!(
        "after an outage: {:?}",
        world.run_until_full_quality(Duration::from_secs(20))
    );
}
