//! A server on a free port, and a client that speaks the protocol without any of the product's own
//! client code.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relay_runtime::{Relay, RelaySettings, TokenService};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use videocall_types::limits::{MAX_FRAME_BYTES, PROTOCOL_VERSION};
use videocall_types::{
    Capabilities, ClientMessage, Closing, Frame, FrameHeader, Hello, LayerInfo, MeetingId, ServerMessage,
    SessionId, StreamDecoder, TrackId, TrackInfo, TrackKind, Welcome, length_prefix,
};
use webtransport_server::{WebTransportServer, WebTransportSettings};
use wtransport::error::ConnectionError;
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};

pub(crate) const SECRET: &str = "a secret for tests that is long enough";
pub(crate) const MICROPHONE: TrackId = TrackId(1);
pub(crate) const CAMERA: TrackId = TrackId(2);

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not in time"))
}

pub(crate) struct Server {
    pub(crate) relay: Arc<Relay>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) address: SocketAddr,
    pub(crate) task: JoinHandle<()>,
    _data: tempfile::TempDir,
    _stop: DropGuard,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(RelaySettings {
            drain_timeout_ms: 200,
            ..RelaySettings::default()
        })
        .await
    }

    pub(crate) async fn start_with(settings: RelaySettings) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let shutdown = CancellationToken::new();
        let any_port = "127.0.0.1:0".parse().expect("an address");
        let server = WebTransportServer::bind(any_port, &WebTransportSettings::default(), data.path())
            .await
            .expect("a free port");
        let address = server.local_addr().expect("bound");
        let relay = Relay::start(settings, tokens(), None, shutdown.clone());
        let task = tokio::spawn(server.serve(relay.clone()));
        Self {
            relay,
            address,
            task,
            _data: data,
            _stop: shutdown.clone().drop_guard(),
            shutdown,
        }
    }

    /// A session on this path, before anything is said on it.
    pub(crate) async fn connect_to(
        &self,
        path: &str,
    ) -> Result<Connection, wtransport::error::ConnectingError> {
        let meeting = "any".parse().expect("an id");
        let endpoint = &soon("the endpoint in the directory", async {
            loop {
                if let [endpoint] = &self.relay.directory().endpoints(&meeting)[..] {
                    return endpoint.clone();
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        let hashes = endpoint.certificate_hashes.iter().map(|hash| digest(hash));
        let config = ClientConfig::builder()
            .with_bind_address("127.0.0.1:0".parse().expect("an address"))
            .with_server_certificate_hashes(hashes)
            .build();
        let client = Endpoint::client(config).expect("a socket");
        client.connect(format!("https://{}{path}", self.address)).await
    }

    pub(crate) async fn client(&self) -> Client {
        let connection = soon("connecting", self.connect_to("/wt"))
            .await
            .expect("a session");
        Client::new(connection).await
    }

    /// A client that is in the meeting `demo` and publishes a microphone and a camera.
    pub(crate) async fn member(&self, name: &str) -> (Client, Welcome) {
        let mut client = self.client().await;
        let welcome = client.enter(hello(token(name, 60))).await;
        (client, welcome)
    }
}

fn digest(hexadecimal: &str) -> Sha256Digest {
    let byte = |index: usize| u8::from_str_radix(&hexadecimal[2 * index..2 * index + 2], 16).expect("digits");
    Sha256Digest::new(std::array::from_fn(byte))
}

pub(crate) fn tokens() -> TokenService {
    TokenService::new(&SECRET.parse().expect("long enough"))
}

/// A token for the meeting `demo`, good for so many seconds from now.
pub(crate) fn token(user: &str, seconds: i64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    tokens().sign(&videocall_types::token::Claims {
        sub: user.parse().expect("a name"),
        name: user.to_uppercase(),
        meeting: demo(),
        token_use: videocall_types::token::TokenUse::Join,
        session: None,
        exp: now.as_secs().saturating_add_signed(seconds),
        iat: now.as_secs(),
        jti: String::new(),
    })
}

pub(crate) fn demo() -> MeetingId {
    "demo".parse().expect("an id")
}

pub(crate) fn hello(token: String) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        token,
        capabilities: Capabilities {
            client: "test".into(),
            decodable_codecs: vec!["vp8".into(), "opus".into()],
            subscribe_automatically: true,
        },
        tracks: vec![
            track(MICROPHONE, TrackKind::Microphone),
            track(CAMERA, TrackKind::Camera),
        ],
        resume_token: String::new(),
    }
}

pub(crate) fn track(track: TrackId, kind: TrackKind) -> TrackInfo {
    let layer = LayerInfo {
        temporal_layers: 1,
        width: 320,
        height: 180,
        frames_per_second: 15,
        bitrate_bps: 100_000,
        ..LayerInfo::default()
    };
    TrackInfo {
        track,
        kind,
        muted: false,
        codec: if kind.is_audio() { "opus" } else { "vp8" }.into(),
        layers: if kind.is_audio() { Vec::new() } else { vec![layer] },
    }
}

pub(crate) fn frame(session: SessionId, kind: TrackKind, sequence: u64, bytes: usize) -> Bytes {
    Frame {
        header: FrameHeader {
            sequence,
            capture_time_us: sequence * 20_000,
            keyframe: sequence == 0 || kind.is_audio(),
            reference_distance: u32::from(sequence > 0 && !kind.is_audio()),
            duration_us: 20_000,
            ..FrameHeader::first(session, if kind.is_audio() { MICROPHONE } else { CAMERA }, kind)
        },
        decoder: None,
        redundancy: Vec::new(),
        payload: vec![sequence as u8; bytes].into(),
    }
    .encode()
}

/// A connection with an open control stream.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) control: SendStream,
    messages: PacketStream,
}

