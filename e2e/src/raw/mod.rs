//! A client that sends whatever it is told to, right or wrong, over either carrier.

mod crowd;
mod websocket;
mod webtransport;

pub use crowd::Crowd;

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::limits::PROTOCOL_VERSION;
use videocall_types::{
    Capabilities, ClientMessage, CloseCode, Closing, Hello, ServerMessage, TrackId, TrackInfo, TrackKind,
    Welcome, is_frame,
};

/// Nothing that a test waits for takes longer: the longest of the protocol's own times is 5 s.
const TIMEOUT: Duration = Duration::from_secs(12);

/// Packets that wait to be looked at. A reader that does not come stops reading from the network,
/// as a slow receiver does.
const QUEUE: usize = 4096;

/// The length of a frame of a megabyte (RFC 9000 §16) and the first bytes of the frame.
const HALF_A_FRAME: &[u8] = &[0x80, 0x10, 0x00, 0x00, 0x0a, 0x08];

/// One connection to a relay.
#[derive(Debug)]
pub struct RawClient {
    wire: Wire,
    events: mpsc::Receiver<Event>,
    /// The last message, once it has come.
    last: Option<Closing>,
    /// How the connection ended, once it has.
    end: Option<RawEnd>,
}

#[derive(Debug)]
enum Wire {
    WebSocket(websocket::Sender),
    WebTransport(webtransport::Sender),
}

#[derive(Debug)]
enum Event {
    Packet(Bytes),
    Closed(Option<CloseCode>),
}

/// How a relay ended a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEnd {
    /// The last message, if it arrived.
    pub closing: Option<Closing>,
    /// The carrier's own close code, if it is one of the protocol's.
    pub code: Option<CloseCode>,
}

