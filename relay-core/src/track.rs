//! One track of a meeting: what is kept of it for those who come, and who receives it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use videocall_types::limits::{KEYFRAME_REQUEST_INTERVAL, MAX_SPATIAL_LAYERS};
use videocall_types::{FrameHeader, LayerInfo, Timestamp, TrackKind, TrackRef};

use crate::Member;
use crate::speakers::TrackLevel;
use crate::subscription::Subscription;

/// A layer of which nothing came for this long is not sent at present. Six frames of a slow screen
/// share; a receiver is without a picture for no longer when a sender gives a layer up.
const LAYER_SILENCE: Duration = Duration::from_millis(500);

/// Base frames kept behind a keyframe: two seconds of L1T3 at 30 frames a second, which a decoder
/// catches up with in a tenth of one.
const MAX_TAIL_FRAMES: usize = 20;

/// Bytes kept behind a keyframe.
const MAX_TAIL_BYTES: usize = 512 * 1024;

/// A track that somebody in the meeting publishes, here or on another relay.
///
/// The media path reads it without a lock; only base frames of video take one, that of their layer.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: TrackRef,
    pub(crate) kind: TrackKind,
    muted: AtomicBool,
    /// Bit n: some other relay wants spatial layer n. Of sound, bit 0: it was asked for by name.
    bus_layers: AtomicU8,
    /// Receivers: of video all, of sound those that asked for the track by name.
    pub(crate) subscribers: ArcSwap<Vec<Arc<Subscription>>>,
    /// Weak, because members hold their tracks. Empty for tracks of other relays.
    publisher: Mutex<Weak<Member>>,
    /// The description's layers, smallest first.
    description: ArcSwap<Vec<LayerInfo>>,
    layers: [Layer; MAX_SPATIAL_LAYERS as usize],
    /// How loud it is, of microphones.
    pub(crate) level: Arc<TrackLevel>,
}

#[derive(Debug, Default)]
struct Layer {
    /// When the last frame came, microseconds plus one; 0 before the first.
    seen_at: AtomicU64,
    state: Mutex<LayerState>,
}

#[derive(Debug, Default)]
struct LayerState {
    cache: Cache,
    requested_at: Option<Timestamp>,
}

/// What a decoder needs to go on from: the newest keyframe and the base frames since.
#[derive(Debug, Default)]
struct Cache {
    frames: Vec<(FrameHeader, Bytes)>,
    tail_bytes: usize,
    /// The frames are not all that is needed: more came than are kept.
    incomplete: bool,
}

/// What is kept of a layer.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Replay {
    /// Nothing.
    Nothing,
    /// An old picture, from which nothing follows.
    Picture,
    /// Everything to go on from.
    Complete,
}

impl Track {
    pub(crate) fn new(id: TrackRef, kind: TrackKind, muted: bool) -> Arc<Self> {
        Arc::new(Self {
            id,
            kind,
            muted: AtomicBool::new(muted),
            bus_layers: AtomicU8::new(0),
            subscribers: ArcSwap::default(),
            publisher: Mutex::new(Weak::new()),
            description: ArcSwap::default(),
            layers: Default::default(),
            level: TrackLevel::new(id),
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
                layer.state.lock().cache = Cache::default();
            }
        }
    }

    /// The layers as announced. Returns whether they are others than before.
    pub(crate) fn describe(&self, layers: &[LayerInfo]) -> bool {
        let new = **self.description.load() != layers;
        if new {
            self.description.store(Arc::new(layers.to_vec()));
        }
        new
    }

    pub(crate) fn description(&self) -> Arc<Vec<LayerInfo>> {
        self.description.load_full()
    }

    /// The announced layer that comes nearest to this one from below, or the smallest. Without a
    /// description the layer itself.
    pub(crate) fn nearest_layer(&self, spatial: u8) -> u8 {
        let layers = self.description.load();
        let numbers = || layers.iter().map(|layer| layer.spatial);
        let below = numbers().filter(|&layer| layer <= spatial).max();
        below.or_else(|| numbers().min()).unwrap_or(0)
    }

    /// These layers (bit n: layer n), as far as they are announced, else the nearest that are.
    pub(crate) fn within(&self, layers: u8) -> u8 {
        let wanted = (0..MAX_SPATIAL_LAYERS).filter(|layer| layers >> layer & 1 == 1);
        wanted.fold(0, |bits, layer| bits | 1 << self.nearest_layer(layer))
    }

    pub(crate) fn add_subscriber(&self, subscription: Arc<Subscription>) {
        let mut subscribers = Vec::clone(&self.subscribers.load());
        subscribers.push(subscription);
        self.subscribers.store(Arc::new(subscribers));
    }

    pub(crate) fn remove_subscriber(&self, subscription: &Arc<Subscription>) {
        let mut subscribers = Vec::clone(&self.subscribers.load());
        subscribers.retain(|other| !Arc::ptr_eq(other, subscription));
        self.subscribers.store(Arc::new(subscribers));
    }

