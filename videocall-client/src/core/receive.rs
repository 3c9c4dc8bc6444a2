//! Frames of others: what is valid, known and decodable goes on to the program.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use videocall_types::limits::KEYFRAME_REQUEST_INTERVAL;
use videocall_types::{DependencyTracker, Frame, FrameHeader, LayerId, Timestamp};

use super::roster::Roster;
use crate::stats::LayerStats;

/// Frames that wait because their track is not known yet: streams and datagrams may overtake the
/// control channel. A second of everything that a participant sends; the oldest is dropped.
const MAX_EARLY_FRAMES: usize = 128;

/// Bytes of frames that wait; the oldest is dropped.
const MAX_EARLY_BYTES: usize = 2 * 1024 * 1024;

/// An announcement that has not come after this time does not come.
const EARLY_LIFETIME: Duration = Duration::from_secs(2);

/// The receiving half.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    layers: BTreeMap<LayerId, Layer>,
    early: VecDeque<(Timestamp, Bytes)>,
    early_bytes: usize,
    ignored: u64,
}

#[derive(Debug, Default)]
struct Layer {
    passed: DependencyTracker,
    /// Nothing at or before it is taken again, whatever was forgotten since.
    newest: Option<u64>,
    /// Of sound: the newest sequence and which of those before it have come, bit by bit.
    heard: Heard,
    requested: Option<Timestamp>,
    stats: LayerStats,
}

/// Which sequences of a sound have come. Datagrams overtake one another, and when a call goes from one
/// relay to another, both may have sent the same frame.
#[derive(Debug, Default)]
struct Heard {
    next: u64,
    /// Bit n: the sequence `next - 1 - n` has come.
    before: u64,
}

impl Heard {
    /// Takes note of a sequence; false when it has come already, or is too old to tell. Frames of
    /// 20 ms that are 64 behind are late by more than a second.
    fn is_new(&mut self, sequence: u64) -> bool {
        if sequence >= self.next {
            let ahead = u32::try_from(sequence - self.next + 1).unwrap_or(u32::MAX);
            self.before = self.before.checked_shl(ahead).unwrap_or(0) | 1;
            self.next = sequence + 1;
            return true;
        }
        let behind = self.next - 1 - sequence;
        if behind >= u64::from(u64::BITS) || self.before & (1 << behind) != 0 {
            return false;
        }
        self.before |= 1 << behind;
        true
    }
}

/// What became of a packet with a frame.
#[derive(Debug, PartialEq)]
pub(super) enum Received {
    /// The program gets it.
    Frame(Frame),
    /// It cannot be decoded, and nothing after it can, until a keyframe comes that the relay is to
    /// be asked for.
    Stuck(LayerId),
    /// Nobody gets it.
    Nothing,
}

impl Receiver {
    /// Takes a packet with a frame. It may hold anything.
    pub(super) fn packet(&mut self, packet: Bytes, roster: &Roster, now: Timestamp) -> Received {
        let Ok(header) = FrameHeader::peek(&packet) else {
            self.ignored += 1;
            return Received::Nothing;
        };
        match roster.kind(header.track_ref()) {
            None => {
                self.wait(packet, now);
                Received::Nothing
            }
            Some(kind) if kind == header.kind => self.known(header, &packet, now),
            Some(_) => {
                self.ignored += 1;
                Received::Nothing
            }
        }
    }

    fn known(&mut self, header: FrameHeader, packet: &Bytes, now: Timestamp) -> Received {
        let layer = self.layers.entry(header.layer()).or_default();
        layer.stats.frames_received += 1;
        layer.stats.bytes_received += packet.len() as u64;
        if header.kind.is_audio() && !layer.heard.is_new(header.sequence) {
            layer.stats.frames_dropped += 1;
            return Received::Nothing;
        }
        if !header.kind.is_audio() && !layer.takes(&header) {
            layer.stats.frames_dropped += 1;
            return layer.stuck(&header, now);
        }
        let Ok(frame) = Frame::decode(packet) else {
            layer.stats.frames_dropped += 1;
            return Received::Nothing;
        };
        layer.pass(&header);
        Received::Frame(frame)
    }

