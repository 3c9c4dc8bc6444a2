//! The whole core in simulated time: a relay of three lines answers it.

use std::time::Duration;

use bytes::Bytes;
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::{
    ClientMessage, CloseCode, Closing, Frame, Participant, ServerMessage, SessionId, SessionLimits, TrackId,
    TrackInfo, TrackKind, Welcome, is_frame,
};

use super::*;
use crate::config::TransportPreference;

const OWN: SessionId = SessionId::new(1).expect("not zero");
const BOB: SessionId = SessionId::new(2).expect("not zero");

/// A core, its time, and what it has said.
struct Sim {
    core: ClientCore,
    now: Timestamp,
    events: Vec<Event>,
    connects: Vec<(Duration, TransportKind)>,
    sent: Vec<ClientMessage>,
    frames: Vec<Frame>,
    tickets: usize,
    disconnects: Vec<CloseCode>,
}

fn config() -> ClientConfig {
    let meeting = "demo".parse().expect("a meeting id");
    let user = "ann".parse().expect("a user name");
    ClientConfig::new("http://server", meeting, user)
}

fn ticket() -> JoinResponse {
    let relay = |transport, url: &str| RelayEndpoint {
        transport,
        url: url.into(),
        certificate_hashes: Vec::new(),
    };
    JoinResponse {
        token: "token".into(),
        expires_at_ms: 3_600_000,
        relays: vec![
            relay(TransportKind::WebTransport, "https://server:4433/wt"),
            relay(TransportKind::WebSocket, "/ws"),
        ],
    }
}

fn bob() -> Participant {
    Participant {
        session: BOB,
        user_id: "bob".parse().expect("a user name"),
        display_name: "Bob".into(),
        tracks: vec![track(2, TrackKind::Camera)],
        established_at_ms: 0,
    }
}

fn track(id: u32, kind: TrackKind) -> TrackInfo {
    TrackInfo {
        track: TrackId(id),
        kind,
        muted: false,
        codec: "vp8".into(),
        layers: Vec::new(),
    }
}

fn welcome(resumed: bool) -> ServerMessage {
    ServerMessage::Welcome(Box::new(Welcome {
        session: OWN,
        resume_token: "resume".into(),
        relay_id: "relay".into(),
        limits: SessionLimits::default(),
        participants: vec![bob()],
        resumed,
        server_time_ms: 0,
        accepted_tracks: vec![TrackId(2)],
    }))
}

fn frame(keyframe: bool) -> EncodedFrame {
    EncodedFrame {
        track: TrackId(2),
        spatial: 0,
        temporal: 0,
        capture_time_us: 0,
        keyframe,
        duration_us: 0,
        audio_level: None,
        decoder: None,
        payload: Bytes::from_static(b"p"),
    }
}

impl Sim {
    fn new(config: ClientConfig) -> Self {
        let now = Timestamp::ZERO;
        let mut sim = Self {
            core: ClientCore::new(config, 1, now),
            now,
            events: Vec::new(),
            connects: Vec::new(),
            sent: Vec::new(),
            frames: Vec::new(),
            tickets: 0,
            disconnects: Vec::new(),
        };
        sim.drain();
        sim
    }

    /// In the meeting over the first relay of the ticket, with a camera.
    fn online() -> Self {
        let mut sim = Self::new(config());
        sim.command(Command::PublishTrack(track(2, TrackKind::Camera)));
        sim.input(Input::Ticket(Ok(ticket())));
        sim.input(Input::Connected);
        sim.server(welcome(false));
        assert!(sim.is_connected());
        sim
    }

