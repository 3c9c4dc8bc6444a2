//! The WebTransport relay: QUIC settings for media, certificates that renew themselves, and the
//! adapter that moves packets between streams, datagrams and relay-runtime's session driver.
//!
//! Rules about who receives what are relay-core's, the life of a session is relay-runtime's.

mod carrier;
mod certificate;
mod config;
mod endpoint;
mod gate;
mod lanes;
mod quic;
mod run;
mod server;
mod writer;

pub use config::{CongestionControl, Settings, WebTransportSettings};
pub use run::run;
pub use server::WebTransportServer;

/// The path of the WebTransport session in the relay's address.
pub const PATH: &str = "/wt";
