//! The media path: from a sender's packet to its receivers' outboxes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use videocall_types::limits::{MAX_SPATIAL_LAYERS, MIN_COUNTED_FRAME_BYTES};
use videocall_types::{
    CloseCode, Closing, FrameError, FrameHeader, LayerId, MediaClass, ServerMessage, Timestamp, TrackKind,
    TrackRef,
};

use super::{Counters, Meeting};
use crate::ClassSet;
use crate::member::Member;
use crate::outbox::{Outgoing, Pushed};
use crate::subscription::Verdict;
use crate::track::Track;

impl Meeting {
    /// Checks a frame of a member and puts it into the outbox of everybody who receives it.
    ///
    /// Frames of tracks that are unknown (not yet announced, just ended) or muted are dropped. Returns
    /// what kind of frame it was, for figures.
    ///
    /// # Errors
    /// What the connection has to be closed with: not a frame, another's session, above a limit.
    pub fn media(&self, member: &Arc<Member>, packet: &Bytes, now: Timestamp) -> Result<MediaClass, Closing> {
        if packet.len() > self.settings.limits.max_frame_bytes as usize {
            return Err(Closing::new(CloseCode::FrameTooLarge));
        }
        let header = FrameHeader::peek(packet).map_err(frame_refusal)?;
        if header.session != member.session() {
            return Err(Closing::new(CloseCode::WrongSession));
        }
        let counted = packet.len().max(MIN_COUNTED_FRAME_BYTES);
        if !member.upload.lock().take(counted, now) {
            return Err(Closing::with_message(
                CloseCode::RateExceeded,
                format!(
                    "This client sends more than {} bit/s; lower the bitrate.",
                    self.settings.limits.max_upload_bps
                ),
            ));
        }
        let tracks = member.tracks.load();
        let Some(track) = tracks.iter().find(|track| track.id.track == header.track) else {
            return Ok(header.class());
        };
        if track.kind != header.kind {
            return Err(Closing::with_message(
                CloseCode::ProtocolError,
                "A frame's track kind is not the one announced.",
            ));
        }
        if track.is_muted() {
            return Ok(header.class());
        }
        let report = member.arrivals.lock().note(&header, packet.len(), now);
        if let Some(report) = report {
            self.send(member, report.encode(), now);
        }
        let forwarded = self.fan_out(track, &header, packet, now);
        if self.is_for_bus(track, &header, forwarded, now) {
            self.bus_outbox.push_frame(packet, &header, now);
        }
        Ok(header.class())
    }

    /// Gives a frame to every local receiver of its track. Returns whether the active speakers'
    /// audience is among them.
    pub(super) fn fan_out(
        &self,
        track: &Track,
        header: &FrameHeader,
        packet: &Bytes,
        now: Timestamp,
    ) -> bool {
        if header.kind.is_audio() {
            self.fan_out_sound(track, header, packet, now)
        } else {
            self.fan_out_video(track, header, packet, now);
            false
        }
    }

    fn fan_out_sound(&self, track: &Track, header: &FrameHeader, packet: &Bytes, now: Timestamp) -> bool {
        let forwarded = header.kind != TrackKind::Microphone
            || self.selection.observe(&track.level, header.audio_level, now);
        if forwarded {
            let audience = self.audience.load();
            for receiver in audience.iter().filter(|m| m.session() != header.session) {
                self.give(receiver, packet, header, now);
            }
        }
        for named in track.subscribers.load().iter() {
            if !(forwarded && named.hears_speakers.load(Ordering::Relaxed)) {
                self.give(&named.member, packet, header, now);
            }
        }
        forwarded
    }

    fn fan_out_video(&self, track: &Track, header: &FrameHeader, packet: &Bytes, now: Timestamp) {
        track.remember(header, packet, now);
        let mut awaits_keyframe = false;
        for subscription in track.subscribers.load().iter() {
            match subscription.judge(track, header, now) {
                Verdict::Pass { switched } => {
                    if switched {
                        Counters::count(&self.counters.layer_switches);
                    }
                    self.give(&subscription.member, packet, header, now);
                }
                Verdict::Leave => {}
                Verdict::AwaitsKeyframe => awaits_keyframe = true,
            }
        }
        if awaits_keyframe {
            self.request_keyframe(track.id, header.spatial, now);
        }
    }

    fn give(&self, receiver: &Member, packet: &Bytes, header: &FrameHeader, now: Timestamp) {
        let pushed = receiver.outbox.push_frame(packet, header, now);
        self.close_when_stalled(receiver, pushed, now);
    }

    /// Whether another relay wants this frame of a member: its layer, or a larger one in whose place it is sent.
    fn is_for_bus(&self, track: &Track, header: &FrameHeader, forwarded: bool, now: Timestamp) -> bool {
        if header.kind.is_audio() {
            return track.bus_layers() != 0 || forwarded && self.bus_hears_speakers.load(Ordering::Relaxed);
        }
        let wanted = track.within(track.bus_layers());
        let is_wanted = |layer: u8| wanted >> layer & 1 == 1;
        let mut not_sent =
            (header.spatial + 1..MAX_SPATIAL_LAYERS).take_while(|&layer| !track.is_live(layer, now));
        is_wanted(header.spatial) || not_sent.any(is_wanted)
    }

    pub(super) fn close_when_stalled(&self, member: &Member, pushed: Pushed, now: Timestamp) {
        if pushed == Pushed::Stalled {
            member.close(Closing::new(CloseCode::SlowReceiver), now);
        }
    }

    /// Closes a member that does not read, as its carrier knows.
    pub fn unread(&self, member: &Member, now: Timestamp) {
        self.close_when_stalled(member, Pushed::Stalled, now);
    }

    /// The next packet for a member from these queues; `None` when nothing will come any more.
    ///
    /// One task at a time may wait for each queue. Keyframes that turn out to be needed are asked
    /// for on the way.
    pub fn poll_outgoing(
        &self,
        member: &Arc<Member>,
        classes: ClassSet,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Outgoing>> {
        let next = member.outbox.poll_next(classes, now, cx);
        self.unstick(&member.outbox.take_stuck(), now);
        next
    }

    pub(super) fn unstick(&self, layers: &[LayerId], now: Timestamp) {
        for layer in layers {
            self.request_keyframe(layer.track, layer.spatial, now);
        }
    }

    /// Asks the sender of a track for a keyframe, unless that was done just now.
    pub(super) fn request_keyframe(&self, id: TrackRef, spatial: u8, now: Timestamp) {
        let tracks = self.tracks.load();
        let Some(track) = tracks.get(&id) else {
            return;
        };
        if track.kind.is_audio() || track.is_muted() || !track.request_keyframe(spatial, now) {
            return;
        }
        match track.publisher() {
            Some(sender) => {
                Counters::count(&self.counters.keyframe_requests);
                let wanted = ServerMessage::KeyframeWanted {
                    track: id.track,
                    spatial,
                };
                let pushed = sender.outbox.push_control(wanted.encode(), now);
                self.close_when_stalled(&sender, pushed, now);
            }
            None => self.publish_keyframe_request(id, spatial, now),
        }
    }
}

fn frame_refusal(error: FrameError) -> Closing {
    match error {
        FrameError::TooLarge(_) => Closing::new(CloseCode::FrameTooLarge),
        FrameError::Malformed => Closing::new(CloseCode::MalformedPacket),
        FrameError::Missing(_) | FrameError::OutOfRange(_) => Closing::with_message(
            CloseCode::MalformedPacket,
            format!("This client sent media that cannot be read: {error}."),
        ),
    }
}
