//! Carriers for the browser: WebTransport (W3C WebTransport) and WebSocket, the ticket by fetch, and the
//! browser's clock. They work in pages and in workers. They move packets; what is sent when is decided in the
//! core.

mod inbox;
mod lane;
mod ticket;
mod websocket;
mod webtransport;

use std::time::Duration;

use videocall_types::Timestamp;
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use wasm_bindgen::JsCast;
use web_sys::Performance;

use super::either::Either;
use crate::config::{ClientConfig, TransportPreference};
use crate::core::TicketError;
use crate::defects;
use crate::driver::{Clock, Connector};
use crate::media::web::js;

/// Reaches servers from a browser.
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
    type Connection = Either<webtransport::WebTransportConnection, websocket::WebSocketConnection>;

    async fn fetch_ticket(&self) -> Result<JoinResponse, TicketError> {
        ticket::fetch(&self.config).await
    }

    async fn connect(&self, endpoint: RelayEndpoint) -> Result<Self::Connection, String> {
        Ok(match endpoint.transport {
            TransportKind::WebTransport => {
                // Who asks for WebTransport and nothing else gets it as it is.
                if self.config.transport == TransportPreference::Auto
                    && let Some(defect) = defects::web_transport_here()
                {
                    return Err(defect.effect.to_owned());
                }
                Either::First(webtransport::connect(&endpoint).await?)
            }
            TransportKind::WebSocket => Either::Second(websocket::connect(&endpoint.url).await?),
        })
    }
}

/// The browser's clock, from the Unix epoch on. It does not jump when the system's clock is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebClock;

thread_local! {
    /// Of the page or worker that this runs in.
    static PERFORMANCE: Option<Performance> = js::get(&js_sys::global(), "performance").dyn_into().ok();
}

impl WebClock {
    /// The browser's clock.
    pub const fn new() -> Self {
        Self
    }

    /// Microseconds since the Unix epoch.
    pub fn now() -> Timestamp {
        let millis = PERFORMANCE.with(|performance| match performance {
            Some(performance) => performance.time_origin() + performance.now(),
            None => js_sys::Date::now(),
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

/// Waits on the browser's timer, which takes at most 2^31 - 1 milliseconds.
pub(crate) async fn sleep(duration: Duration) {
    let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    gloo::timers::future::TimeoutFuture::new(millis.min(i32::MAX as u32)).await;
}
