//! A participant over WebSocket, down to the frames of RFC 6455.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use reqwest::Client;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};
use videocall_types::limits::PROTOCOL_VERSION;
use videocall_types::{
    Capabilities, ClientMessage, CloseCode, Frame, FrameHeader, Hello, LayerInfo, ServerMessage, SessionId,
    TrackId, TrackInfo, TrackKind, Welcome, is_frame,
};

use super::TestServer;
use crate::rest::join;

/// Longer than anything in these tests takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const CAMERA: TrackId = TrackId(2);

/// Somebody in a meeting.
pub(crate) struct Guest {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) welcome: Welcome,
    sequence: u64,
}

/// What arrived.
#[derive(Debug)]
pub(crate) enum Arrival {
    Control(ServerMessage),
    Frame(Bytes),
    /// The close code of the WebSocket.
    Closed(u16),
}

/// A WebSocket to the server's relay, on which nothing was said.
pub(crate) async fn connect(server: &TestServer) -> WebSocketStream<TcpStream> {
    connect_to(server.address).await
}

async fn connect_to(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("ws://{address}/ws")
        .into_client_request()
        .expect("a valid address");
    client_async(request, stream).await.expect("upgraded").0
}

/// The greeting of somebody with a camera.
pub(crate) fn hello(token: String, resume_token: String) -> Bytes {
    let layer = LayerInfo {
        temporal_layers: 1,
        width: 640,
        height: 360,
        ..LayerInfo::default()
    };
    let camera = TrackInfo {
        track: CAMERA,
        kind: TrackKind::Camera,
        muted: false,
        codec: "vp8".into(),
        layers: vec![layer],
    };
    ClientMessage::Hello(Box::new(Hello {
        protocol_version: PROTOCOL_VERSION,
        token,
        capabilities: Capabilities {
            client: "test".into(),
            decodable_codecs: vec!["vp8".into()],
            subscribe_automatically: true,
        },
        tracks: vec![camera],
        resume_token,
    }))
    .encode()
}

impl Guest {
    pub(crate) async fn join(server: &TestServer, name: &str) -> Self {
        Self::enter(server, name, String::new()).await
    }

    pub(crate) async fn enter(server: &TestServer, name: &str, resume_token: String) -> Self {
        Self::enter_at(server, server.address, name, resume_token).await
    }

    /// As somebody to whom the server is at this address.
    pub(crate) async fn enter_at(
        server: &TestServer,
        address: SocketAddr,
        name: &str,
        resume_token: String,
    ) -> Self {
        let ticket = join(&Client::new(), server, "demo", &json!({"user_id": name})).await;
        let mut socket = connect_to(address).await;
        let hello = hello(ticket.token, resume_token);
        socket.send(Message::Binary(hello)).await.expect("sent");
        match arrival(&mut socket).await {
            Arrival::Control(ServerMessage::Welcome(welcome)) => Self {
                socket,
                welcome: *welcome,
                sequence: 0,
            },
            other => panic!("{name} got {other:?} and no Welcome"),
        }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.welcome.session
    }

    /// The next camera frame of this guest; every one is a keyframe.
    pub(crate) fn frame(&mut self, size: usize) -> Bytes {
        let sequence = self.sequence;
        self.sequence += 1;
        frame(self.session(), sequence, size)
    }

    pub(crate) async fn send(&mut self, packet: Bytes) {
        self.socket.send(Message::Binary(packet)).await.expect("sent");
    }

    /// Skips what arrives until it is one of these.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(Arrival) -> Option<T>) -> T {
        let found = timeout(PATIENCE, async {
            loop {
                if let Some(found) = wanted(arrival(&mut self.socket).await) {
                    return found;
                }
            }
        });
        found.await.expect("it arrives in time")
    }

    /// Skips what arrives until a media frame.
    pub(crate) async fn next_frame(&mut self) -> Bytes {
        self.until(|arrival| match arrival {
            Arrival::Frame(packet) => Some(packet),
            Arrival::Closed(code) => panic!("closed with {code}"),
            Arrival::Control(_) => None,
        })
        .await
    }

    /// Skips what arrives until the connection ends: the code of the last message and of the WebSocket.
    pub(crate) async fn closing(&mut self) -> (Option<CloseCode>, u16) {
        closing(&mut self.socket).await
    }
}

pub(crate) fn frame(session: SessionId, sequence: u64, size: usize) -> Bytes {
    Frame {
        header: FrameHeader {
            sequence,
            capture_time_us: sequence * 33_000,
            duration_us: 33_000,
            ..FrameHeader::first(session, CAMERA, TrackKind::Camera)
        },
        decoder: None,
        redundancy: Vec::new(),
        payload: vec![sequence as u8; size].into(),
    }
    .encode()
}

/// The next thing that the relay says.
pub(crate) async fn arrival(socket: &mut WebSocketStream<TcpStream>) -> Arrival {
    loop {
        let message = timeout(PATIENCE, socket.next())
            .await
            .expect("something arrives in time");
        match message {
            Some(Ok(Message::Binary(packet))) if is_frame(&packet) => return Arrival::Frame(packet),
            Some(Ok(Message::Binary(packet))) => {
                return Arrival::Control(ServerMessage::decode(&packet).expect("a message of the protocol"));
            }
            Some(Ok(Message::Close(Some(close)))) => return Arrival::Closed(close.code.into()),
            Some(Ok(Message::Close(None))) => return Arrival::Closed(1005),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Arrival::Closed(1006),
        }
    }
}

pub(crate) async fn closing(socket: &mut WebSocketStream<TcpStream>) -> (Option<CloseCode>, u16) {
    let mut said = None;
    loop {
        match arrival(socket).await {
            Arrival::Control(ServerMessage::Closing(closing)) => said = Some(closing.code),
            Arrival::Closed(code) => return (said, code),
            _ => {}
        }
    }
}
