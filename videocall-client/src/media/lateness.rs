//! How much later than the fastest frames arrive: the statistics behind the delay of playout, of sound as of
//! pictures.

use std::collections::VecDeque;
use std::time::Duration;

use videocall_types::Timestamp;

use super::transit::{FastestTransit, transit_us};

/// The fastest frame is looked for in this time: long enough to contain one, short enough to follow
/// clocks that drift apart (a hundred parts per million are 0.2 ms in it).
const WINDOW: Duration = Duration::from_secs(2);

/// Width of a bucket.
const BUCKET: Duration = Duration::from_millis(2);
const BUCKET_US: i64 = 2_000;

/// Delays up to 500 ms are told apart.
const BUCKETS: usize = 250;

/// A path that becomes faster by more than this in one step is another path, and what was measured
/// before says nothing about it.
const OTHER_PATH_US: i64 = 20_000;

/// When frames are there to be played, relative to the fastest one of the last seconds, in a histogram
/// that forgets exponentially.
///
/// Percentiles of such a histogram as the delay of playout are S. Moon, J. Kurose and D. Towsley, "Packet
/// audio playout delay adjustment" (1998), and relative delays what NetEq of WebRTC uses.
#[derive(Debug)]
pub(crate) struct Lateness {
    fastest: FastestTransit,
    /// The fastest when the last frame came, microseconds.
    reference_us: Option<i64>,
    /// By how much the reference has moved without the histogram.
    moved_us: i64,
    shares: VecDeque<f64>,
    frames: u32,
    forget: f64,
}

impl Lateness {
    /// Each frame leaves this share of the past, 0 to 1.
    pub(crate) fn forgetting(forget: f64) -> Self {
        Self {
            fastest: FastestTransit::within(WINDOW),
            reference_us: None,
            moved_us: 0,
            shares: VecDeque::from([0.0; BUCKETS]),
            frames: 0,
            forget,
        }
    }

    /// A frame is there for the first time. The clocks of the two times need not agree.
    pub(crate) fn observe(&mut self, capture_time_us: u64, now: Timestamp) {
        let transit = transit_us(capture_time_us, now);
        let fastest = self.fastest.observe(transit, now);
        self.refer_to(fastest);
        self.add(transit.saturating_sub(fastest));
    }

    /// How much later this frame would be played than it could be if it came as fast as the fastest and
    /// was played at once, microseconds.
    pub(crate) fn delay_of(&self, capture_time_us: u64, played_at: Timestamp) -> i64 {
        let transit = transit_us(capture_time_us, played_at);
        transit.saturating_sub(self.reference_us.unwrap_or(transit))
    }

    /// The delay, relative to the fastest frame, at which waiting longer would cost more than what still came would be
    /// worth, when missing a hundredth of all frames is as bad as waiting this much longer.
    pub(crate) fn cheapest_delay(&self, wait_per_percent: Duration) -> Duration {
        let total: f64 = self.shares.iter().sum();
        let mut late = total;
        let mut best = (f64::INFINITY, 0);
        for (bucket, share) in self.shares.iter().enumerate() {
            late -= share;
            let waited = (BUCKET * (bucket as u32 + 1)).as_secs_f64();
            let missed = 100.0 * late / total.max(f64::MIN_POSITIVE) * wait_per_percent.as_secs_f64();
            if waited + missed < best.0 {
                best = (waited + missed, bucket);
            }
        }
        // Everything within the first bucket is a path without jitter.
        BUCKET * best.1 as u32
    }

    /// The delay, relative to the fastest frame, within which all frames are there but for this share.
    pub(crate) fn delay_of_all_but(&self, share: f64) -> Duration {
        let missed = self.shares.iter().sum::<f64>() * share;
        let mut late = 0.0;
        let from_the_latest = self.shares.iter().enumerate().rev();
        let found = from_the_latest.map(|(bucket, share)| {
            late += share;
            (bucket, late)
        });
        let latest = found
            .skip_while(|&(_, late)| late <= missed)
            .map(|(bucket, _)| bucket);
        BUCKET * latest.take(1).sum::<usize>() as u32
    }

    /// Delays are relative to another transit time from now on: those of the past become longer or
    /// shorter.
    fn refer_to(&mut self, fastest: i64) {
        let moved = fastest.saturating_sub(self.reference_us.replace(fastest).unwrap_or(fastest));
        if moved < -OTHER_PATH_US {
            self.moved_us = 0;
            return;
        }
        self.moved_us = self.moved_us.saturating_add(moved);
        let most = BUCKETS as i64;
        let buckets = (self.moved_us / BUCKET_US).clamp(-most, most);
        self.moved_us %= BUCKET_US;
        for _ in 0..buckets {
            let first = self.shares.pop_front().unwrap_or_default();
            self.shares[0] += first;
            self.shares.push_back(0.0);
        }
        for _ in buckets..0 {
            let last = self.shares.pop_back().unwrap_or_default();
            self.shares[BUCKETS - 2] += last;
            self.shares.push_front(0.0);
        }
    }

