//! A simulated participant: publishes a voice and perhaps a picture in three sizes, shows some of the
//! others, reads at its own pace, and checks every packet against the rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use relay_core::{ClassSet, JoinRequest, Meeting, Member, Outgoing};
use videocall_types::limits::{KEYFRAME_REQUEST_INTERVAL, MAX_SPEAKERS};
use videocall_types::{
    Capabilities, ClientMessage, Closing, DependencyTracker, FrameHeader, Hello, Interest, LayerId,
    Participant, ServerMessage, SessionId, Subscription, Timestamp, TrackKind, TrackRef, is_frame,
};

use crate::encoder::{self, CAMERA, Camera, SILENCE, SIZES};

/// How fast a participant reads, bytes per tick of the simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ReadRate(pub usize);

impl ReadRate {
    pub(crate) const FAST: Self = Self(1_000_000);
    pub(crate) const NOTHING: Self = Self(0);
}

/// What comes of an attempt to read.
enum Taken {
    Packet(Outgoing),
    Nothing,
    End,
}

/// What a participant shows: the cameras of these, each in the size of this layer.
pub(crate) type Shown = BTreeMap<SessionId, u8>;

pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) relay: usize,
    pub(crate) rate: ReadRate,
    pub(crate) connection: Option<Arc<Member>>,
    pub(crate) session: Option<SessionId>,
    /// Everybody else, and whether they have a camera.
    pub(crate) roster: BTreeMap<SessionId, bool>,
    /// `None`: everything.
    pub(crate) shown: Option<Shown>,
    /// Who is announced to speak.
    pub(crate) speakers: Vec<SessionId>,
    pub(crate) camera: Option<Camera>,
    /// -dBov of its voice; `None`: its microphone sends nothing.
    pub(crate) voice: Option<u8>,
    pub(crate) received: Received,
    sounds: u64,
    /// What it may read now; below zero what it has read too much.
    budget: i64,
    /// A frame of video that is not through yet, and its bytes that are left.
    on_its_way: Option<(Outgoing, i64)>,
    trackers: HashMap<LayerId, DependencyTracker>,
    /// When keyframes were last asked for.
    asked: [Option<Timestamp>; 3],
}

/// What a participant was given, for whoever checks a run.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) frames: u64,
    /// The newest picture of each: its layer, when it came, and when the layer began.
    pub(crate) pictures: BTreeMap<SessionId, Picture>,
    /// Frames of each temporal layer, and of sound, since this was last cleared.
    pub(crate) temporal: [u64; 3],
    pub(crate) sound: BTreeMap<SessionId, u64>,
    /// Microphones by the time at which their frames were captured.
    microphones: BTreeMap<u64, BTreeSet<SessionId>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture {
    pub(crate) spatial: u8,
    pub(crate) at: Timestamp,
    pub(crate) since: Timestamp,
}

impl Received {
    /// Instants of which frames of more microphones than this were received.
    pub(crate) fn instants_above(&self, microphones: usize) -> usize {
        let several = self.microphones.values();
        several.filter(|heard| heard.len() > microphones).count()
    }

    pub(crate) fn sounds(&self) -> u64 {
        self.sound.values().sum()
    }

