//! What the relay's latest reports told, beside what was sent and came from the encoders meanwhile: sums over as long as
//! some pictures take.
//!
//! What follows for the path is left to the estimate.

use std::collections::VecDeque;

/// What has arrived is averaged over this long, seconds: some pictures.
pub(super) const RATE_WINDOW: f64 = 0.3;

/// The latest reports.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    intervals: VecDeque<Interval>,
    /// Given to the connection, and come from encoders, since the last of them.
    sent_bits: f64,
    encoded_bits: f64,
}

/// What a report told, and what was sent and came from the encoders meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Interval {
    pub(super) seconds: f64,
    pub(super) arrived_bits: f64,
    pub(super) sent_bits: f64,
    pub(super) encoded_bits: f64,
}

impl Arrivals {
    pub(super) fn encoded(&mut self, bytes: usize) {
        self.encoded_bits += bytes as f64 * 8.0;
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent_bits += bytes as f64 * 8.0;
    }

    /// So many bytes have arrived in so many seconds.
    pub(super) fn reported(&mut self, seconds: f64, bytes: u64) {
        self.intervals.push_back(Interval {
            seconds,
            arrived_bits: bytes as f64 * 8.0,
            sent_bits: std::mem::take(&mut self.sent_bits),
            encoded_bits: std::mem::take(&mut self.encoded_bits),
        });
        let mut span = self.recent().seconds;
        while let Some(oldest) = self.intervals.front()
            && span - oldest.seconds >= RATE_WINDOW
        {
            span -= oldest.seconds;
            self.intervals.pop_front();
        }
    }

    /// Forgets the reports; what was sent since then is still to be told of.
    pub(super) fn clear(&mut self) {
        self.intervals.clear();
    }

    /// The sum of the reports that reach back over [`RATE_WINDOW`].
    pub(super) fn recent(&self) -> Interval {
        let add = |sum: Interval, next: &Interval| Interval {
            seconds: sum.seconds + next.seconds,
            arrived_bits: sum.arrived_bits + next.arrived_bits,
            sent_bits: sum.sent_bits + next.sent_bits,
            encoded_bits: sum.encoded_bits + next.encoded_bits,
        };
        self.intervals.iter().fold(Interval::default(), add)
    }

    /// What arrives, bits per second.
    pub(super) fn arriving(&self) -> f64 {
        let recent = self.recent();
        recent.arrived_bits / recent.seconds.max(0.001)
    }

    /// What comes from the encoders, bits per second.
    pub(super) fn encoding(&self) -> f64 {
        let recent = self.recent();
        recent.encoded_bits / recent.seconds.max(0.001)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut arrivals = Arrivals::default();
        assert_eq!((arrivals.arriving(), arrivals.encoding()), (0.0, 0.0));
        // Binary fractions, so that sums are exact: two of them are a little less than the window, three are more.
        for bytes in [4_000, 1_000, 2_000, 3_000] {
            arrivals.encoded(2 * bytes);
            arrivals.sent(bytes);
            arrivals.reported(0.125, bytes as u64);
        }
        let wanted = Interval {
            seconds: 0.375,
            arrived_bits: 48_000.0,
            sent_bits: 48_000.0,
            encoded_bits: 96_000.0,
        };
        assert_eq!(arrivals.recent(), wanted);
        assert_eq!((arrivals.arriving(), arrivals.encoding()), (128_000.0, 256_000.0));
        // A report about a long time stands for itself.
        arrivals.reported(0.5, 1_000);
        assert_eq!(arrivals.arriving(), 16_000.0);
    }

    #[test]
    fn what_was_sent_before_a_report_is_told_of_with_it() {
        let mut arrivals = Arrivals::default();
        arrivals.sent(500);
        arrivals.encoded(700);
        arrivals.clear();
        arrivals.reported(0.25, 0);
        let wanted = Interval {
            seconds: 0.25,
            arrived_bits: 0.0,
            sent_bits: 4_000.0,
            encoded_bits: 5_600.0,
        };
        assert_eq!(arrivals.recent(), wanted);
        arrivals.reported(0.25, 0);
        assert_eq!(arrivals.recent().sent_bits, 4_000.0, "and not again");
    }
}
