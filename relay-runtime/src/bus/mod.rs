//! The way to other relays: a bus with subjects.
//!
//! A bus only carries packets. Which subjects there are, and what goes over them, is relay-core's;
//! people on one relay never depend on it.

mod memory;
mod nats;
mod pressure;
mod probe;
mod subscriptions;
mod window;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use relay_core::BusMessage;
use tokio::sync::watch;

pub use memory::{MemoryBus, MemoryHub};
pub use nats::NatsBus;
pub(crate) use subscriptions::Subscriptions;

/// What a subscription holds at most; what arrives while it is full is dropped and counted. Twenty
/// seconds of a camera, or a tenth of a second of a thousand voices: whoever does not take packets for
/// that long has no use for them any more.
pub(crate) const SUBSCRIPTION_CAPACITY: usize = 2048;

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
    /// Whether the bus takes packets now. One that is not connected does, and drops them: nobody is to
    /// get them late.
    fn has_room(&self) -> bool;

    /// Ready when the bus may take packets again. Until then they are better kept by the meeting, which
    /// knows what can be left out.
    fn room(&self) -> BoxFuture<'_, ()>;

    /// Gives a packet to every other relay that has subscribed to the subject. Never waits; look at
    /// [`Bus::has_room`] before.
    fn publish(&self, message: BusMessage) -> Published;

    /// The packets that other relays publish on a subject, which may have wildcards, from the first
    /// poll on. Dropping the stream ends the subscription. A packet may come in fragments
    /// ([`videocall_types::fragment`]).
    fn subscribe(&self, subject: String) -> BoxStream<'static, Bytes>;

    /// Whether the bus is connected.
    fn reachable(&self) -> watch::Receiver<bool>;

    /// How much a relay has to give up for the bus to reach it in time: 0 nothing, 1 higher temporal
    /// layers, 2 larger spatial layers as well, 3 video.
    fn pressure(&self) -> watch::Receiver<u8>;

    /// What it is, for `/readyz`.
    fn describe(&self) -> String;
}
