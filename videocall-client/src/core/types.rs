//! What goes into the core and what comes out of it.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::{
    CallMinute, CloseCode, Closing, DecoderConfig, Frame, Interest, MediaClass, Participant, SessionId,
    TrackId, TrackInfo, TrackRef, VideoCodecs,
};

/// Something happened around the core.
#[derive(Clone, Debug)]
pub enum Input {
    /// The answer to [`Output::FetchTicket`].
    Ticket(Result<JoinResponse, TicketError>),
    /// The connection of the last [`Output::Connect`] is open.
    Connected,
    /// It could not be opened; the reason is for people.
    ConnectFailed(String),
    /// A packet has arrived.
    Packet(Link, Bytes),
    /// An open connection is gone.
    Disconnected {
        /// Which one.
        link: Link,
        /// The code it was closed with, if the relay gave one.
        code: Option<CloseCode>,
        /// For people.
        reason: String,
    },
    /// The program wants something.
    Command(Command),
    /// The event stream was full and this frame of the given layer never reached the program.
    FrameDiscarded(videocall_types::LayerId),
    /// [`crate::ClientCore::next_wake`] has been reached.
    Timeout,
}

/// Why there is no ticket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// The server said no; asking again is of no use.
    #[error("{0}")]
    Refused(String),
    /// No answer, or one that promises a better one later.
    #[error("{0}")]
    Unavailable(String),
}

/// Which of the connections that a client may have at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The one that carries the call.
    Current,
    /// The one that is to carry it next: it was opened and waits for its Welcome.
    Next,
}

/// What the core asks its driver to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Ask the REST interface for a ticket; answer with [`Input::Ticket`].
    FetchTicket,
    /// Open a connection, its address is absolute; answer with [`Input::Connected`] or
    /// [`Input::ConnectFailed`]. From then on it is [`Link::Next`].
    Connect(RelayEndpoint),
    /// Send this on [`Link::Next`], which has sent nothing so far.
    Greet(Bytes),
    /// [`Link::Next`] is [`Link::Current`] from now on; the one before, if there is one, is closed.
    Switch,
    /// Give up what is being fetched or opened; close [`Link::Next`], if it is open, with this code.
    GiveUp(CloseCode),
    /// Close [`Link::Current`] with this code, after the control messages that wait.
    Disconnect(CloseCode),
    /// Tell the program.
    Event(Event),
}

/// What has to stay in order, and what can wait without holding up the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Control messages: reliable and in order.
    Control,
    /// Audio frames: datagrams where the carrier has them.
    Audio,
    /// One spatial layer of one of our video tracks: a stream of its own where the carrier has them.
    Video(TrackId, u8),
}

/// A packet on its way to the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingPacket {
    /// The encoded packet, without length prefix.
    pub packet: Bytes,
    /// Where it belongs.
    pub lane: Lane,
    /// How urgent it is.
    pub class: MediaClass,
    /// A frame that is decodable on its own.
    pub keyframe: bool,
    /// What this lane's stream still holds is too late: a carrier with streams resets it and opens a
    /// new one for this packet, which is a keyframe.
    pub supersedes: bool,
}

/// What a program wants.
#[derive(Clone, Debug)]
pub enum Command {
    /// Adds a track of ours, or replaces its description.
    PublishTrack(TrackInfo),
    /// Ends a track of ours.
    UnpublishTrack(TrackId),
    /// Announces that a track of ours sends nothing, or sends again.
    SetMuted {
        /// Which.
        track: TrackId,
        /// It sends nothing.
        muted: bool,
    },
    /// Sends a frame.
    SendFrame(EncodedFrame),
    /// How an encoder of ours gets on.
    EncoderLoad(EncoderLoad),
    /// The whole set of what the program wants to receive; what was shown before does not count any more.
    Subscribe(Interest),
    /// A picture of somebody is shown like this.
    Show(TrackRef, View),
    /// It is not shown any more.
    Hide(TrackRef),
    /// No picture at all can be seen for the moment, or they can again.
    SetPaused(bool),
    /// A microphone is to be heard whether its owner is among the active speakers or not, or not so.
    Listen(TrackRef, bool),
    /// The first picture of somebody else is on screen.
    FirstPicture,
    /// How the last minute was, for the operator's metrics; told if [`crate::ClientConfig::report_timing`] allows.
    Report(CallMinute),
    /// A decoder cannot go on without a keyframe.
    RequestKeyframe {
        /// Whose track.
        track: TrackRef,
        /// Its layer.
        spatial: u8,
    },
    /// Leaves the meeting for good.
    Leave,
}

/// How a picture is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Device pixels; 0 asks for the largest picture there is.
    pub width: u32,
    /// Device pixels; 0 asks for the largest picture there is.
    pub height: u32,
    /// When the path is too short for all, higher ones are kept longer.
    pub priority: u32,
}

