//! One track of a meeting: its newest keyframes and who receives it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use videocall_types::limits::{KEYFRAME_REQUEST_INTERVAL, MAX_SPATIAL_LAYERS};
use videocall_types::{FrameHeader, Timestamp, TrackKind, TrackRef};

use crate::Member;

/// A track that somebody in the meeting publishes, here or on another relay.
///
/// The media path reads it without a lock; only a keyframe takes one, that of its layer.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackRef,
    pub(crate) kind: TrackKind,
    muted: AtomicBool,
    /// Some other relay wants it.
    wanted_by_bus: AtomicBool,
    /// Members that asked for this track by name. Those that want everything are in the meeting's
    /// own list.
    pub(crate) subscribers: ArcSwap<Vec<Arc<Member>>>,
    /// Weak, because members hold their tracks. Empty for tracks of other relays.
    publisher: Mutex<Weak<Member>>,
    layers: [Mutex<LayerState>; MAX_SPATIAL_LAYERS as usize],
}

#[derive(Debug, Default)]
struct LayerState {
    /// The newest keyframe, so that a joiner sees a picture at once.
    keyframe: Option<(FrameHeader, Bytes)>,
    requested_at: Option<Timestamp>,
}

impl Track {
    pub(crate) fn new(id: TrackRef, kind: TrackKind, muted: bool) -> Arc<Self> {
        Arc::new(Self {
            id,
            kind,
            muted: AtomicBool::new(muted),
            wanted_by_bus: AtomicBool::new(false),
            subscribers: ArcSwap::default(),
            publisher: Mutex::new(Weak::new()),
            layers: Default::default(),
        })
    }

    pub(crate) fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed)
    }

    /// A muted track's old picture must not greet a joiner.
    pub(crate) fn set_muted(&self, muted: bool) {
        self.muted.store(muted, Ordering::Relaxed);
        if muted {
            for layer in &self.layers {
                layer.lock().keyframe = None;
            }
        }
    }

    pub(crate) fn is_wanted_by_bus(&self) -> bool {
        self.wanted_by_bus.load(Ordering::Relaxed)
    }

    /// Returns whether it was wanted before.
    pub(crate) fn set_wanted_by_bus(&self, wanted: bool) -> bool {
        self.wanted_by_bus.swap(wanted, Ordering::Relaxed)
    }

    /// The member that sends it, when it is connected here.
    pub(crate) fn publisher(&self) -> Option<Arc<Member>> {
        self.publisher.lock().upgrade()
    }

    pub(crate) fn set_publisher(&self, member: &Arc<Member>) {
        *self.publisher.lock() = Arc::downgrade(member);
    }

    /// Keeps a keyframe unless a newer one is there.
    pub(crate) fn remember_keyframe(&self, header: &FrameHeader, packet: &Bytes) {
        let Some(layer) = self.layers.get(usize::from(header.spatial)) else {
            return;
        };
        let mut layer = layer.lock();
        let newer = layer
            .keyframe
            .as_ref()
            .is_none_or(|(kept, _)| kept.sequence < header.sequence);
        if newer && !self.is_muted() {
            layer.keyframe = Some((*header, packet.clone()));
        }
    }

    /// The newest keyframe of every layer.
    pub(crate) fn keyframes(&self) -> Vec<(FrameHeader, Bytes)> {
        self.layers
            .iter()
            .filter_map(|layer| layer.lock().keyframe.clone())
            .collect()
    }

    /// Whether a keyframe may be asked for now; if so, it counts as asked.
    pub(crate) fn request_keyframe(&self, spatial: u8, now: Timestamp) -> bool {
        let Some(layer) = self.layers.get(usize::from(spatial)) else {
            return false;
        };
        let mut layer = layer.lock();
        let allowed = layer
            .requested_at
            .is_none_or(|at| now.since(at) >= KEYFRAME_REQUEST_INTERVAL);
        if allowed {
            layer.requested_at = Some(now);
        }
        allowed
    }
}
