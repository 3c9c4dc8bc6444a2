//! A simulated participant: publishes a voice and a layered picture, reads at its own pace, and
//! checks every packet against the rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use relay_core::{ClassSet, JoinRequest, Meeting, Member};
use videocall_types::{
    Capabilities, Closing, DependencyTracker, Frame, FrameHeader, Hello, LayerId, ServerMessage, SessionId,
    Timestamp, TrackId, TrackInfo, TrackKind, is_frame,
};

pub(crate) const MICROPHONE: TrackId = TrackId(1);
pub(crate) const CAMERA: TrackId = TrackId(2);

/// How fast a participant reads, bytes per tick of the simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ReadRate(pub usize);

pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) relay: usize,
    pub(crate) rate: ReadRate,
    pub(crate) connection: Option<Arc<Member>>,
    pub(crate) session: Option<SessionId>,
    pub(crate) roster: BTreeMap<SessionId, String>,
    pub(crate) frames: u64,
    pub(crate) pictures_of: HashMap<SessionId, Timestamp>,
    budget: usize,
    received: HashMap<LayerId, DependencyTracker>,
    encoder: Encoder,
}

/// Makes frames as an L1T3 encoder does.
#[derive(Default)]
struct Encoder {
    sequence: u64,
    audio_sequence: u64,
    /// Sequence of the newest frame of each temporal layer.
    newest: [Option<u64>; 3],
    position: usize,
    keyframe_wanted: bool,
}

impl Client {
    pub(crate) fn new(name: String, relay: usize, rate: ReadRate) -> Self {
        Self {
            name,
            relay,
            rate,
            connection: None,
            session: None,
            roster: BTreeMap::new(),
            frames: 0,
            pictures_of: HashMap::new(),
            budget: 0,
            received: HashMap::new(),
            encoder: Encoder::default(),
        }
    }

    pub(crate) fn join(&mut self, meeting: &Meeting, now: Timestamp) -> Result<(), Closing> {
        let track = |track, kind, codec: &str| TrackInfo {
            track,
            kind,
            muted: false,
            codec: codec.into(),
            layers: Vec::new(),
        };
        let request = JoinRequest {
            user_id: self.name.parse().expect("a name"),
            display_name: self.name.clone(),
            hello: Hello {
                protocol_version: 1,
                token: String::new(),
                capabilities: Capabilities {
                    subscribe_automatically: true,
                    ..Capabilities::default()
                },
                tracks: vec![
                    track(MICROPHONE, TrackKind::Microphone, "opus"),
                    track(CAMERA, TrackKind::Camera, "vp9"),
                ],
                resume_token: String::new(),
            },
            resume: self.session,
        };
        let member = meeting.join(request, &|session| session.to_string(), now)?;
        self.session = Some(member.session());
        self.connection = Some(member);
        self.received.clear();
        self.pictures_of.clear();
        self.encoder.keyframe_wanted = true;
        Ok(())
    }

    /// Sends a camera frame; `lost` frames never reach the relay.
    pub(crate) fn send_picture(&mut self, meeting: &Meeting, lost: bool, now: Timestamp) {
        let header = self.encoder.next_picture();
        self.send(meeting, header, lost, now);
    }

    pub(crate) fn send_sound(&mut self, meeting: &Meeting, lost: bool, now: Timestamp) {
        let sequence = self.encoder.audio_sequence;
        self.encoder.audio_sequence += 1;
        let header = FrameHeader {
            track: MICROPHONE,
            kind: TrackKind::Microphone,
            sequence,
            keyframe: true,
            ..blank()
        };
        self.send(meeting, header, lost, now);
    }

    fn send(&mut self, meeting: &Meeting, mut header: FrameHeader, lost: bool, now: Timestamp) {
        let (Some(member), Some(session)) = (&self.connection, self.session) else {
            return;
        };
        if lost {
            return;
        }
        header.session = session;
        header.capture_time_us = now.as_micros();
        let size = match (header.kind.is_audio(), header.keyframe) {
            (true, _) => 80,
            (false, true) => 12_000,
            (false, false) => 1500,
        };
        let packet = Frame {
            header,
            decoder: None,
            redundancy: Vec::new(),
            payload: vec![0; size].into(),
        }
        .encode();
        meeting
            .media(member, &packet, now)
            .expect("an honest sender is not closed");
    }

