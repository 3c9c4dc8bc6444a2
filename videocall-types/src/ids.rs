//! Ids as types: parsed where they enter, trusted inside.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest meeting id, user name or relay id, in characters (all of them ASCII).
pub const MAX_ID_LENGTH: usize = 64;

/// Why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing there.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// More than [`MAX_ID_LENGTH`] characters.
    #[error("{0} must have at most {MAX_ID_LENGTH} characters")]
    TooLong(&'static str),
    /// A character that is not allowed.
    #[error("{what} must not contain {found:?}; allowed are letters, digits, {allowed}")]
    Character {
        /// What was parsed, as a person would call it.
        what: &'static str,
        /// The first character that is not allowed.
        found: char,
        /// The allowed characters besides letters and digits.
        allowed: &'static str,
    },
    /// Not sixteen hexadecimal digits.
    #[error("a session id has sixteen hexadecimal digits")]
    Session,
}

fn check(text: &str, what: &'static str, dot_allowed: bool) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty(what));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || (dot_allowed && c == '.');
    if let Some(found) = text.chars().find(|&c| !allowed(c)) {
        let allowed = if dot_allowed { "_ - and ." } else { "_ and -" };
        return Err(IdError::Character { what, found, allowed });
    }
    if text.len() > MAX_ID_LENGTH {
        return Err(IdError::TooLong(what));
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, dot_allowed: $dot:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text, $what, $dot)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A meeting: 1 to 64 letters, digits, `_` and `-`.
    MeetingId, "a meeting id", dot_allowed: false
);
text_id!(
    /// A person or device: 1 to 64 letters, digits, `_`, `-` and `.`.
    UserName, "a user name", dot_allowed: true
);
text_id!(
    /// A relay process: 1 to 64 letters, digits, `_` and `-`.
    RelayId, "a relay id", dot_allowed: false
);

/// One stay of one device in one meeting; random, assigned by the relay, never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// `None` for zero, which means "no session" on the wire.
    pub const fn new(raw: u64) -> Option<Self> {
        if raw == 0 { None } else { Some(Self(raw)) }
    }

    /// The number on the wire.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SessionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(IdError::Session);
        }
        u64::from_str_radix(text, 16)
            .ok()
            .and_then(Self::new)
            .ok_or(IdError::Session)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A sender's own number for one of its tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackId(pub u32);

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A track anywhere in a meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TrackRef {
    /// Who sends it.
    pub session: SessionId,
    /// Which of the sender's tracks.
    pub track: TrackId,
}

/// A simulcast layer of a track anywhere in a meeting: the unit of ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId {
    /// The track.
    pub track: TrackRef,
    /// 0 is the smallest picture.
    pub spatial: u8,
}

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackKind {
    /// A voice.
    Microphone,
    /// A face.
    Camera,
    /// A shared screen or window.
    Screen,
    /// The sound that belongs to a shared screen.
    ScreenAudio,
}

impl TrackKind {
    /// Sound, as opposed to pictures.
    pub const fn is_audio(self) -> bool {
        matches!(self, Self::Microphone | Self::ScreenAudio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meeting_ids_take_no_subject_characters() {
        for bad in ["", "a.b", "a*", ">", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert!(bad.parse::<MeetingId>().is_err(), "{bad:?}");
        }
        for good in ["a", "Team-1_x", &"x".repeat(64)] {
            assert_eq!(
                good.parse::<MeetingId>().map(|id| id.to_string()),
                Ok(good.into())
            );
        }
    }

    #[test]
    fn user_names_may_have_dots() {
        assert!("ann.lee".parse::<UserName>().is_ok());
        assert!("ann lee".parse::<UserName>().is_err());
    }

    #[test]
    fn session_ids_survive_text() {
        let id = SessionId::new(0x00ab_cdef).expect("not zero");
        assert_eq!(id.to_string(), "0000000000abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "0000000000000000", "+00000000000001f", "xyz"] {
            assert_eq!(bad.parse::<SessionId>(), Err(IdError::Session));
        }
    }
}