/// A frame as it comes from an encoder. The core adds who sends it, its number, what it refers to,
/// and for audio the redundancy.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
    /// Which of our tracks.
    pub track: TrackId,
    /// Simulcast layer; 0 for audio.
    pub spatial: u8,
    /// Temporal layer as the encoder says; 0 for audio.
    pub temporal: u8,
    /// On a monotonic clock that all tracks of the program share, microseconds.
    pub capture_time_us: u64,
    /// Decodable on its own; of no meaning for audio.
    pub keyframe: bool,
    /// Microseconds; 0 when unknown.
    pub duration_us: u32,
    /// In -dBov: 0 is loudest, 127 is silence (RFC 6464).
    pub audio_level: Option<u8>,
    /// What a decoder needs: with every keyframe of video; with audio the core repeats the last one.
    pub decoder: Option<DecoderConfig>,
    /// The encoded frame; must not be empty.
    pub payload: Bytes,
}

/// What an encoder is to do; the others of its track go on as they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderTarget {
    /// Our track.
    pub track: TrackId,
    /// Its layer; 0 for sound.
    pub spatial: u8,
    /// It is to encode. One that begins again begins with a keyframe.
    pub active: bool,
    /// Bits per second of payload, on average.
    pub bitrate_bps: u32,
    /// Frames per second at most; the program leaves captures out. 0 for sound.
    pub frames_per_second: u32,
}

/// How an encoder gets on, since the last time it was told. Once a second is often enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncoderLoad {
    /// Whose: the track it belongs to.
    pub track: TrackId,
    /// Pictures that were captured and to be encoded.
    pub captured: u32,
    /// Those of them that were dropped because the encoder was behind.
    pub dropped: u32,
    /// Share of the time in which a picture was being encoded, 0 to 1; 0 when it cannot be measured.
    pub busy: f32,
}

/// Everybody else in the meeting, as far as it matters to an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receivers {
    /// How many.
    pub count: usize,
    /// What all of them decode. Empty when they have nothing in common.
    pub decode: VideoCodecs,
}

/// Nobody decodes everything.
impl Default for Receivers {
    fn default() -> Self {
        Self {
            count: 0,
            decode: VideoCodecs::ALL,
        }
    }
}

/// What a program learns.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The connection's state, carrier or notice has changed.
    Connection(ConnectionStatus),
    /// We are in, for the first time or again. The roster replaces what was known before.
    Joined {
        /// Our own session.
        session: SessionId,
        /// The session from before the connection was lost goes on.
        resumed: bool,
        /// Everybody else.
        participants: Vec<Participant>,
    },
    /// Somebody came, or came back with other tracks.
    ParticipantJoined(Participant),
    /// Somebody is gone.
    ParticipantLeft(SessionId),
    /// A track is new or changed its description.
    TrackChanged {
        /// Whose.
        session: SessionId,
        /// The whole description.
        track: TrackInfo,
    },
    /// A track has ended.
    TrackRemoved(TrackRef),
    /// Frames of this track of ours are sent from now on. Video starts with a keyframe.
    TrackAccepted(TrackId),
    /// The encoder of our track is to make a keyframe.
    KeyframeWanted {
        /// Our track.
        track: TrackId,
        /// Its layer.
        spatial: u8,
    },
    /// The layers of our track that anybody shows; the others need not be encoded. Without this event
    /// all are wanted; after a reconnection it says so, until the relay says otherwise.
    LayersWanted {
        /// Our track.
        track: TrackId,
        /// The layers.
        spatial_layers: Vec<u8>,
    },
    /// What the encoders of all our tracks are to do, as far as their layers and bitrates are described;
    /// replaces what was told before. Only told where it is something else.
    EncoderTargets(Vec<EncoderTarget>),
    /// Who receives what we send, and what all of them decode, has changed.
    Receivers(Receivers),
    /// Who speaks, the most prominent first; replaces the list before.
    Speakers(Vec<SessionId>),
    /// Whether participants on other relays can be reached.
    Reachability {
        /// They can.
        other_relays_reachable: bool,
    },
    /// A frame of somebody else. Video is decodable after what was given before of the same layer,
    /// in order and without duplicates; audio is as it came, redundancy included.
    Frame(Frame),
    /// The end: refused, left, removed, or not to be reached
    /// ([`CloseCode::LivenessTimeout`]). Nothing follows.
    Closed(Closing),
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// For the first time.
    #[default]
    Connecting,
    /// In the meeting.
    Connected,
    /// The connection was lost; a new one is being made.
    Reconnecting,
    /// Over.
    Failed,
}

impl ConnectionState {
    /// `connecting`, `connected`, `reconnecting` or `failed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Reconnecting => "reconnecting",
            Self::Failed => "failed",
        }
    }
}

/// What a person should know about the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Where it stands.
    pub state: ConnectionState,
    /// The carrier in use or being tried.
    pub transport: Option<TransportKind>,
    /// A sentence for people, for example why the carrier is not the preferred one.
    pub notice: Option<String>,
    /// Smoothed round-trip time to the relay; a new status tells when it has changed by a quarter.
    pub rtt: Option<Duration>,
    /// Not connected because every relay that answers has said no; with the last one's reason. The
    /// client tries again.
    pub refused: Option<CloseCode>,
}
