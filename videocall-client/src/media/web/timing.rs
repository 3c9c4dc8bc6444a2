//! When what one source sends is seen and heard: its sound and its picture share this.

use std::cell::RefCell;

use videocall_types::{FrameHeader, Timestamp};

use crate::media::sender_clock::SenderClock;
use crate::media::sync::LipSync;

/// The timing of somebody's microphone and camera, or of a screen and what it plays.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    pub(super) lips: RefCell<LipSync>,
    pub(crate) clock: RefCell<SenderClock>,
}

impl Timing {
    /// A frame has arrived.
    pub(super) fn arrived(&self, header: &FrameHeader, now: Timestamp) {
        let duration = if header.kind.is_audio() {
            header.duration_us
        } else {
            0
        };
        let captured_until = header.capture_time_us.saturating_add(duration.into());
        self.clock.borrow_mut().arrived(captured_until, now);
    }
}
