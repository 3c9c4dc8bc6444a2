//! Transports for the browser.
