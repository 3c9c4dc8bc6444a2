//! What the operating system is told about accepted connections.

use std::any::Any;
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::SockRef;
use videocall_types::limits::LIVENESS;

/// Bytes the kernel holds that the path has not taken yet, beyond those in flight. Whatever waits there
/// can no longer be reordered or dropped by importance: at 1 Mbit/s this is a quarter of a second.
const MAX_UNSENT_BYTES: u32 = 32 * 1024;

/// A peer that acknowledges nothing for this long is gone, even where the application waits for
/// nothing any more: while a response is flushed at its end.
const UNACKNOWLEDGED_TIMEOUT: Duration = LIVENESS.saturating_mul(2);

/// Called for every connection when it is accepted.
pub(crate) fn tune(connection: &dyn Any, _data: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>()
        && let Err(error) = set_options(stream)
    {
        tracing::debug!(%error, "a connection keeps the system's defaults");
    }
}

#[cfg(target_os = "linux")]
fn set_options(stream: &TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT))
}

#[cfg(not(target_os = "linux"))]
fn set_options(stream: &TcpStream) -> std::io::Result<()> {
    let keepalive = socket2::TcpKeepalive::new().with_time(UNACKNOWLEDGED_TIMEOUT);
    let socket = SockRef::from(stream);
    // Where the unsent bytes cannot be bounded directly, the whole buffer is.
    socket.set_send_buffer_size(4 * MAX_UNSENT_BYTES as usize)?;
    socket.set_tcp_keepalive(&keepalive)
}
