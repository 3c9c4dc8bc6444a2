//! How much later than the fastest packets arrive: the statistics behind the target delay.

use std::collections::VecDeque;
use std::time::Duration;

use videocall_types::Timestamp;

/// The fastest packet is looked for in this time: long enough to contain one, short enough to follow
/// clocks that drift apart (a hundred parts per million are 0.2 ms in it).
const WINDOW: Duration = Duration::from_secs(2);

/// Packets in the window that may have been the fastest; the oldest is forgotten. 200 packets a second
/// is what the shortest usual frames make.
const MAX_HISTORY: usize = 512;

/// Width of a bucket.
const BUCKET: Duration = Duration::from_millis(5);

/// Delays up to 500 ms are told apart.
const BUCKETS: usize = 100;

/// The share of packets that should arrive in time.
const QUANTILE: f64 = 0.97;

/// How much of the past counts with each packet: half of it is forgotten in 1.4 s of 20 ms frames.
const FORGET: f64 = 0.99;

/// The delay of packets relative to the fastest one of the last seconds, in a histogram that forgets
/// exponentially; the target is a high quantile of it. This is the method of NetEq, the jitter buffer
/// of WebRTC, since its delay manager uses relative arrival delay instead of the interarrival jitter
/// of RFC 3550 §6.4.1.
#[derive(Debug)]
pub(super) struct ArrivalStatistics {
    /// Transit times in ascending order of both time and value: the first is the fastest.
    fastest: VecDeque<(Timestamp, i128)>,
    shares: [f64; BUCKETS],
    packets: u32,
}

impl Default for ArrivalStatistics {
    fn default() -> Self {
        Self {
            fastest: VecDeque::new(),
            shares: [0.0; BUCKETS],
            packets: 0,
        }
    }
}

impl ArrivalStatistics {
    /// A packet has arrived. The clocks of the two times need not agree.
    pub(super) fn observe(&mut self, capture_time_us: u64, now: Timestamp) {
        let transit = i128::from(now.as_micros()) - i128::from(capture_time_us);
        while self.fastest.back().is_some_and(|&(_, other)| other >= transit) {
            self.fastest.pop_back();
        }
        self.fastest.push_back((now, transit));
        while self.fastest.len() > MAX_HISTORY
            || self
                .fastest
                .front()
                .is_some_and(|&(at, _)| now.since(at) > WINDOW)
        {
            self.fastest.pop_front();
        }
        let fastest = self.fastest.front().map_or(transit, |&(_, fastest)| fastest);
        self.add(transit - fastest);
    }

    fn add(&mut self, delay_us: i128) {
        self.packets = self.packets.saturating_add(1);
        // The first packets weigh more, so that the histogram is about them and not about nothing.
        let forget = FORGET.min(1.0 - 2.0 / (f64::from(self.packets) + 1.0)).max(0.0);
        for share in &mut self.shares {
            *share *= forget;
        }
        let bucket = delay_us / BUCKET.as_micros() as i128;
        let bucket = usize::try_from(bucket).unwrap_or(usize::MAX).min(BUCKETS - 1);
        self.shares[bucket] += 1.0 - forget;
    }

    /// The delay that [`QUANTILE`] of the packets do not exceed, relative to the fastest.
    pub(super) fn delay(&self) -> Duration {
        let total: f64 = self.shares.iter().sum();
        let mut seen = 0.0;
        for (bucket, share) in self.shares.iter().enumerate() {
            seen += share;
            if seen >= total * QUANTILE {
                // Everything within 5 ms of the fastest is a path without jitter.
                return BUCKET * u32::try_from(bucket).unwrap_or(u32::MAX);
            }
        }
        BUCKET * BUCKETS as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(delays_ms: impl Iterator<Item = u64>) -> Duration {
        let mut arrivals = ArrivalStatistics::default();
        for (index, delay) in delays_ms.enumerate() {
            let captured = index as u64 * 20_000;
            let now = Timestamp::from_micros(captured + 7_000_000 + delay * 1000);
            arrivals.observe(captured, now);
        }
        arrivals.delay()
    }

    #[test]
    fn an_even_path_needs_no_delay() {
        assert_eq!(observed(std::iter::empty()), Duration::ZERO);
        assert_eq!(observed((0..200).map(|_| 40)), Duration::ZERO);
        assert_eq!(observed((0..200).map(|index| 40 + index % 5)), Duration::ZERO);
    }

    #[test]
    fn rare_outliers_do_not_count_and_frequent_ones_do() {
        let rare = (0..500).map(|index| if index % 100 == 50 { 200 } else { 10 });
        assert!(observed(rare) < Duration::from_millis(10));
        let frequent = (0..500).map(|index| if index % 10 == 5 { 90 } else { 10 });
        let delay = observed(frequent).as_millis();
        assert!((75..=85).contains(&delay), "{delay}");
    }

    #[test]
    fn a_change_of_the_path_is_forgotten() {
        let slower = (0..700).map(|index| if index < 200 { 10 } else { 150 });
        assert!(observed(slower) < Duration::from_millis(20));
    }

    #[test]
    fn absurd_times_do_no_harm() {
        let mut arrivals = ArrivalStatistics::default();
        for capture_time_us in [u64::MAX / 2, 0, 1, u64::MAX / 2, 5] {
            arrivals.observe(capture_time_us, Timestamp::from_millis(1));
        }
        assert!(arrivals.delay() <= BUCKET * BUCKETS as u32);
    }
}