    /// Counts from now on.
    pub(crate) fn clear_counts(&mut self) {
        self.temporal = [0; 3];
        self.sound.clear();
        self.microphones.clear();
    }
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
            shown: None,
            speakers: Vec::new(),
            camera: None,
            voice: Some(SILENCE),
            received: Received::default(),
            sounds: 0,
            budget: 0,
            on_its_way: None,
            trackers: HashMap::new(),
            asked: [None; 3],
        }
    }

    pub(crate) fn with_camera(mut self) -> Self {
        self.camera = Some(Camera::new());
        self
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub(crate) fn join(&mut self, meeting: &Meeting, now: Timestamp) -> Result<(), Closing> {
        let request = JoinRequest {
            user_id: self.name.parse().expect("a name"),
            display_name: self.name.clone(),
            hello: Hello {
                protocol_version: 1,
                token: String::new(),
                capabilities: Capabilities {
                    subscribe_automatically: self.shown.is_none(),
                    ..Capabilities::default()
                },
                tracks: encoder::tracks(self.camera.is_some()),
                resume_token: String::new(),
            },
            resume: self.session,
        };
        let member = meeting.join(request, &|session| session.to_string(), now)?;
        self.session = Some(member.session());
        self.connection = Some(member);
        self.trackers.clear();
        self.on_its_way = None;
        self.asked = [None; 3];
        self.received.pictures.clear();
        self.speakers.clear();
        if let Some(camera) = &mut self.camera {
            camera.restart();
        }
        if let Some(shown) = self.shown.take() {
            self.show(Some(shown), meeting, now);
        }
        Ok(())
    }

    /// Shows others from now on, or everybody.
    pub(crate) fn show(&mut self, shown: Option<Shown>, meeting: &Meeting, now: Timestamp) {
        let subscription = |(&session, &layer): (&SessionId, &u8)| {
            let (width, height) = SIZES[usize::from(layer)];
            Subscription {
                track: camera_of(session),
                width,
                height,
                priority: layer.into(),
            }
        };
        let interest = match &shown {
            None => Interest::Everything,
            Some(shown) => Interest::Chosen {
                speakers: true,
                tracks: shown.iter().map(subscription).collect(),
            },
        };
        self.shown = shown;
        // Whoever is not shown any more has no decoder, and none of their picture is on screen.
        if let Some(shown) = &self.shown {
            self.trackers
                .retain(|layer, _| shown.contains_key(&layer.track.session));
            self.received
                .pictures
                .retain(|session, _| shown.contains_key(session));
            let begun = session_of(self.on_its_way.as_ref());
            if begun.is_some_and(|session| !shown.contains_key(&session)) {
                self.on_its_way = None;
            }
        }
        if let Some(member) = &self.connection {
            let message = ClientMessage::Subscribe(interest);
            meeting.control(member, message, now).expect("an honest wish");
        }
    }

    /// The layer in which somebody's camera is shown.
    pub(crate) fn shows(&self, session: SessionId) -> Option<u8> {
        match &self.shown {
            None => Some(2),
            Some(shown) => shown.get(&session).copied(),
        }
    }

    /// Sends a picture; `lost` frames never reach the relay.
    pub(crate) fn send_picture(&mut self, meeting: &Meeting, lost: bool, now: Timestamp) {
        let Some(camera) = self.camera.as_mut().filter(|_| self.connection.is_some()) else {
            return;
        };
        for header in camera.picture() {
            self.send(meeting, header, lost, now);
        }
    }

    pub(crate) fn send_sound(&mut self, meeting: &Meeting, lost: bool, now: Timestamp) {
        if let Some(dbov) = self.voice {
            self.sounds += 1;
            self.send(meeting, encoder::sound(self.sounds, dbov), lost, now);
        }
    }

    fn send(&self, meeting: &Meeting, mut header: FrameHeader, lost: bool, now: Timestamp) {
        let (Some(member), Some(session)) = (&self.connection, self.session) else {
            return;
        };
        if lost {
            return;
        }
        header.session = session;
        header.capture_time_us = now.as_micros();
        meeting
            .media(member, &encoder::packet(header), now)
            .expect("an honest sender is not closed");
    }

    /// Reads what the connection carries in this tick. Returns why the relay closed it, if it did.
    pub(crate) fn read(&mut self, meeting: &Meeting, now: Timestamp) -> Option<Closing> {
        let member = self.connection.clone()?;
        let limits = relay_core::OutboxLimits::default();
        let bound = limits.control_bytes + limits.audio_bytes + limits.video_bytes + 15_000;
        let queued = member.outbox().queued_bytes();
        assert!(queued <= bound, "{queued} bytes wait for {}", self.name);

        let allowance = i64::try_from(self.rate.0).expect("bytes");
        self.budget = (self.budget + allowance).min(allowance * 4);
        while self.budget > 0 {
            match self.take(meeting, &member, now) {
                Taken::Packet(next) => {
                    if let Some(closing) = self.receive(&next, now) {
                        return Some(closing);
                    }
                }
                Taken::Nothing => break,
                Taken::End => return member.closing(),
            }
        }
        None
    }

    /// The next packet that is through: as over QUIC, where a large frame of video takes its time and
    /// control and sound pass it on the way.
    fn take(&mut self, meeting: &Meeting, member: &Arc<Member>, now: Timestamp) -> Taken {
        let mut context = Context::from_waker(Waker::noop());
        let mut poll = |classes| meeting.poll_outgoing(member, classes, now, &mut context);
        for classes in [ClassSet::CONTROL, ClassSet::AUDIO] {
            match poll(classes) {
                Poll::Ready(Some(next)) => {
                    self.budget -= next.packet.len() as i64;
                    return Taken::Packet(next);
                }
                Poll::Ready(None) => return Taken::End,
                Poll::Pending => {}
            }
        }
        let (next, rest) = match self.on_its_way.take() {
            Some(begun) => begun,
            None => match poll(ClassSet::VIDEO) {
                Poll::Ready(Some(next)) => {
                    let length = next.packet.len() as i64;
                    (next, length)
                }
                Poll::Ready(None) => return Taken::End,
                Poll::Pending => return Taken::Nothing,
            },
        };
        let written = self.budget.min(rest);
        self.budget -= written;
        if written == rest {
            return Taken::Packet(next);
        }
        self.on_its_way = Some((next, rest - written));
        Taken::Nothing
    }

    fn receive(&mut self, next: &Outgoing, now: Timestamp) -> Option<Closing> {
        if is_frame(&next.packet) {
            self.receive_frame(&next.packet, now);
            return None;
        }
        match ServerMessage::decode(&next.packet).expect("a relay sends readable messages") {
            ServerMessage::Welcome(welcome) => {
                assert_eq!(Some(welcome.session), self.session);
                self.roster = welcome.participants.iter().map(known).collect();
                let oneself = self.roster.contains_key(&welcome.session);
                assert!(!oneself, "oneself is not another");
            }
            ServerMessage::ParticipantsJoined(participants) => {
                for new in &participants {
                    assert_ne!(Some(new.session), self.session);
                    let (session, entry) = known(new);
                    let before = self.roster.insert(session, entry);
                    assert_eq!(before, None, "{session} joined twice");
                }
            }
            ServerMessage::ParticipantsLeft(sessions) => {
                for session in sessions {
                    assert!(self.roster.remove(&session).is_some(), "{session} left twice");
                    self.trackers.retain(|layer, _| layer.track.session != session);
                    self.received.pictures.remove(&session);
                    if session_of(self.on_its_way.as_ref()) == Some(session) {
                        self.on_its_way = None;
                    }
                }
            }
            ServerMessage::Speakers(order) => self.take_speakers(order),
            ServerMessage::LayersWanted {
                track,
                spatial_layers,
            } => {
                assert_eq!(track, CAMERA);
                let camera = self.camera.as_mut().expect("only a camera has layers");
                camera.want_layers(&spatial_layers);
            }
            ServerMessage::KeyframeWanted { track, spatial } => {
                assert_eq!(track, CAMERA);
                self.take_keyframe_request(spatial, next.queued_at);
            }
            ServerMessage::Closing(closing) => return Some(closing),
            _ => {}
        }
        None
    }

    fn take_speakers(&mut self, order: Vec<SessionId>) {
        let different: BTreeSet<_> = order.iter().collect();
        assert_eq!(different.len(), order.len(), "nobody is announced twice");
        assert!(order.len() <= MAX_SPEAKERS);
        for session in &order {
            let known = self.roster.contains_key(session) || Some(*session) == self.session;
            assert!(known, "{session} speaks and is not in the meeting");
        }
        self.speakers = order;
    }

    fn take_keyframe_request(&mut self, spatial: u8, at: Timestamp) {
        let before = self.asked[usize::from(spatial)].replace(at);
        let pause = before.map_or(Duration::MAX, |before| at.since(before));
        assert!(pause >= KEYFRAME_REQUEST_INTERVAL, "asked again after {pause:?}");
        let camera = self.camera.as_mut().expect("only a camera has keyframes");
        camera.want_keyframe(spatial);
    }

    fn receive_frame(&mut self, packet: &Bytes, now: Timestamp) {
        let header = FrameHeader::peek(packet).expect("a frame");
        let from = header.session;
        assert_ne!(Some(from), self.session, "an echo of oneself");
        assert!(
            self.roster.contains_key(&from),
            "a frame of {from} who is not in the meeting"
        );
        self.received.frames += 1;
        if header.kind == TrackKind::Microphone {
            *self.received.sound.entry(from).or_default() += 1;
            let instant = self.received.microphones.entry(header.capture_time_us);
            instant.or_default().insert(from);
            return;
        }
        let tracker = self.trackers.entry(header.layer()).or_default();
        assert!(
            tracker.newest().is_none_or(|newest| newest < header.sequence),
            "out of order: {header:?} after {:?}",
            tracker.newest()
        );
        assert!(
            tracker.is_decodable(header.sequence, header.keyframe, header.reference_distance),
            "{} cannot decode {header:?}",
            self.name
        );
        tracker.pass(header.sequence, header.keyframe);
        self.received.temporal[usize::from(header.temporal)] += 1;
        let picture = self.received.pictures.entry(from).or_insert(Picture {
            spatial: header.spatial,
            at: now,
            since: now,
        });
        if picture.spatial != header.spatial {
            assert!(
                header.keyframe,
                "another layer begins with a keyframe: {header:?}"
            );
            picture.since = now;
        }
        picture.spatial = header.spatial;
        picture.at = now;
    }
}

fn known(participant: &Participant) -> (SessionId, bool) {
    let camera = participant.tracks.iter().any(|info| info.track == CAMERA);
    (participant.session, camera)
}

/// Whose frame has begun to arrive; when it is of no use any more, its stream is reset.
fn session_of(begun: Option<&(Outgoing, i64)>) -> Option<SessionId> {
    let layer = begun?.0.layer?;
    Some(layer.track.session)
}

pub(crate) fn camera_of(session: SessionId) -> TrackRef {
    TrackRef {
        session,
        track: CAMERA,
    }
}
