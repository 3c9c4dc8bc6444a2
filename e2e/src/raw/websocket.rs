//! Raw access to the WebSocket carrier.

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use videocall_types::CloseCode;
use videocall_types::api::RelayEndpoint;
use videocall_types::fragment::Reassembler;

use super::Event;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Above what relays take, so that too much can be sent.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Sender {
    sink: SplitSink<Socket, Message>,
}

pub(super) async fn connect(endpoint: &RelayEndpoint, events: mpsc::Sender<Event>) -> anyhow::Result<Sender> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let (socket, _) = tokio_tungstenite::connect_async_with_config(&endpoint.url, Some(config), true).await?;
    let (sink, stream) = socket.split();
    tokio::spawn(read(stream, events));
    Ok(Sender { sink })
}

impl Sender {
    pub(super) async fn send(&mut self, packet: Bytes) -> anyhow::Result<()> {
        Ok(self.sink.send(Message::Binary(packet)).await?)
    }

    /// The first fragment of a message (RFC 6455 §5.4).
    pub(super) async fn send_unfinished(&mut self, bytes: &'static [u8]) -> anyhow::Result<()> {
        let fragment = Frame::message(bytes, OpCode::Data(Data::Binary), false);
        Ok(self.sink.send(Message::Frame(fragment)).await?)
    }
}

async fn read(mut stream: SplitStream<Socket>, events: mpsc::Sender<Event>) {
    let mut code = None;
    let mut fragments = Reassembler::default();
    loop {
        let next = tokio::select! {
            next = stream.next() => next,
            // Nothing may ever come that would tell; pings would be answered as long as anybody reads.
            () = events.closed() => return,
        };
        let Some(Ok(message)) = next else {
            break;
        };
        let packet = match message {
            Message::Binary(packet) => match fragments.join(packet) {
                Some(packet) => packet,
                None => continue,
            },
            // The relay ends the TCP connection in its own time.
            Message::Close(frame) => {
                code = frame.and_then(|frame| CloseCode::from_websocket(frame.code.into()));
                break;
            }
            _ => continue,
        };
        if events.send(Event::Packet(packet)).await.is_err() {
            return;
        }
    }
    // Nobody is interested any more.
    let _unheard = events.send(Event::Closed(code)).await;
}
