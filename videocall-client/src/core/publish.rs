//! Our own tracks: what is announced, what is accepted, and the numbers of their frames.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use videocall_types::limits::{MAX_DATAGRAM_BYTES, MAX_FRAME_BYTES, MAX_SPATIAL_LAYERS, MAX_TEMPORAL_LAYERS};
use videocall_types::{DecoderConfig, Frame, FrameHeader, RedundantFrame, SessionId, TrackId, TrackInfo};

use super::types::EncodedFrame;

/// Earlier audio frames that can be repeated in each packet: two consecutive losses are healed.
const REDUNDANT_FRAMES: usize = 2;

/// An earlier frame is of no use when it is older than a receiver waits on a good path. Microseconds.
const REDUNDANCY_MAX_AGE_US: u64 = 200_000;

/// What a packet has besides the payloads: header fields, the decoder's configuration without its
/// description, and per redundant frame its distances. Bytes, rounded up.
const PACKET_OVERHEAD: usize = 128;
const REDUNDANT_OVERHEAD: usize = 20;

/// Every so many audio frames carry the decoder's configuration, so that a joiner hears within
/// 100 ms of 20 ms frames.
const AUDIO_CONFIG_INTERVAL: u64 = 5;

/// All our tracks.
#[derive(Debug)]
pub(super) struct Publisher {
    tracks: BTreeMap<TrackId, OwnTrack>,
    /// Ended tracks that the relay still has to be told of.
    ended: Vec<TrackId>,
    /// The numbers go on when a track ends and comes back, and over reconnections.
    numbering: BTreeMap<(TrackId, u8), LayerNumbering>,
    /// Earlier audio frames repeated in each packet.
    redundancy: usize,
}

impl Default for Publisher {
    fn default() -> Self {
        Self {
            tracks: BTreeMap::new(),
            ended: Vec::new(),
            numbering: BTreeMap::new(),
            redundancy: REDUNDANT_FRAMES,
        }
    }
}

#[derive(Debug)]
struct OwnTrack {
    info: TrackInfo,
    accepted: bool,
    /// The relay does not know this description yet.
    changed: bool,
    /// The relay has said that not all of its layers are wanted.
    restricted: bool,
    decoder: Option<DecoderConfig>,
    recent: VecDeque<RecentFrame>,
}

#[derive(Debug)]
struct RecentFrame {
    sequence: u64,
    capture_time_us: u64,
    duration_us: u32,
    payload: Bytes,
}

#[derive(Debug, Default)]
struct LayerNumbering {
    next_sequence: u64,
    /// The newest frame of each temporal layer since the last keyframe.
    newest: [Option<u64>; MAX_TEMPORAL_LAYERS as usize],
    /// Frames were left out before they got a number: what refers to them must not be sent.
    broken: bool,
}

/// What became of a frame.
#[derive(Debug)]
pub(super) enum Numbered {
    /// It is to be sent.
    Frame {
        /// What relays will read.
        header: FrameHeader,
        /// The packet.
        packet: Bytes,
    },
    /// It is not sent.
    Dropped,
}

impl Publisher {
    /// Adds or replaces a track.
    pub(super) fn publish(&mut self, info: TrackInfo) {
        let track = self.tracks.entry(info.track).or_insert_with(|| OwnTrack {
            info: info.clone(),
            accepted: false,
            changed: true,
            restricted: false,
            decoder: None,
            recent: VecDeque::new(),
        });
        track.changed = true;
        track.info = info;
    }

    pub(super) fn unpublish(&mut self, track: TrackId) {
        if self.tracks.remove(&track).is_some() {
            self.ended.push(track);
        }
    }

    pub(super) fn set_muted(&mut self, track: TrackId, muted: bool) {
        if let Some(own) = self.tracks.get_mut(&track) {
            own.changed |= own.info.muted != muted;
            own.info.muted = muted;
        }
    }

    /// The tracks as they are now, for a Hello.
    pub(super) fn descriptions(&self) -> Vec<TrackInfo> {
        self.tracks.values().map(|track| track.info.clone()).collect()
    }

    /// Another relay knows the tracks as they were announced in its Hello. It takes none until it says
    /// so, and pictures start with a keyframe there; sound goes on as it was.
    pub(super) fn welcomed(&mut self, announced: &[TrackInfo]) {
        for own in self.tracks.values_mut() {
            own.accepted = false;
            own.changed = !announced.contains(&own.info);
        }
        let gone = announced.iter().map(|info| info.track);
        self.ended = gone.filter(|track| !self.tracks.contains_key(track)).collect();
        self.break_pictures();
    }

