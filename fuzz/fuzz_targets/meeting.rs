//! A meeting under arbitrary sequences of joins, departures, messages, frames and bus traffic, well
//! formed or not: it never panics, nobody gets what only the sender has, every receiver gets
//! decodable layers in order, and queues keep their bounds.

#![no_main]

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use relay_core::{ClassSet, Departure, JoinRequest, Meeting, MeetingSettings, Member};
use videocall_types::{
    Capabilities, ClientMessage, CloseCode, Closing, DependencyTracker, Frame, FrameHeader, Hello, Interest,
    LayerId, LayerInfo, ServerMessage, SessionId, Subscription, Timestamp, TrackId, TrackInfo, TrackKind,
    TrackRef, is_frame,
};

/// Enough for every kind of interplay, few enough to be found.
const MAX_MEMBERS: usize = 5;
/// Tracks that members of this target publish: a microphone and a camera.
const TRACKS: [(TrackId, TrackKind); 2] = [
    (TrackId(1), TrackKind::Microphone),
    (TrackId(2), TrackKind::Camera),
];
/// The sizes in which cameras are sent, and shown.
const SIZES: [(u32, u32); 3] = [(320, 180), (640, 360), (1280, 720)];

fuzz_target!(|data: &[u8]| {
    let mut scene = Scene::new();
    let mut script = Script(data);
    while let Some(step) = script.byte() {
        scene.perform(step, &mut script);
    }
    scene.finish();
});

/// The bytes that say what happens.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A byte, or 0 at the end.
    fn number(&mut self) -> u8 {
        self.byte().unwrap_or(0)
    }

    /// A piece whose length comes first.
    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.number()).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }
}

/// A member and what it has received.
struct Guest {
    member: Arc<Member>,
    layers: HashMap<LayerId, DependencyTracker>,
    /// The layer of each camera that came last.
    shown: HashMap<TrackRef, u8>,
    ended: bool,
}

struct Scene {
    meeting: Arc<Meeting>,
    guests: Vec<Guest>,
    settings: Arc<MeetingSettings>,
    /// The next sequence of the microphone and of each size of the camera; it goes on when a session
    /// is resumed.
    sequences: HashMap<SessionId, [u64; 1 + SIZES.len()]>,
    now: Timestamp,
}

impl Scene {
    fn new() -> Self {
        let mut settings = MeetingSettings::new("relay-1".parse().expect("an id"));
        settings.bus = true;
        settings.max_sessions = MAX_MEMBERS;
        settings.outbox.control_bytes = 16 * 1024;
        settings.outbox.audio_bytes = 1024;
        settings.outbox.video_bytes = 4 * 1024;
        let now = Timestamp::from_millis(1_700_000_000_000);
        let id = "demo".parse().expect("an id");
        let settings = Arc::new(settings);
        Self {
            meeting: Meeting::new(id, settings.clone(), 1, now),
            settings,
            guests: Vec::new(),
            sequences: HashMap::new(),
            now,
        }
    }

    fn perform(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 16 {
            0 => self.join(script),
            1 => self.message(script),
            2 => self.raw_frame(script),
            3..=5 => self.frame(script),
            6 => self.depart(script),
            7 => self.drain(script),
            8 => self.pass_time(script),
            9 => self
                .meeting
                .from_bus(&Bytes::copy_from_slice(script.bytes()), self.now),
            10 => self.read_bus(),
            11 => self.subscribe(script),
            12 => self.press(script),
            13 => self.path_rate(script),
            14 => {
                let reachable = script.number() & 1 == 1;
                self.meeting.set_bus_reachable(reachable, self.now);
            }
            _ => self.speak(script),
        }
        self.check_bounds();
    }

    fn guest(&mut self, script: &mut Script<'_>) -> Option<&mut Guest> {
        let index = usize::from(script.number());
        let count = self.guests.len();
        (count > 0).then(|| &mut self.guests[index % count])
    }

