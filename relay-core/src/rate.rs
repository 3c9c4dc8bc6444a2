//! A token bucket: what a sender may send.

use std::time::Duration;

use videocall_types::Timestamp;
use videocall_types::limits::UPLOAD_RATE_WINDOW;

/// How long a sender may exceed its rate by a burst of its whole allowance.
const BURST: Duration = UPLOAD_RATE_WINDOW;

/// Allows so many bits per second, averaged over [`UPLOAD_RATE_WINDOW`].
#[derive(Debug)]
pub(crate) struct RateLimiter {
    bits_per_second: u64,
    available_bits: u64,
    refilled_at: Timestamp,
}

impl RateLimiter {
    pub(crate) fn new(bits_per_second: u64, now: Timestamp) -> Self {
        Self {
            bits_per_second,
            available_bits: bits_per_second.saturating_mul(BURST.as_secs()),
            refilled_at: now,
        }
    }

    /// Takes the bytes from the allowance; `false` when there is not enough of it, which then stays.
    pub(crate) fn take(&mut self, bytes: usize, now: Timestamp) -> bool {
        self.refill(now);
        match self.available_bits.checked_sub(bits(bytes)) {
            Some(rest) => {
                self.available_bits = rest;
                true
            }
            None => false,
        }
    }

    /// Takes the bytes from the allowance, or all that is left of it.
    pub(crate) fn charge(&mut self, bytes: usize, now: Timestamp) {
        self.refill(now);
        self.available_bits = self.available_bits.saturating_sub(bits(bytes));
    }

    fn refill(&mut self, now: Timestamp) {
        let capacity = self.bits_per_second.saturating_mul(BURST.as_secs());
        // No more than the burst can be earned, so that this fits up to terabits.
        let elapsed = now.since(self.refilled_at).min(BURST).as_micros() as u64;
        let earned = elapsed.saturating_mul(self.bits_per_second) / 1_000_000;
        if earned > 0 {
            self.available_bits = self.available_bits.saturating_add(earned).min(capacity);
            self.refilled_at = now;
        }
    }
}

const fn bits(bytes: usize) -> u64 {
    (bytes as u64).saturating_mul(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_sender_at_the_rate_passes_and_one_above_does_not() {
        let passes = |bytes_per_10_ms: usize| {
            let mut limiter = RateLimiter::new(800_000, Timestamp::ZERO);
            (0..10_000_u64).all(|i| limiter.take(bytes_per_10_ms, Timestamp::from_millis(i * 10)))
        };
        assert!(passes(1000));
        assert!(!passes(1100));
    }

    #[test]
    fn a_burst_of_two_seconds_passes_once() {
        let mut limiter = RateLimiter::new(8_000, Timestamp::ZERO);
        assert!(limiter.take(2000, Timestamp::ZERO));
        assert!(!limiter.take(1, Timestamp::ZERO));
        assert!(limiter.take(1000, Timestamp::from_millis(1000)));
    }

    #[test]
    fn what_goes_in_any_case_uses_up_what_is_left() {
        let mut limiter = RateLimiter::new(8_000, Timestamp::ZERO);
        assert!(limiter.take(1900, Timestamp::ZERO));
        limiter.charge(200, Timestamp::ZERO);
        assert!(!limiter.take(1, Timestamp::ZERO));
        assert!(
            limiter.take(1000, Timestamp::from_millis(1000)),
            "nothing is owed"
        );
    }
}
