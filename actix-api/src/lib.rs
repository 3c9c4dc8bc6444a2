//! The HTTP side of videocall: the WebSocket relay, the REST interface, the database, and the web page.
//!
//! Rules about who receives what are relay-core's, the life of a session is relay-runtime's; here bytes
//! are moved, requests answered and meetings stored. [`serve`] takes its listener, its relay and its
//! database from outside, so that one process can hold several servers and tests any number of them.

mod client_address;
mod config;
mod db;
mod error;
mod forwarded;
mod headers;
mod health;
mod origin;
mod rest;
mod run;
mod server;
mod socket;
mod ui;
mod upgrade;
mod websocket;

pub use client_address::ProxyHeader;
pub use config::{Embedder, HttpSettings, JoinSettings, Settings};
pub use db::{Database, DatabaseError, DatabaseUrl, DatabaseUrlError};
pub use run::run;
pub use server::{Parts, serve};