    /// Somebody comes, or comes back with the session of one who is or was there.
    fn join(&mut self, script: &mut Script<'_>) {
        let (how, who) = (script.number(), script.number());
        let resume = (how & 1 == 1)
            .then(|| self.guest(script).map(|guest| guest.member.session()))
            .flatten();
        let request = JoinRequest {
            user_id: format!("user{}", who % 3).parse().expect("a name"),
            display_name: String::new(),
            hello: Hello {
                protocol_version: 1,
                token: String::new(),
                capabilities: Capabilities {
                    subscribe_automatically: how & 2 == 2,
                    ..Default::default()
                },
                tracks: TRACKS.map(|(id, kind)| track(id, kind, how & 4 == 4)).into(),
                resume_token: String::new(),
            },
            resume,
        };
        match self
            .meeting
            .join(request, &|session| session.to_string(), self.now)
        {
            Ok(member) => self.guests.push(Guest {
                member,
                layers: HashMap::new(),
                shown: HashMap::new(),
                ended: false,
            }),
            Err(refusal) => assert!(
                matches!(refusal.code, CloseCode::MeetingFull | CloseCode::BadToken),
                "{refusal:?}"
            ),
        }
    }

    /// As the session driver does it: what is refused ends the connection.
    fn message(&mut self, script: &mut Script<'_>) {
        let (meeting, now) = (self.meeting.clone(), self.now);
        let Some(guest) = self.guest(script) else { return };
        let packet = Bytes::copy_from_slice(script.bytes());
        let outcome = match ClientMessage::decode(&packet) {
            Ok(message) => {
                guest.note_wish(&message);
                meeting.control(&guest.member, message, now)
            }
            Err(error) => Err(Closing::new(error.close_code())),
        };
        if outcome.is_err() {
            meeting.depart(&guest.member, Departure::Left, now);
        }
    }

    fn subscribe(&mut self, script: &mut Script<'_>) {
        let sessions: Vec<SessionId> = self.guests.iter().map(|guest| guest.member.session()).collect();
        let (meeting, now) = (self.meeting.clone(), self.now);
        let Some(guest) = self.guest(script) else { return };
        let (wish, size) = (script.number(), script.number());
        let (width, height) = SIZES[usize::from(size) % SIZES.len()];
        let tracks: Vec<_> = sessions
            .into_iter()
            .take(7)
            .enumerate()
            .filter(|(index, _)| wish >> index & 1 == 1)
            .map(|(_, session)| Subscription {
                track: TrackRef {
                    session,
                    track: TRACKS[usize::from(wish >> 7)].0,
                },
                width,
                height,
                priority: u32::from(size >> 2 & 3),
            })
            .collect();
        let interest = match size >> 4 {
            15 => Interest::Everything,
            speakers => Interest::Chosen {
                speakers: speakers & 1 == 1,
                tracks,
            },
        };
        let message = ClientMessage::Subscribe(interest);
        guest.note_wish(&message);
        // A refusal is as good as an answer here.
        let _ = meeting.control(&guest.member, message, now);
    }

    /// The relay or its way from the others is short of something.
    fn press(&mut self, script: &mut Script<'_>) {
        let level = script.number();
        if level & 0x80 == 0 {
            self.settings.pressure.set(level);
        } else {
            self.meeting.set_bus_pressure(level & 3, self.now);
        }
    }

    fn path_rate(&mut self, script: &mut Script<'_>) {
        if let Some(guest) = self.guest(script) {
            let rate = u64::from(script.number()) << 16;
            guest.member.outbox().set_path_rate(rate);
        }
    }

    fn raw_frame(&mut self, script: &mut Script<'_>) {
        let (meeting, now) = (self.meeting.clone(), self.now);
        let Some(guest) = self.guest(script) else { return };
        let packet = Bytes::copy_from_slice(script.bytes());
        if meeting.media(&guest.member, &packet, now).is_err() {
            meeting.depart(&guest.member, Departure::Left, now);
        }
    }

