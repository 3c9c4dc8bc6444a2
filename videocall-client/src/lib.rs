//! The client library of videocall: joins a meeting, keeps the connection, sends and receives media.
//!
//! [`core`] holds the rules and does no IO; [`driver`] runs it over a [`transport`]; [`Client`] is the
//! handle for programs, with a stream of [`Event`]s. In the browser the module `call` adds devices,
//! codecs and playout. What a user interface shows is left to others.

pub mod audio;
pub mod call;
mod client;
mod config;
pub mod core;
pub mod driver;
pub mod media;
pub mod stats;
pub mod support;
pub mod transport;

#[cfg(target_arch = "wasm32")]
pub use call::{Call, CallEvent, CallEvents, CallOptions};
pub use client::{Client, CommandError, EventStream};
pub use config::{ClientConfig, TicketRequest, Token, TransportPreference};
pub use core::{
    ClientCore, Command, ConnectionState, ConnectionStatus, EncodedFrame, EncoderLoad, EncoderTarget, Event,
    Input, Lane, Link, OutgoingPacket, Output, TicketError, View,
};
#[cfg(target_arch = "wasm32")]
pub use media::web::devices;
pub use videocall_types as types;
