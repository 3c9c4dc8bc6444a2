//! Runs the core over a connector and a clock: one loop for the browser and for native programs.
//! It holds no rule; those are the core's.

use std::future::Future;

use bytes::Bytes;
use videocall_types::api::{JoinResponse, RelayEndpoint};
use videocall_types::{CloseCode, Timestamp};

use crate::core::{Lane, OutgoingPacket, TicketError};

/// Reaches servers.
pub trait Connector {
    /// What a successful connect gives.
    type Connection: Connection;

    /// Asks the REST interface for a ticket ([`crate::ClientConfig::ticket_request`]).
    ///
    /// An answer of 4xx is [`TicketError::Refused`] with the `message` of
    /// [`videocall_types::api::ApiError`]; no answer, 429 and 5xx are [`TicketError::Unavailable`].
    fn fetch_ticket(&self) -> impl Future<Output = Result<JoinResponse, TicketError>>;

    /// Opens a connection to a relay, up to where the Hello can be sent. The address is absolute. The
    /// error is for people. Dropping the future gives the attempt up.
    fn connect(&self, endpoint: RelayEndpoint) -> impl Future<Output = Result<Self::Connection, String>>;
}

/// An open connection. It moves packets; what is sent waits in the core until the lane is ready, so a
/// connection holds little: about 64 kB per lane at most, besides one packet of any size.
pub trait Connection {
    /// Whether [`Connection::send`] may be called with a packet of this lane now. When it turns from
    /// false to true, [`Connection::next`] yields [`ConnectionEvent::Ready`].
    fn is_ready(&self, lane: Lane) -> bool;

    /// Takes a packet of a lane that is ready; never waits. Failures show up in
    /// [`Connection::next`].
    fn send(&mut self, packet: OutgoingPacket);

    /// What happens next on this connection. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = ConnectionEvent>;

    /// Sends what was taken and closes with this code (on WebSocket [`CloseCode::websocket`], on
    /// WebTransport the number; [`CloseCode::Left`] closes as normal: 1000 on WebSocket, 0 on
    /// WebTransport), all within about half a second.
    fn close(self, code: CloseCode) -> impl Future<Output = ()>;
}

/// Something happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// A packet has arrived, on whichever stream or datagram.
    Packet(Bytes),
    /// A lane may have become ready.
    Ready,
    /// The connection is gone; nothing follows.
    Closed {
        /// The relay's close code, where the carrier brought one.
        code: Option<CloseCode>,
        /// For people.
        reason: String,
    },
}

/// Time for the driver.
pub trait Clock {
    /// Monotonic, microseconds; started from the Unix epoch, because tickets expire by it.
    fn now(&self) -> Timestamp;

    /// Ends at the given time or a little later.
    fn sleep_until(&self, deadline: Timestamp) -> impl Future<Output = ()>;
}
