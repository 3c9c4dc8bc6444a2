//! How long the peer waits before it acknowledges, as far as it can be told.
//!
//! A controller is not given the delay that an ACK frame names (RFC 9000 §19.3), but it sees the smoothed
//! round-trip time from which that delay has been taken. The smoothing is known (RFC 9002 §5.3), so
//! the sample that went into it can be computed, one acknowledgement later. At 300 kbit/s a
//! receiver that waits for a second packet waits as long as the queue may be in all.

use std::time::{Duration, Instant};

/// The usual bound that peers announce (RFC 9000 §18.2). More is not believed.
const LONGEST: Duration = Duration::from_millis(25);

/// A round-trip time with the peer's delay taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) rtt: Duration,
    pub(crate) at: Instant,
    /// Whether the packet was one of full size.
    pub(crate) full: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct AckDelay {
    smoothed: Option<Duration>,
    /// The last sample, with the peer's delay in it.
    raw: Option<Sample>,
    average: Duration,
}

impl AckDelay {
    /// Takes the smoothed round-trip time that the last acknowledgement led to, and gives the last
    /// sample.
    pub(crate) fn on_ack(&mut self, smoothed: Duration) -> Option<Sample> {
        let before = self.smoothed.replace(smoothed);
        let raw = self.raw.take()?;
        // The first sample is not smoothed, and nothing is taken from it.
        let rtt = match before {
            Some(before) if smoothed != raw.rtt => smoothed
                .saturating_mul(8)
                .saturating_sub(before.saturating_mul(7)),
            _ => raw.rtt,
        };
        let rtt = rtt.max(raw.rtt.saturating_sub(LONGEST)).min(raw.rtt);
        self.average = (self.average * 7 + (raw.rtt - rtt)) / 8;
        Some(Sample { rtt, ..raw })
    }

    /// The estimator is about to take this sample.
    pub(crate) fn sampled(&mut self, raw: Sample) {
        self.raw = Some(raw);
    }

    /// The delay on average.
    pub(crate) const fn average(&self) -> Duration {
        self.average
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Sends samples of a path with this delay at the peer through the estimator's smoothing.
    fn measured(
        delay: impl Fn(u32) -> Duration,
        path: impl Fn(u32) -> Duration,
    ) -> Vec<(Duration, Duration)> {
        let mut ack_delay = AckDelay::default();
        let at = Instant::now();
        let mut smoothed = 100 * MS;
        let mut pairs = Vec::new();
        for round in 0..20 {
            if let Some(sample) = ack_delay.on_ack(smoothed) {
                pairs.push((sample.rtt, path(round - 1)));
            }
            let raw = path(round) + delay(round);
            ack_delay.sampled(Sample {
                rtt: raw,
                at,
                full: true,
            });
            smoothed = match round {
                0 => raw,
                _ => (smoothed * 7 + path(round)) / 8,
            };
        }
        pairs
    }

    #[test]
    fn each_samples_delay_is_found() {
        let delay = |round| (round * 7 % 25) * MS;
        let path = |round| (50 + round * 3 % 7) * MS;
        for (sample, path) in measured(delay, path).into_iter().skip(1) {
            let error = sample.abs_diff(path);
            assert!(error < Duration::from_micros(1), "{sample:?} instead of {path:?}");
        }
    }

    #[test]
    fn no_more_than_peers_announce_is_believed() {
        for (sample, path) in measured(|_| 1000 * MS, |_| 50 * MS).into_iter().skip(1) {
            assert_eq!(sample, path + 1000 * MS - LONGEST);
        }
    }
}
