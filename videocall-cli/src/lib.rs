//! Headless streaming into a meeting: from a camera, a file or a test source.
//!
//! This crate holds the commands, and the capture and encoding through GStreamer. Everything that
//! crosses the network is left to videocall-client.

mod arguments;
mod capture;
mod commands;
mod devices;
mod info;
mod logging;
mod progress;
mod stream;
mod ticket;

pub use commands::run;
