//! The rules of a client as data in, data out: connecting, the roster, numbering, what is sent first
//! and what is dropped, what a decoder may be given. It does no IO and reads no clock.
//!
//! [`ClientCore::handle`] takes what happened; afterwards [`ClientCore::poll`] is called until it is
//! empty, [`ClientCore::poll_packet`] as long as the connection takes something, and
//! [`ClientCore::handle`] with [`Input::Timeout`] when [`ClientCore::next_wake`] is reached.

mod types;

use videocall_types::{LayerId, SessionId, Timestamp};

use crate::config::ClientConfig;
use crate::stats::{ConnectionStats, LayerStats};

pub use types::{
    Command, ConnectionState, ConnectionStatus, EncodedFrame, Event, Input, Lane, OutgoingPacket, Output,
    TicketError,
};

/// The whole state of a client.
#[derive(Debug)]
pub struct ClientCore {
    config: ClientConfig,
    stats: ConnectionStats,
}

impl ClientCore {
    /// A client that starts to connect with the next [`ClientCore::poll`]. The seed spreads
    /// reconnections; it keeps no secret.
    pub fn new(config: ClientConfig, seed: u64, now: Timestamp) -> Self {
        let _ = (seed, now);
        Self {
            config,
            stats: ConnectionStats::default(),
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        let _ = (input, now, &self.config);
    }

    /// What to do next, until `None`.
    pub fn poll(&mut self) -> Option<Output> {
        None
    }

    /// The most urgent packet whose lane is ready, until `None`.
    pub fn poll_packet(&mut self, now: Timestamp, ready: impl FnMut(Lane) -> bool) -> Option<OutgoingPacket> {
        let _ = (now, ready);
        None
    }

    /// When to call [`ClientCore::handle`] with [`Input::Timeout`], unless something happens before.
    pub fn next_wake(&self) -> Option<Timestamp> {
        None
    }

    /// Our session, while and after we are in.
    pub fn session(&self) -> Option<SessionId> {
        None
    }

    /// Figures of the connection.
    pub fn stats(&self) -> ConnectionStats {
        self.stats
    }

    /// Figures of every layer that is received.
    pub fn layer_stats(&self) -> impl Iterator<Item = (LayerId, LayerStats)> + '_ {
        std::iter::empty()
    }
}
