//! Audio between the network and the decoder: waiting, ordering, replacing. Decoding, stretching and
//! playing are left to the program.

mod arrival;
mod jitter;

pub use jitter::{AudioFrame, JitterBuffer, JitterBufferConfig, JitterBufferStats, Pace, Playout};
