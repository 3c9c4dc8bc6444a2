//! A whole call for a user interface: connection, devices, codecs, playout and pictures behind one
//! handle and one stream of events.
//!
//! This is the page's half: devices, the elements that show pictures, and the loudspeaker, for which a document is needed. All that must
//! not wait for a busy page is the engine's ([`crate::engine`]), in a worker that this starts. It leaves all that
//! is seen to the user interface. What needs no browser is compiled, and tested, everywhere.

mod events;
#[cfg(target_arch = "wasm32")]
mod handle;
#[cfg(target_arch = "wasm32")]
mod local;
#[cfg(target_arch = "wasm32")]
mod own_camera;
#[cfg(any(target_arch = "wasm32", test))]
mod queue;
#[cfg(any(target_arch = "wasm32", test))]
mod roster;
#[cfg(target_arch = "wasm32")]
mod surfaces;
#[cfg(target_arch = "wasm32")]
mod worker;

pub use events::{CallEvent, Levels, LocalState, Notice, PictureState, Priority, RosterChange};
#[cfg(target_arch = "wasm32")]
pub use handle::{Call, CallOptions, ENGINE_URL};
#[cfg(any(target_arch = "wasm32", test))]
pub use queue::CallEvents;
#[cfg(target_arch = "wasm32")]
pub(crate) use queue::EventQueue;
#[cfg(target_arch = "wasm32")]
pub(crate) use roster::Roster;
#[cfg(target_arch = "wasm32")]
pub use surfaces::picture_tag;
#[cfg(target_arch = "wasm32")]
pub use worker::Engine;
