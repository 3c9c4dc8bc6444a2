//! Accepted TCP connections, before a byte of them is read: how many there may be, and what the operating
//! system is told about them.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use relay_runtime::{Connections, Relay};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use videocall_types::limits::LIVENESS;

use crate::config::{HttpSettings, TcpCongestionControl};

/// Bytes the kernel holds that the path has not taken yet, beyond those in flight. Whatever waits there
/// can no longer be reordered or dropped by importance: at 1 Mbit/s this is a quarter of a second.
const MAX_UNSENT_BYTES: u32 = 32 * 1024;

/// A peer that acknowledges nothing for this long is gone, even where the application waits for
/// nothing any more: while a response is flushed at its end. Whoever acknowledges and does not read counts as gone too,
/// so this is longer than the outbox's stall time, after which it is told why.
const UNACKNOWLEDGED_TIMEOUT: Duration = LIVENESS.saturating_mul(4);

/// Counts connections and turns away those that are too many.
#[derive(Clone)]
pub(crate) struct Doorkeeper {
    connections: Arc<Connections>,
    /// The congestion control that connections get; `None` for the system's default.
    congestion_control: Option<Arc<str>>,
}

impl Doorkeeper {
    /// Proxies have as many connections as they like; their clients are counted by what they ask for.
    pub(crate) fn new(relay: &Relay, http: &HttpSettings) -> Self {
        Self {
            connections: Connections::of_http(relay.settings(), &http.trusted_proxies),
            congestion_control: available(&http.tcp_congestion_control),
        }
    }

    /// Called for every connection when it is accepted.
    pub(crate) fn admit(&self, stream: &TcpStream, data: &mut Extensions) {
        let address = stream.peer_addr().map(|peer| peer.ip());
        match address.map(|address| self.connections.accept(address)) {
            // Counted as long as its data are kept, which is as long as it is open.
            Ok(Ok(place)) => {
                data.insert(place);
            }
            Ok(Err(_)) | Err(_) => turn_away(stream),
        }
        // A packet leaves when it is there, whether or not the one before has arrived.
        let socket = SockRef::from(stream);
        let set = socket
            .set_tcp_nodelay(true)
            .and_then(|()| set_options(&socket))
            .and_then(|()| match &self.congestion_control {
                Some(name) => control_congestion(&socket, name),
                None => Ok(()),
            });
        if let Err(error) = set {
            tracing::debug!(%error, "a connection keeps the system's defaults");
        }
    }
}

/// The congestion control that was chosen, if the system has it and lets this process use it.
fn available(chosen: &TcpCongestionControl) -> Option<Arc<str>> {
    let name = chosen.name()?;
    let tried = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))
        .and_then(|socket| control_congestion(&SockRef::from(&socket), name));
    match tried {
        Ok(()) => Some(name.into()),
        Err(error) => {
            tracing::info!(name, %error, "TCP keeps the system's congestion control");
            None
        }
    }
}

/// The server then finds the connection at its end.
fn turn_away(stream: &TcpStream) {
    let _gone_already = SockRef::from(stream).shutdown(Shutdown::Both);
}

#[cfg(target_os = "linux")]
fn control_congestion(socket: &SockRef<'_>, name: &str) -> std::io::Result<()> {
    socket.set_tcp_congestion(name.as_bytes())
}

#[cfg(not(target_os = "linux"))]
fn control_congestion(_: &SockRef<'_>, _: &str) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn set_options(socket: &SockRef<'_>) -> std::io::Result<()> {
    socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT))
}

#[cfg(not(target_os = "linux"))]
fn set_options(socket: &SockRef<'_>) -> std::io::Result<()> {
    let keepalive = socket2::TcpKeepalive::new().with_time(UNACKNOWLEDGED_TIMEOUT);
    // Where the unsent bytes cannot be bounded directly, the whole buffer is.
    socket.set_send_buffer_size(4 * MAX_UNSENT_BYTES as usize)?;
    socket.set_tcp_keepalive(&keepalive)
}
