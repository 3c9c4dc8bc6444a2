//! What waits to be sent: most important first, bounded, and what is late is dropped in whole
//! dependency branches.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use videocall_types::limits::{KEYFRAME_REQUEST_INTERVAL, MAX_FRAME_BYTES};
use videocall_types::{
    DependencyTracker, FrameHeader, LayerArrival, MediaClass, Timestamp, TrackId, TrackKind,
};

use super::flight::Flight;
use super::quality::Backlog;
use super::types::{Lane, OutgoingPacket};

/// Control messages that wait. They must all arrive, so when there are more the connection is of no
/// use any more. A busy minute has some dozens.
const MAX_CONTROL: usize = 256;

/// Audio frames that wait; the oldest is dropped for a new one. 0.6 s of 20 ms frames: more than
/// [`AUDIO_LATE`] lets live.
const MAX_AUDIO: usize = 32;

/// An audio frame that has waited this long is dropped: a receiver would not wait for it.
const AUDIO_LATE: Duration = Duration::from_millis(300);

/// When a lane's oldest video frame has waited this long, its upper temporal layers are dropped.
const VIDEO_LATE: Duration = Duration::from_millis(200);

/// When it has waited this long even so, everything but the newest keyframe is dropped.
const VIDEO_TOO_LATE: Duration = Duration::from_millis(500);

/// Video frames of one lane that wait: 2 s at 30 fps, which [`VIDEO_TOO_LATE`] reaches first unless
/// the program's clock jumps. Above it, as when they are too late.
const MAX_LANE_FRAMES: usize = 64;

/// Bytes of one lane that wait: one frame of the largest size and something after it.
const MAX_LANE_BYTES: usize = MAX_FRAME_BYTES + MAX_FRAME_BYTES / 4;

/// Between two keyframes that are asked of the encoder for one lane, so that a path which is too slow
/// for keyframes is not filled with them.
const KEYFRAME_INTERVAL: Duration = KEYFRAME_REQUEST_INTERVAL.saturating_mul(2);

/// The queue of a connection.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    control: VecDeque<Bytes>,
    audio: VecDeque<Waiting>,
    video: BTreeMap<LaneKey, VideoLane>,
    dropped: u64,
    flight: Flight,
    /// Bytes of pictures that may be on their way; as many as the connection takes where there is none.
    allowance: Option<usize>,
}

/// Lanes in the order in which they are sent: base layers before others, screens before faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LaneKey {
    spatial: u8,
    not_screen: bool,
    track: TrackId,
}

#[derive(Debug)]
struct Waiting {
    header: FrameHeader,
    packet: Bytes,
    since: Timestamp,
}

#[derive(Debug, Default)]
struct VideoLane {
    frames: VecDeque<Waiting>,
    bytes: usize,
    /// What was given to the connection, and thereby what can still be decoded.
    sent: DependencyTracker,
    /// Frames of the base were dropped: nothing but a keyframe is taken.
    needs_keyframe: bool,
    keyframe_asked: Option<Timestamp>,
}

/// The queue for control messages is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ControlFull;

/// An own encoder has to make a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyframeNeeded {
    pub(super) track: TrackId,
    pub(super) spatial: u8,
}

impl SendQueue {
    pub(super) fn push_control(&mut self, packet: Bytes) -> Result<(), ControlFull> {
        if self.control.len() >= MAX_CONTROL {
            return Err(ControlFull);
        }
        self.control.push_back(packet);
        Ok(())
    }

    pub(super) fn push_frame(
        &mut self,
        header: FrameHeader,
        packet: Bytes,
        now: Timestamp,
    ) -> Option<KeyframeNeeded> {
        let waiting = Waiting {
            header,
            packet,
            since: now,
        };
        if header.kind.is_audio() {
            if self.audio.len() >= MAX_AUDIO {
                self.audio.pop_front();
                self.dropped += 1;
            }
            self.audio.push_back(waiting);
            return None;
        }
        let lane = self.video.entry(LaneKey::of(&header)).or_default();
        let (needed, dropped) = lane.push(waiting, now);
        self.dropped += dropped;
        needed.then_some(KeyframeNeeded {
            track: header.track,
            spatial: header.spatial,
        })
    }

    /// The most important packet whose lane is ready.
    pub(super) fn pop(
        &mut self,
        now: Timestamp,
        mut ready: impl FnMut(Lane) -> bool,
    ) -> Option<OutgoingPacket> {
        if !self.control.is_empty() && ready(Lane::Control) {
            return self.control.pop_front().map(control_packet);
        }
        if !self.audio.is_empty()
            && ready(Lane::Audio)
            && let Some(waiting) = self.pop_audio(now)
        {
            return Some(waiting.outgoing(Lane::Audio, false));
        }
        if self
            .allowance
            .is_some_and(|allowance| self.flight.bytes() >= allowance)
        {
            return None;
        }
        for (key, lane) in &mut self.video {
            if lane.frames.is_empty() || !ready(Lane::Video(key.track, key.spatial)) {
                continue;
            }
            let (next, dropped) = lane.pop();
            self.dropped += dropped;
            if let Some((header, packet)) = next {
                self.flight.sent(&header, packet.packet.len(), packet.supersedes);
                return Some(packet);
            }
        }
        None
    }

    /// How many bytes of pictures may be on their way. One frame always may, however large.
    pub(super) fn allow(&mut self, bytes: Option<usize>) {
        self.allowance = bytes.map(|bytes| bytes.max(1));
    }

    /// The relay has told how far this layer has got.
    pub(super) fn arrived(&mut self, arrival: &LayerArrival) {
        self.flight.arrived(arrival);
    }

