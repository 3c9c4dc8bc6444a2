//! Control messages as Rust types: one enumeration per direction, so that a relay cannot even
//! express a client's message and the other way round.

use std::num::NonZeroU32;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{CloseCode, RelayId, SessionId, TrackId, TrackKind, TrackRef, UserName, VideoCodecs};

/// Why bytes are not a control message of the expected direction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Above the limit of its direction.
    #[error("a message of {0} bytes is above the limit of {1}")]
    TooLarge(usize, usize),
    /// Not protobuf.
    #[error("a message is not encoded as the protocol demands")]
    Malformed,
    /// A kind of message that this side must not send.
    #[error("a message of this kind may not come from there")]
    Forbidden,
    /// A field that is missing, too long or out of range.
    #[error("a message's {0} is missing or out of range")]
    BadField(&'static str),
}

impl MessageError {
    /// The close code for a client that sent it.
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::TooLarge(..) => CloseCode::ControlTooLarge,
            Self::Malformed => CloseCode::MalformedPacket,
            Self::Forbidden => CloseCode::ForbiddenMessage,
            Self::BadField(_) => CloseCode::ProtocolError,
        }
    }
}

/// Whether a packet carries a media frame rather than a control message.
pub fn is_frame(packet: &[u8]) -> bool {
    packet.first() == Some(&0x0a)
}

/// From a client to its relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// The first message on a connection.
    Hello(Box<Hello>),
    /// Adds a track or replaces its description.
    PublishTrack(TrackInfo),
    /// Ends a track.
    UnpublishTrack(TrackId),
    /// The whole set of what the client wants to receive.
    Subscribe(Interest),
    /// A receiver cannot decode on without a keyframe.
    RequestKeyframe {
        /// The track that is stuck.
        track: TrackRef,
        /// Its layer.
        spatial: u8,
    },
    /// Asks for a Pong; keeps the session alive.
    Ping {
        /// The client's clock, microseconds; comes back unchanged.
        sent_at_us: u64,
        /// The last measured round trip, microseconds; 0 when unknown.
        rtt_us: u32,
    },
    /// The person leaves; the session cannot be resumed.
    Leave,
    /// How the client fares, for metrics.
    Report(ClientReport),
    /// A kind that this version does not know; ignored.
    Unknown,
}

/// The first message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// See [`crate::limits::PROTOCOL_VERSION`].
    pub protocol_version: u32,
    /// From the join answer.
    pub token: String,
    /// What the client can do.
    pub capabilities: Capabilities,
    /// Tracks to publish from the start.
    pub tracks: Vec<TrackInfo>,
    /// From an earlier Welcome; empty when there was none.
    pub resume_token: String,
}

/// What a client can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Name and version, for logs.
    pub client: String,
    /// WebCodecs codec strings.
    pub decodable_codecs: Vec<String>,
    /// Send everything of everybody until a Subscribe says otherwise.
    pub subscribe_automatically: bool,
}

/// How far a layer has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerArrival {
    /// The client's track.
    pub track: TrackId,
    /// Its layer.
    pub spatial: u8,
    /// One above the highest sequence that has arrived.
    pub next_sequence: u64,
}

/// How a client fares. Nothing in it is about a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientReport {
    /// From the wish to join to Welcome, milliseconds; 0 when not known.
    pub join_ms: u32,
    /// From the wish to join to the first picture of somebody else on screen, milliseconds; 0 when
    /// there was none yet.
    pub first_picture_ms: u32,
    /// How the call was lately; absent in the report about joining.
    pub minute: Option<CallMinute>,
}

/// How a minute of a call was. Sums are over everything that was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallMinute {
    /// How long that was, milliseconds, from 1 to [`crate::limits::MAX_REPORT_MS`].
    pub length_ms: u32,
    /// Smoothed round trip at the end, microseconds; 0 when not known.
    pub rtt_us: u32,
    /// How often pictures stood still against their habit.
    pub freezes: u32,
    /// For how long, milliseconds.
    pub frozen_ms: u32,
    /// Sound that was made up because none was there in time, milliseconds.
    pub concealed_ms: u32,
    /// Frames of sound that came.
    pub sounds: u32,
    /// Frames of sound that did not come.
    pub sounds_lost: u32,
}

/// What a receiver wants of a meeting's media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interest {
    /// All pictures at their best, the active speakers' microphones, all screen audio.
    Everything,
    /// What is chosen and nothing else.
    Chosen {
        /// The active speakers' microphones and all screen audio, whoever they are of.
        speakers: bool,
        /// These tracks. Microphones among them are received whether they speak or not. May be
        /// empty.
        tracks: Vec<Subscription>,
    },
}

impl Interest {
    /// Nothing at all.
    pub const NOTHING: Self = Self::Chosen {
        speakers: false,
        tracks: Vec::new(),
    };

    /// Whether the active speakers are to be heard.
    pub const fn wants_speakers(&self) -> bool {
        match self {
            Self::Everything => true,
            Self::Chosen { speakers, .. } => *speakers,
        }
    }
}

