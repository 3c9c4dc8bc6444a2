//! videocall-client