    /// A layer that is encoded no more: what waits of it is not sent either.
    pub(super) fn give_up(&mut self, track: TrackId, spatial: u8) {
        for (_, lane) in self
            .video
            .iter_mut()
            .filter(|(key, _)| key.track == track && key.spatial == spatial)
        {
            self.dropped += lane.frames.len() as u64;
            lane.needs_keyframe |= !lane.frames.is_empty();
            lane.retain(|_| false);
        }
    }

    fn pop_audio(&mut self, now: Timestamp) -> Option<Waiting> {
        while let Some(waiting) = self.audio.pop_front() {
            if now.since(waiting.since) < AUDIO_LATE {
                return Some(waiting);
            }
            self.dropped += 1;
        }
        None
    }

    /// Nothing of a track that has ended is sent.
    pub(super) fn forget_track(&mut self, track: TrackId) {
        self.audio.retain(|waiting| waiting.header.track != track);
        self.video.retain(|key, _| key.track != track);
        self.flight.forget_track(track);
    }

    /// For another connection that takes the place of this one. What of `sound` waits goes there;
    /// pictures begin anew.
    pub(super) fn switch(&mut self, sound: bool) {
        self.control.clear();
        self.video.clear();
        self.flight = Flight::default();
        if !sound {
            self.audio.clear();
        }
    }

    /// There is no connection any more.
    pub(super) fn clear(&mut self) {
        self.control.clear();
        self.audio.clear();
        self.video.clear();
        self.flight = Flight::default();
    }

    /// What waits, as the quality controller wants to know it.
    pub(super) fn backlog(&self, now: Timestamp) -> Backlog {
        let lanes = self.video.values().filter_map(|lane| lane.frames.front());
        let oldest = lanes.chain(self.audio.front()).map(|frame| frame.since).min();
        Backlog {
            delay: oldest.map_or(Duration::ZERO, |since| now.since(since)),
            dropped: self.dropped,
        }
    }

    /// Frames dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl LaneKey {
    fn of(header: &FrameHeader) -> Self {
        Self {
            spatial: header.spatial,
            not_screen: header.kind != TrackKind::Screen,
            track: header.track,
        }
    }
}

impl VideoLane {
    /// Whether a keyframe is needed now, and how many frames were dropped.
    fn push(&mut self, waiting: Waiting, now: Timestamp) -> (bool, u64) {
        let before = self.frames.len() + 1;
        if waiting.header.keyframe {
            self.needs_keyframe = false;
        }
        if !self.needs_keyframe {
            self.bytes += waiting.packet.len();
            self.frames.push_back(waiting);
            self.drop_late(now);
        }
        let dropped = (before - self.frames.len()) as u64;
        (self.asks_for_keyframe(now), dropped)
    }

    /// Upper temporal layers first: nothing of the base refers to them. Then everything but the
    /// newest keyframe; if that is the oldest frame already, everything behind it.
    fn drop_late(&mut self, now: Timestamp) {
        if self.waits_longer_than(VIDEO_LATE, now) {
            self.retain(|frame| frame.header.temporal == 0);
        }
        let full = self.frames.len() > MAX_LANE_FRAMES || self.bytes > MAX_LANE_BYTES;
        if !full && !self.waits_longer_than(VIDEO_TOO_LATE, now) {
            return;
        }
        let newest = self.frames.iter().rposition(|frame| frame.header.keyframe);
        let keep = newest.map(|index| self.frames[index].header.sequence);
        self.needs_keyframe = newest.is_none_or(|index| index + 1 < self.frames.len());
        self.retain(|frame| Some(frame.header.sequence) == keep);
    }

    fn waits_longer_than(&self, limit: Duration, now: Timestamp) -> bool {
        self.frames
            .front()
            .is_some_and(|frame| now.since(frame.since) > limit)
    }

    fn retain(&mut self, keep: impl Fn(&Waiting) -> bool) {
        self.frames.retain(keep);
        self.bytes = self.frames.iter().map(|frame| frame.packet.len()).sum();
    }

    fn asks_for_keyframe(&mut self, now: Timestamp) -> bool {
        let asked_lately = self
            .keyframe_asked
            .is_some_and(|asked| now.since(asked) < KEYFRAME_INTERVAL);
        if !self.needs_keyframe || asked_lately {
            return false;
        }
        self.keyframe_asked = Some(now);
        true
    }

    fn pop(&mut self) -> (Option<(FrameHeader, OutgoingPacket)>, u64) {
        let mut dropped = 0;
        while let Some(frame) = self.frames.pop_front() {
            self.bytes -= frame.packet.len();
            let header = frame.header;
            if !self
                .sent
                .is_decodable(header.sequence, header.keyframe, header.reference_distance)
            {
                dropped += 1;
                continue;
            }
            // A gap before a keyframe: frames were dropped, so the stream was not fast enough and
            // what it still holds is older than what was dropped.
            let follows = self
                .sent
                .newest()
                .is_none_or(|newest| newest + 1 == header.sequence);
            self.sent.pass(header.sequence, header.keyframe);
            let lane = Lane::Video(header.track, header.spatial);
            let packet = frame.outgoing(lane, header.keyframe && !follows);
            return (Some((header, packet)), dropped);
        }
        (None, dropped)
    }
}

impl Waiting {
    fn outgoing(self, lane: Lane, supersedes: bool) -> OutgoingPacket {
        OutgoingPacket {
            packet: self.packet,
            lane,
            class: self.header.class(),
            keyframe: self.header.keyframe,
            supersedes,
        }
    }
}

fn control_packet(packet: Bytes) -> OutgoingPacket {
    OutgoingPacket {
        packet,
        lane: Lane::Control,
        class: MediaClass::Control,
        keyframe: false,
        supersedes: false,
    }
}

#[cfg(test)]
mod tests;
