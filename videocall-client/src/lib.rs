//! The client library of videocall: joins a meeting, keeps the connection, sends and receives media.
//!
//! [`core`] holds the rules and does no IO; [`driver`] runs it over a [`transport`]; [`Client`] is the
//! handle for programs, with a stream of [`Event`]s. In the browser the module `call` adds devices,
//! codecs and playout. What a user interface shows is left to others.
//!
//! # In a page
//!
//! A `Call` runs in a worker, on the program's own WebAssembly module. For that the program
//!
//! - is built as an ES module (`wasm-bindgen --target web`, as Trunk does),
//! - returns from `main` at once where `engine::is_here()` says that this is the worker, and
//! - serves the two files that `CallOptions::engine_url` and `CallOptions::worklet_url` name,
//!   `engine-worker.js` and `audio-worklet.js` of yew-ui's folder `static`, from the page's own origin.
//!
//! With a `Content-Security-Policy` it allows `worker-src 'self'` and `script-src 'self' 'wasm-unsafe-eval'`,
//! also on the answer that brings `engine-worker.js`. `Engine::start` before the person presses Join saves the time
//! that the worker takes to start.

pub mod audio;
#[cfg(any(target_arch = "wasm32", test))]
mod bridge;
pub mod call;
mod client;
mod config;
pub mod core;
pub mod defects;
pub mod driver;
#[cfg(target_arch = "wasm32")]
pub mod engine;
pub mod media;
mod minute;
pub mod stats;
pub mod support;
pub mod transport;

#[cfg(target_arch = "wasm32")]
pub use call::{Call, CallEvent, CallEvents, CallOptions, Engine};
pub use client::{Client, CommandError, EventStream};
pub use config::{ClientConfig, TicketRequest, Token, TransportPreference};
pub use core::{
    ClientCore, Command, ConnectionState, ConnectionStatus, EncodedFrame, EncoderLoad, EncoderTarget, Event,
    Input, Lane, Link, OutgoingPacket, Output, Receivers, TicketError, View,
};
#[cfg(target_arch = "wasm32")]
pub use media::web::devices;
pub use minute::MinuteMeter;
pub use videocall_types as types;
