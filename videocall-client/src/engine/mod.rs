//! The media engine of a call: everything that must go on while the page is busy. It runs in a dedicated
//! worker, on a second instance of the page's WebAssembly module.
//!
//! It holds the [`crate::Client`] with its connections, decodes, mixes and draws what the others send, and
//! encodes what the page captures. Devices, surfaces on the page, the audio context and all that is seen are
//! left to the page ([`crate::call`]); [`crate::bridge`] says what the two tell each other.

mod entry;
mod received;
mod report;
mod sent;
mod session;
mod surfaces;

pub use entry::{is_here, videocall_engine};
