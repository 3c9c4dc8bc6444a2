//! Networks as they are: loss alone and in runs, delay, jitter, slow lines with queues, outages, and changes of all that
//! over time, for each direction by itself. What happens to a packet follows from a seed.
//!
//! [`UdpProxy`] is for tests of native clients, everywhere; [`Wire`] for whatever program, on UDP and TCP, where one is
//! root. Both put packets through the same `link`.

mod conditions;
mod link;
mod path;
mod report;
mod udp;
mod wire;

pub use conditions::{Conditions, Direction, Loss, Rate};
pub use report::{DirectionReport, Percentiles, Point, Report};
pub use udp::UdpProxy;
pub use wire::Wire;