    fn wait(&mut self, packet: Bytes, now: Timestamp) {
        self.early_bytes += packet.len();
        self.early.push_back((now, packet));
        while self.early.len() > MAX_EARLY_FRAMES
            || self.early_bytes > MAX_EARLY_BYTES
            || self
                .early
                .front()
                .is_some_and(|(since, _)| now.since(*since) > EARLY_LIFETIME)
        {
            let Some((_, packet)) = self.early.pop_front() else {
                break;
            };
            self.early_bytes -= packet.len();
            self.ignored += 1;
        }
    }

    /// After the roster has grown: the packets that may be known now, to be given to
    /// [`Receiver::packet`] again.
    pub(super) fn take_early(&mut self, roster: &Roster, now: Timestamp) -> Vec<Bytes> {
        let mut known = Vec::new();
        for (since, packet) in std::mem::take(&mut self.early) {
            let track = FrameHeader::peek(&packet).map(|header| header.track_ref());
            if track.is_ok_and(|track| roster.kind(track).is_some()) {
                self.early_bytes -= packet.len();
                known.push(packet);
            } else if now.since(since) <= EARLY_LIFETIME {
                self.early.push_back((since, packet));
            } else {
                self.early_bytes -= packet.len();
                self.ignored += 1;
            }
        }
        known
    }

    /// Whether the relay may be asked for a keyframe of this layer now; takes note that it is.
    pub(super) fn may_request_keyframe(&mut self, layer: LayerId, now: Timestamp) -> bool {
        self.layers
            .get_mut(&layer)
            .is_some_and(|layer| layer.may_request(now))
    }

    /// A frame never reached the program: nothing that refers to it may reach it either.
    pub(super) fn discarded(&mut self, layer: LayerId) {
        if let Some(layer) = self.layers.get_mut(&layer) {
            layer.stats.frames_dropped += 1;
            layer.passed.reset();
        }
    }

    /// Forgets what is not in the roster.
    pub(super) fn reconcile(&mut self, roster: &Roster) {
        self.layers.retain(|layer, _| roster.kind(layer.track).is_some());
    }

    pub(super) fn ignored(&self) -> u64 {
        self.ignored
    }

    pub(super) fn layer_stats(&self) -> impl Iterator<Item = (LayerId, LayerStats)> + '_ {
        self.layers.iter().map(|(&id, layer)| (id, layer.stats))
    }
}

impl Layer {
    /// Whether a decoder can take the frame: in order, and from what it was given before.
    fn takes(&self, header: &FrameHeader) -> bool {
        self.is_new(header)
            && self
                .passed
                .is_decodable(header.sequence, header.keyframe, header.reference_distance)
    }

    fn is_new(&self, header: &FrameHeader) -> bool {
        self.newest.is_none_or(|newest| header.sequence > newest)
    }

    fn pass(&mut self, header: &FrameHeader) {
        self.passed.pass(header.sequence, header.keyframe);
        self.newest = self.newest.max(Some(header.sequence));
    }

    /// A base frame that cannot be decoded means that nothing can until a keyframe. An upper frame
    /// without its reference was left out on purpose, or will be healed by the base.
    fn stuck(&mut self, header: &FrameHeader, now: Timestamp) -> Received {
        if header.temporal == 0 && self.is_new(header) && self.may_request(now) {
            Received::Stuck(header.layer())
        } else {
            Received::Nothing
        }
    }

    fn may_request(&mut self, now: Timestamp) -> bool {
        let lately = self
            .requested
            .is_some_and(|requested| now.since(requested) < KEYFRAME_REQUEST_INTERVAL);
        if lately {
            return false;
        }
        self.requested = Some(now);
        self.stats.keyframes_requested += 1;
        true
    }
}

#[cfg(test)]
mod tests;