    /// Takes note of which layers of a track are wanted; false when there is no such track.
    pub(super) fn restrict(&mut self, track: TrackId, wanted: &[u8]) -> bool {
        let Some(own) = self.tracks.get_mut(&track) else {
            return false;
        };
        own.restricted = own.layers().any(|spatial| !wanted.contains(&spatial));
        true
    }

    /// The tracks of which not all layers were wanted, with all their layers: they are wanted again.
    pub(super) fn release(&mut self) -> Vec<(TrackId, Vec<u8>)> {
        let mut released = Vec::new();
        for (&track, own) in &mut self.tracks {
            if std::mem::take(&mut own.restricted) {
                released.push((track, own.layers().collect()));
            }
        }
        released
    }

    /// How many earlier audio frames to repeat, two at most.
    pub(super) fn set_redundancy(&mut self, frames: usize) {
        self.redundancy = frames.min(REDUNDANT_FRAMES);
    }

    /// What the relay does not know yet: changed descriptions and ended tracks.
    pub(super) fn take_changes(&mut self) -> (Vec<TrackInfo>, Vec<TrackId>) {
        let changed = self
            .tracks
            .values_mut()
            .filter_map(|track| std::mem::take(&mut track.changed).then(|| track.info.clone()))
            .collect();
        (changed, std::mem::take(&mut self.ended))
    }

    /// The relay takes the track's frames from now on. `None` when that is nothing new, else the
    /// layers that need a keyframe first.
    pub(super) fn accept(&mut self, track: TrackId) -> Option<Vec<u8>> {
        let own = self.tracks.get_mut(&track)?;
        if std::mem::replace(&mut own.accepted, true) {
            return None;
        }
        if !own.info.kind.is_audio() {
            // A program may have dropped its first keyframe itself before it was in.
            for spatial in own.layers() {
                self.numbering
                    .entry((track, spatial))
                    .or_insert_with(LayerNumbering::of_video);
            }
        }
        let broken = self.numbering.range((track, 0)..=(track, u8::MAX));
        Some(
            broken
                .filter(|(_, layer)| layer.broken)
                .map(|(&(_, spatial), _)| spatial)
                .collect(),
        )
    }

    /// The connection is gone, and with it the relay's leave to send. What was on its way may be
    /// lost, so pictures start again with a keyframe.
    pub(super) fn disconnected(&mut self) {
        for own in self.tracks.values_mut() {
            own.accepted = false;
            own.recent.clear();
        }
        self.break_pictures();
    }

    /// Pictures go on with a keyframe.
    fn break_pictures(&mut self) {
        for ((track, _), layer) in &mut self.numbering {
            let own = self.tracks.get(track);
            layer.broken = own.is_some_and(|own| !own.info.kind.is_audio());
        }
    }

    /// A picture is not sent: its layer goes on with a keyframe.
    pub(super) fn leave_out(&mut self, frame: &EncodedFrame) {
        if let Some(layer) = self.numbering.get_mut(&(frame.track, frame.spatial)) {
            layer.broken = true;
        }
    }

    /// Numbers and encodes a frame. Frames of tracks that may not send now are left out.
    pub(super) fn number(&mut self, frame: EncodedFrame, session: Option<SessionId>) -> Numbered {
        let Some(own) = self.tracks.get_mut(&frame.track) else {
            return Numbered::Dropped;
        };
        let in_range = frame.spatial < MAX_SPATIAL_LAYERS
            && frame.temporal < MAX_TEMPORAL_LAYERS
            && !frame.payload.is_empty()
            && frame.payload.len() < MAX_FRAME_BYTES - PACKET_OVERHEAD
            && frame.capture_time_us <= u64::MAX / 2;
        let audio = own.info.kind.is_audio();
        if audio && frame.decoder.is_some() {
            own.decoder = frame.decoder.clone();
        }
        let key = (frame.track, if audio { 0 } else { frame.spatial });
        let layer = self.numbering.entry(key).or_insert_with(|| match audio {
            true => LayerNumbering::default(),
            false => LayerNumbering::of_video(),
        });
        let may_send = own.accepted && !own.info.muted;
        let (true, true, Some(session)) = (in_range, may_send, session) else {
            layer.broken = !audio;
            return Numbered::Dropped;
        };
        if layer.broken && !frame.keyframe {
            return Numbered::Dropped;
        }
        let (sequence, reference_distance) = layer.assign(&frame, audio);
        let header = FrameHeader {
            session,
            track: frame.track,
            kind: own.info.kind,
            spatial: key.1,
            temporal: if audio { 0 } else { frame.temporal },
            sequence,
            capture_time_us: frame.capture_time_us,
            keyframe: frame.keyframe || audio,
            reference_distance,
            duration_us: frame.duration_us,
            audio_level: frame.audio_level.map(|level| level.min(127)),
        };
        let packet = if audio {
            own.encode_audio(header, frame.payload, self.redundancy)
        } else {
            encode(header, frame.decoder, Vec::new(), frame.payload)
        };
        Numbered::Frame { header, packet }
    }
}

