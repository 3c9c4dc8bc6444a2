//! What a page and its media engine say to each other: the page's thread has the devices, the canvases and
//! the person; the engine, a dedicated worker, has everything of a call that must go on while that thread is
//! busy.
//!
//! [`messages`] is the whole protocol and [`window`] what bounds it; both are plain Rust. [`port`] carries it.
//! What the two sides do about it is theirs: [`crate::call`] is the page's, [`crate::engine`] the worker's.

pub(crate) mod messages;
#[cfg(target_arch = "wasm32")]
pub(crate) mod port;
pub(crate) mod window;
