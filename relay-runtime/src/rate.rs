//! How many control messages a client may send.

use videocall_types::Timestamp;
use videocall_types::limits::CONTROL_RATE_WINDOW;

/// A bucket that holds a window's worth of messages and fills at the announced rate.
#[derive(Debug)]
pub(crate) struct ControlRate {
    per_second: u64,
    /// Millionths of a message.
    credit: u64,
    counted_at: Timestamp,
}

const ONE_MESSAGE: u64 = 1_000_000;

impl ControlRate {
    pub(crate) fn new(per_second: u32, now: Timestamp) -> Self {
        let per_second = per_second.into();
        Self {
            per_second,
            credit: Self::capacity(per_second),
            counted_at: now,
        }
    }

    const fn capacity(per_second: u64) -> u64 {
        per_second * CONTROL_RATE_WINDOW.as_secs() * ONE_MESSAGE
    }

    /// Whether one more message is within the rate.
    pub(crate) fn take(&mut self, now: Timestamp) -> bool {
        let elapsed = u64::try_from(now.since(self.counted_at).as_micros()).unwrap_or(u64::MAX);
        self.counted_at = self.counted_at.max(now);
        let earned = elapsed.saturating_mul(self.per_second);
        self.credit = self
            .credit
            .saturating_add(earned)
            .min(Self::capacity(self.per_second));
        match self.credit.checked_sub(ONE_MESSAGE) {
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
    use std::time::Duration;

    #[test]
    fn a_burst_of_one_window_passes_and_then_the_rate() {
        let mut now = Timestamp::from_millis(1_000_000);
        let mut rate = ControlRate::new(50, now);
        let burst = std::iter::repeat_with(|| rate.take(now))
            .take_while(|&taken| taken)
            .count();
        assert_eq!(burst, 200);
        for _ in 0..100 {
            now += Duration::from_millis(20);
            assert!(rate.take(now));
            assert!(!rate.take(now));
        }
    }
}
