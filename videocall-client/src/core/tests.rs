//! The whole core in simulated time: a relay of three lines answers it.

use std::time::Duration;

use bytes::Bytes;
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::{
    ClientMessage, CloseCode, Closing, Frame, Interest, Participant, ServerMessage, SessionId, SessionLimits,
    Subscription, TrackId, TrackInfo, TrackKind, TrackRef, Welcome, is_frame,
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
    urls: Vec<String>,
    sent: Vec<ClientMessage>,
    frames: Vec<Frame>,
    tickets: usize,
    /// Connections that were closed, by whichever output.
    disconnects: Vec<CloseCode>,
    switches: usize,
    /// A connection was opened that is not the current one yet.
    greeting: bool,
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
        decodes: Default::default(),
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
            urls: Vec::new(),
            sent: Vec::new(),
            frames: Vec::new(),
            tickets: 0,
            disconnects: Vec::new(),
            switches: 0,
            greeting: false,
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
                    self.urls.push(endpoint.url);
                }
                Output::Greet(packet) => {
                    self.greeting = true;
                    self.note(&packet);
                }
                Output::Switch => {
                    self.greeting = false;
                    self.switches += 1;
                }
                Output::GiveUp(code) => {
                    self.greeting = false;
                    self.disconnects.push(code);
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
                self.note(&packet.packet);
            }
        }
    }

    fn note(&mut self, packet: &Bytes) {
        let message = ClientMessage::decode(packet).expect("our own message");
        self.sent.push(message);
    }

    fn input(&mut self, input: Input) {
        self.core.handle(input, self.now);
        self.drain();
    }

    fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    /// A message from the relay that was greeted last.
    fn server(&mut self, message: ServerMessage) {
        let link = if self.greeting { Link::Next } else { Link::Current };
        self.input(Input::Packet(link, message.encode()));
    }

    /// A message from the relay that carries the call.
    fn current(&mut self, message: ServerMessage) {
        self.input(Input::Packet(Link::Current, message.encode()));
    }

    /// The connection that carries the call is gone.
    fn lose(&mut self) {
        self.input(Input::Disconnected {
            link: Link::Current,
            code: None,
            reason: "gone".into(),
        });
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
    for code in [CloseCode::MeetingLocked, CloseCode::BadToken, CloseCode::Removed] {
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
    sim.lose();
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
    sim.lose();
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
            Event::Receivers(Receivers::default()),
            Event::ParticipantJoined(bob()),
            Event::Receivers(Receivers {
                count: 1,
                decode: bob().decodes
            }),
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
    sim.lose();
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

/// In the meeting, whose relay stops and has offered another address.
fn draining() -> Sim {
    let mut sim = Sim::online();
    sim.server(ServerMessage::Draining {
        alternate_url: "https://other:4433/wt".into(),
        deadline_ms: 2_000,
    });
    sim.pass(1_000);
    assert_eq!(sim.tickets, 2, "in the first half of the time");
    sim.input(Input::Ticket(Ok(ticket())));
    sim
}

fn microphone(audio_level: u8) -> EncodedFrame {
    EncodedFrame {
        track: TrackId(1),
        audio_level: Some(audio_level),
        ..frame(true)
    }
}

/// What the participants of a Welcome are.
fn welcome_with(participants: Vec<Participant>) -> ServerMessage {
    let ServerMessage::Welcome(mut welcome) = welcome(true) else {
        unreachable!("it is a Welcome");
    };
    welcome.participants = participants;
    welcome.accepted_tracks = vec![TrackId(1), TrackId(2)];
    ServerMessage::Welcome(welcome)
}

#[test]
fn a_draining_relay_carries_the_call_until_another_one_does() {
    let mut sim = draining();
    sim.command(Command::PublishTrack(track(1, TrackKind::Microphone)));
    sim.server(ServerMessage::TrackAccepted(TrackId(1)));
    sim.events.clear();
    sim.input(Input::Connected);
    assert_eq!(sim.hellos()[1].resume_token, "resume");
    assert!(!sim.hellos()[1].capabilities.subscribe_automatically || sim.core.views.are_automatic());
    sim.command(Command::SendFrame(microphone(30)));
    assert_eq!(sim.frames.len(), 1, "over the old one");
    sim.server(welcome_with(vec![bob()]));
    sim.command(Command::SendFrame(microphone(30)));
    let numbers: Vec<_> = sim.frames.iter().map(|frame| frame.header.sequence).collect();
    assert_eq!(numbers, [0, 1], "no gap and no repetition");
    assert_eq!(
        sim.frames[1].redundancy.len(),
        1,
        "heals what the old relay did not pass on"
    );
    assert_eq!((sim.switches, sim.disconnects.len()), (2, 0));
    let stats = sim.core.stats();
    assert_eq!((stats.moves, stats.reconnects), (1, 0));
    assert!(sim.is_connected());
    let broken = sim.events.iter().any(
        |event| matches!(event, Event::Connection(status) if status.state != ConnectionState::Connected),
    );
    assert!(!broken, "{:?}", sim.events);
    assert!(sim.events.contains(&Event::KeyframeWanted {
        track: TrackId(2),
        spatial: 0
    }));
}

#[test]
fn the_relay_that_a_draining_one_names_is_tried_first_and_the_draining_one_last() {
    let sim = draining();
    assert_eq!(sim.urls.last().map(String::as_str), Some("https://other:4433/wt"));
    let mut sim = sim;
    for expected in ["ws://server/ws", "https://server:4433/wt"] {
        sim.input(Input::ConnectFailed("refused".into()));
        assert_eq!(sim.urls.last().map(String::as_str), Some(expected));
    }
    sim.input(Input::ConnectFailed("refused".into()));
    assert!(sim.is_connected(), "the old relay still carries the call");
    sim.pass(300);
    assert_eq!(sim.tickets, 3);
}

#[test]
fn what_changes_while_moving_is_told_to_the_new_relay() {
    let mut sim = draining();
    sim.input(Input::Connected);
    sim.sent.clear();
    sim.command(Command::SetMuted {
        track: TrackId(2),
        muted: true,
    });
    sim.command(Command::PublishTrack(track(3, TrackKind::Screen)));
    let told = |sim: &Sim| {
        let is = |message: &&ClientMessage| matches!(message, ClientMessage::PublishTrack(_));
        sim.sent.iter().filter(is).count()
    };
    assert_eq!(told(&sim), 2, "the old relay is told as well");
    sim.server(welcome(true));
    assert_eq!(told(&sim), 4);
}

#[test]
fn a_session_that_moved_is_not_replaced_by_somebody_else() {
    let mut sim = draining();
    sim.input(Input::Connected);
    sim.current(ServerMessage::Closing(Closing::new(CloseCode::SessionReplaced)));
    assert_eq!(sim.closed(), None);
    assert!(sim.is_connected(), "the Welcome is on its way");
    sim.command(Command::SendFrame(frame(true)));
    sim.server(welcome(true));
    assert!(sim.is_connected());
    assert_eq!(sim.core.stats().moves, 1);
    sim.server(ServerMessage::Closing(Closing::new(CloseCode::SessionReplaced)));
    assert_eq!(
        sim.closed(),
        Some(CloseCode::SessionReplaced),
        "this one is somebody else's"
    );
}

#[test]
fn a_relay_that_takes_the_session_and_dies_costs_a_reconnection() {
    let mut sim = draining();
    sim.input(Input::Connected);
    sim.current(ServerMessage::Closing(Closing::new(CloseCode::SessionReplaced)));
    sim.input(Input::Disconnected {
        link: Link::Next,
        code: None,
        reason: "gone".into(),
    });
    assert_eq!(sim.status().state, ConnectionState::Reconnecting);
    sim.input(Input::Connected);
    sim.server(welcome(true));
    assert!(sim.is_connected());
    assert_eq!(sim.core.stats().reconnects, 1);
}

#[test]
fn a_relay_that_stops_before_another_was_found_is_a_lost_connection() {
    let mut sim = draining();
    sim.current(ServerMessage::Closing(Closing::new(CloseCode::Draining)));
    assert_eq!(sim.status().state, ConnectionState::Reconnecting);
    sim.input(Input::Connected);
    sim.server(welcome(true));
    assert!(sim.is_connected());
    assert_eq!(sim.core.stats().reconnects, 1);
    assert_eq!(sim.closed(), None);
}

#[test]
fn a_refusal_while_moving_does_not_end_the_call() {
    let mut sim = draining();
    for code in [CloseCode::MeetingFull, CloseCode::BadToken, CloseCode::Busy] {
        sim.input(Input::Connected);
        sim.server(ServerMessage::Closing(Closing::new(code)));
    }
    assert!(sim.is_connected() && sim.closed().is_none());
    sim.pass(300);
    sim.input(Input::Ticket(Err(TicketError::Refused("no".into()))));
    assert!(sim.is_connected() && sim.closed().is_none());
}

#[test]
fn a_relay_that_does_not_know_everybody_yet_makes_nobody_leave() {
    let mut sim = draining();
    sim.input(Input::Connected);
    sim.events.clear();
    sim.server(welcome_with(Vec::new()));
    assert!(
        sim.events
            .iter()
            .any(|event| { matches!(event, Event::Joined { participants, .. } if *participants == [bob()]) })
    );
    sim.pass(1_000);
    sim.server(ServerMessage::ParticipantsJoined(vec![bob()]));
    for _ in 0..3 {
        sim.pass(1_000);
        sim.server(ServerMessage::Unknown);
    }
    assert!(!sim.events.contains(&Event::ParticipantLeft(BOB)));
    // The next one never hears of him.
    sim.lose();
    sim.pass(300);
    sim.input(Input::Ticket(Ok(ticket())));
    sim.input(Input::Connected);
    sim.server(welcome_with(Vec::new()));
    sim.pass(2_000);
    assert!(sim.events.contains(&Event::ParticipantLeft(BOB)));
}

#[test]
fn a_relay_that_refuses_is_passed_over() {
    for code in [
        CloseCode::RelayFull,
        CloseCode::Busy,
        CloseCode::TooManyConnections,
        CloseCode::Draining,
        CloseCode::MeetingFull,
    ] {
        let mut sim = Sim::new(config());
        sim.input(Input::Ticket(Ok(ticket())));
        sim.input(Input::Connected);
        sim.server(ServerMessage::Closing(Closing::new(code)));
        assert_eq!(sim.connects.len(), 2, "{code:?}");
        sim.input(Input::Connected);
        sim.server(welcome(false));
        assert!(sim.is_connected());
        assert_eq!(sim.status().notice, None, "nothing is wrong with WebTransport");
    }
}

/// Answers everything as servers do of which each refuses.
fn refuse_all(sim: &mut Sim, closing: &Closing, millis: u64) {
    let end = sim.now + Duration::from_millis(millis);
    let (mut tickets, mut connects) = (0, 0);
    while sim.now < end && sim.closed().is_none() {
        if sim.tickets > tickets {
            tickets = sim.tickets;
            sim.input(Input::Ticket(Ok(ticket())));
        }
        while sim.connects.len() > connects && sim.closed().is_none() {
            connects += 1;
            sim.input(Input::Connected);
            sim.server(ServerMessage::Closing(closing.clone()));
        }
        sim.pass(50);
    }
}

#[test]
fn when_all_refuse_it_says_so_and_tries_again_as_late_as_asked() {
    let mut sim = Sim::new(config());
    let closing = Closing {
        retry_after_ms: 3_000,
        ..Closing::new(CloseCode::RelayFull)
    };
    refuse_all(&mut sim, &closing, 14_000);
    assert_eq!(sim.status().refused, Some(CloseCode::RelayFull));
    assert!((4..=5).contains(&sim.tickets), "{} rounds", sim.tickets);
    refuse_all(&mut sim, &closing, 10_000);
    assert_eq!(
        sim.closed(),
        Some(CloseCode::RelayFull),
        "the reason is not the network"
    );
}

#[test]
fn a_meeting_that_is_full_everywhere_is_given_up_at_once() {
    let mut sim = Sim::new(config());
    refuse_all(&mut sim, &Closing::new(CloseCode::MeetingFull), 1_000);
    assert_eq!(sim.closed(), Some(CloseCode::MeetingFull));
    assert_eq!((sim.tickets, sim.connects.len()), (1, 2));
}

#[test]
fn restricted_layers_are_wanted_again_on_another_relay() {
    let mut sim = Sim::online();
    sim.events.clear();
    let wanted = |spatial_layers: Vec<u8>| ServerMessage::LayersWanted {
        track: TrackId(2),
        spatial_layers,
    };
    sim.server(wanted(Vec::new()));
    let told = |sim: &Sim| -> Vec<Vec<u8>> {
        let layers = sim.events.iter().filter_map(|event| match event {
            Event::LayersWanted { spatial_layers, .. } => Some(spatial_layers.clone()),
            _ => None,
        });
        layers.collect()
    };
    assert_eq!(told(&sim), [Vec::<u8>::new()]);
    sim.lose();
    sim.pass(300);
    sim.input(Input::Ticket(Ok(ticket())));
    sim.input(Input::Connected);
    sim.server(welcome(true));
    assert_eq!(told(&sim), [Vec::new(), vec![0]]);
    sim.server(wanted(vec![0]));
    sim.lose();
    sim.pass(300);
    sim.input(Input::Ticket(Ok(ticket())));
    sim.input(Input::Connected);
    sim.server(welcome(true));
    assert_eq!(told(&sim).len(), 3, "nothing was restricted");
}

#[test]
fn what_can_be_taken_bounds_what_is_sent_until_another_relay_says_so() {
    let mut sim = Sim::online();
    let layer = videocall_types::LayerInfo {
        bitrate_bps: 1_000_000,
        frames_per_second: 30,
        ..Default::default()
    };
    sim.command(Command::PublishTrack(TrackInfo {
        track: TrackId(2),
        kind: TrackKind::Camera,
        muted: false,
        codec: "vp8".into(),
        layers: vec![layer],
    }));
    let wanted = |sim: &Sim| sim.core.stats().upload_wanted_bps;
    let all = wanted(&sim);
    sim.server(ServerMessage::BitrateLimit {
        track: TrackId(2),
        max_bitrate_bps: std::num::NonZeroU32::new(300_000),
    });
    sim.pass(200);
    assert!(
        (600_000..800_000).contains(&(all - wanted(&sim))),
        "{} of {all}",
        wanted(&sim)
    );
    sim.lose();
    sim.pass(300);
    sim.input(Input::Ticket(Ok(ticket())));
    sim.input(Input::Connected);
    sim.server(welcome(true));
    sim.pass(200);
    assert_eq!(wanted(&sim), all);
}

#[test]
fn who_speaks_is_told() {
    let mut sim = Sim::online();
    sim.server(ServerMessage::Speakers(vec![BOB, OWN]));
    assert_eq!(sim.events.last(), Some(&Event::Speakers(vec![BOB, OWN])));
}

#[test]
fn what_is_shown_is_subscribed_also_after_a_reconnection() {
    let mut sim = Sim::online();
    let track = TrackRef {
        session: BOB,
        track: TrackId(2),
    };
    let view = View {
        width: 640,
        height: 360,
        priority: 1,
    };
    sim.sent.clear();
    sim.command(Command::Show(track, view));
    sim.pass(50);
    let subscribed = |sim: &Sim| -> Vec<Interest> {
        let wishes = sim.sent.iter().filter_map(|message| match message {
            ClientMessage::Subscribe(interest) => Some(interest.clone()),
            _ => None,
        });
        wishes.collect()
    };
    let expected = Interest::Chosen {
        speakers: true,
        tracks: vec![Subscription {
            track,
            width: 640,
            height: 360,
            priority: 1,
        }],
    };
    assert_eq!(subscribed(&sim), std::slice::from_ref(&expected));
    sim.lose();
    sim.pass(300);
    sim.input(Input::Ticket(Ok(ticket())));
    sim.input(Input::Connected);
    sim.server(welcome(true));
    assert_eq!(subscribed(&sim), [expected.clone(), expected]);
}

fn reports(sim: &Sim) -> Vec<(u32, u32)> {
    let reports = sim.sent.iter().filter_map(|message| match message {
        ClientMessage::Report(report) => Some((report.join_ms, report.first_picture_ms)),
        _ => None,
    });
    reports.collect()
}

#[test]
fn how_long_joining_took_is_told_once() {
    let join = |config| {
        let mut sim = Sim::new(config);
        sim.pass(100);
        sim.input(Input::Ticket(Ok(ticket())));
        sim.input(Input::Connected);
        sim.server(welcome(false));
        sim
    };
    let mut sim = join(config());
    sim.pass(250);
    sim.command(Command::FirstPicture);
    sim.command(Command::FirstPicture);
    assert_eq!(reports(&sim), [(100, 350)]);

    let mut sim = join(config());
    for _ in 0..11 {
        sim.pass(1_000);
        sim.server(ServerMessage::Unknown);
    }
    sim.command(Command::FirstPicture);
    assert_eq!(reports(&sim), [(100, 0)], "no picture has come in time");

    let mut sim = join(ClientConfig {
        report_timing: false,
        ..config()
    });
    sim.command(Command::FirstPicture);
    sim.pass(1_000);
    assert_eq!(reports(&sim), []);
}

#[test]
fn a_minute_is_told_unless_nothing_is_to_be_told() {
    let minute = CallMinute {
        length_ms: 60_000,
        freezes: 2,
        ..CallMinute::default()
    };
    let told = |config| {
        let mut sim = Sim::new(config);
        sim.command(Command::Report(minute));
        sim.input(Input::Ticket(Ok(ticket())));
        sim.input(Input::Connected);
        sim.server(welcome(false));
        sim.command(Command::Report(minute));
        let reports = sim.sent.iter().filter_map(|message| match message {
            ClientMessage::Report(report) => report.minute,
            _ => None,
        });
        reports.collect::<Vec<_>>()
    };
    assert_eq!(told(config()), [minute], "once, when we are in");
    let silent = ClientConfig {
        report_timing: false,
        ..config()
    };
    assert_eq!(told(silent), []);
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
        sim.input(Input::Packet(Link::Current, Bytes::from_static(garbage)));
        sim.input(Input::Packet(Link::Next, Bytes::from_static(garbage)));
    }
    assert!(sim.is_connected());
}
