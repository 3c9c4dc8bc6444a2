//! Which queues of an outbox a writer serves.

use videocall_types::MediaClass;

/// A set of the outbox's three queues: control, audio, video.
///
/// Both video classes share one queue, because the frames of a layer have to stay in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassSet(u8);

impl ClassSet {
    /// Membership and everything else that must arrive.
    pub const CONTROL: Self = Self(1);
    /// Voices.
    pub const AUDIO: Self = Self(2);
    /// Pictures, base and enhancement.
    pub const VIDEO: Self = Self(4);
    /// Everything, for carriers with a single channel.
    pub const ALL: Self = Self(7);

    /// The queue of one class.
    pub const fn of(class: MediaClass) -> Self {
        match class {
            MediaClass::Control => Self::CONTROL,
            MediaClass::Audio => Self::AUDIO,
            MediaClass::VideoBase | MediaClass::VideoEnhancement => Self::VIDEO,
        }
    }

    /// Both sets together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the queue of this class is in the set.
    pub const fn contains(self, class: MediaClass) -> bool {
        self.0 & Self::of(class).0 != 0
    }

    pub(crate) const fn has_queue(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    /// Index of the class's queue.
    pub(crate) const fn queue_of(class: MediaClass) -> usize {
        match class {
            MediaClass::Control => 0,
            MediaClass::Audio => 1,
            MediaClass::VideoBase | MediaClass::VideoEnhancement => 2,
        }
    }
}
