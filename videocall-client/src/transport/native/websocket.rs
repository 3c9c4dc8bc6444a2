//! WebSocket (RFC 6455): one packet, or a fragment of one, per binary message.

use std::io;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use videocall_types::CloseCode;
use videocall_types::fragment::Reassembler;
use videocall_types::limits::{MAX_FRAME_BYTES, MAX_SERVER_CONTROL_BYTES};

use super::lane::{INBOX_CAPACITY, LaneReceiver, LaneSender, lane};
use super::tls;
use crate::core::{Lane, OutgoingPacket};
use crate::driver::{Connection, ConnectionEvent};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Bytes that wait for the socket before video has to wait in the core, where it can be dropped.
const VIDEO_LIMIT: usize = 32 * 1024;

/// The same for what is more urgent: it queues behind what was taken already, so it may go on a while.
const URGENT_LIMIT: usize = 128 * 1024;

/// What the kernel holds of unsent data: enough for 10 Mbit/s over a round trip of 100 ms. What is in
/// there cannot be dropped or overtaken any more, so more of it is more delay.
const SOCKET_BUFFER_BYTES: u32 = 128 * 1024;

/// Over TCP.
#[derive(Debug)]
pub struct WebSocketConnection {
    lane: LaneSender,
    inbox: mpsc::Receiver<ConnectionEvent>,
    /// Tells the writer to end with a Close message.
    goodbye: oneshot::Sender<CloseCode>,
    tasks: JoinSet<()>,
}

/// Opens a connection.
pub(super) async fn connect(url: &str) -> Result<WebSocketConnection, String> {
    let socket = open(url).await.map_err(|error| error.to_string())?;
    let (sink, stream) = socket.split();
    let (inbox_sender, inbox) = mpsc::channel(INBOX_CAPACITY);
    let (lane, packets) = lane(inbox_sender.clone());
    let (goodbye, said) = oneshot::channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(write(sink, packets, said));
    tasks.spawn(read(stream, inbox_sender));
    Ok(WebSocketConnection {
        lane,
        inbox,
        goodbye,
        tasks,
    })
}

async fn open(url: &str) -> Result<Socket, Error> {
    let request = url.into_client_request()?;
    let uri = request.uri();
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let default_port = if uri.scheme_str() == Some("wss") { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(default_port);
    let stream = open_tcp(host, port).await?;
    let largest = MAX_FRAME_BYTES.max(MAX_SERVER_CONTROL_BYTES);
    let config = WebSocketConfig::default()
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest));
    let connector = Connector::Rustls(tls::config().into());
    let (socket, _) = client_async_tls_with_config(request, stream, Some(config), Some(connector)).await?;
    Ok(socket)
}

/// The first address of the host that answers.
async fn open_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        };
        let connected = match socket {
            Ok(socket) => {
                socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
                socket.set_nodelay(true)?;
                socket.connect(address).await
            }
            Err(error) => Err(error),
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Writes until the driver says goodbye, or drops the connection without a word.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut packets: LaneReceiver,
    mut goodbye: oneshot::Receiver<CloseCode>,
) {
    loop {
        let packet = tokio::select! {
            biased;
            packet = packets.next() => packet,
            code = &mut goodbye => {
                if let Ok(code) = code {
                    // The packets taken before it are all written: the lane comes first.
                    let _ = sink.send(Message::Close(Some(close_frame(code)))).await;
                }
                return;
            }
        };
        let Some(OutgoingPacket { packet, .. }) = packet else {
            return;
        };
        let bytes = packet.len();
        // Several that wait leave in one write.
        let fed = sink.feed(Message::Binary(packet)).await;
        let written = match fed {
            Ok(()) if packets.is_empty() => sink.flush().await,
            fed => fed,
        };
        packets.written(bytes);
        if written.is_err() {
            // The reader learns of it too, and says why.
            return;
        }
    }
}

fn close_frame(code: CloseCode) -> CloseFrame {
    let wire = match code {
        CloseCode::Left => WireCode::Normal,
        other => WireCode::from(other.websocket()),
    };
    CloseFrame {
        code: wire,
        reason: "".into(),
    }
}

/// Reads until the relay closes. Also when nobody listens any more: data that is never read would
/// make the kernel reset the connection and lose our Close.
async fn read(mut stream: SplitStream<Socket>, inbox: mpsc::Sender<ConnectionEvent>) {
    let mut code = None;
    let mut reason = "the server closed the connection".to_owned();
    let mut fragments = Reassembler::default();
    while let Some(message) = stream.next().await {
        match message {
            Ok(Message::Binary(packet)) => {
                if let Some(packet) = fragments.join(packet) {
                    let _ = inbox.send(ConnectionEvent::Packet(packet)).await;
                }
            }
            Ok(Message::Close(Some(frame))) => {
                code = CloseCode::from_websocket(frame.code.into());
            }
            Ok(_) => {}
            Err(error) => {
                reason = error.to_string();
                break;
            }
        }
    }
    let _ = inbox.send(ConnectionEvent::Closed { code, reason }).await;
}

impl Connection for WebSocketConnection {
    fn is_ready(&self, lane: Lane) -> bool {
        self.lane.is_ready(match lane {
            Lane::Control | Lane::Audio => URGENT_LIMIT,
            Lane::Video(..) => VIDEO_LIMIT,
        })
    }

    fn send(&mut self, packet: OutgoingPacket) {
        self.lane.send(packet);
    }

    async fn next(&mut self) -> ConnectionEvent {
        let gone = || ConnectionEvent::Closed {
            code: None,
            reason: "the connection has ended".to_owned(),
        };
        self.inbox.recv().await.unwrap_or_else(gone)
    }

    async fn close(mut self, code: CloseCode) {
        self.inbox.close();
        let _ = self.goodbye.send(code);
        while self.tasks.join_next().await.is_some() {}
    }
}
