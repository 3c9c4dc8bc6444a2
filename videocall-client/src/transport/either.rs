//! One of two carriers, as if it were one.

use videocall_types::CloseCode;

use crate::core::{Lane, OutgoingPacket};
use crate::driver::{Connection, ConnectionEvent};

/// A connection over one of two carriers.
#[derive(Debug)]
pub enum Either<A, B> {
    /// Over the first one.
    First(A),
    /// Over the second one.
    Second(B),
}

impl<A: Connection, B: Connection> Connection for Either<A, B> {
    fn is_ready(&self, lane: Lane) -> bool {
        match self {
            Self::First(connection) => connection.is_ready(lane),
            Self::Second(connection) => connection.is_ready(lane),
        }
    }

    fn send(&mut self, packet: OutgoingPacket) {
        match self {
            Self::First(connection) => connection.send(packet),
            Self::Second(connection) => connection.send(packet),
        }
    }

    async fn next(&mut self) -> ConnectionEvent {
        match self {
            Self::First(connection) => connection.next().await,
            Self::Second(connection) => connection.next().await,
        }
    }

    async fn close(self, code: CloseCode) {
        match self {
            Self::First(connection) => connection.close(code).await,
            Self::Second(connection) => connection.close(code).await,
        }
    }
}
