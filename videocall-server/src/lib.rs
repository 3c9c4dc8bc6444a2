//! Everything in one process: both relays, the REST interface, the web page, a database in a file, a
//! certificate and a secret that it makes itself.
//!
//! It only puts parts together; each is tested where it lives.

mod config;
mod server;

pub use config::Settings;
pub use server::{Server, run};