    fn drain(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::FetchTicket => self.tickets += 1,
                Output::Connect(endpoint) => {
                    let at = self.now.since(Timestamp::ZERO);
                    self.connects.push((at, endpoint.transport));
                }
                Output::Disconnect(code) => self.disconnects.push(code),
                Output::Event(event) => self.events.push(event),
            }
        }
        while let Some(packet) = self.core.poll_packet(self.now, |_| true) {
            if is_frame(&packet.packet) {
                let frame = Frame::decode(&packet.packet).expect("our own frame");
                self.frames.push(frame);
            } else {
                let message = ClientMessage::decode(&packet.packet).expect("our own message");
                self.sent.push(message);
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.core.handle(input, self.now);
        self.drain();
    }

    fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    fn server(&mut self, message: ServerMessage) {
        self.input(Input::Packet(message.encode()));
    }

    /// Lets time pass, stopping at each time the core asks for.
    fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(wake) = self.core.next_wake().filter(|&wake| wake <= end) {
            self.now = self.now.max(wake);
            self.input(Input::Timeout);
        }
        self.now = end;
    }

    fn status(&self) -> &ConnectionStatus {
        let status = self.events.iter().rev().find_map(|event| match event {
            Event::Connection(status) => Some(status),
            _ => None,
        });
        status.expect("a status is told at the start")
    }

    fn is_connected(&self) -> bool {
        self.status().state == ConnectionState::Connected
    }

    fn closed(&self) -> Option<CloseCode> {
        self.events.iter().find_map(|event| match event {
            Event::Closed(closing) => Some(closing.code),
            _ => None,
        })
    }

    fn hellos(&self) -> Vec<&Hello> {
        let hellos = self.sent.iter().filter_map(|message| match message {
            ClientMessage::Hello(hello) => Some(&**hello),
            _ => None,
        });
        hellos.collect()
    }
}

use videocall_types::Hello;

#[test]
fn a_meeting_is_joined_in_one_round_trip_after_connect() {
    let sim = Sim::online();
    assert_eq!(sim.tickets, 1);
    assert_eq!(sim.connects, [(Duration::ZERO, TransportKind::WebTransport)]);
    let hello = sim.hellos()[0];
    assert_eq!((hello.token.as_str(), hello.tracks.len()), ("token", 1));
    assert!(hello.resume_token.is_empty());
    assert!(sim.events.contains(&Event::Joined {
        session: OWN,
        resumed: false,
        participants: vec![bob()],
    }));
    assert!(sim.events.contains(&Event::TrackAccepted(TrackId(2))));
    assert_eq!(sim.status().notice, None);
}

#[test]
fn silence_on_webtransport_leads_to_websocket_after_two_seconds() {
    let mut sim = Sim::new(config());
    sim.input(Input::Ticket(Ok(ticket())));
    sim.pass(1_999);
    assert_eq!(sim.connects.len(), 1);
    sim.pass(1);
    assert_eq!(
        sim.connects[1],
        (Duration::from_secs(2), TransportKind::WebSocket)
    );
    sim.input(Input::Connected);
    sim.server(welcome(false));
    assert!(sim.is_connected());
    assert_eq!(sim.status().transport, Some(TransportKind::WebSocket));
    assert!(
        sim.status()
            .notice
            .as_deref()
            .is_some_and(|notice| notice.contains("WebSocket"))
    );
}

#[test]
fn a_connection_without_welcome_counts_as_silence() {
    let mut sim = Sim::new(config());
    sim.input(Input::Ticket(Ok(ticket())));
    sim.pass(500);
    sim.input(Input::Connected);
    sim.pass(1_500);
    assert_eq!(sim.connects.len(), 2);
    assert_eq!(sim.disconnects, [CloseCode::LivenessTimeout]);
}

#[test]
fn a_failure_falls_back_at_once() {
    let mut sim = Sim::new(config());
    sim.input(Input::Ticket(Ok(ticket())));
    sim.input(Input::ConnectFailed("refused".into()));
    assert_eq!(sim.connects[1], (Duration::ZERO, TransportKind::WebSocket));
}

#[test]
fn a_forced_carrier_that_is_not_offered_ends_with_a_reason() {
    let mut sim = Sim::new(ClientConfig {
        transport: TransportPreference::WebTransport,
        ..config()
    });
    let mut ticket = ticket();
    ticket.relays.remove(0);
    sim.input(Input::Ticket(Ok(ticket)));
    assert_eq!(sim.closed(), Some(CloseCode::ProtocolError));
}

#[test]
fn a_refusal_is_final() {
    for code in [CloseCode::MeetingFull, CloseCode::BadToken, CloseCode::Removed] {
        let mut sim = Sim::new(config());
        sim.input(Input::Ticket(Ok(ticket())));
        sim.input(Input::Connected);
        sim.server(ServerMessage::Closing(Closing::new(code)));
        assert_eq!(sim.closed(), Some(code));
        assert_eq!(sim.status().state, ConnectionState::Failed);
        sim.pass(60_000);
        assert_eq!(sim.connects.len(), 1);
    }
    let mut sim = Sim::new(config());
    sim.input(Input::Ticket(Err(TicketError::Refused("no such meeting".into()))));
    assert_eq!(sim.closed(), Some(CloseCode::BadToken));
}

