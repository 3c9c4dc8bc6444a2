//! What a transport has to do for a session, and nothing more: move bytes and map ways to end.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use videocall_types::api::TransportKind;
use videocall_types::{CloseCode, Closing};

use crate::{Egress, Ingress};

/// One accepted connection of a transport, before anything is known about who is at its other end.
///
/// The driver polls `read` and `write` in one task at the same time. When one of them ends, it drops
/// the other (after giving `write` a moment to flush) and calls `close`. No future has to be
/// [`Send`]; where all of them are, so is that of [`crate::Relay::serve`].
pub trait Carrier {
    /// Which transport this is.
    fn transport(&self) -> TransportKind;

    /// Where the peer is.
    fn peer(&self) -> IpAddr;

    /// Reads packets and hands each to `ingress`, until the peer goes away or `ingress` refuses one.
    /// The future may be dropped at any await point.
    fn read(&self, ingress: &Ingress) -> impl Future<Output = Disconnect>;

    /// Writes what `egress` yields until it ends. Nothing may be buffered without bound: what the
    /// network has not taken has to stay in `egress`, where it can still be dropped in good order.
    /// The future may be dropped at any await point; nothing may be taken from `egress` after that.
    fn write(&self, egress: &Arc<Egress>) -> impl Future<Output = Disconnect>;

    /// Ends the connection with this code. What was written before is flushed as far as that takes
    /// no longer than a second or two. Called once, last.
    fn close(&self, code: CloseCode) -> impl Future<Output = ()>;
}

/// How reading or writing ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// The peer said goodbye: WebSocket close 1000 or 1001, WebTransport session closed with code 0.
    Clean,
    /// The connection broke; the reason is for logs. The session can be resumed.
    Lost(String),
    /// The egress has ended and everything was written.
    Finished,
    /// The peer broke a rule; it is told so and the connection ends.
    Violation(Closing),
}

impl From<Closing> for Disconnect {
    fn from(closing: Closing) -> Self {
        Self::Violation(closing)
    }
}
