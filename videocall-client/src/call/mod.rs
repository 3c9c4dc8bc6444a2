//! A whole call for a user interface: connection, devices, codecs, playout and pictures behind one
//! handle and one stream of events.
//!
//! It leaves all that is seen to the user interface, and the rules of connections to
//! [`crate::ClientCore`]. What needs no browser is compiled, and tested, everywhere.

mod events;
#[cfg(target_arch = "wasm32")]
mod handle;
#[cfg(target_arch = "wasm32")]
mod local;
#[cfg(any(target_arch = "wasm32", test))]
mod queue;
#[cfg(target_arch = "wasm32")]
mod remote;
#[cfg(any(target_arch = "wasm32", test))]
mod roster;

pub use events::{CallEvent, LocalState, Notice, PictureState, Priority, RosterChange};
#[cfg(target_arch = "wasm32")]
pub use handle::{Call, CallOptions, Levels};
#[cfg(any(target_arch = "wasm32", test))]
pub use queue::CallEvents;
