//! Audio between the network and the loudspeaker: waiting, ordering, replacing, stretching. Decoding and
//! the device's queue are left to the program.

mod jitter;
mod player;

pub use jitter::{AudioFrame, JitterBuffer, JitterBufferConfig, JitterBufferStats, Pace, Playout};
pub use player::{AudioPlayer, DeviceQueue, PlayerStats, PlayerStep, Sound};