impl Client {
    pub(crate) async fn new(connection: Connection) -> Self {
        let opening = soon("a control stream", connection.open_bi())
            .await
            .expect("open");
        let (control, receive) = opening.await.expect("open");
        Self {
            connection,
            control,
            messages: PacketStream::new(receive),
        }
    }

    pub(crate) async fn enter(&mut self, hello: Hello) -> Welcome {
        self.say(ClientMessage::Hello(Box::new(hello))).await;
        match self.next_message().await {
            ServerMessage::Welcome(welcome) => *welcome,
            other => panic!("not welcome: {other:?}"),
        }
    }

    pub(crate) async fn say(&mut self, message: ClientMessage) {
        self.send_control(&message.encode()).await;
    }

    pub(crate) async fn send_control(&mut self, packet: &[u8]) {
        send(&mut self.control, packet).await;
    }

    pub(crate) async fn open_media(&self) -> SendStream {
        let opening = self.connection.open_uni().await.expect("a stream");
        opening.await.expect("a stream")
    }

    pub(crate) async fn accept_media(&self) -> PacketStream {
        let stream = soon("a stream of frames", self.connection.accept_uni()).await;
        PacketStream::new(stream.expect("a stream"))
    }

    pub(crate) async fn next_datagram(&self) -> Bytes {
        let datagram = soon("a datagram", self.connection.receive_datagram()).await;
        datagram.expect("a datagram").payload()
    }

    pub(crate) async fn next_message(&mut self) -> ServerMessage {
        let packet = soon("a message", self.messages.next()).await.expect("a message");
        ServerMessage::decode(&packet).expect("a server message")
    }

    /// The next message for which `pick` finds something.
    pub(crate) async fn find<T>(&mut self, mut pick: impl FnMut(ServerMessage) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.next_message().await) {
                return found;
            }
        }
    }

    /// What the server says last, and the number it closes the session with.
    pub(crate) async fn closing(&mut self) -> (Closing, u64) {
        let closing = self
            .find(|message| match message {
                ServerMessage::Closing(closing) => Some(closing),
                _ => None,
            })
            .await;
        (closing, self.close_code().await)
    }

    pub(crate) async fn close_code(&self) -> u64 {
        match soon("the end", self.connection.closed()).await {
            ConnectionError::ApplicationClosed(close) => close.code().into_inner(),
            other => panic!("ended otherwise: {other}"),
        }
    }
}

pub(crate) async fn send(stream: &mut SendStream, packet: &[u8]) {
    let (prefix, used) = length_prefix(packet.len() as u32);
    stream.write_all(&prefix[..used]).await.expect("written");
    stream.write_all(packet).await.expect("written");
}

pub(crate) struct PacketStream {
    stream: RecvStream,
    decoder: StreamDecoder,
}

impl PacketStream {
    fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            decoder: StreamDecoder::new(MAX_FRAME_BYTES),
        }
    }

    /// The next packet; `None` at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(packet) = self.decoder.next_packet().expect("well-formed") {
                return Some(packet);
            }
            let mut chunk = vec![0; 64 * 1024];
            let read = self.stream.read(&mut chunk).await.ok()??;
            self.decoder.push(&chunk[..read]);
        }
    }
}
