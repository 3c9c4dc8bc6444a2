//! Whatever quinn says and in which order, the window stays within its bounds.

use proptest::prelude::*;
use quinn_proto::congestion::Controller as _;

use super::*;

const LARGEST: u64 = 1024 * 1024;

/// What quinn calls; times in microseconds, `after` the last call and `ago` from then.
#[derive(Clone, Debug)]
enum Call {
    Sent {
        after: u64,
        bytes: u64,
    },
    /// Packets of these sizes together.
    Acknowledged {
        after: u64,
        ago: u64,
        bytes: Vec<u64>,
        in_flight: u64,
        smoothed: u64,
    },
    Lost {
        after: u64,
        ago: u64,
        persistent: bool,
        bytes: u64,
    },
    Mtu(u16),
    NewPath,
}

fn bytes() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..3_000u64, 1 => 0..10_000_000u64, 1 => Just(u64::MAX)]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..100_000u64, 2 => 0..20_000_000u64, 1 => 0..100_000_000_000u64]
}

fn call() -> impl Strategy<Value = Call> {
    let sizes = prop::collection::vec(bytes(), 0..4);
    let acknowledged = (time(), time(), sizes, bytes(), time());
    let lost = (time(), time(), any::<bool>(), bytes());
    prop_oneof![
        4 => (time(), bytes()).prop_map(|(after, bytes)| Call::Sent { after, bytes }),
        6 => acknowledged.prop_map(|(after, ago, bytes, in_flight, smoothed)| Call::Acknowledged {
            after,
            ago,
            bytes,
            in_flight,
            smoothed,
        }),
        2 => lost.prop_map(|(after, ago, persistent, bytes)| Call::Lost {
            after,
            ago,
            persistent,
            bytes,
        }),
        1 => any::<u16>().prop_map(Call::Mtu),
        1 => Just(Call::NewPath),
    ]
}

fn apply(media: Media, now: &mut Instant, call: Call) -> Media {
    let micros = Duration::from_micros;
    let mut media = media;
    match call {
        Call::Sent { after, bytes } => {
            *now += micros(after);
            media.on_sent(*now, bytes, 0);
        }
        Call::Acknowledged {
            after,
            ago,
            bytes,
            in_flight,
            smoothed,
        } => {
            *now += micros(after);
            let sent = now.checked_sub(micros(ago)).unwrap_or(*now);
            for bytes in bytes {
                media.acknowledged(*now, sent, bytes, micros(smoothed));
            }
            media.on_end_acks(*now, in_flight, false, None);
        }
        Call::Lost {
            after,
            ago,
            persistent,
            bytes,
        } => {
            *now += micros(after);
            let sent = now.checked_sub(micros(ago)).unwrap_or(*now);
            media.on_congestion_event(*now, sent, persistent, bytes);
        }
        Call::Mtu(mtu) => media.on_mtu_update(mtu),
        Call::NewPath => {
            let copy = media.clone_box().into_any();
            media = *copy.downcast().expect("its own kind");
        }
    }
    media
}

proptest! {
    #[test]
    fn the_window_stays_within_its_bounds(mtu: u16, calls in prop::collection::vec(call(), 1..300)) {
        let mut now = Instant::now();
        let config = Arc::new(MediaConfig { max_window: LARGEST });
        let mut media = Media::new(config, now, mtu);
        for call in calls {
            media = apply(media, &mut now, call);
            prop_assert!(media.window() >= media.min_window());
            prop_assert!(media.window() <= LARGEST.max(media.min_window()));
            prop_assert!(media.window.is_finite());
            prop_assert!(media.metrics().congestion_window > 0);
        }
    }
}

const MS: Duration = Duration::from_millis(1);

/// Sends and acknowledges a packet of 1200 bytes every ten milliseconds, 50 ms late, with so much on
/// its way.
fn steady(media: &mut Media, now: &mut Instant, in_flight: u64, packets: u32) {
    for _ in 0..packets {
        *now += 10 * MS;
        media.acknowledged(*now, now.checked_sub(50 * MS).unwrap_or(*now), 1200, 50 * MS);
        media.on_end_acks(*now, in_flight, true, None);
    }
}

#[test]
fn a_window_that_is_not_used_stays_as_it_is() {
    let mut now = Instant::now();
    let mut media = Media::new(Arc::new(MediaConfig::default()), now, 1200);
    let before = media.window();
    steady(&mut media, &mut now, 3_000, 10_000);
    assert_eq!(media.window(), before);
}

#[test]
fn a_window_that_was_used_long_ago_is_given_back() {
    let mut now = Instant::now();
    let mut media = Media::new(Arc::new(MediaConfig::default()), now, 1200);
    steady(&mut media, &mut now, 100_000, 500);
    assert!(media.window() > 50_000);
    steady(&mut media, &mut now, 3_000, 5_000);
    assert_eq!(media.window(), media.initial_window());
}

#[test]
fn an_explicit_mark_is_answered_once_in_a_round_trip() {
    let mut now = Instant::now();
    let mut media = Media::new(Arc::new(MediaConfig::default()), now, 1200);
    steady(&mut media, &mut now, 100_000, 50);
    let before = media.window() as f64;
    now += MS;
    media.on_congestion_event(now, now, false, 0);
    media.on_congestion_event(now + MS, now, false, 0);
    assert!((media.window() as f64 - before * AFTER_MARK).abs() < 2.0);
}

#[test]
fn persistent_congestion_leads_to_the_least_window() {
    let mut now = Instant::now();
    let mut media = Media::new(Arc::new(MediaConfig::default()), now, 1200);
    steady(&mut media, &mut now, 100_000, 50);
    for round in 0..10 {
        now += 1000 * MS;
        media.on_congestion_event(now, now, true, 1200);
        assert!(round > 0 || media.window() == media.initial_window());
    }
    assert_eq!(media.window(), media.min_window());
}
