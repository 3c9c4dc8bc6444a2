//! Raw connections: packets in and out, nothing kept.

mod handshake;
mod websocket;
mod webtransport;

use std::sync::Arc;

use bytes::Bytes;
use rustls::ClientConfig;
use tokio::sync::watch;
use videocall_types::api::{RelayEndpoint, TransportKind};

use crate::session::Inbox;
pub(crate) use webtransport::Sockets;

/// What sessions share to connect.
pub(crate) struct Network {
    pub(crate) trust: Arc<ClientConfig>,
    pub(crate) sockets: Sockets,
}

impl Network {
    /// Opens a connection, up to where the first packet can be written.
    pub(crate) async fn connect(&self, relay: &RelayEndpoint) -> anyhow::Result<(Intake, Outlet)> {
        match relay.transport {
            TransportKind::WebSocket => {
                let (reader, writer) = websocket::connect(&relay.url, &self.trust).await?;
                Ok((Intake::WebSocket(reader), Outlet::WebSocket(writer)))
            }
            TransportKind::WebTransport => {
                let (reader, writer) = self.sockets.connect(relay, &self.trust).await?;
                Ok((Intake::WebTransport(reader), Outlet::WebTransport(writer)))
            }
        }
    }
}

/// What comes in.
pub(crate) enum Intake {
    WebSocket(websocket::Reader),
    WebTransport(webtransport::Reader),
}

impl Intake {
    /// Hands packets to the inbox until the connection ends, which is an error, and to `pongs` what
    /// has to be answered.
    pub(crate) async fn run(self, inbox: Inbox, pongs: watch::Sender<Bytes>) -> anyhow::Result<()> {
        match self {
            Self::WebSocket(reader) => reader.run(inbox, pongs).await,
            Self::WebTransport(reader) => reader.run(inbox).await,
        }
    }
}

/// What goes out.
pub(crate) enum Outlet {
    WebSocket(websocket::Writer),
    WebTransport(webtransport::Writer),
}

impl Outlet {
    pub(crate) async fn control(&mut self, packet: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::WebSocket(writer) => writer.packet(packet).await,
            Self::WebTransport(writer) => writer.control(packet).await,
        }
    }

    pub(crate) async fn voice(&mut self, packet: Bytes) -> anyhow::Result<()> {
        match self {
            Self::WebSocket(writer) => writer.packet(&packet).await,
            Self::WebTransport(writer) => writer.datagram(packet),
        }
    }

    pub(crate) async fn picture(&mut self, spatial: u8, packet: Bytes) -> anyhow::Result<()> {
        match self {
            Self::WebSocket(writer) => writer.packet(&packet).await,
            Self::WebTransport(writer) => writer.on_stream(spatial, packet).await,
        }
    }

    /// Answers what [`Intake::run`] has asked for.
    pub(crate) async fn pong(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::WebSocket(writer) => writer.pong(payload).await,
            Self::WebTransport(_) => Ok(()),
        }
    }

    /// Ends the connection once everything is written.
    pub(crate) async fn close(self) {
        match self {
            Self::WebSocket(writer) => writer.close().await,
            Self::WebTransport(writer) => writer.close(),
        }
    }
}