#[test]
fn an_expired_token_is_renewed() {
    let mut sim = Sim::new(config());
    sim.input(Input::Ticket(Ok(ticket())));
    sim.input(Input::Connected);
    sim.server(ServerMessage::Closing(Closing::new(CloseCode::TokenExpired)));
    assert_eq!(sim.closed(), None);
    sim.pass(1_000);
    assert_eq!(sim.tickets, 2);
}

#[test]
fn a_server_that_is_not_there_is_given_up_in_time() {
    let mut sim = Sim::new(config());
    let mut answered = 0;
    while sim.closed().is_none() {
        if sim.tickets > answered {
            answered = sim.tickets;
            sim.input(Input::Ticket(Err(TicketError::Unavailable("refused".into()))));
        }
        sim.pass(50);
        assert!(sim.now < Timestamp::from_millis(20_000));
    }
    assert_eq!(sim.closed(), Some(CloseCode::LivenessTimeout));
    assert!(sim.tickets > 5);
}

#[test]
fn a_lost_connection_is_resumed_with_its_tracks_and_numbers() {
    let mut sim = Sim::online();
    sim.command(Command::SendFrame(frame(true)));
    sim.command(Command::SendFrame(frame(false)));
    sim.input(Input::Disconnected {
        code: None,
        reason: "gone".into(),
    });
    assert_eq!(sim.status().state, ConnectionState::Reconnecting);
    sim.pass(300);
    assert_eq!(sim.tickets, 2);
    sim.command(Command::SendFrame(frame(false)));
    sim.input(Input::Ticket(Ok(ticket())));
    sim.input(Input::Connected);
    let hello = sim.hellos()[1];
    assert_eq!((hello.resume_token.as_str(), hello.tracks.len()), ("resume", 1));
    sim.events.clear();
    sim.server(welcome(true));
    assert!(sim.is_connected());
    assert!(sim.events.contains(&Event::KeyframeWanted {
        track: TrackId(2),
        spatial: 0
    }));
    sim.command(Command::SendFrame(frame(false)));
    sim.command(Command::SendFrame(frame(true)));
    let numbers: Vec<_> = sim
        .frames
        .iter()
        .map(|frame| (frame.header.sequence, frame.header.keyframe))
        .collect();
    assert_eq!(numbers, [(0, true), (1, false), (2, true)]);
    assert_eq!(sim.core.stats().reconnects, 1);
}

#[test]
fn silence_of_the_relay_is_death() {
    let mut sim = Sim::online();
    for _ in 0..4 {
        sim.pass(2_400);
        sim.server(ServerMessage::Unknown);
    }
    assert!(sim.is_connected());
    sim.pass(3_600);
    assert_eq!(sim.status().state, ConnectionState::Reconnecting);
    assert_eq!(sim.disconnects, [CloseCode::LivenessTimeout]);
}

#[test]
fn a_program_that_was_stopped_reads_before_it_gives_up() {
    let mut sim = Sim::online();
    sim.server(ServerMessage::Unknown);
    sim.now += Duration::from_secs(60);
    sim.input(Input::Timeout);
    assert!(sim.is_connected());
    sim.server(ServerMessage::Unknown);
    sim.pass(2_000);
    assert!(sim.is_connected());
}

#[test]
fn a_restarted_relay_is_found_within_seconds() {
    let mut sim = Sim::online();
    let down = |sim: &mut Sim, millis: u64| {
        let mut answered = sim.tickets;
        for _ in 0..millis / 10 {
            let mut tried = sim.connects.len();
            if sim.tickets > answered {
                answered = sim.tickets;
                sim.input(Input::Ticket(Err(TicketError::Unavailable("refused".into()))));
            }
            sim.pass(10);
            while sim.connects.len() > tried {
                tried += 1;
                sim.input(Input::ConnectFailed("refused".into()));
            }
        }
        answered
    };
    sim.input(Input::Disconnected {
        code: None,
        reason: "gone".into(),
    });
    let answered = down(&mut sim, 1_500);
    let restarted = sim.now;
    while sim.tickets == answered {
        sim.pass(10);
    }
    assert!(sim.now.since(restarted) < Duration::from_millis(2_100));
    sim.input(Input::Ticket(Ok(ticket())));
    assert_eq!(
        sim.connects.last().map(|(_, transport)| *transport),
        Some(TransportKind::WebTransport)
    );
}

