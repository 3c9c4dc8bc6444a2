//! How long frames take from their capture into our sending queue, beyond the shortest time that takes: what a busy
//! machine makes of it.
//!
//! The relay can only tell the whole way from the capture. What of it is ours is no queue of the path.

use std::time::Duration;

use videocall_types::Timestamp;

use crate::media::transit::{FastestTransit, transit_us};

/// The shortest time is that of the last minute, as at the relay.
const BASE_WINDOW: Duration = Duration::from_secs(60);

/// Of one kind of media.
#[derive(Debug)]
struct Kind {
    base: FastestTransit,
    /// The least since the last report, and what the report before ended with, above the base.
    least_us: Option<i64>,
    before: Duration,
}

/// What our machine adds to the delay that the relay sees.
#[derive(Debug)]
pub(super) struct OwnDelay {
    sound: Kind,
    pictures: Kind,
}

impl Kind {
    fn new() -> Self {
        Self {
            base: FastestTransit::within(BASE_WINDOW),
            least_us: None,
            before: Duration::ZERO,
        }
    }

    fn note(&mut self, captured_us: u64, now: Timestamp) {
        let took_us = transit_us(captured_us, now);
        let above_us = took_us.saturating_sub(self.base.observe(took_us, now));
        self.least_us = Some(self.least_us.map_or(above_us, |least| least.min(above_us)));
    }

    /// A report has come. It tells of frames that were captured before it or before the one before.
    fn take(&mut self) -> Option<Duration> {
        let least_us = self.least_us.take()?;
        let least = Duration::from_micros(u64::try_from(least_us).unwrap_or(0));
        Some(least.max(std::mem::replace(&mut self.before, least)))
    }
}

impl OwnDelay {
    pub(super) fn new() -> Self {
        Self {
            sound: Kind::new(),
            pictures: Kind::new(),
        }
    }

    /// A frame has come into our queue.
    pub(super) fn note(&mut self, is_sound: bool, captured_us: u64, now: Timestamp) {
        let kind = if is_sound {
            &mut self.sound
        } else {
            &mut self.pictures
        };
        kind.note(captured_us, now);
    }

    /// Of the delay that a report tells; of sound where there is any, as the relay reckons.
    pub(super) fn take(&mut self) -> Duration {
        let pictures = self.pictures.take();
        self.sound.take().or(pictures).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn interval(own: &mut OwnDelay, is_sound: bool, from: Timestamp, late_ms: [u64; 5]) -> Duration {
        let mut captured = from;
        for late in late_ms {
            own.note(
                is_sound,
                captured.as_micros(),
                captured + Duration::from_millis(late),
            );
            captured += FRAME;
        }
        own.take()
    }

    #[test]
    fn what_all_frames_waited_is_ours() {
        let mut own = OwnDelay::new();
        let start = Timestamp::from_millis(1000);
        assert_eq!(
            interval(&mut own, true, start, [25, 20, 25, 60, 20]),
            Duration::ZERO
        );
        let second = start + Duration::from_secs(1);
        // The report may be about these or about those before.
        assert_eq!(
            interval(&mut own, true, second, [70, 60, 65, 90, 80]),
            Duration::from_millis(40)
        );
        assert_eq!(
            interval(&mut own, true, second, [21, 20, 25, 21, 20]),
            Duration::from_millis(40)
        );
        assert_eq!(
            interval(&mut own, true, second, [21, 20, 25, 21, 20]),
            Duration::ZERO
        );
    }

    #[test]
    fn pictures_speak_where_there_is_no_sound() {
        let mut own = OwnDelay::new();
        let start = Timestamp::from_millis(1000);
        interval(&mut own, false, start, [5, 6, 7, 8, 9]);
        assert_eq!(
            interval(&mut own, false, start, [15, 16, 17, 18, 19]),
            Duration::from_millis(10)
        );
        own.note(true, start.as_micros(), start);
        assert_eq!(
            interval(&mut own, false, start, [50, 50, 50, 50, 50]),
            Duration::ZERO
        );
        assert_eq!(own.take(), Duration::ZERO, "nothing was captured");
    }
}
