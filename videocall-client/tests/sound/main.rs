//! What is heard of a voice over bad networks, in simulated time.

mod world;

use rand::RngExt;
use rand::rngs::StdRng;
use world::{Heard, Path, World};

/// Milliseconds after which the beginning is over.
const SETTLED: u64 = 5_000;
const END: u64 = 30_000;

/// Runs it and prints what came of it: `cargo test -p videocall-client --test sound -- --nocapture`.
#[expect(clippy::print_stdout, reason = "for whoever changes the buffer")]
fn heard(name: &str, world: World) -> Heard {
    let heard = world.run();
    println!(
        "{name}: {:.0} ms without sound, {:.0} ms at the longest; delay {:.1} ms, target {:.1} ms; {} frames \
         from redundancy",
        heard.concealed_ms(),
        heard.longest_gap_ms(),
        heard.delay_ms(SETTLED..END),
        heard.stats.jitter.target_ms,
        heard.stats.jitter.redundant_used,
    );
    heard
}

fn world(seed: u64, path: Path) -> World {
    World {
        path,
        seed,
        ..World::default()
    }
}

/// Up to so many microseconds, each as likely as the other.
fn jitter(random: &mut StdRng, most: u64) -> u64 {
    random.random_range(0..=most)
}

/// A path on which nothing happens but this.
fn even_except(delay: impl Fn(u64) -> Option<u64> + 'static) -> Path {
    Box::new(move |at, random| Some(delay(at)? + jitter(random, 2_000)))
}

fn clean() -> Path {
    even_except(|_| Some(0))
}

fn lossy(share: f64) -> Path {
    Box::new(move |_, random| (!random.random_bool(share)).then(|| jitter(random, 2_000)))
}

/// Losses of one to three packets in a row.
fn short_bursts(share: f64) -> Path {
    let mut left = 0;
    Box::new(move |_, random| {
        if left == 0 && random.random_bool(share / 2.0 / (1.0 - share)) {
            left = random.random_range(1..=3);
        }
        let lost = left > 0;
        left -= u32::from(lost);
        (!lost).then(|| jitter(random, 2_000))
    })
}

/// Losses in bursts without a limit (E. Gilbert 1960): so many packets long on average.
fn bursts(share: f64, length: f64) -> Path {
    let mut bad = false;
    Box::new(move |_, random| {
        let change = if bad {
            1.0 / length
        } else {
            share / (1.0 - share) / length
        };
        bad ^= random.random_bool(change);
        (!bad).then(|| jitter(random, 2_000))
    })
}

/// No sample steps further from the one before than a voice does.
fn assert_no_clicks(heard: &Heard) {
    let steepest = heard
        .samples
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0, f32::max);
    assert!(steepest < 0.15, "a step of {steepest}");
}

#[test]
fn a_good_path_adds_little_delay_and_misses_nothing() {
    let heard = heard("clean", world(1, clean()));
    assert_eq!(heard.gaps, []);
    let delay = heard.delay_ms(0..END);
    assert!((20.0..=30.0).contains(&delay), "{delay} ms");
    assert_no_clicks(&heard);
}

#[test]
fn redundancy_makes_up_for_losses_up_to_five_percent() {
    for (name, seed, path) in [
        ("2 % lost", 1, lossy(0.02)),
        ("2 % lost", 2, lossy(0.02)),
        ("5 % lost", 3, lossy(0.05)),
        ("5 % lost", 4, lossy(0.05)),
        ("5 % lost, up to three in a row", 5, short_bursts(0.05)),
        ("5 % lost, up to three in a row", 6, short_bursts(0.05)),
    ] {
        let heard = heard(name, world(seed, path));
        assert!(heard.longest_gap_ms() <= 60.0, "{:?}", heard.gaps);
        assert!(heard.concealed_ms() <= 450.0, "of 30 s: {:?}", heard.gaps);
        let delay = heard.delay_ms(SETTLED..END);
        assert!((20.0..=70.0).contains(&delay), "{delay} ms");
        assert_no_clicks(&heard);
    }
}

#[test]
fn ten_percent_are_still_mostly_healed() {
    let heard = heard("10 % lost", world(1, lossy(0.10)));
    assert!(heard.longest_gap_ms() <= 100.0, "{:?}", heard.gaps);
    // 3000 ms are lost.
    assert!(heard.concealed_ms() <= 500.0, "{:?}", heard.gaps);
}

#[test]
fn long_bursts_are_heard_no_longer_than_they_are() {
    let heard = heard("5 % lost, in bursts of two and more", world(3, bursts(0.05, 2.0)));
    assert!(heard.longest_gap_ms() <= 120.0, "{:?}", heard.gaps);
    assert!(heard.concealed_ms() <= 750.0, "{:?}", heard.gaps);
    assert!(heard.delay_ms(SETTLED..END) <= 70.0);
}

