//! Load for relays, as cheap as it can be made, because it often shares the machine with what it
//! measures: raw connections, of which every packet's header is read and nothing else.
//!
//! What a load is worth measuring, and what its figures are compared with, is left to the callers:
//! `videocall-cli load` and the benchmarks.

mod arrivals;
mod carrier;
mod clock;
mod figures;
mod framing;
mod plan;
mod report;
mod run;
mod session;
mod sources;
mod ticket;
mod usage;

pub use clock::Clock;
pub use figures::{Delays, Figures};
pub use plan::{Camera, Load, Pace, Part, Transport, Voice, Watch};
pub use report::{Row, rows, summary};
pub use run::{Door, Progress, run};
pub use sources::{Due, Source, Timetable};
pub use usage::{Machine, Usage, usage_of};