    fn frame(&mut self, script: &mut Script<'_>) {
        let (meeting, now) = (self.meeting.clone(), self.now);
        let Some(guest) = self.guest(script) else { return };
        let member = guest.member.clone();
        let session = member.session();
        let (shape, size) = (script.number(), script.number());
        let camera = shape & 1 == 1;
        let forged = shape >> 1 & 0x0f == 0x0f;
        let spatial = if camera { size >> 2 & 3 } else { 0 }.min(SIZES.len() as u8 - 1);
        let header = FrameHeader {
            session: if forged { other_than(session) } else { session },
            track: TRACKS[usize::from(camera)].0,
            kind: TRACKS[usize::from(camera)].1,
            spatial,
            temporal: if camera { shape >> 4 & 3 } else { 0 },
            sequence: self.next_sequence(session, camera, spatial, shape),
            capture_time_us: now.as_micros(),
            keyframe: !camera || shape >> 3 & 1 == 1,
            reference_distance: u32::from(size & 3),
            duration_us: 0,
            audio_level: (!camera && size < 128).then_some(size),
        };
        let packet = Frame {
            header,
            decoder: None,
            redundancy: Vec::new(),
            payload: vec![size; usize::from(size) * 4 + 1].into(),
        }
        .encode();
        match meeting.media(&member, &packet, now) {
            Ok(_) => assert!(!forged, "nobody sends in another's name"),
            Err(refusal) => {
                assert!(!forged || refusal.code == CloseCode::WrongSession);
                meeting.depart(&member, Departure::Left, now);
            }
        }
    }

    fn next_sequence(&mut self, session: SessionId, camera: bool, spatial: u8, shape: u8) -> u64 {
        let which = if camera { 1 + usize::from(spatial) } else { 0 };
        let next = &mut self.sequences.entry(session).or_default()[which];
        let sequence = *next;
        *next += 1 + u64::from(shape >> 6 & 1);
        sequence
    }

    /// Somebody says something for as long as it takes to be noticed.
    fn speak(&mut self, script: &mut Script<'_>) {
        let Some(guest) = self.guest(script) else { return };
        let (member, session) = (guest.member.clone(), guest.member.session());
        let loudness = script.number() & 0x7f;
        for _ in 0..20 {
            let header = FrameHeader {
                sequence: self.next_sequence(session, false, 0, 0),
                capture_time_us: self.now.as_micros(),
                audio_level: Some(loudness),
                ..FrameHeader::first(session, TRACKS[0].0, TRACKS[0].1)
            };
            let packet = Frame {
                header,
                decoder: None,
                redundancy: Vec::new(),
                payload: vec![0; 10].into(),
            };
            if self.meeting.media(&member, &packet.encode(), self.now).is_err() {
                return self.meeting.depart(&member, Departure::Left, self.now);
            }
            self.now += Duration::from_millis(20);
        }
        self.meeting.on_timer(self.now);
    }

    fn depart(&mut self, script: &mut Script<'_>) {
        let (meeting, now) = (self.meeting.clone(), self.now);
        let how = if script.number() & 1 == 1 {
            Departure::Left
        } else {
            Departure::Lost
        };
        if let Some(guest) = self.guest(script) {
            meeting.depart(&guest.member, how, now);
        }
    }

    fn pass_time(&mut self, script: &mut Script<'_>) {
        self.now += Duration::from_millis(u64::from(script.number()) * 32);
        if let Some(next) = self.meeting.on_timer(self.now) {
            assert!(next > self.now, "a timer lies in the future");
        }
    }

    fn drain(&mut self, script: &mut Script<'_>) {
        let (meeting, now) = (self.meeting.clone(), self.now);
        let count = script.number();
        if let Some(guest) = self.guest(script) {
            for _ in 0..count {
                if !guest.receive(&meeting, now) {
                    break;
                }
            }
        }
    }