#[test]
fn without_redundancy_each_loss_is_made_up_once() {
    let world = World {
        redundancy: &[],
        ..world(1, lossy(0.05))
    };
    let heard = heard("5 % lost, nothing repeated", world);
    let lost = 1498 - heard.stats.jitter.received;
    let made_up = heard.stats.jitter.concealed_us / 20_000;
    assert!(made_up.abs_diff(lost) <= 3, "{made_up} for {lost}");
    assert!(
        heard.delay_ms(SETTLED..END) <= 30.0,
        "what never comes is not waited for"
    );
}

#[test]
fn jitter_is_waited_for() {
    for seed in 1..3 {
        let path: Path = Box::new(|_, random| Some(jitter(random, 40_000)));
        let heard = heard("40 ms of jitter", world(seed, path));
        assert!(heard.longest_gap_ms() <= 60.0, "{:?}", heard.gaps);
        assert!(heard.concealed_ms() <= 300.0, "{:?}", heard.gaps);
        assert!(heard.delay_ms(SETTLED..END) <= 65.0);
        assert_no_clicks(&heard);
    }
}

#[test]
fn a_step_of_the_path_costs_its_length_once() {
    let path = even_except(|at| Some(if at / 10_000_000 == 1 { 80_000 } else { 0 }));
    let heard = heard("10 s of 80 ms more", world(1, path));
    assert!(heard.concealed_ms() <= 160.0, "{:?}", heard.gaps);
    assert!(heard.longest_gap_ms() <= 90.0, "{:?}", heard.gaps);
    let during = heard.delay_ms(13_000..20_000);
    assert!(
        (100.0..=120.0).contains(&during),
        "80 ms and what a good path has: {during}"
    );
    assert!(heard.settled_ms(40.0) <= 23_000, "{}", heard.settled_ms(40.0));
    assert_no_clicks(&heard);
}

#[test]
fn clocks_that_differ_are_followed() {
    for drift_ppm in [-200, 200] {
        let world = World {
            drift_ppm,
            seconds: 60,
            ..world(1, clean())
        };
        // 12 ms in a minute.
        let heard = heard("200 ppm", world);
        assert_eq!(heard.gaps, []);
        let stretched = heard.stats.stretched_samples;
        assert!(
            (stretched + drift_ppm * 60 * 48 / 1000).abs() < 700,
            "{stretched} samples"
        );
        let delay = heard.delay_ms(55_000..60_000) + 60.0 * drift_ppm as f64 / 1000.0;
        assert!((10.0..=32.0).contains(&delay), "{delay}");
    }
}

#[test]
fn an_outage_is_over_when_it_is_over() {
    let path = even_except(|at| (!(10_500_000..15_500_000).contains(&at)).then_some(0));
    let heard = heard("5 s outage", world(1, path));
    let [(began, gap)] = heard.gaps[..] else {
        panic!("{:?}", heard.gaps);
    };
    assert!((4_900.0..5_080.0).contains(&gap), "since {began} for {gap} ms");
    assert!(
        heard.settled_ms(35.0) < 16_000,
        "soon the delay is what it was: {}",
        heard.settled_ms(35.0)
    );
    let told = heard.stats.jitter.longest_gap_us as f64 / 1000.0;
    assert!((told - gap).abs() < 50.0, "the figures know it: {told}");
    assert_no_clicks(&heard);
}

#[test]
fn a_stall_is_caught_up_with() {
    // For 300 ms nothing passes, then everything does.
    let path = even_except(|at| {
        let stalled = (10_500_000..10_800_000).contains(&at);
        Some(if stalled { 10_800_000 - at } else { 0 })
    });
    let heard = heard("300 ms stalled", world(1, path));
    assert!(heard.longest_gap_ms() <= 320.0, "{:?}", heard.gaps);
    assert!(heard.settled_ms(40.0) <= 14_000, "{}", heard.settled_ms(40.0));
    assert_eq!(heard.stats.jitter.skipped, 0, "nothing that was said is left out");
    assert_no_clicks(&heard);
}

#[test]
fn a_muted_sender_is_not_a_bad_path() {
    let muted_ms = 10_500..15_500;
    let heard = heard(
        "5 s muted",
        World {
            muted_ms,
            ..world(1, clean())
        },
    );
    assert!(heard.stats.jitter.concealed_us <= 100_000, "{:?}", heard.stats);
    assert!(
        heard.stats.concealed_samples <= 100 * 48 + 256,
        "{:?}",
        heard.stats
    );
    assert!(heard.settled_ms(35.0) < 16_000);
}
