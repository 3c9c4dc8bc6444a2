//! When a picture stands still that should not: W3C "Identifiers for WebRTC's Statistics API",
//! `freezeCount` and `totalFreezesDuration`.

use std::collections::VecDeque;
use std::time::Duration;

use videocall_types::Timestamp;

/// Pictures whose intervals make the average that an interval is compared with.
const AVERAGED: usize = 30;

/// An interval is a freeze when it is this many times as long as the average ...
const TIMES_AVERAGE: u32 = 3;

/// ... and longer than the average by this.
const ABOVE_AVERAGE: Duration = Duration::from_millis(150);

/// Counts the freezes of one video track.
#[derive(Clone, Debug, Default)]
pub struct FreezeMeter {
    last: Option<Timestamp>,
    intervals: VecDeque<Duration>,
    sum: Duration,
    count: u64,
    total: Duration,
}

impl FreezeMeter {
    /// A picture is shown. True: it ends a freeze.
    pub fn shown(&mut self, now: Timestamp) -> bool {
        let froze = self.is_frozen(now);
        if let Some(last) = self.last.replace(now) {
            let interval = now.since(last);
            if froze {
                self.count += 1;
                self.total += interval;
            }
            self.remember(interval);
        }
        froze
    }

    /// Whether the last picture has stood for so long that it is a freeze.
    pub fn is_frozen(&self, now: Timestamp) -> bool {
        let (Some(last), Some(average)) = (self.last, self.average()) else {
            return false;
        };
        now.since(last) >= (average * TIMES_AVERAGE).max(average + ABOVE_AVERAGE)
    }

    /// Nothing is to be shown for now (muted, or nobody looks): the time until the next picture is no
    /// freeze.
    pub fn pause(&mut self) {
        self.last = None;
        self.intervals.clear();
        self.sum = Duration::ZERO;
    }

    /// Freezes so far; one that lasts counts from its beginning.
    pub fn count(&self, now: Timestamp) -> u64 {
        self.count + u64::from(self.is_frozen(now))
    }

    /// How long the pictures of all freezes have stood, together.
    pub fn total(&self, now: Timestamp) -> Duration {
        let lasting = self.last.filter(|_| self.is_frozen(now));
        self.total + lasting.map_or(Duration::ZERO, |last| now.since(last))
    }

    fn average(&self) -> Option<Duration> {
        let intervals = u32::try_from(self.intervals.len())
            .ok()
            .filter(|&count| count > 0)?;
        Some(self.sum / intervals)
    }

    fn remember(&mut self, interval: Duration) {
        self.intervals.push_back(interval);
        self.sum += interval;
        if self.intervals.len() > AVERAGED
            && let Some(oldest) = self.intervals.pop_front()
        {
            self.sum -= oldest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows pictures at these times in milliseconds.
    fn shown(times: impl IntoIterator<Item = u64>) -> FreezeMeter {
        let mut meter = FreezeMeter::default();
        for time in times {
            meter.shown(Timestamp::from_millis(time));
        }
        meter
    }

    /// Thirty pictures a second until 990 ms.
    fn even() -> impl Iterator<Item = u64> {
        (0..=30).map(|index| index * 33)
    }

    #[test]
    fn short_delays_are_no_freezes_and_long_ones_are() {
        let now = Timestamp::from_millis(10_000);
        // 33 + 150 ms is the limit.
        let late = shown(even().chain([990 + 182]));
        assert_eq!(late.count, 0);
        let frozen = shown(even().chain([990 + 183]));
        assert_eq!((frozen.count, frozen.total), (1, Duration::from_millis(183)));
        assert_eq!(frozen.count(now), 2, "the next one has begun");
        // At five pictures a second, three intervals are more than 150 ms above the average.
        assert_eq!(
            shown((0..10).map(|index| index * 200).chain([1800 + 599])).count,
            0
        );
        assert_eq!(
            shown((0..10).map(|index| index * 200).chain([1800 + 600])).count,
            1
        );
    }

    #[test]
    fn a_freeze_counts_while_it_lasts_and_once_when_it_ends() {
        let mut meter = shown(even());
        let during = Timestamp::from_millis(990 + 1000);
        assert!(!meter.is_frozen(Timestamp::from_millis(1100)));
        assert_eq!(
            (meter.count(during), meter.total(during)),
            (1, Duration::from_secs(1))
        );
        assert!(meter.shown(Timestamp::from_millis(990 + 2000)));
        let after = Timestamp::from_millis(990 + 2010);
        assert_eq!(
            (meter.count(after), meter.total(after)),
            (1, Duration::from_secs(2))
        );
    }

    #[test]
    fn a_pause_is_no_freeze() {
        let mut meter = shown(even());
        meter.pause();
        assert!(!meter.is_frozen(Timestamp::from_millis(9000)));
        assert!(!meter.shown(Timestamp::from_millis(9000)));
        assert_eq!(meter.count(Timestamp::from_millis(9010)), 0);
    }

    #[test]
    fn the_first_picture_alone_tells_nothing() {
        assert!(!shown([5]).is_frozen(Timestamp::from_millis(60_000)));
    }
}
