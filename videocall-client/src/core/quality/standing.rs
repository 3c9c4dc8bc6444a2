//! A delay that stands although it should have drained: not a queue of ours. The way has become longer, a machine on
//! it is busy, or somebody else fills the queue, whom we would yield to for ever.
//!
//! Less was sent than the path has carried meanwhile; by so much a queue of ours would be shorter now.

use videocall_types::Timestamp;

use super::arrivals::Interval;

/// A queue that is longer by this, seconds, does grow.
const GROWN: f64 = 0.015;

/// Of what the path has carried, what is sent without draining anything: encoders and measurements are not exact.
const FULL: f64 = 0.95;

/// A queue that has lost this share does fall.
const FALLEN: f64 = 0.3;

/// What should have drained when the delay is not believed to be a queue any more: so many times the delay, and
/// seconds besides.
const TIMES: f64 = 2.0;
const BESIDES: f64 = 0.1;

/// Share of what was sent before that is sent again at once: whatever came between may have changed the path.
const KEPT: f64 = 0.7;

/// The delay as it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    since: Timestamp,
    queue: f64,
    /// What was sent when it began to stand, bits per second.
    rate_before: f64,
    /// The most that arrived, bits per second.
    carried: f64,
    /// Seconds of queue that should have drained.
    drained: f64,
}

impl Standing {
    pub(super) fn new(queue: f64, rate_before: f64, now: Timestamp) -> Self {
        Self {
            since: now,
            queue,
            rate_before,
            carried: 0.0,
            drained: 0.0,
        }
    }

    /// A report with so much queue, seconds, came after this interval. What to send, bits per second, when
    /// the delay is known to be no queue of ours.
    pub(super) fn note(&mut self, queue: f64, interval: Interval, now: Timestamp) -> Option<f64> {
        let Interval {
            seconds,
            arrived_bits,
            sent_bits,
            ..
        } = interval;
        if queue > self.queue + GROWN || queue < self.queue * (1.0 - FALLEN) {
            *self = Self::new(queue, self.rate_before, now);
            return None;
        }
        let arriving = arrived_bits / seconds.max(0.001);
        self.carried = self.carried.max(arriving);
        let unused = 1.0 - sent_bits.max(arrived_bits) / seconds.max(0.001) / (self.carried * FULL).max(1.0);
        let reported = now.since(self.since).as_secs_f64();
        self.since = now;
        self.drained += unused.max(0.0) * reported;
        (self.drained > TIMES * self.queue + BESIDES).then_some(self.carried.max(self.rate_before * KEPT))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RATE: f64 = 1_000_000.0;
    const REPORT: Duration = Duration::from_millis(100);

    /// Reports until the delay is known to be no queue, each with the queue that `queue` makes of what should have
    /// drained, when a fifth less is sent than the path carries.
    fn run(queue: impl Fn(f64) -> f64) -> Option<(u32, f64)> {
        let mut now = Timestamp::from_millis(1000);
        let mut standing = Standing::new(queue(0.0), RATE, now);
        let mut drained = 0.0;
        for report in 0..50 {
            now += REPORT;
            let share = if report == 0 { 1.0 } else { 0.8 };
            drained += (1.0 - share) * REPORT.as_secs_f64();
            let interval = Interval {
                seconds: 0.1,
                arrived_bits: RATE * 0.1 * share,
                sent_bits: RATE * 0.1 * share,
                encoded_bits: RATE * 0.1 * share,
            };
            if let Some(rate) = standing.note(queue(drained), interval, now) {
                return Some((report, rate));
            }
        }
        None
    }

    #[test]
    fn a_delay_that_stays_although_less_is_sent_is_no_queue() {
        let (reports, rate) = run(|_| 0.060).expect("no queue");
        assert!((5..=20).contains(&reports), "{reports}");
        assert_eq!(rate, RATE);
    }

    #[test]
    fn a_queue_drains_by_what_is_not_sent() {
        assert_eq!(run(|drained| (0.3 - drained).max(0.0)), None);
    }
}