    fn add(&mut self, delay_us: i64) {
        self.frames = self.frames.saturating_add(1);
        // The first frames weigh more, so that the histogram is about them and not about nothing.
        let forget = self
            .forget
            .min(1.0 - 2.0 / (f64::from(self.frames) + 1.0))
            .max(0.0);
        for share in &mut self.shares {
            *share *= forget;
        }
        let bucket = usize::try_from(delay_us / BUCKET_US).unwrap_or_default();
        self.shares[bucket.min(BUCKETS - 1)] += 1.0 - forget;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGET: f64 = 0.998;
    const WAIT_PER_PERCENT: Duration = Duration::from_millis(30);

    fn observed(delays_ms: impl Iterator<Item = u64>) -> Duration {
        measured(delays_ms).cheapest_delay(WAIT_PER_PERCENT)
    }

    fn measured(delays_ms: impl Iterator<Item = u64>) -> Lateness {
        let mut arrivals = Lateness::forgetting(FORGET);
        for (index, delay) in delays_ms.enumerate() {
            let captured = index as u64 * 20_000;
            let now = Timestamp::from_micros(captured + 7_000_000 + delay * 1000);
            arrivals.observe(captured, now);
        }
        arrivals
    }

    #[test]
    fn an_even_path_needs_no_delay() {
        assert_eq!(observed(std::iter::empty()), Duration::ZERO);
        assert_eq!(observed((0..200).map(|_| 40)), Duration::ZERO);
        assert!(observed((0..200).map(|index| 40 + index % 5)) <= Duration::from_millis(4));
    }

    #[test]
    fn what_is_rare_is_not_waited_for_and_what_is_frequent_is() {
        let every =
            |rare: u64, late: u64| (0..2000).map(move |index| if index % rare == 5 { late } else { 10 });
        assert!(observed(every(100, 200)) < Duration::from_millis(10));
        let frequent = observed(every(10, 90)).as_millis();
        assert!((78..=82).contains(&frequent), "{frequent}");
        // Two of a hundred that come 20 ms later are worth 20 ms; one of three hundred is not.
        let healed = observed(every(50, 30)).as_millis();
        assert!((18..=22).contains(&healed), "{healed}");
        assert!(observed(every(300, 30)) < Duration::from_millis(5));
    }

    #[test]
    fn all_but_a_share_come_within_their_delay() {
        assert_eq!(
            measured(std::iter::empty()).delay_of_all_but(0.03),
            Duration::ZERO
        );
        let every_tenth = measured((0..500).map(|index| if index % 10 == 5 { 90 } else { 10 }));
        let within = every_tenth.delay_of_all_but(0.03).as_millis();
        assert!((78..=82).contains(&within), "{within}");
        assert!(every_tenth.delay_of_all_but(0.15) < Duration::from_millis(4));
    }

    #[test]
    fn a_longer_path_is_not_a_worse_one() {
        let slower = (0..700).map(|index| if index < 200 { 10 } else { 150 });
        assert!(observed(slower) < Duration::from_millis(10));
        let faster = (0..400).map(|index| if index < 200 { 150 } else { 10 });
        assert!(observed(faster) < Duration::from_millis(10));
    }

    #[test]
    fn delays_are_relative_to_the_fastest() {
        let mut arrivals = Lateness::forgetting(FORGET);
        for index in 0..100_u64 {
            let delay = 30_000 + index % 4 * 5_000;
            arrivals.observe(
                index * 20_000,
                Timestamp::from_micros(9_000_000 + index * 20_000 + delay),
            );
        }
        let heard = Timestamp::from_micros(9_000_000 + 5_000_000 + 75_000);
        assert_eq!(arrivals.delay_of(5_000_000, heard), 45_000);
    }

    #[test]
    fn absurd_times_do_no_harm() {
        let mut arrivals = Lateness::forgetting(FORGET);
        for capture_time_us in [u64::MAX, 0, 1, u64::MAX / 2, 5] {
            arrivals.observe(capture_time_us, Timestamp::from_millis(1));
            arrivals.observe(capture_time_us, Timestamp::from_micros(u64::MAX));
        }
        assert!(arrivals.cheapest_delay(WAIT_PER_PERCENT) <= BUCKET * BUCKETS as u32);
        assert!(arrivals.delay_of_all_but(0.0) <= BUCKET * BUCKETS as u32);
    }
}
