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
    LayerId, ServerMessage, SessionId, Subscription, Timestamp, TrackId, TrackInfo, TrackKind, TrackRef,
    is_frame,
};

/// Enough for every kind of interplay, few enough to be found.
const MAX_MEMBERS: usize = 5;
/// Tracks that members of this target publish: a microphone and a camera.
const TRACKS: [(TrackId, TrackKind); 2] = [
    (TrackId(1), TrackKind::Microphone),
    (TrackId(2), TrackKind::Camera),
];

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
    ended: bool,
}

struct Scene {
    meeting: Arc<Meeting>,
    guests: Vec<Guest>,
    /// The next sequence of each track; it goes on when a session is resumed.
    sequences: HashMap<SessionId, [u64; 2]>,
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
        Self {
            meeting: Meeting::new(id, Arc::new(settings), 1, now),
            guests: Vec::new(),
            sequences: HashMap::new(),
            now,
        }
    }

    fn perform(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 12 {
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
            _ => self.subscribe(script),
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
            Ok(message) => meeting.control(&guest.member, message, now),
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
        let wish = script.number();
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
                width: 320,
                height: 180,
                priority: 0,
            })
            .collect();
        // A refusal is as good as an answer here.
        let _ = meeting.control(
            &guest.member,
            ClientMessage::Subscribe(Interest::Chosen {
                speakers: tracks.len() % 2 == 1,
                tracks,
            }),
            now,
        );
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
        let which = usize::from(shape & 1);
        let forged = shape >> 1 & 0x0f == 0x0f;
        let next = &mut self.sequences.entry(session).or_default()[which];
        let sequence = *next;
        *next += 1 + u64::from(shape >> 6 & 1);
        let header = FrameHeader {
            session: if forged { other_than(session) } else { session },
            track: TRACKS[which].0,
            kind: TRACKS[which].1,
            spatial: 0,
            temporal: if which == 1 { shape >> 4 & 3 } else { 0 },
            sequence,
            capture_time_us: now.as_micros(),
            keyframe: which == 0 || shape >> 3 & 1 == 1,
            reference_distance: u32::from(size & 3),
            duration_us: 0,
            audio_level: None,
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

    fn check(&mut self, packet: &Bytes) {
        if !is_frame(packet) {
            ServerMessage::decode(packet).expect("relays speak the protocol");
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
    TrackInfo {
        track,
        kind,
        muted,
        codec: String::new(),
        layers: Vec::new(),
    }
}
