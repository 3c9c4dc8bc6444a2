//! Load for one relay, as cheap as it can be made: it shares the machine with what it measures.
//!
//! It measures; what the figures are worth is said where they are printed.

mod framer;
mod report;
mod scenario;
mod websocket;
mod webtransport;

pub use report::{Row, print, write};
pub use scenario::{Figures, Scenario, run};
