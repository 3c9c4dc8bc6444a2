//! How much of something there was during the last second.

use std::collections::VecDeque;
use std::time::Duration;

use videocall_types::Timestamp;

/// The time that is looked back on.
const WINDOW: Duration = Duration::from_secs(1);

/// Entries kept; with more in a second (nothing sends 512 frames a second) the figures are too low.
const MAX_ENTRIES: usize = 512;

/// Counts frames and their bytes over the last second, and all of them.
#[derive(Clone, Debug, Default)]
pub struct RateMeter {
    recent: VecDeque<(Timestamp, usize)>,
    frames: u64,
    bytes: u64,
}

impl RateMeter {
    /// Counts a frame.
    pub fn add(&mut self, bytes: usize, now: Timestamp) {
        self.frames += 1;
        self.bytes += bytes as u64;
        self.recent.push_back((now, bytes));
        while self.recent.len() > MAX_ENTRIES
            || self.recent.front().is_some_and(|&(at, _)| now.since(at) > WINDOW)
        {
            self.recent.pop_front();
        }
    }

    /// Frames so far.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Bytes so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Frames during the last second.
    pub fn frames_per_second(&self, now: Timestamp) -> f64 {
        self.in_window(now).count() as f64 / WINDOW.as_secs_f64()
    }

    /// Bits during the last second.
    pub fn bits_per_second(&self, now: Timestamp) -> f64 {
        let bytes: usize = self.in_window(now).sum();
        bytes as f64 * 8.0 / WINDOW.as_secs_f64()
    }

    fn in_window(&self, now: Timestamp) -> impl Iterator<Item = usize> + '_ {
        self.recent
            .iter()
            .filter(move |&&(at, _)| now.since(at) <= WINDOW)
            .map(|&(_, bytes)| bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_second_makes_the_rate() {
        let mut meter = RateMeter::default();
        for index in 0..100 {
            meter.add(1000, Timestamp::from_millis(index * 33));
        }
        let now = Timestamp::from_millis(99 * 33);
        assert_eq!((meter.frames(), meter.bytes()), (100, 100_000));
        assert!((meter.frames_per_second(now) - 31.0).abs() < 1.5);
        assert!((meter.bits_per_second(now) - 248_000.0).abs() < 12_000.0);
        let later = now + Duration::from_secs(2);
        assert_eq!(meter.frames_per_second(later), 0.0);
    }
}
