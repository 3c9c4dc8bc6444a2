//! What a call tells its user interface.

use serde::{Deserialize, Serialize};
use videocall_types::{Closing, Participant, SessionId, TrackInfo, TrackRef};

use crate::core::ConnectionStatus;
use crate::media::device_error::{DeviceError, Source};

/// Something a user interface shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CallEvent {
    /// The connection's state, carrier or notice has changed.
    Connection(ConnectionStatus),
    /// Who is in the meeting, and with what, has changed.
    Roster(RosterChange),
    /// Whether a track of somebody else has a picture to show.
    Picture {
        /// Which track.
        track: TrackRef,
        /// Whether.
        state: PictureState,
    },
    /// Who speaks, the most prominent first, the own session included; replaces the list before.
    Speakers(Vec<SessionId>),
    /// What is sent of the own person has changed.
    Local(LocalState),
    /// Something a person should know.
    Notice(Notice),
    /// The call is over. Nothing follows.
    Closed(Closing),
}

/// A change of who is in the meeting. The own person is never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RosterChange {
    /// The whole roster, which replaces the one known before: after joining and after reconnecting.
    Replaced {
        /// The own session.
        session: SessionId,
        /// Everybody else.
        participants: Vec<Participant>,
    },
    /// Somebody came, or came back with other tracks: replaces who has the same session.
    Joined(Participant),
    /// Somebody is gone, with all their tracks.
    Left(SessionId),
    /// A track is new, or was muted or unmuted.
    TrackChanged {
        /// Whose.
        session: SessionId,
        /// The whole description.
        track: TrackInfo,
    },
    /// A track has ended.
    TrackRemoved(TrackRef),
}

/// Whether a track has a picture to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PictureState {
    /// Pictures are being drawn.
    Live,
    /// None has come yet, or none for a while.
    Waiting,
    /// They come, but this browser's decoders give them up.
    Undecodable,
    /// The sender has switched it off.
    Off,
}

impl PictureState {
    /// `live`, `waiting`, `undecodable` or `off`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Undecodable => "undecodable",
            Self::Off => "off",
        }
    }
}

/// What is kept longer when the path is too short for all pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// One of many.
    #[default]
    Other,
    /// Of somebody who speaks.
    Speaker,
    /// What the person looks at: pinned, or a shared screen.
    Main,
}

/// What is sent of the own person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalState {
    /// The microphone is open and heard.
    pub microphone: bool,
    /// The camera is on.
    pub camera: bool,
    /// The screen is shared.
    pub screen: bool,
}

/// How loud everybody is, 0 (silence) to 1 (full scale).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// The own voice; 0 while it is muted.
    pub own: f64,
    /// The audio tracks of others that are heard.
    pub others: Vec<(TrackRef, f64)>,
}

/// Something a person should know while the call goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Notice {
    /// A device cannot be used; the call goes on without it.
    #[error("{}: {error}", source_name(*.device))]
    Device {
        /// Which.
        device: Source,
        /// Why.
        error: DeviceError,
    },
    /// The browser plays no sound before the page was clicked.
    #[error("click anywhere on the page to hear the others")]
    PlaybackBlocked,
    /// Sound cannot be played at all.
    #[error("sound cannot be played: {0}")]
    PlaybackFailed(String),
    /// Sound is played after all.
    #[error("sound is played again")]
    PlaybackWorks,
    /// A source cannot be encoded; the call goes on without it.
    #[error("{} cannot be encoded: {reason}", source_name(*.device))]
    EncodingFailed {
        /// Which.
        device: Source,
        /// In the browser's words.
        reason: String,
    },
    /// The own person speaks and is muted. Told once in a while only.
    #[error("you are muted; nobody hears what you say")]
    SpeakingWhileMuted,
    /// Whether participants on other relays can be reached has changed.
    #[error("{}", if *.0 { "everybody can be reached again" } else { "people on other servers cannot be reached at the moment" })]
    OtherRelaysReachable(bool),
}

const fn source_name(source: Source) -> &'static str {
    match source {
        Source::Microphone => "microphone",
        Source::Camera => "camera",
        Source::Screen => "screen",
        Source::ScreenSound => "sound of the screen",
    }
}
