//! The one clock of a relay process: monotonic, and close to the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use videocall_types::Timestamp;

/// Tells microseconds since the Unix epoch as they were when the process began, plus the monotonic
/// time since. It never goes back, even when the time of day is set.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: Timestamp,
}

impl Clock {
    /// A clock that agrees with the time of day now.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            started_at: Timestamp::ZERO + since_epoch,
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }

    /// The instant of tokio's timers at which this clock reads `time`, which may be past.
    pub(crate) fn instant(&self, time: Timestamp) -> Instant {
        self.started + time.since(self.started_at)
    }
}