    /// Reads what the connection carries in this tick. Returns why the relay closed it, if it did.
    pub(crate) fn read(&mut self, meeting: &Meeting, now: Timestamp) -> Option<Closing> {
        let member = self.connection.clone()?;
        let limits = relay_core::OutboxLimits::default();
        let bound = limits.control_bytes + limits.audio_bytes + limits.video_bytes + 13_000;
        assert!(
            member.outbox().queued_bytes() <= bound,
            "{} queues without bound",
            self.name
        );

        self.budget = (self.budget + self.rate.0).min(self.rate.0 * 4);
        let mut context = Context::from_waker(Waker::noop());
        while self.budget > 0 {
            match meeting.poll_outgoing(&member, ClassSet::ALL, now, &mut context) {
                Poll::Ready(Some(next)) => {
                    self.budget = self.budget.saturating_sub(next.packet.len());
                    if let Some(closing) = self.receive(&next.packet, now) {
                        return Some(closing);
                    }
                }
                Poll::Ready(None) => return member.closing(),
                Poll::Pending => break,
            }
        }
        None
    }

    fn receive(&mut self, packet: &Bytes, now: Timestamp) -> Option<Closing> {
        if is_frame(packet) {
            self.receive_frame(packet, now);
            return None;
        }
        match ServerMessage::decode(packet).expect("a relay sends readable messages") {
            ServerMessage::Welcome(welcome) => {
                assert_eq!(Some(welcome.session), self.session);
                let others = welcome.participants.into_iter();
                self.roster = others.map(|p| (p.session, p.display_name)).collect();
                assert!(
                    !self.roster.contains_key(&welcome.session),
                    "oneself is not another"
                );
            }
            ServerMessage::ParticipantsJoined(participants) => {
                for new in participants {
                    assert_ne!(Some(new.session), self.session);
                    let known = self.roster.insert(new.session, new.display_name);
                    assert_eq!(known, None, "{} joined twice", new.session);
                }
            }
            ServerMessage::ParticipantsLeft(sessions) => {
                for session in sessions {
                    assert!(self.roster.remove(&session).is_some(), "{session} left twice");
                    self.received.retain(|layer, _| layer.track.session != session);
                    self.pictures_of.remove(&session);
                }
            }
            ServerMessage::KeyframeWanted { track, .. } => {
                assert_eq!(track, CAMERA);
                self.encoder.keyframe_wanted = true;
            }
            ServerMessage::Closing(closing) => return Some(closing),
            _ => {}
        }
        None
    }

    fn receive_frame(&mut self, packet: &Bytes, now: Timestamp) {
        let header = FrameHeader::peek(packet).expect("a frame");
        assert_ne!(Some(header.session), self.session, "an echo of oneself");
        assert!(
            self.roster.contains_key(&header.session),
            "a frame of {} who is not in the meeting",
            header.session
        );
        self.frames += 1;
        if header.kind.is_audio() {
            return;
        }
        let tracker = self.received.entry(header.layer()).or_default();
        assert!(
            tracker.newest().is_none_or(|newest| newest < header.sequence),
            "out of order: {} after {:?}",
            header.sequence,
            tracker.newest()
        );
        assert!(
            tracker.is_decodable(header.sequence, header.keyframe, header.reference_distance),
            "{} cannot decode frame {} of {}",
            self.name,
            header.sequence,
            header.session
        );
        tracker.pass(header.sequence, header.keyframe);
        self.pictures_of.insert(header.session, now);
    }
}

fn blank() -> FrameHeader {
    FrameHeader {
        session: SessionId::new(1).expect("not zero"),
        track: CAMERA,
        kind: TrackKind::Camera,
        spatial: 0,
        temporal: 0,
        sequence: 0,
        capture_time_us: 0,
        keyframe: false,
        reference_distance: 0,
        duration_us: 0,
        audio_level: None,
    }
}

impl Encoder {
    fn next_picture(&mut self) -> FrameHeader {
        const PATTERN: [u8; 4] = [0, 2, 1, 2];
        let keyframe = std::mem::take(&mut self.keyframe_wanted) || self.newest[0].is_none();
        if keyframe {
            self.position = 0;
            self.newest = [None; 3];
        }
        let temporal = PATTERN[self.position];
        self.position = (self.position + 1) % PATTERN.len();
        let sequence = self.sequence;
        self.sequence += 1;
        let layer = usize::from(temporal);
        let reference = match layer {
            0 => self.newest[0],
            _ => self.newest[..layer].iter().flatten().max().copied(),
        };
        self.newest[layer] = Some(sequence);
        FrameHeader {
            temporal,
            sequence,
            keyframe,
            reference_distance: reference.map_or(0, |reference| (sequence - reference) as u32),
            ..blank()
        }
    }
}
