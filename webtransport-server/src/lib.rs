//! webtransport-server
