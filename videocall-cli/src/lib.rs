//! Headless streaming into a meeting, from a camera, a file or a test source, and load for servers.
//!
//! This crate holds the commands, and the capture and encoding through GStreamer. Everything that
//! crosses the network is left to videocall-client, and to videocall-load.

mod arguments;
mod capture;
mod commands;
mod devices;
mod info;
mod load;
mod logging;
mod progress;
mod stream;

pub use commands::run;