impl RawClient {
    /// Opens a connection and says nothing.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn connect(endpoint: &RelayEndpoint) -> anyhow::Result<Self> {
        Self::connect_with_queue(endpoint, QUEUE).await
    }

    /// Opens a connection, joins, and takes nothing of what comes then: nothing is read from the network
    /// any more.
    ///
    /// # Errors
    /// When the relay refuses.
    pub async fn join_and_sleep(endpoint: &RelayEndpoint, ticket: &JoinResponse) -> anyhow::Result<Self> {
        let mut client = Self::connect_with_queue(endpoint, 1).await?;
        client.enter(ticket).await?;
        Ok(client)
    }

    async fn connect_with_queue(endpoint: &RelayEndpoint, queue: usize) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::channel(queue);
        let wire = match endpoint.transport {
            TransportKind::WebSocket => Wire::WebSocket(websocket::connect(endpoint, sender).await?),
            TransportKind::WebTransport => Wire::WebTransport(webtransport::connect(endpoint, sender).await?),
        };
        Ok(Self {
            wire,
            events,
            last: None,
            end: None,
        })
    }

    /// Opens a connection and joins.
    ///
    /// # Errors
    /// When the relay refuses.
    pub async fn join(endpoint: &RelayEndpoint, ticket: &JoinResponse) -> anyhow::Result<(Self, Welcome)> {
        let mut client = Self::connect(endpoint).await?;
        let welcome = client.enter(ticket).await?;
        Ok((client, welcome))
    }

    /// Says Hello and waits until it is in.
    ///
    /// # Errors
    /// When the relay refuses.
    pub async fn enter(&mut self, ticket: &JoinResponse) -> anyhow::Result<Welcome> {
        self.send(ClientMessage::Hello(Box::new(hello(ticket)))).await?;
        match self.message().await? {
            ServerMessage::Welcome(welcome) => Ok(*welcome),
            other => bail!("{other:?} instead of Welcome"),
        }
    }

    /// Sends a control message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, message: ClientMessage) -> anyhow::Result<()> {
        self.send_control(message.encode()).await
    }

    /// Sends these bytes as a control packet.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_control(&mut self, packet: Bytes) -> anyhow::Result<()> {
        match &mut self.wire {
            Wire::WebSocket(socket) => socket.send(packet).await,
            Wire::WebTransport(session) => session.send_control(&packet).await,
        }
    }

    /// Sends these bytes as a frame of video.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_video(&mut self, packet: Bytes) -> anyhow::Result<()> {
        match &mut self.wire {
            Wire::WebSocket(socket) => socket.send(packet).await,
            Wire::WebTransport(session) => session.send_on_stream(&packet).await,
        }
    }

    /// Sends these bytes as a frame of audio.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_audio(&mut self, packet: Bytes) -> anyhow::Result<()> {
        match &mut self.wire {
            Wire::WebSocket(socket) => socket.send(packet).await,
            Wire::WebTransport(session) => session.send_datagram(packet),
        }
    }

    /// Sends bytes that are no packet, below whatever cuts the carrier into packets.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_garbage(&mut self) -> anyhow::Result<()> {
        let garbage = Bytes::from_static(&[0xff; 64]);
        match &mut self.wire {
            Wire::WebSocket(socket) => socket.send(garbage).await,
            Wire::WebTransport(session) => session.write_control(&garbage).await,
        }
    }

    /// Begins a packet and never ends it.
    ///
    /// # Errors
    /// When the connection is gone, or the carrier knows whole packets only.
    pub async fn write_half_a_packet(&mut self) -> anyhow::Result<()> {
        match &mut self.wire {
            Wire::WebSocket(_) => bail!("WebSocket messages are whole"),
            Wire::WebTransport(session) => session.write_control(&[0x80]).await,
        }
    }

    /// Begins a frame on a channel of its own, and never ends it; the channel stays open.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn write_half_a_frame(&mut self) -> anyhow::Result<()> {
        match &mut self.wire {
            Wire::WebSocket(socket) => socket.send_unfinished(HALF_A_FRAME).await,
            Wire::WebTransport(session) => session.write_on_new_stream(HALF_A_FRAME).await,
        }
    }

    /// Whether the relay has ended the connection; packets that came meanwhile are passed over, except
    /// for the last message.
    pub fn is_closing(&mut self) -> bool {
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Closed(code) => {
                    self.end = Some(RawEnd {
                        closing: self.last.take(),
                        code,
                    })
                }
                Event::Packet(packet) => self.remember(&packet),
            }
        }
        self.end.is_some()
    }

    fn remember(&mut self, packet: &Bytes) {
        if let Ok(ServerMessage::Closing(closing)) = ServerMessage::decode(packet) {
            self.last = Some(closing);
        }
    }

    /// Publishes a camera and waits until it is accepted.
    ///
    /// # Errors
    /// When it is not.
    pub async fn publish_camera(&mut self, track: TrackId) -> anyhow::Result<()> {
        self.send(ClientMessage::PublishTrack(camera(track))).await?;
        while self.message().await? != ServerMessage::TrackAccepted(track) {}
        Ok(())
    }

    /// The next control message; frames are passed over.
    ///
    /// # Errors
    /// When the connection ends before, or nothing comes.
    pub async fn message(&mut self) -> anyhow::Result<ServerMessage> {
        loop {
            match self.event().await? {
                Event::Packet(packet) if is_frame(&packet) => {}
                Event::Packet(packet) => return Ok(ServerMessage::decode(&packet)?),
                Event::Closed(code) => bail!("the connection was closed with {code:?}"),
            }
        }
    }

    /// The next frame's packet; control messages are passed over.
    ///
    /// # Errors
    /// When the connection ends before, or nothing comes.
    pub async fn frame(&mut self) -> anyhow::Result<Bytes> {
        loop {
            match self.event().await? {
                Event::Packet(packet) if is_frame(&packet) => return Ok(packet),
                Event::Packet(_) => {}
                Event::Closed(code) => bail!("the connection was closed with {code:?}"),
            }
        }
    }

    /// Waits until the relay has closed the connection.
    ///
    /// # Errors
    /// When it does not.
    pub async fn end(&mut self) -> anyhow::Result<RawEnd> {
        loop {
            if let Some(end) = &self.end {
                return Ok(end.clone());
            }
            match self.event().await? {
                Event::Packet(packet) => self.remember(&packet),
                Event::Closed(code) => {
                    self.end = Some(RawEnd {
                        closing: self.last.take(),
                        code,
                    })
                }
            }
        }
    }

    async fn event(&mut self) -> anyhow::Result<Event> {
        let event = timeout(TIMEOUT, self.events.recv())
            .await
            .context("nothing came")?;
        event.context("the connection is over")
    }
}

/// A Hello as it should be.
pub fn hello(ticket: &JoinResponse) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        token: ticket.token.clone(),
        capabilities: Capabilities {
            client: "e2e".to_owned(),
            decodable_codecs: Vec::new(),
            subscribe_automatically: true,
        },
        tracks: Vec::new(),
        resume_token: String::new(),
    }
}

/// A camera of one layer.
pub fn camera(track: TrackId) -> TrackInfo {
    TrackInfo {
        track,
        kind: TrackKind::Camera,
        muted: false,
        codec: "vp8".to_owned(),
        layers: Vec::new(),
    }
}