/// The wish for one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whose track.
    pub track: TrackRef,
    /// Device pixels at which it is shown; 0 for audio.
    pub width: u32,
    /// Device pixels at which it is shown; 0 for audio.
    pub height: u32,
    /// Higher is kept longer when the path is short.
    pub priority: u32,
}

/// The wish of a relay for one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInterest {
    /// Whose track.
    pub track: TrackRef,
    /// The layers that somebody there shows, ascending; none for sound.
    pub spatial_layers: Vec<u8>,
    /// The most that anybody there can take of the largest of them, bits per second; `None` for no bound.
    pub max_bitrate_bps: Option<NonZeroU32>,
}

/// The description of a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackInfo {
    /// The sender's number.
    pub track: TrackId,
    /// What it carries.
    pub kind: TrackKind,
    /// It exists but sends nothing.
    pub muted: bool,
    /// WebCodecs codec string.
    pub codec: String,
    /// Its simulcast layers, smallest first; empty for audio.
    pub layers: Vec<LayerInfo>,
}

/// The description of a simulcast layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// 0 is the smallest picture.
    pub spatial: u8,
    /// How many temporal layers it has, at least 1.
    pub temporal_layers: u8,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames per second at the highest temporal layer.
    pub frames_per_second: u32,
    /// Target, bits per second.
    pub bitrate_bps: u32,
}

/// Whether a picture of this size, width and height in pixels, is enough where so many pixels of a display are to be
/// filled. One side has to, the rest is cut off; and blowing a picture up by a quarter is hardly seen, while the next
/// layer costs three to four times the bits.
pub const fn fills(size: (u32, u32), shown: (u32, u32)) -> bool {
    const fn are_enough(pixels: u32, shown: u32) -> bool {
        shown as u64 * 4 <= pixels as u64 * 5
    }
    are_enough(size.0, shown.0) || are_enough(size.1, shown.1)
}

/// Somebody in a meeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// This stay.
    pub session: SessionId,
    /// Who it is, from the verified token. May repeat.
    pub user_id: UserName,
    /// The name that others see. May repeat.
    pub display_name: String,
    /// What they publish.
    pub tracks: Vec<TrackInfo>,
    /// When the session was (re)established, milliseconds since the Unix epoch.
    pub established_at_ms: u64,
    /// What they decode.
    pub decodes: VideoCodecs,
}

/// What a relay allows one session; see [`crate::limits`] for the reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Bytes of one media packet.
    pub max_frame_bytes: u32,
    /// Bytes of one control packet.
    pub max_control_bytes: u32,
    /// Tracks at a time.
    pub max_tracks: u32,
    /// Control messages per second.
    pub max_control_per_second: u32,
    /// Bits per second, all tracks together.
    pub max_upload_bps: u64,
    /// Between two Pings.
    pub ping_interval_ms: u32,
    /// Silence that means death.
    pub liveness_ms: u32,
    /// How long a lost session can be resumed.
    pub resume_grace_ms: u32,
}

impl Default for SessionLimits {
    fn default() -> Self {
        use crate::limits as l;
        Self {
            max_frame_bytes: l::MAX_FRAME_BYTES as u32,
            max_control_bytes: l::MAX_CONTROL_BYTES as u32,
            max_tracks: l::MAX_TRACKS as u32,
            max_control_per_second: l::MAX_CONTROL_PER_SECOND,
            max_upload_bps: l::MAX_UPLOAD_BPS,
            ping_interval_ms: l::PING_INTERVAL.as_millis() as u32,
            liveness_ms: l::LIVENESS.as_millis() as u32,
            resume_grace_ms: l::RESUME_GRACE.as_millis() as u32,
        }
    }
}

