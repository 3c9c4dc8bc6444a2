//! A carrier within the process, and a client at its other end.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod nats;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relay_runtime::{
    Bus, Carrier, ClassSet, Disconnect, Egress, Ingress, Relay, RelaySettings, TokenService,
};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use videocall_types::api::TransportKind;
use videocall_types::limits::{PING_INTERVAL, PROTOCOL_VERSION};
use videocall_types::token::{Claims, TokenUse};
use videocall_types::{
    Capabilities, ClientMessage, CloseCode, Frame, FrameHeader, Hello, ServerMessage, SessionId, TrackId,
    TrackInfo, TrackKind, Welcome, is_frame,
};

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Packets between the ends of a connection; a writer waits when so many were not read.
const PIPE: usize = 64;

pub(crate) const MICROPHONE: TrackId = TrackId(1);

pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not in time"))
}

pub(crate) fn tokens() -> TokenService {
    TokenService::new(
        &"a secret for tests that is long enough"
            .parse()
            .expect("long enough"),
    )
}

pub(crate) struct TestRelay {
    pub(crate) relay: Arc<Relay>,
    pub(crate) shutdown: CancellationToken,
    _stop: DropGuard,
}

pub(crate) fn start(name: &str, bus: Option<Arc<dyn Bus>>) -> TestRelay {
    start_with(name, bus, RelaySettings::default())
}

pub(crate) fn start_with(name: &str, bus: Option<Arc<dyn Bus>>, settings: RelaySettings) -> TestRelay {
    let shutdown = CancellationToken::new();
    let settings = RelaySettings {
        relay_id: Some(name.parse().expect("an id")),
        ..settings
    };
    TestRelay {
        relay: Relay::start(settings, tokens(), bus, shutdown.clone()),
        _stop: shutdown.clone().drop_guard(),
        shutdown,
    }
}

impl TestRelay {
    /// A connection on which nothing was said yet.
    pub(crate) fn connect(&self) -> Client {
        let (to_relay, incoming) = mpsc::channel(PIPE);
        let (outgoing, from_relay) = mpsc::channel(PIPE);
        let (closed, close_code) = oneshot::channel();
        let carrier = Pipe {
            incoming: Mutex::new(incoming),
            outgoing,
            closed: Mutex::new(Some(closed)),
        };
        let connection = self.relay.connections().accept(carrier.peer());
        let connection = connection.expect("loopback is not limited");
        tokio::spawn(self.relay.clone().serve(carrier, connection));
        Client {
            to_relay,
            from_relay,
            close_code,
        }
    }

    pub(crate) async fn member(&self, name: &str) -> (Client, Welcome) {
        let mut client = self.connect();
        let welcome = client.enter(hello(name)).await;
        (client, welcome)
    }
}

pub(crate) fn token(user: &str, seconds: i64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    tokens().sign(&Claims {
        sub: user.parse().expect("a name"),
        name: user.to_owned(),
        meeting: "demo".parse().expect("an id"),
        token_use: TokenUse::Join,
        session: None,
        exp: now.as_secs().saturating_add_signed(seconds),
        iat: now.as_secs(),
        jti: String::new(),
    })
}

pub(crate) fn hello(user: &str) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        token: token(user, 600),
        capabilities: Capabilities {
            subscribe_automatically: true,
            ..Capabilities::default()
        },
        tracks: vec![TrackInfo {
            track: MICROPHONE,
            kind: TrackKind::Microphone,
            muted: false,
            codec: "opus".into(),
            layers: Vec::new(),
        }],
        resume_token: String::new(),
    }
}

pub(crate) fn voice(session: SessionId, sequence: u64) -> Bytes {
    voice_at(session, sequence, None)
}

/// A voice of this level in -dBov.
pub(crate) fn loud_voice(session: SessionId, sequence: u64, level: u8) -> Bytes {
    voice_at(session, sequence, Some(level))
}

fn voice_at(session: SessionId, sequence: u64, audio_level: Option<u8>) -> Bytes {
    Frame {
        header: FrameHeader {
            sequence,
            capture_time_us: sequence * 20_000,
            duration_us: 20_000,
            audio_level,
            ..FrameHeader::first(session, MICROPHONE, TrackKind::Microphone)
        },
        decoder: None,
        redundancy: Vec::new(),
        payload: vec![sequence as u8; 100].into(),
    }
    .encode()
}

enum Input {
    Packet(Bytes),
    End(Disconnect),
}

struct Pipe {
    incoming: Mutex<mpsc::Receiver<Input>>,
    outgoing: mpsc::Sender<Bytes>,
    closed: Mutex<Option<oneshot::Sender<CloseCode>>>,
}

impl Carrier for Pipe {
    fn transport(&self) -> TransportKind {
        TransportKind::WebSocket
    }

