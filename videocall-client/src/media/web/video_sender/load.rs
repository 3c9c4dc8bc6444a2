//! How the encoders of a source get on, for the client's controller.

use std::time::Duration;

use videocall_types::{Timestamp, TrackId};

use crate::core::EncoderLoad;

/// How often the client hears how the encoders get on.
const INTERVAL: Duration = Duration::from_secs(1);

/// What became of a capture; of several layers the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    NotDue,
    Encoded,
    /// An encoder was behind.
    Dropped,
}

/// Counts since it was last told.
#[derive(Debug, Default)]
pub(super) struct LoadMeter {
    since: Timestamp,
    captured: u32,
    dropped: u32,
}

impl LoadMeter {
    /// Counts a capture. About once a second there is something to tell; `worked` says, then, how long the busiest
    /// encoder has worked since it was last asked.
    pub(super) fn note(
        &mut self,
        track: TrackId,
        outcome: Outcome,
        worked: impl FnOnce() -> Duration,
        now: Timestamp,
    ) -> Option<EncoderLoad> {
        self.captured += u32::from(outcome != Outcome::NotDue);
        self.dropped += u32::from(outcome == Outcome::Dropped);
        let time = now.since(self.since);
        if time < INTERVAL {
            return None;
        }
        let told = EncoderLoad {
            track,
            captured: self.captured,
            dropped: self.dropped,
            busy: (worked().as_secs_f32() / time.as_secs_f32()).min(1.0),
        };
        *self = Self {
            since: now,
            ..Self::default()
        };
        // The first interval has no beginning.
        (told.captured > 0 && time < INTERVAL * 5).then_some(told)
    }
}