/// From a relay to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage {
    /// The answer to Hello: the client is in.
    Welcome(Box<Welcome>),
    /// The last message on a connection, or the answer to a refused Hello.
    Closing(Closing),
    /// Somebody came, or several did within a fraction of a second.
    ParticipantsJoined(Vec<Participant>),
    /// Somebody is gone, or several are.
    ParticipantsLeft(Vec<SessionId>),
    /// A track is new or changed its description.
    TrackChanged {
        /// Whose.
        session: SessionId,
        /// The whole new description.
        track: TrackInfo,
    },
    /// A track has ended.
    TrackRemoved(TrackRef),
    /// The client may send frames of its track from now on.
    TrackAccepted(TrackId),
    /// Somebody needs a keyframe of the client's track.
    KeyframeWanted {
        /// The client's track.
        track: TrackId,
        /// Its layer.
        spatial: u8,
    },
    /// The layers of the client's track that anybody shows.
    LayersWanted {
        /// The client's track.
        track: TrackId,
        /// The layers; the others need not be encoded.
        spatial_layers: Vec<u8>,
    },
    /// What those who are to be given the largest wanted layer of the client's track can take of it.
    BitrateLimit {
        /// The client's track.
        track: TrackId,
        /// The most that anybody of them can take, bits per second; `None` for no bound.
        max_bitrate_bps: Option<NonZeroU32>,
    },
    /// What arrived from the client during the last interval.
    ArrivalReport {
        /// Length of the interval, milliseconds.
        interval_ms: u32,
        /// Bytes of media packets.
        received_bytes: u64,
        /// Media packets.
        received_frames: u32,
        /// Gaps in sequences that were not filled.
        missing_frames: u32,
        /// Growth of the one-way delay, microseconds.
        delay_growth_us: i32,
        /// How far the layers of pictures have got of which anything came.
        layers: Vec<LayerArrival>,
    },
    /// The answer to Ping.
    Pong {
        /// As in the Ping.
        sent_at_us: u64,
        /// Milliseconds since the Unix epoch.
        server_time_ms: u64,
    },
    /// The relay stops soon.
    Draining {
        /// Where to go; empty when the client should ask the REST interface again.
        alternate_url: String,
        /// When the relay closes what is left, milliseconds from now.
        deadline_ms: u32,
    },
    /// Whether participants on other relays can be reached.
    Reachability {
        /// They can.
        other_relays_reachable: bool,
    },
    /// Who speaks, the most prominent first.
    Speakers(Vec<SessionId>),
    /// A kind that this version does not know; ignored.
    Unknown,
}

/// The answer to an accepted Hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The client's own session.
    pub session: SessionId,
    /// For a later Hello.
    pub resume_token: String,
    /// Which relay this is.
    pub relay_id: String,
    /// What the relay allows.
    pub limits: SessionLimits,
    /// Everybody else.
    pub participants: Vec<Participant>,
    /// The session of the resume token goes on.
    pub resumed: bool,
    /// Milliseconds since the Unix epoch.
    pub server_time_ms: u64,
    /// The tracks of Hello that were accepted.
    pub accepted_tracks: Vec<TrackId>,
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// For programs.
    pub code: CloseCode,
    /// For people.
    pub message: String,
    /// When to try again, milliseconds; 0 for no advice.
    pub retry_after_ms: u32,
    /// Where to try instead; empty for no advice.
    pub alternate_url: String,
}

impl Closing {
    /// The code with its own sentence.
    pub fn new(code: CloseCode) -> Self {
        Self::with_message(code, code.message())
    }

    /// The code with a more exact sentence.
    pub fn with_message(code: CloseCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: 0,
            alternate_url: String::new(),
        }
    }
}

/// Between relays, on a meeting's control subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayMessage {
    /// Everything a relay holds of the meeting.
    State(RelayState),
    /// One change to that.
    Change {
        /// Whose state changed.
        relay: RelayId,
        /// The version after the change.
        version: u64,
        /// What changed.
        change: Box<RelayChange>,
    },
    /// The relay lives and its state has this version.
    Heartbeat {
        /// Which.
        relay: RelayId,
        /// Of its state.
        version: u64,
    },
    /// The relay asks all others for their state.
    StateRequest(RelayId),
    /// The relay has nobody in the meeting any more.
    Goodbye(RelayId),
    /// Somebody at the relay needs a keyframe.
    KeyframeRequest {
        /// Who asks.
        relay: RelayId,
        /// Of which track.
        track: TrackRef,
        /// Of which layer.
        spatial: u8,
    },
    /// Who speaks among a relay's own participants; replaces what it said before.
    Speakers {
        /// Whose participants.
        relay: RelayId,
        /// The most prominent first.
        speakers: Vec<Speaker>,
    },
    /// A kind that this version does not know; ignored.
    Unknown,
}

/// Everything a relay holds of a meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayState {
    /// Which relay.
    pub relay: RelayId,
    /// Grows with each change.
    pub version: u64,
    /// Its own participants.
    pub participants: Vec<Participant>,
    /// What it wants to have of the others' media.
    pub interest: RelayInterest,
}

/// What a relay wants to have of the others' media.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayInterest {
    /// The active speakers' microphones, and all screen audio.
    pub speakers: bool,
    /// These tracks, in ascending order.
    pub tracks: Vec<TrackInterest>,
}

/// Somebody who speaks, as a relay tells others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// Who.
    pub session: SessionId,
    /// -dBov plus one as in RFC 6464, 1 (loudest) to 128, smoothed over some seconds.
    pub audio_level: u8,
    /// When they began, milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// One change of a relay's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayChange {
    /// A participant is new, has new tracks, or came back.
    Participant(Participant),
    /// A participant has left.
    Left(SessionId),
    /// The relay wants other media than before.
    Interest(RelayInterest),
}

macro_rules! encodable {
    ($type:ty) => {
        impl $type {
            /// The packet that carries this message.
            pub fn encode(self) -> Bytes {
                crate::convert::encode(&self.into())
            }
        }
    };
}

encodable!(ClientMessage);
encodable!(ServerMessage);
encodable!(RelayMessage);

/// `session/track`, for logs.
impl std::fmt::Display for TrackRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.session, self.track)
    }
}
