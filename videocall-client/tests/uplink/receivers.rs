//! What is sent where those who watch are behind paths that carry less.

use std::time::Duration;

use proptest::prelude::*;

use crate::link::{Carrier, Path};
use crate::watching::Seen;
use crate::world::World;
use crate::{KBIT, LONG, SETTLED, config};

/// A path of the sender that carries everything.
fn well_connected(seed: u64) -> World {
    World::new(Path::of(8000.0 * KBIT), Carrier::WebTransport, seed)
}

/// What the only one who watches sees behind a path of this rate.
fn alone_behind(rate: f64, seed: u64) -> Seen {
    let mut world = well_connected(seed);
    world.set_watchers_rate(0, Some(rate));
    world.run(SETTLED);
    world.forget();
    world.run(LONG);
    world.seen(0)
}

fn pictures_per_second(seen: &Seen) -> f64 {
    seen.pictures as f64 / LONG.as_secs_f64()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn behind_300_kilobits_one_sees_fluent_pictures(seed: u64) {
        let seen = alone_behind(300.0 * KBIT, seed);
        prop_assert!(pictures_per_second(&seen) >= 25.0, "{seen:?}");
        prop_assert!(seen.longest_pause <= Duration::from_millis(700), "{seen:?}");
        prop_assert!(seen.waited_p95 <= Duration::from_millis(150), "{seen:?}");
        prop_assert!(seen.bits / LONG.as_secs_f64() >= 0.6 * 300.0 * KBIT, "{seen:?}");
    }

    #[test]
    fn behind_a_megabit_one_sees_the_largest_picture(seed: u64) {
        let seen = alone_behind(1000.0 * KBIT, seed);
        prop_assert!(pictures_per_second(&seen) >= 27.0, "{seen:?}");
        prop_assert!(seen.of_layer[2] * 10 >= seen.pictures * 9, "{seen:?}");
        prop_assert!(seen.waited_p95 <= Duration::from_millis(150), "{seen:?}");
        prop_assert!(seen.bits / LONG.as_secs_f64() >= 0.65 * 1000.0 * KBIT, "{seen:?}");
    }

    #[test]
    fn what_a_path_carries_is_used(kilobits in 150_u32..1500, seed: u64) {
        let rate = f64::from(kilobits) * KBIT;
        let seen = alone_behind(rate, seed);
        prop_assert!(pictures_per_second(&seen) >= 10.0, "{kilobits} kbit/s: {seen:?}");
        prop_assert!(seen.waited_p95 <= Duration::from_millis(250), "{kilobits} kbit/s: {seen:?}");
        prop_assert!(seen.bits / LONG.as_secs_f64() >= 0.5 * rate, "{kilobits} kbit/s: {seen:?}");
    }

    #[test]
    fn nobody_sees_less_because_of_somebody_elses_path(seed: u64) {
        let mut world = well_connected(seed);
        let slow = world.watch(Some(300.0 * KBIT));
        world.run(SETTLED);
        world.forget();
        world.run(LONG);
        let seen = world.seen(0);
        prop_assert!(seen.of_layer[2] as f64 >= 29.0 * LONG.as_secs_f64(), "{seen:?}");
        prop_assert!(seen.longest_pause <= Duration::from_millis(100), "{seen:?}");
        prop_assert!(world.target_of(2) >= Some(1_440_000));
        prop_assert!(pictures_per_second(&world.seen(slow)) >= 10.0, "{:?}", world.seen(slow));
    }

    #[test]
    fn who_comes_with_a_better_path_lifts_the_bound(seed: u64) {
        let mut world = well_connected(seed);
        world.set_watchers_rate(0, Some(300.0 * KBIT));
        world.run(SETTLED);
        prop_assert_eq!(world.target_of(2), None);
        world.watch(None);
        prop_assert!(world.run_until_full_quality(Duration::from_secs(3)).is_some());
    }

    #[test]
    fn a_path_that_becomes_better_is_used_within_seconds(seed: u64) {
        let mut world = well_connected(seed);
        world.run(Duration::from_secs(5));
        world.set_watchers_rate(0, Some(500.0 * KBIT));
        world.run(Duration::from_secs(5));
        world.set_watchers_rate(0, Some(3000.0 * KBIT));
        let taken = world.run_until_full_quality(Duration::from_secs(20));
        prop_assert!(taken.is_some_and(|taken| taken <= Duration::from_secs(6)), "{taken:?}");
    }
}
