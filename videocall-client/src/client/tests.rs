//! The handle, the loop and the core together; the test is the relay, over a connection in memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc as channel;
use tokio::time::timeout;
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::{
    ClientMessage, CloseCode, Frame, FrameHeader, Participant, ServerMessage, SessionLimits, TrackKind,
    Welcome, is_frame,
};

use super::*;
use crate::core::{Lane, OutgoingPacket, TicketError};
use crate::driver::{Connection, ConnectionEvent};
use crate::transport::native::NativeClock;

const BOB: SessionId = SessionId::new(2).expect("not zero");
const CAMERA: TrackId = TrackId(2);

/// Everything here takes milliseconds; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A goodbye takes a round trip.
const GOODBYE: Duration = Duration::from_millis(20);

#[derive(Debug)]
enum Sent {
    Message(ClientMessage),
    Frame(FrameHeader),
    Closed(CloseCode),
}

struct MemoryConnection {
    sent: channel::UnboundedSender<Sent>,
    incoming: channel::Receiver<ConnectionEvent>,
    video_ready: Arc<AtomicBool>,
}

struct MemoryConnector {
    connections: Mutex<Vec<MemoryConnection>>,
}

impl Connector for MemoryConnector {
    type Connection = MemoryConnection;

    async fn fetch_ticket(&self) -> Result<JoinResponse, TicketError> {
        Ok(JoinResponse {
            token: "token".into(),
            expires_at_ms: i64::MAX,
            relays: vec![RelayEndpoint {
                transport: TransportKind::WebTransport,
                url: "https://relay/wt".into(),
                certificate_hashes: Vec::new(),
            }],
        })
    }

    async fn connect(&self, _endpoint: RelayEndpoint) -> Result<MemoryConnection, String> {
        let connection = self.connections.lock().expect("not poisoned").pop();
        connection.ok_or_else(|| "no more connections".into())
    }
}

impl Connection for MemoryConnection {
    fn is_ready(&self, lane: Lane) -> bool {
        !matches!(lane, Lane::Video(..)) || self.video_ready.load(Ordering::Relaxed)
    }

    fn send(&mut self, packet: OutgoingPacket) {
        let sent = if is_frame(&packet.packet) {
            Sent::Frame(FrameHeader::peek(&packet.packet).expect("our own frame"))
        } else {
            Sent::Message(ClientMessage::decode(&packet.packet).expect("our own message"))
        };
        let _ = self.sent.send(sent);
    }

    async fn next(&mut self) -> ConnectionEvent {
        let gone = || ConnectionEvent::Closed {
            code: None,
            reason: "gone".into(),
        };
        self.incoming.recv().await.unwrap_or_else(gone)
    }

    async fn close(self, code: CloseCode) {
        tokio::time::sleep(GOODBYE).await;
        let _ = self.sent.send(Sent::Closed(code));
    }
}

/// The relay's side of one connection.
struct Relay {
    sent: channel::UnboundedReceiver<Sent>,
    incoming: channel::Sender<ConnectionEvent>,
    video_ready: Arc<AtomicBool>,
}

impl Relay {
    async fn sent(&mut self) -> Sent {
        let sent = timeout(PATIENCE, self.sent.recv()).await;
        sent.expect("in time").expect("the client lives")
    }

    /// The next message that is no ping.
    async fn message(&mut self) -> ClientMessage {
        loop {
            match self.sent().await {
                Sent::Message(ClientMessage::Ping { .. }) => {}
                Sent::Message(message) => return message,
                other => panic!("{other:?} is no message"),
            }
        }
    }

    async fn packet(&self, packet: Bytes) {
        let event = ConnectionEvent::Packet(packet);
        self.incoming.send(event).await.expect("the client lives");
    }

    async fn welcome(&mut self) {
        assert!(matches!(self.message().await, ClientMessage::Hello(_)));
        self.packet(welcome()).await;
    }
}

fn welcome() -> Bytes {
    let welcome = Welcome {
        session: SessionId::new(1).expect("not zero"),
        resume_token: "resume".into(),
        relay_id: "relay".into(),
        limits: SessionLimits::default(),
        participants: vec![Participant {
            session: BOB,
            user_id: "bob".parse().expect("a user name"),
            display_name: "Bob".into(),
            tracks: vec![camera()],
            established_at_ms: 0,
            decodes: Default::default(),
        }],
        resumed: false,
        server_time_ms: 0,
        accepted_tracks: Vec::new(),
    };
    ServerMessage::Welcome(Box::new(welcome)).encode()
}