    /// Bit n is set where spatial layer n is announced.
    pub(crate) fn announced_layers(&self) -> u8 {
        let layers = self.description.load();
        let bits = layers.iter().fold(0, |bits, layer| bits | 1 << layer.spatial);
        if bits == 0 { 1 } else { bits }
    }

    pub(crate) fn bus_layers(&self) -> u8 {
        self.bus_layers.load(Ordering::Relaxed)
    }

    /// Returns what was wanted before.
    pub(crate) fn set_bus_layers(&self, layers: u8) -> u8 {
        self.bus_layers.swap(layers, Ordering::Relaxed)
    }

    /// The member that sends it, when it is connected here.
    pub(crate) fn publisher(&self) -> Option<Arc<Member>> {
        self.publisher.lock().upgrade()
    }

    /// Notes who sends it; nobody who is connected here, when it is another relay's.
    pub(crate) fn set_publisher(&self, member: Option<&Arc<Member>>) {
        *self.publisher.lock() = member.map_or_else(Weak::new, Arc::downgrade);
    }

    /// Whether frames of this layer are coming.
    pub(crate) fn is_live(&self, spatial: u8, now: Timestamp) -> bool {
        let seen = |layer: &Layer| match layer.seen_at.load(Ordering::Relaxed) {
            0 => false,
            at => now.since(Timestamp::from_micros(at - 1)) < LAYER_SILENCE,
        };
        self.layers.get(usize::from(spatial)).is_some_and(seen)
    }

    /// Takes note of a frame of video, and keeps it when somebody who comes needs it.
    pub(crate) fn remember(&self, header: &FrameHeader, packet: &Bytes, now: Timestamp) {
        let Some(layer) = self.layers.get(usize::from(header.spatial)) else {
            return;
        };
        layer.seen_at.store(now.as_micros() + 1, Ordering::Relaxed);
        if (header.keyframe || header.temporal == 0) && !self.is_muted() {
            layer.state.lock().cache.keep(header, packet);
        }
    }

    /// Gives what is kept of a layer to `give`, which no frame can come in between.
    pub(crate) fn replay(&self, spatial: u8, mut give: impl FnMut(&FrameHeader, &Bytes)) -> Replay {
        let Some(layer) = self.layers.get(usize::from(spatial)) else {
            return Replay::Nothing;
        };
        let state = layer.state.lock();
        for (header, packet) in &state.cache.frames {
            give(header, packet);
        }
        match (state.cache.frames.is_empty(), state.cache.incomplete) {
            (true, _) => Replay::Nothing,
            (false, true) => Replay::Picture,
            (false, false) => Replay::Complete,
        }
    }

    /// Lets go of what is kept of a layer.
    pub(crate) fn forget_layer(&self, spatial: u8) {
        if let Some(layer) = self.layers.get(usize::from(spatial)) {
            layer.state.lock().cache = Cache::default();
        }
    }

    /// Layers of which something is kept.
    pub(crate) fn kept_layers(&self) -> impl DoubleEndedIterator<Item = u8> + '_ {
        let kept = |layer: &Layer| !layer.state.lock().cache.frames.is_empty();
        (0..MAX_SPATIAL_LAYERS).filter(move |&spatial| kept(&self.layers[usize::from(spatial)]))
    }

    /// Whether a keyframe may be asked for now; if so, it counts as asked.
    pub(crate) fn request_keyframe(&self, spatial: u8, now: Timestamp) -> bool {
        let Some(layer) = self.layers.get(usize::from(spatial)) else {
            return false;
        };
        let mut state = layer.state.lock();
        let allowed = state
            .requested_at
            .is_none_or(|at| now.since(at) >= KEYFRAME_REQUEST_INTERVAL);
        if allowed {
            state.requested_at = Some(now);
        }
        allowed
    }
}

impl Cache {
    fn keep(&mut self, header: &FrameHeader, packet: &Bytes) {
        let Some((newest, _)) = self.frames.last() else {
            if header.keyframe {
                self.frames.push((*header, packet.clone()));
            }
            return;
        };
        if header.sequence <= newest.sequence {
            return;
        }
        if header.keyframe {
            self.frames.clear();
            self.tail_bytes = 0;
            self.incomplete = false;
            self.frames.push((*header, packet.clone()));
            return;
        }
        if self.incomplete {
            return;
        }
        let follows = newest.sequence + u64::from(header.reference_distance) == header.sequence;
        let fits = self.frames.len() <= MAX_TAIL_FRAMES && self.tail_bytes + packet.len() <= MAX_TAIL_BYTES;
        if follows && fits {
            self.tail_bytes += packet.len();
            self.frames.push((*header, packet.clone()));
        } else {
            // The keyframe alone still is a picture.
            self.frames.truncate(1);
            self.tail_bytes = 0;
            self.incomplete = true;
        }
    }
}

#[cfg(test)]
mod tests;
