//! The WebSocket relay, against a client that is another implementation of RFC 6455.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use relay_runtime::RelaySettings;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use videocall_types::fragment::{Reassembler, is_fragment};
use videocall_types::limits::{HANDSHAKE_TIMEOUT, MAX_CONTROL_BYTES, MAX_FRAME_BYTES};
use videocall_types::{ClientMessage, CloseCode, FrameHeader, ServerMessage, SessionId};

use crate::common::guest::{Arrival, Guest, PATIENCE, closing, connect, frame, hello};
use crate::common::slow_line::slow_line;
use crate::common::{Options, TestServer};
use crate::rest::join;

#[tokio::test]
async fn frames_travel_unchanged_and_not_back() {
    let server = TestServer::start(Options::default()).await;
    let mut alice = Guest::join(&server, "alice").await;
    let mut bob = Guest::join(&server, "bob").await;
    assert_eq!(bob.welcome.participants.len(), 1);
    assert_ne!(alice.session(), bob.session());
    for size in [1, 125, 126, 5000, 65_535, 65_536, 900_000] {
        let sent = alice.frame(size);
        alice.send(sent.clone()).await;
        assert_eq!(bob.next_frame().await, sent);
    }
    // What bob sends is the first frame that alice gets.
    let sent = bob.frame(100);
    bob.send(sent.clone()).await;
    assert_eq!(alice.next_frame().await, sent);
}

#[tokio::test]
async fn fragmented_messages_are_put_together() {
    let server = TestServer::start(Options::default()).await;
    let mut alice = Guest::join(&server, "alice").await;
    let mut bob = Guest::join(&server, "bob").await;
    let packet = alice.frame(100_000);
    let parts: Vec<Bytes> = packet.chunks(30_000).map(Bytes::copy_from_slice).collect();
    let last = parts.len() - 1;
    for (index, part) in parts.into_iter().enumerate() {
        let opcode = if index == 0 { Data::Binary } else { Data::Continue };
        let part = RawFrame::message(part, OpCode::Data(opcode), index == last);
        alice.socket.send(Message::Frame(part)).await.expect("sent");
        // Control frames may come between fragments.
        alice
            .socket
            .send(Message::Ping(Bytes::from_static(b"?")))
            .await
            .expect("sent");
    }
    assert_eq!(bob.next_frame().await, packet);
}

