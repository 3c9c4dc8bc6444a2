//! Transports for native programs, on tokio.

mod lane;
mod ticket;
mod tls;
mod websocket;
mod webtransport;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use videocall_types::Timestamp;
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};

use super::either::Either;
use crate::config::ClientConfig;
use crate::core::TicketError;
use crate::driver::{Clock, Connector};

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
    type Connection = Either<webtransport::WebTransportConnection, websocket::WebSocketConnection>;

    async fn fetch_ticket(&self) -> Result<JoinResponse, TicketError> {
        ticket::fetch(&self.config).await
    }

    async fn connect(&self, endpoint: RelayEndpoint) -> Result<Self::Connection, String> {
        Ok(match endpoint.transport {
            TransportKind::WebTransport => Either::First(webtransport::connect(&endpoint).await?),
            TransportKind::WebSocket => Either::Second(websocket::connect(&endpoint.url).await?),
        })
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