    fn peer(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    async fn read(&self, ingress: &Ingress) -> Disconnect {
        let mut incoming = self.incoming.lock().await;
        while let Some(input) = incoming.recv().await {
            let handled = match input {
                Input::Packet(packet) => ingress.packet(&packet),
                Input::End(disconnect) => return disconnect,
            };
            if let Err(closing) = handled {
                return closing.into();
            }
        }
        Disconnect::Lost("the client was dropped".into())
    }

    async fn write(&self, egress: &Arc<Egress>) -> Disconnect {
        while let Some(outgoing) = egress.next(ClassSet::ALL).await {
            if self.outgoing.send(outgoing.packet).await.is_err() {
                return Disconnect::Lost("the client was dropped".into());
            }
        }
        Disconnect::Finished
    }

    async fn close(&self, code: CloseCode) {
        if let Some(closed) = self.closed.lock().await.take() {
            let _nobody_asks = closed.send(code);
        }
    }
}

pub(crate) struct Client {
    to_relay: mpsc::Sender<Input>,
    from_relay: mpsc::Receiver<Bytes>,
    close_code: oneshot::Receiver<CloseCode>,
}

impl Client {
    pub(crate) async fn send(&self, packet: Bytes) {
        soon("room in the pipe", self.to_relay.send(Input::Packet(packet)))
            .await
            .expect("connected");
    }

    /// As [`Client::send`], for packets after which the relay may already have closed.
    pub(crate) async fn try_send(&self, packet: Bytes) -> bool {
        soon("room in the pipe", self.to_relay.send(Input::Packet(packet)))
            .await
            .is_ok()
    }

    pub(crate) async fn say(&self, message: ClientMessage) {
        self.send(message.encode()).await;
    }

    pub(crate) async fn end(&self, disconnect: Disconnect) {
        self.to_relay
            .send(Input::End(disconnect))
            .await
            .expect("connected");
    }

    /// Pings from now on, as every real client does.
    pub(crate) fn keep_alive(&self) {
        let to_relay = self.to_relay.downgrade();
        tokio::spawn(async move {
            let mut pings = tokio::time::interval(PING_INTERVAL);
            loop {
                pings.tick().await;
                let ping = ClientMessage::Ping {
                    sent_at_us: 1,
                    rtt_us: 0,
                }
                .encode();
                match to_relay.upgrade() {
                    Some(to_relay) if to_relay.send(Input::Packet(ping)).await.is_ok() => {}
                    _ => return,
                }
            }
        });
    }

    /// Pings once.
    pub(crate) async fn keep_alive_once(&self) {
        self.say(ClientMessage::Ping {
            sent_at_us: 1,
            rtt_us: 0,
        })
        .await;
    }

    pub(crate) async fn enter(&mut self, hello: Hello) -> Welcome {
        self.say(ClientMessage::Hello(Box::new(hello))).await;
        match ServerMessage::decode(&self.next_packet().await) {
            Ok(ServerMessage::Welcome(welcome)) => *welcome,
            other => panic!("not welcome: {other:?}"),
        }
    }

    pub(crate) async fn next_packet(&mut self) -> Bytes {
        soon("a packet", self.from_relay.recv()).await.expect("connected")
    }

    /// The next packet, if one waits.
    pub(crate) fn waiting_packet(&mut self) -> Option<Bytes> {
        self.from_relay.try_recv().ok()
    }

    /// The next frame; messages before it are skipped.
    pub(crate) async fn next_frame(&mut self) -> Bytes {
        loop {
            let packet = self.next_packet().await;
            if is_frame(&packet) {
                return packet;
            }
        }
    }

    /// The next message for which `pick` finds something; frames and others are skipped.
    pub(crate) async fn find<T>(&mut self, mut pick: impl FnMut(ServerMessage) -> Option<T>) -> T {
        loop {
            let packet = self.next_packet().await;
            if is_frame(&packet) {
                continue;
            }
            let message = ServerMessage::decode(&packet).expect("a server message");
            if let Some(found) = pick(message) {
                return found;
            }
        }
    }

    pub(crate) async fn joined(&mut self) -> SessionId {
        self.find(|message| match message {
            ServerMessage::ParticipantsJoined(participants) => participants.first().map(|p| p.session),
            _ => None,
        })
        .await
    }

    /// Waits until this one is among those who come.
    pub(crate) async fn sees(&mut self, session: SessionId) {
        self.find(|message| match message {
            ServerMessage::ParticipantsJoined(participants) => {
                participants.iter().any(|p| p.session == session).then_some(())
            }
            _ => None,
        })
        .await;
    }

    pub(crate) async fn left(&mut self) -> SessionId {
        self.find(|message| match message {
            ServerMessage::ParticipantsLeft(sessions) => sessions.first().copied(),
            _ => None,
        })
        .await
    }

    pub(crate) async fn others_reachable(&mut self) -> bool {
        self.find(|message| match message {
            ServerMessage::Reachability {
                other_relays_reachable,
            } => Some(other_relays_reachable),
            _ => None,
        })
        .await
    }

    /// The code of the last message, which is also the one the connection is closed with.
    pub(crate) async fn closed(mut self) -> CloseCode {
        let said = self
            .find(|message| match message {
                ServerMessage::Closing(closing) => Some(closing.code),
                _ => None,
            })
            .await;
        assert_eq!(self.close_code().await, said);
        said
    }

    pub(crate) async fn close_code(self) -> CloseCode {
        soon("the close", self.close_code)
            .await
            .expect("closed with a code")
    }
}