/// What a client does wrong, and what it is told.
type Offence = (&'static str, fn(&mut Guest) -> Message, CloseCode);

const OFFENCES: [Offence; 7] = [
    (
        "text",
        |_| Message::Text("hello".into()),
        CloseCode::ProtocolError,
    ),
    (
        "garbage",
        |_| Message::Binary(vec![0xff; 50].into()),
        CloseCode::MalformedPacket,
    ),
    (
        "another's session",
        |_| Message::Binary(frame(other_session(), 0, 10)),
        CloseCode::WrongSession,
    ),
    (
        "a forged departure",
        |_| Message::Binary(ServerMessage::ParticipantsLeft(vec![other_session()]).encode()),
        CloseCode::ForbiddenMessage,
    ),
    (
        "an oversized frame",
        |guest| Message::Binary(guest.frame(MAX_FRAME_BYTES + 1)),
        CloseCode::FrameTooLarge,
    ),
    (
        "an oversized message",
        |_| Message::Binary(vec![0x12; MAX_CONTROL_BYTES + 1].into()),
        CloseCode::ControlTooLarge,
    ),
    (
        "a second greeting",
        |_| Message::Binary(hello(String::new(), String::new())),
        CloseCode::ProtocolError,
    ),
];

fn other_session() -> SessionId {
    SessionId::new(1).expect("not zero")
}

#[tokio::test]
async fn every_offence_has_its_code_and_no_bystander_suffers() {
    let server = TestServer::start(Options::default()).await;
    let mut alice = Guest::join(&server, "alice").await;
    let mut bob = Guest::join(&server, "bob").await;
    for (name, offend, code) in OFFENCES {
        let mut mallory = Guest::join(&server, "mallory").await;
        let message = offend(&mut mallory);
        // The relay may close before it has read all of a message that is too large.
        let _sent = mallory.socket.send(message).await;
        let (said, closed) = mallory.closing().await;
        assert_eq!(closed, code.websocket(), "{name}");
        assert_eq!(said, Some(code), "{name}");
        let sent = alice.frame(1000);
        alice.send(sent.clone()).await;
        assert_eq!(bob.next_frame().await, sent, "after {name}");
    }
}

#[tokio::test]
async fn strangers_are_not_let_in() {
    let server = TestServer::start(Options::default()).await;
    let strangers = [
        (hello("no token".into(), String::new()), CloseCode::BadToken),
        (ClientMessage::Leave.encode(), CloseCode::ProtocolError),
        (frame(other_session(), 0, 10), CloseCode::ProtocolError),
        // Memory for large media is for members.
        (
            frame(other_session(), 0, MAX_CONTROL_BYTES),
            CloseCode::FrameTooLarge,
        ),
    ];
    for (packet, code) in strangers {
        let mut socket = connect(&server).await;
        socket.send(Message::Binary(packet)).await.expect("sent");
        assert_eq!(closing(&mut socket).await, (Some(code), code.websocket()));
    }
}

#[tokio::test]
async fn a_half_open_connection_is_closed() {
    let server = TestServer::start(Options::default()).await;
    let began = Instant::now();
    let mut socket = connect(&server).await;
    let code = CloseCode::HandshakeTimeout;
    assert_eq!(closing(&mut socket).await, (Some(code), code.websocket()));
    assert!(began.elapsed() >= HANDSHAKE_TIMEOUT);
}

#[tokio::test]
async fn the_server_looks_for_signs_of_life() {
    let server = TestServer::start(Options::default()).await;
    let mut alice = Guest::join(&server, "alice").await;
    let ping = tokio::time::timeout(PATIENCE, async {
        loop {
            match alice.socket.next().await {
                Some(Ok(Message::Ping(_))) => return,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    });
    ping.await.expect("a ping");
}

#[tokio::test]
async fn leaving_and_losing_the_connection_differ() {
    let server = TestServer::start(Options::default()).await;
    let mut alice = Guest::join(&server, "alice").await;
    let mut bob = Guest::join(&server, "bob").await;
    let mut carol = Guest::join(&server, "carol").await;
    let (bobs, carols) = (bob.session(), carol.session());

    // Bob's connection breaks; nobody sees him go, and he comes back as himself.
    let resume = std::mem::take(&mut bob.welcome.resume_token);
    drop(bob);
    let mut bob = Guest::enter(&server, "bob", resume).await;
    assert!(bob.welcome.resumed);
    assert_eq!(bob.session(), bobs);
    let mut packet = bob.frame(10);
    bob.send(packet.clone()).await;

    // Carol's page is closed.
    let close = CloseFrame {
        code: 1001.into(),
        reason: "".into(),
    };
    carol.socket.close(Some(close)).await.expect("sent");
    let mut got_frame = false;
    let gone = alice.until(|arrival| match arrival {
        Arrival::Control(ServerMessage::ParticipantsLeft(sessions)) => sessions.first().copied(),
        Arrival::Frame(frame) => {
            got_frame |= frame == packet;
            None
        }
        Arrival::Closed(code) => panic!("closed with {code}"),
        Arrival::Control(_) => None,
    });
    assert_eq!(gone.await, carols);
    if !got_frame {
        packet = alice.next_frame().await;
    }
    assert_eq!(packet, frame(bobs, 0, 10));
    // The server answers a close frame with one (RFC 6455 §5.5.1).
    assert_eq!(carol.closing().await.1, 1000);
}

#[tokio::test]
async fn who_does_not_read_harms_nobody_and_costs_little() {
    const FRAMES: u64 = 800;
    const FRAME_BYTES: usize = 50_000;
    let relay = RelaySettings {
        max_upload_bps: 100_000_000_000,
        max_download_bps: 0,
        ..RelaySettings::default()
    };
    let server = TestServer::start(Options {
        relay,
        ..Options::default()
    })
    .await;
    let mut alice = Guest::join(&server, "alice").await;
    let mut bob = Guest::join(&server, "bob").await;
    let mut sleeper = Guest::join(&server, "sleeper").await;
    for count in 0..FRAMES {
        if count % 50 == 0 {
            // It lives, or it would be closed for its silence.
            let alive = Message::Ping(Bytes::new());
            sleeper.socket.send(alive).await.expect("sent");
        }
        let sent = alice.frame(FRAME_BYTES);
        alice.send(sent.clone()).await;
        assert_eq!(bob.next_frame().await, sent);
    }
    // The sleeper wakes. What waited for it is bounded, and ends with the newest frame.
    let (mut received, mut bytes) = (0_u64, 0_usize);
    let newest = alice.frame(FRAME_BYTES);
    alice.send(newest.clone()).await;
    loop {
        let packet = sleeper.next_frame().await;
        received += 1;
        bytes += packet.len();
        if packet == newest {
            break;
        }
    }
    // Two megabytes of outbox, and what the kernel's buffers take on both sides of a loopback socket.
    assert!(received < FRAMES / 2, "{received} frames, {bytes} bytes waited");
}

#[tokio::test]
async fn what_is_urgent_passes_the_pictures_on_a_slow_line() {
    const LINE: usize = 50_000;
    const PICTURE: usize = 5_000;
    const PICTURES: Duration = Duration::from_millis(50);
    /// By then the relay has noticed.
    const SETTLED: Duration = Duration::from_secs(5);
    const WATCHED: Duration = Duration::from_secs(4);
    let server = TestServer::start(Options::default()).await;
    let mut alice = Guest::join(&server, "alice").await;
    let line = slow_line(server.address, LINE).await;
    let mut bob = Guest::enter_at(&server, line, "bob", String::new()).await;
    let session = alice.session();

    let began = Instant::now();
    let (mut fragments, mut cut) = (Reassembler::default(), 0);
    let mut round_trips = Vec::new();
    let mut pictures = tokio::time::interval(PICTURES);
    let mut pings = tokio::time::interval(2 * PICTURES);
    while began.elapsed() < SETTLED + WATCHED {
        tokio::select! {
            _ = pictures.tick() => {
                let picture = alice.frame(PICTURE);
                alice.send(picture).await;
            }
            _ = pings.tick() => {
                let sent_at_us = began.elapsed().as_micros() as u64;
                bob.send(ClientMessage::Ping { sent_at_us, rtt_us: 0 }.encode()).await;
            }
            message = bob.socket.next() => {
                let Some(Ok(message)) = message else { panic!("{message:?}") };
                let Message::Binary(packet) = message else { continue };
                cut += usize::from(is_fragment(&packet));
                let Some(packet) = fragments.join(packet) else { continue };
                if let Ok(header) = FrameHeader::peek(&packet) {
                    assert_eq!(packet, frame(session, header.sequence, PICTURE));
                } else if let Ok(ServerMessage::Pong { sent_at_us, .. }) = ServerMessage::decode(&packet) {
                    let now = began.elapsed();
                    let sent_at = Duration::from_micros(sent_at_us);
                    round_trips.extend((sent_at >= SETTLED).then(|| now.saturating_sub(sent_at)));
                }
            }
            // What alice is told has to be read.
            _ = alice.socket.next() => {}
        }
    }
    round_trips.sort();
    assert!(cut > 20, "{cut} fragments");
    let [.., _] = &round_trips[..] else {
        panic!("no answers")
    };
    let median = round_trips[round_trips.len() / 2];
    assert!(
        median < Duration::from_millis(300),
        "{median:?} of {}",
        round_trips.len()
    );
}

#[tokio::test]
async fn only_upgrades_of_known_pages_are_taken() {
    let server = TestServer::start(Options::default()).await;
    let client = Client::new();
    let plain = client.get(server.url("/ws")).send().await.expect("answered");
    assert_eq!(plain.status(), StatusCode::UPGRADE_REQUIRED);
    let foreign = client
        .get(server.url("/ws"))
        .header("origin", "http://evil.example");
    assert_eq!(
        foreign.send().await.expect("answered").status(),
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_ends() {
    let relay = RelaySettings {
        drain_timeout_ms: 100,
        ..RelaySettings::default()
    };
    let mut server = TestServer::start(Options {
        relay,
        ..Options::default()
    })
    .await;
    let mut alice = Guest::join(&server, "alice").await;
    server.shutdown.cancel();
    let code = CloseCode::Draining;
    assert_eq!(alice.closing().await, (Some(code), code.websocket()));
    drop(alice);
    let served = tokio::time::timeout(Duration::from_secs(10), &mut server.served).await;
    served.expect("in time").expect("no panic").expect("no error");
    let request = Client::new().post(server.url("/api/v1/meetings/demo/join"));
    assert!(request.json(&json!({"user_id": "a"})).send().await.is_err());
}

#[tokio::test]
async fn two_devices_of_one_person_are_two_sessions() {
    let server = TestServer::start(Options::default()).await;
    let phone = Guest::join(&server, "alice").await;
    let laptop = Guest::join(&server, "alice").await;
    assert_ne!(phone.session(), laptop.session());
    assert_eq!(laptop.welcome.participants[0].user_id.as_str(), "alice");
    // A ticket is good for its meeting; joining again gives another.
    let again = join(&Client::new(), &server, "demo", &json!({"user_id": "alice"})).await;
    assert!(!again.token.is_empty());
}