fn camera() -> TrackInfo {
    TrackInfo {
        track: CAMERA,
        kind: TrackKind::Camera,
        muted: false,
        codec: "vp8".into(),
        layers: Vec::new(),
    }
}

fn own_frame(keyframe: bool) -> EncodedFrame {
    EncodedFrame {
        track: CAMERA,
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

fn bobs_frame(sequence: u64, keyframe: bool) -> Bytes {
    let header = FrameHeader {
        sequence,
        keyframe,
        reference_distance: u32::from(!keyframe),
        ..FrameHeader::first(BOB, CAMERA, TrackKind::Camera)
    };
    let frame = Frame {
        header,
        decoder: None,
        redundancy: Vec::new(),
        payload: Bytes::from_static(b"p"),
    };
    frame.encode()
}

/// Both ends of a connection.
fn connection() -> (MemoryConnection, Relay) {
    let (sent_in, sent) = channel::unbounded_channel();
    let (incoming, incoming_out) = channel::channel(8);
    let video_ready = Arc::new(AtomicBool::new(true));
    let connection = MemoryConnection {
        sent: sent_in,
        incoming: incoming_out,
        video_ready: Arc::clone(&video_ready),
    };
    let relay = Relay {
        sent,
        incoming,
        video_ready,
    };
    (connection, relay)
}

fn start_with(mut connections: Vec<MemoryConnection>) -> (Client, EventStream) {
    connections.reverse();
    let connector = MemoryConnector {
        connections: Mutex::new(connections),
    };
    let meeting = "demo".parse().expect("a meeting id");
    let config = ClientConfig::new("http://relay", meeting, "ann".parse().expect("a user name"));
    let (client, events, running) = Client::assemble(config, connector, NativeClock::default());
    spawn(running);
    (client, events)
}

fn start() -> (Client, EventStream, Relay) {
    let (connection, relay) = connection();
    let (client, events) = start_with(vec![connection]);
    (client, events, relay)
}

/// The next event that the function takes.
async fn event<T>(events: &mut EventStream, mut take: impl FnMut(Event) -> Option<T>) -> T {
    let search = async {
        loop {
            let event = events.next().await.expect("the client lives");
            if let Some(found) = take(event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("in time")
}

async fn joined(events: &mut EventStream) {
    event(events, |event| {
        matches!(event, Event::Joined { .. }).then_some(())
    })
    .await;
}

#[tokio::test]
async fn commands_and_frames_reach_the_relay() {
    let (client, mut events, mut relay) = start();
    relay.welcome().await;
    joined(&mut events).await;
    assert_eq!(client.session(), SessionId::new(1));
    client.publish(camera()).expect("room");
    assert_eq!(relay.message().await, ClientMessage::PublishTrack(camera()));
    relay.packet(ServerMessage::TrackAccepted(CAMERA).encode()).await;
    event(&mut events, |event| {
        (event == Event::TrackAccepted(CAMERA)).then_some(())
    })
    .await;
    client.send_frame(own_frame(true)).expect("room");
    let frame = loop {
        if let Sent::Frame(frame) = relay.sent().await {
            break frame;
        }
    };
    assert_eq!((frame.sequence, frame.keyframe), (0, true));
}

#[tokio::test]
async fn the_old_relay_is_read_and_written_until_the_new_one_has_answered() {
    let ((first, mut old), (second, mut new)) = (connection(), connection());
    let (client, mut events) = start_with(vec![first, second]);
    client.publish(camera()).expect("room");
    old.welcome().await;
    joined(&mut events).await;
    let draining = ServerMessage::Draining {
        alternate_url: String::new(),
        deadline_ms: 0,
    };
    old.packet(draining.encode()).await;
    assert!(matches!(new.message().await, ClientMessage::Hello(_)));
    old.packet(bobs_frame(0, true)).await;
    event(&mut events, |event| {
        matches!(event, Event::Frame(_)).then_some(())
    })
    .await;
    client
        .request_keyframe(
            TrackRef {
                session: BOB,
                track: CAMERA,
            },
            0,
        )
        .expect("room");
    while !matches!(old.message().await, ClientMessage::RequestKeyframe { .. }) {}
    new.packet(welcome()).await;
    joined(&mut events).await;
    new.packet(bobs_frame(1, false)).await;
    let sequence = event(&mut events, |event| match event {
        Event::Frame(frame) => Some(frame.header.sequence),
        _ => None,
    });
    assert_eq!(sequence.await, 1);
    loop {
        if let Sent::Closed(code) = old.sent().await {
            assert_eq!(code, CloseCode::SessionReplaced, "nobody has left");
            break;
        }
    }
    client.leave();
    while !matches!(new.sent().await, Sent::Closed(CloseCode::Left)) {}
}

#[tokio::test]
async fn control_passes_video_that_has_to_wait() {
    let (client, mut events, mut relay) = start();
    client.publish(camera()).expect("room");
    relay.welcome().await;
    joined(&mut events).await;
    relay.packet(ServerMessage::TrackAccepted(CAMERA).encode()).await;
    event(&mut events, |event| {
        (event == Event::TrackAccepted(CAMERA)).then_some(())
    })
    .await;
    relay.video_ready.store(false, Ordering::Relaxed);
    client.send_frame(own_frame(true)).expect("room");
    client.set_muted(TrackId(9), true).expect("room");
    client.subscribe(Interest::Everything).expect("room");
    while !matches!(relay.message().await, ClientMessage::Subscribe(_)) {}
    relay.video_ready.store(true, Ordering::Relaxed);
    relay
        .incoming
        .send(ConnectionEvent::Ready)
        .await
        .expect("the client lives");
    assert!(matches!(relay.sent().await, Sent::Frame(_)));
}

#[tokio::test]
async fn a_program_that_does_not_read_loses_frames_and_gets_a_keyframe() {
    let (_client, mut events, mut relay) = start();
    relay.welcome().await;
    joined(&mut events).await;
    let too_many = EVENT_CAPACITY as u64 + 10;
    for sequence in 0..too_many {
        relay.packet(bobs_frame(sequence, sequence == 0)).await;
    }
    let wanted = relay.message().await;
    assert!(
        matches!(wanted, ClientMessage::RequestKeyframe { .. }),
        "{wanted:?}"
    );
    // The program wakes up and makes room.
    let last_with_room = EVENT_CAPACITY as u64 - 10;
    let mut next = 0;
    event(&mut events, |event| match event {
        Event::Frame(frame) => {
            assert_eq!(frame.header.sequence, next);
            next += 1;
            (next > last_with_room).then_some(())
        }
        _ => None,
    })
    .await;
    relay.packet(bobs_frame(too_many, false)).await;
    relay.packet(bobs_frame(too_many + 1, true)).await;
    let after_the_gap = event(&mut events, |event| match event {
        Event::Frame(frame) if frame.header.sequence == next => {
            next += 1;
            None
        }
        Event::Frame(frame) => Some(frame.header),
        _ => None,
    });
    let header = after_the_gap.await;
    assert_eq!((header.sequence, header.keyframe), (too_many + 1, true));
}

#[tokio::test]
async fn who_drops_the_handle_leaves() {
    let (client, mut events, mut relay) = start();
    relay.welcome().await;
    joined(&mut events).await;
    drop(client);
    assert_eq!(relay.message().await, ClientMessage::Leave);
    assert!(matches!(relay.sent().await, Sent::Closed(CloseCode::Left)));
    let code = event(&mut events, |event| match event {
        Event::Closed(closing) => Some(closing.code),
        _ => None,
    });
    assert_eq!(code.await, CloseCode::Left);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn the_last_event_comes_when_the_goodbye_is_said() {
    let (client, mut events, mut relay) = start();
    relay.welcome().await;
    joined(&mut events).await;
    client.leave();
    let closed = event(&mut events, |event| {
        matches!(event, Event::Closed(_)).then_some(())
    });
    closed.await;
    let sent: Vec<_> = std::iter::from_fn(|| relay.sent.try_recv().ok()).collect();
    assert!(
        matches!(sent.last(), Some(Sent::Closed(CloseCode::Left))),
        "{sent:?}"
    );
}
