//! Runs relay-core on tokio: what both relays of this project share.
//!
//! It holds the session driver ([`Relay::serve`]), the registry of meetings, the bus to other
//! relays, tokens, settings, health, metrics and the orderly end. What a relay decides is
//! relay-core's; how bytes move is left to the adapters behind [`Carrier`]; SQL and HTTP routes are
//! left to the servers.

pub mod admin;
mod admission;
pub mod bus;
mod carrier;
mod clock;
pub mod config;
mod connections;
mod directory;
mod driver;
mod egress;
pub mod fan_out;
mod files;
pub mod health;
mod ingress;
pub mod logging;
mod meters;
mod network;
mod open_files;
mod overload;
mod rate;
mod relay;
mod revocation;
mod room;
mod settings;
mod shutdown;
mod token;
mod traces;

pub use bus::Bus;
pub use carrier::{Carrier, Disconnect};
pub use clock::Clock;
pub use connections::{Connection, Connections};
pub use directory::RelayDirectory;
pub use egress::Egress;
pub use files::write_private;
pub use health::Readiness;
pub use ingress::Ingress;
pub use meters::{
    Histogram, Limit, announce_join_requests, record_event_loop_delay, record_join_request, render_metrics,
    show_certificate_expiry,
};
pub use network::{BadNetwork, Networks, subscriber};
pub use open_files::raise_file_limit;
pub use overload::Overload;
pub use relay::Relay;
pub use relay_core::{ClassSet, Outgoing};
pub use revocation::Revoke;
pub use settings::{BusSettings, CommonSettings, LogFormat, LogSettings, RelaySettings, TokenSettings};
pub use shutdown::{exit_code, shutdown_on_signal};
pub use token::{TokenError, TokenSecret, TokenService};
pub use traces::{TraceSettings, Traces, trace_join_request, traceparent};
