//! Connections to relays: they move packets and map close codes, and know no rule of a meeting.

mod either;

#[cfg(not(target_arch = "wasm32"))]
pub mod native;
#[cfg(target_arch = "wasm32")]
pub mod web;
