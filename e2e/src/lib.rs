//! What tests and benchmarks against the real servers have in common: the servers as processes, raw
//! clients that may break every rule, calls of library clients that notice every lost frame, and
//! load for one relay.
//!
//! What a test checks is left to the tests; browsers are in `browser/`.

pub mod bench;
mod cable;
mod call;
mod collector;
pub mod dialogue;
mod metrics;
mod process;
pub mod proxy;
mod query;
mod raw;
mod servers;
mod ticket;

pub use cable::Cable;
pub use call::{Call, Caller, Gap, LayerSeen, Seen};
pub use collector::{Collector, Received};
pub use metrics::{Family, Metrics, Sample};
pub use process::{Process, free_port, program};
pub use query::{Asked, Selector, check as check_query};
pub use raw::{Crowd, RawClient, RawEnd, camera, hello};
pub use servers::{ActixApi, Nats, Server, VideocallServer, WebTransportServer};
pub use ticket::{endpoint, join, join_status};
