//! Why a connection ends: one enumeration for both carriers.

use serde::{Deserialize, Serialize};

/// Why a relay closed a connection or refused a Hello.
///
/// On WebSocket the close code is 4000 plus [`CloseCode::number`]; on WebTransport the application
/// error code of the session is the number itself. A [`crate::Closing`] message with a sentence for
/// a person precedes both whenever the connection still carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u16)]
pub enum CloseCode {
    /// The client said Leave.
    Left = 1,
    /// A rule of the protocol was broken that has no code of its own.
    ProtocolError = 2,
    /// Bytes that are not a packet.
    MalformedPacket = 3,
    /// A frame with another's session id.
    WrongSession = 4,
    /// A message that only relays may send.
    ForbiddenMessage = 5,
    /// A media packet above the announced size.
    FrameTooLarge = 6,
    /// A control packet above the announced size.
    ControlTooLarge = 7,
    /// More messages or bits per second than announced.
    RateExceeded = 8,
    /// More tracks than announced.
    TooManyTracks = 9,
    /// No Hello in time.
    HandshakeTimeout = 10,
    /// The token is not ours, or not for this.
    BadToken = 11,
    /// The token was good once.
    TokenExpired = 12,
    /// The protocol version is not spoken here.
    VersionUnsupported = 13,
    /// The meeting has as many sessions as it may.
    MeetingFull = 14,
    /// The relay has as many sessions as it may.
    RelayFull = 15,
    /// The host has locked the meeting.
    MeetingLocked = 16,
    /// The host has not admitted this person yet.
    WaitingForAdmission = 17,
    /// The host has removed this person.
    Removed = 18,
    /// The relay stops.
    Draining = 19,
    /// The client did not read what it was sent.
    SlowReceiver = 20,
    /// Nothing was heard from the client.
    LivenessTimeout = 21,
    /// The session was resumed over another connection.
    SessionReplaced = 22,
    /// The meeting is over.
    MeetingEnded = 23,
    /// Our fault.
    InternalError = 24,
    /// The relay is too busy to take more.
    Busy = 25,
    /// The client's network address has as many connections as it may.
    TooManyConnections = 26,
}

impl CloseCode {
    /// Every code, in the order of its number.
    pub const ALL: [Self; 26] = [
        Self::Left,
        Self::ProtocolError,
        Self::MalformedPacket,
        Self::WrongSession,
        Self::ForbiddenMessage,
        Self::FrameTooLarge,
        Self::ControlTooLarge,
        Self::RateExceeded,
        Self::TooManyTracks,
        Self::HandshakeTimeout,
        Self::BadToken,
        Self::TokenExpired,
        Self::VersionUnsupported,
        Self::MeetingFull,
        Self::RelayFull,
        Self::MeetingLocked,
        Self::WaitingForAdmission,
        Self::Removed,
        Self::Draining,
        Self::SlowReceiver,
        Self::LivenessTimeout,
        Self::SessionReplaced,
        Self::MeetingEnded,
        Self::InternalError,
        Self::Busy,
        Self::TooManyConnections,
    ];

    /// The number in the protocol.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The code with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|code| u32::from(code.number()) == number)
    }

    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::ProtocolError => "protocol_error",
            Self::MalformedPacket => "malformed_packet",
            Self::WrongSession => "wrong_session",
            Self::ForbiddenMessage => "forbidden_message",
            Self::FrameTooLarge => "frame_too_large",
            Self::ControlTooLarge => "control_too_large",
            Self::RateExceeded => "rate_exceeded",
            Self::TooManyTracks => "too_many_tracks",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::BadToken => "bad_token",
            Self::TokenExpired => "token_expired",
            Self::VersionUnsupported => "version_unsupported",
            Self::MeetingFull => "meeting_full",
            Self::RelayFull => "relay_full",
            Self::MeetingLocked => "meeting_locked",
            Self::WaitingForAdmission => "waiting_for_admission",
            Self::Removed => "removed",
            Self::Draining => "draining",
            Self::SlowReceiver => "slow_receiver",
            Self::LivenessTimeout => "liveness_timeout",
            Self::SessionReplaced => "session_replaced",
            Self::MeetingEnded => "meeting_ended",
            Self::InternalError => "internal_error",
            Self::Busy => "busy",
            Self::TooManyConnections => "too_many_connections",
        }
    }

    /// The close code of a WebSocket (RFC 6455 §7.4.2: 4000–4999 are for applications).
    pub const fn websocket(self) -> u16 {
        4000 + self.number()
    }

    /// The code behind a WebSocket's close code.
    pub fn from_websocket(code: u16) -> Option<Self> {
        code.checked_sub(4000)
            .and_then(|number| Self::from_number(u32::from(number)))
    }

    /// Whether connecting again, with the resume token, makes sense.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Draining
                | Self::SlowReceiver
                | Self::LivenessTimeout
                | Self::HandshakeTimeout
                | Self::InternalError
                | Self::Busy
                | Self::TooManyConnections
                | Self::RelayFull
        )
    }

    /// A sentence a person can act on.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Left => "You have left the meeting.",
            Self::ProtocolError => "This client broke a rule of the protocol; update it.",
            Self::MalformedPacket => "This client sent data that cannot be read; update it.",
            Self::WrongSession => "This client sent media in somebody else's name.",
            Self::ForbiddenMessage => "This client sent a message that only servers may send.",
            Self::FrameTooLarge => "A picture was larger than the server takes; lower the resolution.",
            Self::ControlTooLarge => "A message was larger than the server takes.",
            Self::RateExceeded => "This client sent more than the server takes; lower the bitrate.",
            Self::TooManyTracks => "This client publishes more tracks than the server takes.",
            Self::HandshakeTimeout => "The connection was too slow to greet the server; try again.",
            Self::BadToken => "The invitation is not valid here; open the meeting's address again.",
            Self::TokenExpired => "The invitation has expired; open the meeting's address again.",
            Self::VersionUnsupported => "This client is too old for the server; reload or update it.",
            Self::MeetingFull => "The meeting is full.",
            Self::RelayFull => "The server is full; try again in a moment.",
            Self::MeetingLocked => "The host has locked the meeting.",
            Self::WaitingForAdmission => "Wait until the host lets you in.",
            Self::Removed => "The host has removed you from the meeting.",
            Self::Draining => "The server is restarting; the call moves to another one.",
            Self::SlowReceiver => "The network is too slow for this call.",
            Self::LivenessTimeout => "The connection was lost.",
            Self::SessionReplaced => "The call goes on over another connection.",
            Self::MeetingEnded => "The host has ended the meeting.",
            Self::InternalError => "The server had a fault; try again.",
            Self::Busy => "The server is busy; try again in a moment.",
            Self::TooManyConnections => "Too many connections come from this network; try again in a moment.",
        }
    }
}

impl std::fmt::Display for CloseCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_survive_both_carriers() {
        for (index, code) in CloseCode::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(code.number()), index + 1);
            assert_eq!(CloseCode::from_number(code.number().into()), Some(code));
            assert_eq!(CloseCode::from_websocket(code.websocket()), Some(code));
            assert_eq!(serde_json::json!(code), code.as_str());
        }
        assert_eq!(CloseCode::from_websocket(1000), None);
        assert_eq!(CloseCode::from_websocket(4000), None);
    }
}
