//! How much decoded sound is queued for the audio thread: enough to bridge the moments at which the page's
//! thread is busy, little enough to be heard soon.

use std::time::Duration;

use videocall_types::Timestamp;

/// Samples at 48 kHz: 30 ms to start with and at the least (an Opus frame and the interval of the worklet's
/// reports), 120 ms at most.
const LEAST: u32 = 1440;
const MOST: u32 = 5760;

/// Added when the queue ran dry although frames were there: 10 ms.
const STEP: u32 = 480;

/// Reports that come in one burst after the page was busy tell of one and the same moment.
const STEP_INTERVAL: Duration = Duration::from_millis(200);

/// Given back for every second without that: 5 ms, so that a page which was busy with its start is prompt
/// soon after.
const DECAY_PER_SECOND: u32 = 240;

/// The adaptive target of one track's queue.
#[derive(Clone, Debug)]
pub struct QueueTarget {
    samples: u32,
    missed: u64,
    since: Timestamp,
}

impl Default for QueueTarget {
    fn default() -> Self {
        Self {
            samples: LEAST,
            missed: 0,
            since: Timestamp::ZERO,
        }
    }
}

impl QueueTarget {
    /// Samples to keep queued.
    pub const fn samples(&self) -> u32 {
        self.samples
    }

    /// Samples of them that a device in time would not need.
    pub const fn margin(&self) -> u32 {
        self.samples - LEAST
    }

    /// Takes note of how many samples the audio thread has missed so far, and whether the page had frames
    /// that it could have decoded in time.
    pub fn observe(&mut self, missed: u64, had_frames: bool, now: Timestamp) {
        let ran_dry = missed > self.missed && had_frames;
        self.missed = missed;
        let elapsed = now.since(self.since);
        if ran_dry {
            if elapsed < STEP_INTERVAL {
                return;
            }
            self.samples = (self.samples + STEP).min(MOST);
            self.since = now;
        } else if elapsed >= Duration::from_secs(1) {
            self.samples = self.samples.saturating_sub(DECAY_PER_SECOND).max(LEAST);
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_when_the_page_was_late_and_shrinks_slowly() {
        let mut target = QueueTarget::default();
        target.observe(100, true, Timestamp::from_millis(1000));
        target.observe(200, true, Timestamp::from_millis(1010));
        assert_eq!(target.samples(), LEAST + STEP, "one burst");
        target.observe(300, true, Timestamp::from_millis(1300));
        assert_eq!(target.samples(), LEAST + 2 * STEP);
        target.observe(300, true, Timestamp::from_millis(2000));
        assert_eq!(target.samples(), LEAST + 2 * STEP);
        target.observe(300, true, Timestamp::from_millis(2400));
        assert_eq!(target.samples(), LEAST + 2 * STEP - DECAY_PER_SECOND);
    }

    #[test]
    fn what_the_network_did_not_bring_is_not_its_fault_and_bounds_hold() {
        let mut target = QueueTarget::default();
        target.observe(100, false, Timestamp::from_millis(1000));
        assert_eq!(target.samples(), LEAST);
        for missed in 0..100 {
            target.observe(1000 + missed, true, Timestamp::from_millis(2000 + 300 * missed));
        }
        assert_eq!(target.samples(), MOST);
    }
}