#[test]
fn the_round_trip_time_is_measured() {
    let mut sim = Sim::online();
    let ping = |sim: &Sim| {
        let ping = sim.sent.iter().rev().find_map(|message| match message {
            ClientMessage::Ping { sent_at_us, .. } => Some(*sent_at_us),
            _ => None,
        });
        ping.expect("a ping is sent at once")
    };
    let sent_at_us = ping(&sim);
    sim.pass(40);
    sim.server(ServerMessage::Pong {
        sent_at_us,
        server_time_ms: 0,
    });
    assert_eq!(sim.core.stats().rtt_ms, Some(40.0));
    assert_eq!(sim.status().rtt, Some(Duration::from_millis(40)));
    sim.events.clear();
    sim.server(ServerMessage::Pong {
        sent_at_us: u64::MAX,
        server_time_ms: 0,
    });
    sim.server(ServerMessage::Pong {
        sent_at_us,
        server_time_ms: 0,
    });
    assert_eq!(sim.core.stats().rtt_ms, Some(40.0));
    assert!(sim.events.is_empty(), "nothing new is told: {:?}", sim.events);
}

#[test]
fn the_roster_is_what_the_relay_says() {
    let mut sim = Sim::online();
    sim.events.clear();
    let screen = track(3, TrackKind::Screen);
    sim.server(ServerMessage::TrackChanged {
        session: BOB,
        track: screen.clone(),
    });
    sim.server(ServerMessage::ParticipantsLeft(vec![BOB]));
    sim.server(ServerMessage::ParticipantsLeft(vec![BOB]));
    sim.server(ServerMessage::ParticipantsJoined(vec![bob()]));
    assert_eq!(
        sim.events,
        [
            Event::TrackChanged {
                session: BOB,
                track: screen
            },
            Event::ParticipantLeft(BOB),
            Event::ParticipantJoined(bob()),
        ]
    );
}

#[test]
fn muting_is_announced_once() {
    let mut sim = Sim::online();
    sim.sent.clear();
    for _ in 0..2 {
        sim.command(Command::SetMuted {
            track: TrackId(2),
            muted: true,
        });
    }
    let muted = TrackInfo {
        muted: true,
        ..track(2, TrackKind::Camera)
    };
    assert_eq!(sim.sent, [ClientMessage::PublishTrack(muted)]);
}

#[test]
fn subscriptions_are_merged_and_survive_a_reconnect() {
    let mut sim = Sim::online();
    sim.sent.clear();
    for _ in 0..10 {
        sim.command(Command::Subscribe(Interest::NOTHING));
    }
    sim.pass(100);
    let subscribes = |sim: &Sim| {
        let is = |message: &&ClientMessage| matches!(message, ClientMessage::Subscribe(_));
        sim.sent.iter().filter(is).count()
    };
    assert_eq!(subscribes(&sim), 2);
    sim.input(Input::Disconnected {
        code: None,
        reason: "gone".into(),
    });
    sim.pass(300);
    sim.input(Input::Ticket(Ok(ticket())));
    sim.input(Input::Connected);
    assert!(
        sim.hellos()
            .last()
            .is_some_and(|hello| !hello.capabilities.subscribe_automatically)
    );
    sim.server(welcome(true));
    assert_eq!(subscribes(&sim), 3);
}

#[test]
fn a_draining_relay_is_left_in_time_without_saying_goodbye() {
    let mut sim = Sim::online();
    sim.server(ServerMessage::Draining {
        alternate_url: String::new(),
        deadline_ms: 2_000,
    });
    sim.pass(1_000);
    assert_eq!(sim.disconnects, [CloseCode::Draining]);
    assert!(!sim.sent.contains(&ClientMessage::Leave));
    sim.pass(300);
    assert_eq!(sim.tickets, 2);
}

#[test]
fn leaving_says_so_and_ends() {
    let mut sim = Sim::online();
    sim.command(Command::Leave);
    assert_eq!(sim.sent.last(), Some(&ClientMessage::Leave));
    assert_eq!(sim.closed(), Some(CloseCode::Left));
    assert_eq!(sim.disconnects, [CloseCode::Left]);
    assert_eq!(sim.core.next_wake(), None);
}

#[test]
fn garbage_from_a_relay_does_no_harm() {
    let mut sim = Sim::online();
    for garbage in [&b""[..], b"\x0a", b"\x0a\x02\x00\x00", b"\xff\xff\xff", b"hello"] {
        sim.input(Input::Packet(Bytes::from_static(garbage)));
    }
    assert!(sim.is_connected());
}
