//! The one grammar of NATS subjects.
//!
//! ```text
//! videocall.v1.relays                                         announcements of relays
//! videocall.v1.m.<meeting>.c                                  control of a meeting
//! videocall.v1.m.<meeting>.v.<session>.<track>.<spatial>      frames of one layer
//! ```
//!
//! A meeting id has no dot or wildcard (its type sees to that), a session is sixteen hexadecimal
//! digits, track and spatial layer are decimal numbers.

use videocall_types::{LayerId, MeetingId, TrackId, TrackRef};

/// Where relays announce how they can be reached.
pub const RELAY_DIRECTORY: &str = "videocall.v1.relays";

const MEETING_PREFIX: &str = "videocall.v1.m.";

/// The subjects of one meeting.
#[derive(Clone, Debug)]
pub struct MeetingSubjects {
    prefix: String,
}

/// What a subject of a meeting is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Messages between relays.
    Control,
    /// Frames of this layer.
    Media(LayerId),
}

impl MeetingSubjects {
    /// The subjects of this meeting.
    pub fn new(meeting: &MeetingId) -> Self {
        Self {
            prefix: format!("{MEETING_PREFIX}{meeting}"),
        }
    }

    /// Messages between relays.
    pub fn control(&self) -> String {
        format!("{}.c", self.prefix)
    }

    /// Frames of one layer.
    pub fn media(&self, layer: &LayerId) -> String {
        let TrackRef { session, track } = layer.track;
        format!("{}.v.{session}.{track}.{}", self.prefix, layer.spatial)
    }

    /// A wildcard that matches the frames of every layer.
    pub fn media_all(&self) -> String {
        format!("{}.v.>", self.prefix)
    }
}

/// Takes a subject apart; `None` when it is not one of a meeting.
pub fn parse(subject: &str) -> Option<(MeetingId, Topic)> {
    let mut parts = subject.strip_prefix(MEETING_PREFIX)?.split('.');
    let meeting = parts.next()?.parse().ok()?;
    let topic = match parts.next()? {
        "c" => Topic::Control,
        "v" => Topic::Media(LayerId {
            track: TrackRef {
                session: parts.next()?.parse().ok()?,
                track: TrackId(parts.next()?.parse().ok()?),
            },
            spatial: parts.next()?.parse().ok()?,
        }),
        _ => return None,
    };
    parts.next().is_none().then_some((meeting, topic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use videocall_types::SessionId;

    #[test]
    fn what_is_built_can_be_parsed() {
        let meeting: MeetingId = "Team-1_x".parse().expect("an id");
        let subjects = MeetingSubjects::new(&meeting);
        assert_eq!(
            parse(&subjects.control()),
            Some((meeting.clone(), Topic::Control))
        );
        let layer = LayerId {
            track: TrackRef {
                session: SessionId::new(0xab).expect("not zero"),
                track: TrackId(3),
            },
            spatial: 2,
        };
        let subject = subjects.media(&layer);
        assert_eq!(subject, "videocall.v1.m.Team-1_x.v.00000000000000ab.3.2");
        assert_eq!(parse(&subject), Some((meeting, Topic::Media(layer))));
        assert_eq!(parse(&subjects.media_all()), None);
    }

    #[test]
    fn other_subjects_are_not_parsed() {
        for subject in [
            "",
            "videocall.v1.m.",
            "videocall.v1.m.a",
            "videocall.v1.m.a.x",
            "videocall.v1.m.a.c.more",
            "videocall.v1.m.a.v.1.2.3",
            "videocall.v1.m.*.c",
            RELAY_DIRECTORY,
        ] {
            assert_eq!(parse(subject), None, "{subject}");
        }
    }
}
