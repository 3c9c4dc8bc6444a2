//! Sound and pictures of a call: what can be computed without a browser is here and tested
//! natively; `web` holds the browser's devices, codecs and outputs.
//!
//! It leaves the order and timing of audio frames to the jitter buffer and everything about
//! connections to the core.

#[cfg(any(target_arch = "wasm32", test))]
pub(crate) mod camera_size;
pub mod clock;
pub mod codec_choice;
pub mod color;
pub mod conceal;
pub mod device_error;
#[cfg(any(target_arch = "wasm32", test))]
pub(crate) mod feed;
pub mod freeze;
pub(crate) mod lateness;
#[cfg(any(target_arch = "wasm32", test))]
pub(crate) mod layer_set;
pub mod level;
pub mod muted_speech;
pub mod parameters;
pub mod path;
mod pitch;
pub mod playout;
pub mod queue_target;
pub mod rate;
pub mod rgb;
pub mod ring;
pub mod sender_clock;
#[cfg(any(target_arch = "wasm32", test))]
pub(crate) mod still;
pub mod stretch;
pub mod sync;
pub mod tone;
pub mod transit;
pub mod work;

#[cfg(target_arch = "wasm32")]
pub mod web;
