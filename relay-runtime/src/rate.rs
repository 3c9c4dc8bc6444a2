//! How many messages and packets a client may send.

use std::time::Duration;

use videocall_types::Timestamp;

/// A bucket that holds a window's worth of pieces and fills at the rate that is allowed.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: u64,
    /// Millionths of a piece.
    capacity: u64,
    credit: u64,
    counted_at: Timestamp,
}

const ONE: u64 = 1_000_000;

impl Rate {
    pub(crate) fn new(per_second: u64, window: Duration, now: Timestamp) -> Self {
        let capacity = per_second.saturating_mul(window.as_secs()).saturating_mul(ONE);
        Self {
            per_second,
            capacity,
            credit: capacity,
            counted_at: now,
        }
    }

    /// Whether so many more are within the rate.
    pub(crate) fn take(&mut self, count: u64, now: Timestamp) -> bool {
        let elapsed = u64::try_from(now.since(self.counted_at).as_micros()).unwrap_or(u64::MAX);
        self.counted_at = self.counted_at.max(now);
        let earned = elapsed.saturating_mul(self.per_second);
        self.credit = self.credit.saturating_add(earned).min(self.capacity);
        match self.credit.checked_sub(count.saturating_mul(ONE)) {
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_one_window_passes_and_then_the_rate() {
        let mut now = Timestamp::from_millis(1_000_000);
        let mut rate = Rate::new(50, Duration::from_secs(4), now);
        let burst = std::iter::repeat_with(|| rate.take(1, now))
            .take_while(|&taken| taken)
            .count();
        assert_eq!(burst, 200);
        for _ in 0..100 {
            now += Duration::from_millis(20);
            assert!(rate.take(1, now));
            assert!(!rate.take(1, now));
        }
    }

    #[test]
    fn more_at_once_than_is_left_is_refused_and_costs_nothing() {
        let now = Timestamp::from_millis(1);
        let mut rate = Rate::new(100, Duration::from_secs(2), now);
        assert!(!rate.take(201, now));
        assert!(rate.take(150, now));
        assert!(!rate.take(51, now));
        assert!(rate.take(100, now + Duration::from_millis(500)));
        assert!(!rate.take(u64::MAX, now + Duration::from_secs(100)));
    }
}
