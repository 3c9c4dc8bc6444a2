//! Transports for native programs, on tokio.

mod lane;
mod ticket;
mod tls;
mod websocket;
mod webtransport;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::{CloseCode, Timestamp};

use crate::config::ClientConfig;
use crate::core::{Lane, OutgoingPacket, TicketError};
use crate::driver::{Clock, Connection, ConnectionEvent, Connector};
use websocket::WebSocketConnection;
use webtransport::WebTransportConnection;

/// Reaches servers from a native program.
#[derive(Clone, Debug)]
pub struct NativeConnector {
    config: ClientConfig,
}

impl NativeConnector {
    /// For a client with this configuration.
    pub fn new(config: ClientConfig) -> Self {
        Self { config }
    }
}

impl Connector for NativeConnector {
    type Connection = NativeConnection;

    async fn fetch_ticket(&self) -> Result<JoinResponse, TicketError> {
        let (url, body) = self.config.ticket_request();
        ticket::fetch(&url, &body).await
    }

    async fn connect(&self, endpoint: RelayEndpoint) -> Result<NativeConnection, String> {
        match endpoint.transport {
            TransportKind::WebTransport => webtransport::connect(&endpoint)
                .await
                .map(NativeConnection::WebTransport),
            TransportKind::WebSocket => websocket::connect(&endpoint.url)
                .await
                .map(NativeConnection::WebSocket),
        }
    }
}

/// An open connection to a relay.
#[expect(
    private_interfaces,
    reason = "the carriers are reached through the trait alone"
)]
pub enum NativeConnection {
    /// Over QUIC.
    WebTransport(WebTransportConnection),
    /// Over TCP.
    WebSocket(WebSocketConnection),
}

impl Connection for NativeConnection {
    fn is_ready(&self, lane: Lane) -> bool {
        match self {
            Self::WebTransport(connection) => connection.is_ready(lane),
            Self::WebSocket(connection) => connection.is_ready(lane),
        }
    }

    fn send(&mut self, packet: OutgoingPacket) {
        match self {
            Self::WebTransport(connection) => connection.send(packet),
            Self::WebSocket(connection) => connection.send(packet),
        }
    }

    async fn next(&mut self) -> ConnectionEvent {
        match self {
            Self::WebTransport(connection) => connection.next().await,
            Self::WebSocket(connection) => connection.next().await,
        }
    }

    async fn close(self, code: CloseCode) {
        match self {
            Self::WebTransport(connection) => connection.close(code).await,
            Self::WebSocket(connection) => connection.close(code).await,
        }
    }
}

/// The process's clock, from the Unix epoch on. It does not jump when the system's clock is set.
#[derive(Clone, Copy, Debug)]
pub struct NativeClock {
    started: Instant,
    started_at: Timestamp,
}

impl Default for NativeClock {
    fn default() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            started_at: Timestamp::ZERO + since_epoch,
        }
    }
}

impl Clock for NativeClock {
    fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        let deadline = self.started + deadline.since(self.started_at);
        tokio::time::sleep_until(deadline.into()).await;
    }
}
