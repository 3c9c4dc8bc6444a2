//! One receiver's wish for one track, and which of the track's layers it gets at the moment.
//!
//! Control creates subscriptions and moves what they want; the media path reads them for every frame
//! and moves what they get. What a receiver's path carries is [`crate::downlink`]'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use videocall_types::limits::MAX_SPATIAL_LAYERS;
use videocall_types::{FrameHeader, LayerInfo, Subscription as Wish, Timestamp, fills};

use crate::Member;
use crate::downlink::Restriction;
use crate::track::Track;

/// No layer.
const NONE: u8 = u8::MAX;

/// The largest layer there is, whichever that is.
const LARGEST: u8 = MAX_SPATIAL_LAYERS - 1;

/// One receiver's wish for one track.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) member: Arc<Member>,
    /// The spatial layer that the size asks for.
    wanted: AtomicU8,
    /// The spatial layer that is passed on; [`NONE`] until a keyframe comes.
    current: AtomicU8,
    /// Importance among the receiver's tracks, 0 is the first to be left out.
    rank: AtomicU8,
    /// The receiver gets the active speakers anyway; for microphones.
    pub(crate) hears_speakers: AtomicBool,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes to the receiver; `switched` says that it is the first of its layer.
    Pass { switched: bool },
    /// It does not.
    Leave,
    /// It does not, but its layer would, from a keyframe on.
    AwaitsKeyframe,
}

impl Subscription {
    pub(crate) fn new(member: Arc<Member>) -> Arc<Self> {
        Arc::new(Self {
            member,
            wanted: AtomicU8::new(LARGEST),
            current: AtomicU8::new(NONE),
            rank: AtomicU8::new(u8::MAX),
            hears_speakers: AtomicBool::new(false),
        })
    }

    /// Sets what is wanted. Returns whether that is another layer than before.
    pub(crate) fn want(&self, spatial: u8, rank: u8) -> bool {
        self.rank.store(rank, Ordering::Relaxed);
        self.wanted.swap(spatial, Ordering::Relaxed) != spatial
    }

    /// The layer that the size asks for.
    pub(crate) fn wanted(&self) -> u8 {
        self.wanted.load(Ordering::Relaxed)
    }

    /// The layer that is passed on now.
    pub(crate) fn current(&self) -> Option<u8> {
        Some(self.current.load(Ordering::Relaxed)).filter(|&layer| layer != NONE)
    }

    /// Begins with this layer, of which the receiver was given everything so far.
    pub(crate) fn begin_at(&self, spatial: u8) {
        self.current.store(spatial, Ordering::Relaxed);
    }

    /// The layer to be passed on, as far as the receiver's path allows; `None` when it allows none.
    pub(crate) fn target(&self) -> Option<u8> {
        self.target_within(self.member.restriction())
    }

    fn target_within(&self, restriction: Restriction) -> Option<u8> {
        let wanted = self.wanted();
        restriction
            .admits_rank(self.rank.load(Ordering::Relaxed))
            .then(|| wanted.saturating_sub(restriction.spatial_drop()))
    }

    /// Decides about a frame of a video track.
    pub(crate) fn judge(&self, track: &Track, header: &FrameHeader, now: Timestamp) -> Verdict {
        let restriction = self.member.restriction();
        let Some(target) = self.target_within(restriction) else {
            self.current.store(NONE, Ordering::Relaxed);
            return Verdict::Leave;
        };
        let spatial = header.spatial;
        let wanted = self.wanted();
        if header.temporal > restriction.max_temporal(wanted, spatial) {
            return Verdict::Leave;
        }
        let current = self.current.load(Ordering::Relaxed);
        if spatial == current {
            return Verdict::Pass { switched: false };
        }
        // A path that does not carry a larger picture does not carry its keyframe either; the one to be passed on is on its way.
        if restriction.spatial_drop() > 0 && spatial > track.nearest_layer(target) {
            return Verdict::Leave;
        }
        let silent = |layer| !track.is_live(layer, now);
        let better = if current == NONE {
            // A smaller picture for the time being, but no larger one unless there is nothing else.
            spatial == target || silent(target) || (header.keyframe && spatial < target)
        } else {
            distance(spatial, target) < distance(current, target) || silent(current)
        };
        match (better, header.keyframe) {
            (false, _) => Verdict::Leave,
            (true, false) => Verdict::AwaitsKeyframe,
            (true, true) => {
                self.current.store(spatial, Ordering::Relaxed);
                Verdict::Pass {
                    switched: current != NONE,
                }
            }
        }
    }
}

/// How far a layer is from the one that is to be passed on: smaller ones before larger ones, which
/// the path may not carry.
const fn distance(layer: u8, target: u8) -> u8 {
    match target.checked_sub(layer) {
        Some(below) => below,
        None => MAX_SPATIAL_LAYERS + layer - target,
    }
}

/// The layer for the size at which a track is shown: the smallest that need not be blown up much to
/// fill it, else the largest. Pictures keep their aspect ratio, so that one side that is large
/// enough will do.
pub(crate) fn layer_for(wish: &Wish, layers: &[LayerInfo]) -> u8 {
    if wish.width == 0 || wish.height == 0 {
        return layers.iter().map(|layer| layer.spatial).max().unwrap_or(LARGEST);
    }
    let suffices = |layer: &&LayerInfo| fills((layer.width, layer.height), (wish.width, wish.height));
    let smallest = layers.iter().filter(suffices).map(|layer| layer.spatial).min();
    let largest = || layers.iter().map(|layer| layer.spatial).max();
    smallest.or_else(largest).unwrap_or(LARGEST)
}

#[cfg(test)]
mod tests;
