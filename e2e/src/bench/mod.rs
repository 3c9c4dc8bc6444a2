//! The relays' benchmark: loads that people know from meetings, each with its floor.
//!
//! The load itself is videocall-load's; what the figures are worth is said where they are printed.

mod congestion;
mod floor;
mod scenario;
mod soak;
mod stage;
mod table;

pub use congestion::{Algorithm, Network, bottleneck, saturate, saturate_until};
pub use floor::serve as serve_floor;
pub use scenario::Scenario;
pub use soak::soak;
pub use stage::{Measured, measure};
pub use table::{line, merge, title};
