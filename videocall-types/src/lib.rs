//! The wire protocol of videocall and the types that every part of it shares: ids, packets, frames,
//! limits, close codes, token claims and the shapes of the REST interface.
//!
//! It leaves IO, clocks and every rule about who receives what to others. The generated protobuf
//! code is private: what crosses this crate's boundary is validated.

pub mod api;
mod close;
mod codec;
mod convert;
mod dependency;
pub mod fragment;
mod frame;
mod framing;
mod generated;
mod ids;
pub mod limits;
mod message;
#[cfg(feature = "openapi")]
mod openapi;
mod time;
pub mod token;

pub use close::CloseCode;
pub use codec::{VideoCodec, VideoCodecs};
pub use dependency::DependencyTracker;
pub use frame::{DecoderConfig, Frame, FrameError, FrameHeader, MediaClass, RedundantFrame};
pub use framing::{StreamDecoder, StreamError, length_prefix};
pub use ids::{
    IdError, LayerId, MAX_ID_LENGTH, MeetingId, RelayId, SessionId, TrackId, TrackKind, TrackRef, UserName,
};
pub use message::{
    CallMinute, Capabilities, ClientMessage, ClientReport, Closing, Hello, Interest, LayerArrival, LayerInfo,
    MessageError, Participant, RelayChange, RelayInterest, RelayMessage, RelayState, ServerMessage,
    SessionLimits, Speaker, Subscription, TrackInfo, TrackInterest, Welcome, fills, is_frame,
};
pub use time::Timestamp;
