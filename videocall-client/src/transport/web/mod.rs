//! Carriers for the browser: WebTransport (W3C WebTransport) and WebSocket, the ticket by fetch, and the
//! page's clock. They move packets; what is sent when is decided in the core.

mod inbox;
mod lane;
mod ticket;
mod websocket;
mod webtransport;

use std::time::Duration;

use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::{CloseCode, Timestamp};

use crate::config::ClientConfig;
use crate::core::{Lane, OutgoingPacket, TicketError};
use crate::driver::{Clock, Connection, ConnectionEvent, Connector};

/// Reaches servers from a page.
#[derive(Clone, Debug)]
pub struct WebConnector {
    config: ClientConfig,
}

impl WebConnector {
    /// For a client with this configuration.
    pub fn new(config: ClientConfig) -> Self {
        Self { config }
    }
}

impl Connector for WebConnector {
    type Connection = WebConnection;

    async fn fetch_ticket(&self) -> Result<JoinResponse, TicketError> {
        let (url, body) = self.config.ticket_request();
        ticket::fetch(&url, &body).await
    }

    async fn connect(&self, endpoint: RelayEndpoint) -> Result<WebConnection, String> {
        match endpoint.transport {
            TransportKind::WebTransport => webtransport::connect(&endpoint)
                .await
                .map(WebConnection::WebTransport),
            TransportKind::WebSocket => websocket::connect(&endpoint.url)
                .await
                .map(WebConnection::WebSocket),
        }
    }
}

/// An open connection to a relay.
#[derive(Debug)]
#[expect(
    private_interfaces,
    reason = "the carriers are reached through the trait alone"
)]
pub enum WebConnection {
    /// Over QUIC.
    WebTransport(webtransport::WebTransportConnection),
    /// Over TCP.
    WebSocket(websocket::WebSocketConnection),
}

impl Connection for WebConnection {
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
            Self::WebSocket(connection) => connection.close(code),
        }
    }
}

/// The page's clock, from the Unix epoch on. It does not jump when the system's clock is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebClock;

impl WebClock {
    /// The page's clock.
    pub const fn new() -> Self {
        Self
    }

    /// Microseconds since the Unix epoch.
    pub fn now() -> Timestamp {
        let millis = web_sys::window()
            .and_then(|window| window.performance())
            .map_or_else(js_sys::Date::now, |performance| {
                performance.time_origin() + performance.now()
            });
        // 2^53 microseconds are the year 2255.
        Timestamp::from_micros((millis * 1000.0) as u64)
    }
}

impl Clock for WebClock {
    fn now(&self) -> Timestamp {
        Self::now()
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        let wait = deadline.since(Self::now());
        // Rounded up: timers fire on whole milliseconds, and too early means waking twice.
        sleep(wait + Duration::from_micros(999)).await;
    }
}

/// Waits on the page's timer, which takes at most 2^31 - 1 milliseconds.
pub(crate) async fn sleep(duration: Duration) {
    let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    gloo::timers::future::TimeoutFuture::new(millis.min(i32::MAX as u32)).await;
}
