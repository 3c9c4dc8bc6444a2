//! The way to other relays: a bus with subjects.
//!
//! A bus only carries packets. Which subjects there are, and what goes over them, is relay-core's;
//! people on one relay never depend on it.

mod memory;
mod nats;

use bytes::Bytes;
use futures::stream::BoxStream;
use relay_core::BusMessage;
use tokio::sync::watch;

pub use memory::{MemoryBus, MemoryHub};
pub use nats::NatsBus;

/// What a subscription holds at most; what arrives while it is full is dropped. A second of fifty
/// cameras.
pub(crate) const SUBSCRIPTION_CAPACITY: usize = 4096;

/// What became of a packet that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The bus has it.
    Taken,
    /// The bus has no room now; the packet is gone.
    Full,
    /// The bus is not connected; the packet is gone.
    Unreachable,
    /// The packet is above what the bus carries.
    TooLarge,
}

impl Published {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Taken, Self::Full, Self::Unreachable, Self::TooLarge];

    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Full => "full",
            Self::Unreachable => "unreachable",
            Self::TooLarge => "too_large",
        }
    }
}

/// A bus between relays.
pub trait Bus: Send + Sync + 'static {
    /// Gives a packet to every other relay that has subscribed to the subject. Never waits: a packet
    /// that cannot be taken now is dropped.
    fn publish(&self, message: BusMessage) -> Published;

    /// The packets that other relays publish on a subject, which may have wildcards, from the first
    /// poll on. Dropping the stream ends the subscription.
    fn subscribe(&self, subject: String) -> BoxStream<'static, Bytes>;

    /// Whether the bus is connected.
    fn reachable(&self) -> watch::Receiver<bool>;

    /// What it is, for `/readyz`.
    fn describe(&self) -> String;
}