impl LayerNumbering {
    /// Pictures start with a keyframe.
    fn of_video() -> Self {
        Self {
            broken: true,
            ..Self::default()
        }
    }

    fn assign(&mut self, frame: &EncodedFrame, audio: bool) -> (u64, u32) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if audio {
            return (sequence, 0);
        }
        if frame.keyframe {
            self.broken = false;
            self.newest = Default::default();
        }
        let temporal = usize::from(frame.temporal);
        // T0 refers to the T0 before, Tn to the newest frame of a lower layer.
        let referred = self.newest[..temporal.max(1)].iter().flatten().max();
        let distance = match referred {
            Some(&referred) if !frame.keyframe => sequence - referred,
            _ => 0,
        };
        self.newest[temporal] = Some(sequence);
        (sequence, u32::try_from(distance).unwrap_or(u32::MAX))
    }
}

impl OwnTrack {
    /// The layers that are described; a track without a description has one.
    fn layers(&self) -> impl Iterator<Item = u8> + use<> {
        let mut layers: Vec<u8> = self.info.layers.iter().map(|layer| layer.spatial).collect();
        if layers.is_empty() {
            layers.push(0);
        }
        layers.into_iter()
    }

    fn encode_audio(&mut self, header: FrameHeader, payload: Bytes, copies: usize) -> Bytes {
        let decoder = header
            .sequence
            .is_multiple_of(AUDIO_CONFIG_INTERVAL)
            .then(|| self.decoder.clone())
            .flatten();
        let described = decoder.as_ref().map_or(0, |decoder| decoder.description.len());
        let redundancy = self.redundancy(&header, payload.len() + described, copies);
        let had_redundancy = !redundancy.is_empty();
        let mut packet = encode(header, decoder.clone(), redundancy, payload.clone());
        if had_redundancy && packet.len() > MAX_DATAGRAM_BYTES {
            packet = encode(header, decoder, Vec::new(), payload.clone());
        }
        self.recent.push_front(RecentFrame {
            sequence: header.sequence,
            capture_time_us: header.capture_time_us,
            duration_us: header.duration_us,
            payload,
        });
        self.recent.truncate(REDUNDANT_FRAMES);
        packet
    }

    fn redundancy(&self, header: &FrameHeader, used: usize, copies: usize) -> Vec<RedundantFrame> {
        let mut room = MAX_DATAGRAM_BYTES.saturating_sub(PACKET_OVERHEAD + used);
        let mut redundancy = Vec::new();
        for recent in self.recent.iter().take(copies) {
            let age = header.capture_time_us.saturating_sub(recent.capture_time_us);
            let cost = recent.payload.len() + REDUNDANT_OVERHEAD;
            if age > REDUNDANCY_MAX_AGE_US || cost > room {
                break;
            }
            room -= cost;
            redundancy.push(RedundantFrame {
                sequence_distance: (header.sequence - recent.sequence) as u32,
                capture_time_distance_us: age as u32,
                duration_us: recent.duration_us,
                payload: recent.payload.clone(),
            });
        }
        redundancy
    }
}

fn encode(
    header: FrameHeader,
    decoder: Option<DecoderConfig>,
    redundancy: Vec<RedundantFrame>,
    payload: Bytes,
) -> Bytes {
    let frame = Frame {
        header,
        decoder,
        redundancy,
        payload,
    };
    frame.encode()
}

#[cfg(test)]
mod tests;
