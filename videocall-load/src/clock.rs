//! Capture times that every process of a machine understands.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch. It runs evenly: the time of day is read once.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch_us: u64,
    started: Instant,
}

impl Clock {
    /// Reads the time of day.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            epoch_us: since_epoch.as_micros() as u64,
            started: Instant::now(),
        }
    }

    /// Now.
    pub fn now_us(&self) -> u64 {
        self.epoch_us + self.started.elapsed().as_micros() as u64
    }
}