    fn read_bus(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(message)) = self.meeting.poll_bus(self.now, &mut context) {
            let (meeting, _) = relay_core::subject::parse(&message.subject).expect("our own grammar");
            assert_eq!(&meeting, self.meeting.id());
        }
    }

    fn check_bounds(&self) {
        assert!(self.meeting.member_count() <= MAX_MEMBERS);
        for guest in &self.guests {
            // The bounds of the three kinds of queues, and one frame that may be larger than its bound.
            assert!(guest.member.outbox().queued_bytes() <= (16 + 1 + 4 + 2) * 1024);
        }
    }

    /// Everybody leaves; the meeting is empty then.
    fn finish(mut self) {
        for guest in &mut self.guests {
            self.meeting.depart(&guest.member, Departure::Left, self.now);
        }
        self.now += Duration::from_secs(60);
        self.meeting.on_timer(self.now);
        assert!(self.meeting.is_empty());
    }
}

impl Guest {
    /// Takes one packet; `false` when there is none.
    fn receive(&mut self, meeting: &Meeting, now: Timestamp) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        match meeting.poll_outgoing(&self.member, ClassSet::ALL, now, &mut context) {
            Poll::Ready(Some(outgoing)) => {
                assert!(!self.ended, "nothing follows the end");
                self.check(&outgoing.packet);
                true
            }
            Poll::Ready(None) => {
                self.ended = true;
                false
            }
            Poll::Pending => false,
        }
    }

    /// Of what is not wanted any more there is no decoder.
    fn note_wish(&mut self, message: &ClientMessage) {
        if let ClientMessage::Subscribe(Interest::Chosen { tracks, .. }) = message {
            let wanted = |track: &TrackRef| tracks.iter().any(|wish| wish.track == *track);
            self.forget(|track| !wanted(track));
        }
    }

    /// Nor of what has ended.
    fn note_news(&mut self, message: &ServerMessage) {
        match message {
            ServerMessage::ParticipantsLeft(gone) => self.forget(|track| gone.contains(&track.session)),
            ServerMessage::TrackRemoved(ended) => self.forget(|track| track == ended),
            ServerMessage::Speakers(order) => {
                assert!((1..order.len()).all(|index| !order[..index].contains(&order[index])));
            }
            _ => {}
        }
    }

    fn forget(&mut self, is_gone: impl Fn(&TrackRef) -> bool) {
        self.layers.retain(|layer, _| !is_gone(&layer.track));
        self.shown.retain(|track, _| !is_gone(track));
    }

    fn check(&mut self, packet: &Bytes) {
        if !is_frame(packet) {
            let message = ServerMessage::decode(packet).expect("relays speak the protocol");
            self.note_news(&message);
            return;
        }
        let frame = Frame::decode(packet);
        let Ok(header) = frame
            .map(|frame| frame.header)
            .or_else(|_| FrameHeader::peek(packet))
        else {
            panic!("a relay forwards frames only");
        };
        assert_ne!(header.session, self.member.session(), "no echo");
        if header.kind.is_audio() {
            return;
        }
        let last = self.shown.insert(header.track_ref(), header.spatial);
        assert!(
            header.keyframe || last.is_none_or(|last| last == header.spatial),
            "another size begins with a keyframe"
        );
        let tracker = self.layers.entry(header.layer()).or_default();
        assert!(
            tracker.newest().is_none_or(|newest| header.sequence > newest),
            "in order within a layer"
        );
        assert!(
            tracker.is_decodable(header.sequence, header.keyframe, header.reference_distance),
            "decodable from what came before"
        );
        tracker.pass(header.sequence, header.keyframe);
    }
}

fn other_than(session: SessionId) -> SessionId {
    SessionId::new(session.get() ^ 1).unwrap_or(session)
}

fn track(track: TrackId, kind: TrackKind, muted: bool) -> TrackInfo {
    let layer = |(spatial, (width, height))| LayerInfo {
        spatial,
        temporal_layers: 4,
        width,
        height,
        frames_per_second: 30,
        bitrate_bps: 0,
    };
    TrackInfo {
        track,
        kind,
        muted,
        codec: String::new(),
        layers: match kind {
            TrackKind::Camera => (0..).zip(SIZES).map(layer).collect(),
            _ => Vec::new(),
        },
    }
}
