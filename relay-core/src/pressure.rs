//! What a relay leaves out for everybody when it does not manage: a floor under every member's own
//! restriction.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::downlink::Restriction;

/// How short of processor time, memory or bandwidth a relay is. Shared by all of its meetings; read
/// for every frame and receiver, written a few times a second at most.
#[derive(Debug, Default)]
pub struct Pressure {
    level: AtomicU8,
}

impl Pressure {
    /// The most that can be left out: all video. Sound never is.
    pub const MAX: u8 = 3;

    /// Sets what is left out: 0 nothing, 1 higher temporal layers, 2 all but the smallest spatial
    /// layer as well, 3 all video.
    pub fn set(&self, level: u8) {
        self.level.store(level.min(Self::MAX), Ordering::Relaxed);
    }

    /// What is left out at present.
    pub fn level(&self) -> u8 {
        self.level.load(Ordering::Relaxed)
    }

    pub(crate) fn restriction(&self) -> Restriction {
        match self.level() {
            0 => Restriction::NONE,
            1 => Restriction::BASE_TEMPORAL,
            2 => Restriction::SMALLEST,
            _ => Restriction::NO_VIDEO,
        }
    }
}
