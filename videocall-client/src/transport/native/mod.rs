//! Transports for native programs, on tokio.
