//! Congestion control for live media over QUIC, and over byte streams.
//!
//! [`MediaConfig`] makes quinn use [`Media`], a window that keeps the queue at the bottleneck short. Its
//! structure is that of SCReAM (RFC 8298 §4.1.2): a window for self-clocking, an aim for the queueing
//! delay, growth in proportion to what is missing to that aim, none beyond what the sender really has
//! on its way, and a change of behaviour where others keep the queue full. Three things differ, since
//! QUIC says less than RTCP feedback does and since a call's packets are repeated when they are lost:
//!
//! - Only round-trip times are known. What the peer waited before it acknowledged is taken out
//!   again (`ack_delay`), and the base is found by letting the queue run empty now and then, as LEDBAT++
//!   does (draft-irtf-iccrg-ledbat-plus-plus §4.3).
//! - Above the aim the window does not shrink step by step. It becomes what the rate of the last round
//!   trip delivers in one with the queue that is aimed at: the fixed point of FAST TCP (Wei et al.,
//!   IEEE/ACM Transactions on Networking 14(6), 2006).
//! - Loss without delay is taken for the weather, up to a bound: the rule of Google's congestion control
//!   (draft-ietf-rmcat-gcc-02 §6).
//!
//! [`Stream`] bounds what is given to a WebSocket by the same window.
//!
//! Pacing, loss detection and the order of streams are quinn's; how much to send at all is decided by
//! whoever fills the streams.

mod ack_delay;
mod competition;
mod controller;
mod delay;
mod delivery;
mod loss;
mod stream;

pub use controller::{Media, MediaConfig};
pub use stream::Stream;
