//! The one grammar of NATS subjects.
//!
//! ```text
//! videocall.v1.relays                                         announcements of relays
//! videocall.v1.revocations                                    tokens that are good no more
//! videocall.v1.lag.<number>                                   a relay's messages to itself
//! videocall.v1.m.<meeting>.c                                  control of a meeting
//! videocall.v1.m.<meeting>.a.<session>.<track>                sound of one track
//! videocall.v1.m.<meeting>.v.<session>.<track>.<spatial>.<temporal>   frames of one layer
//! ```
//!
//! A meeting id has no dot or wildcard (its type sees to that), a session is sixteen hexadecimal
//! digits, track and layers are decimal numbers.

use videocall_types::{LayerId, MeetingId, TrackId, TrackRef};

/// Where relays announce how they can be reached.
pub const RELAY_DIRECTORY: &str = "videocall.v1.relays";

/// Where relays tell which tokens are revoked.
pub const REVOCATIONS: &str = "videocall.v1.revocations";

/// Where a relay sends messages to itself, to see how long they take.
pub fn lag(number: u64) -> String {
    format!("videocall.v1.lag.{number:016x}")
}

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
    /// Sound of this track.
    Audio(TrackRef),
    /// Frames of this layer.
    Video {
        /// The track and its spatial layer.
        layer: LayerId,
        /// The temporal layer.
        temporal: u8,
    },
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

    /// Sound of one track.
    pub fn audio(&self, track: TrackRef) -> String {
        let TrackRef { session, track } = track;
        format!("{}.a.{session}.{track}", self.prefix)
    }

    /// A wildcard that matches the sound of every track.
    pub fn audio_all(&self) -> String {
        format!("{}.a.>", self.prefix)
    }

    /// Frames of one temporal layer of a spatial layer.
    pub fn video(&self, layer: LayerId, temporal: u8) -> String {
        let TrackRef { session, track } = layer.track;
        format!("{}.v.{session}.{track}.{}.{temporal}", self.prefix, layer.spatial)
    }

    /// A wildcard that matches every temporal layer of a spatial layer.
    pub fn video_layer(&self, layer: LayerId) -> String {
        let TrackRef { session, track } = layer.track;
        format!("{}.v.{session}.{track}.{}.*", self.prefix, layer.spatial)
    }
}

/// Whether a subject matches a pattern, in which `*` stands for one part and a last `>` for one or
/// more.
pub fn matches(pattern: &str, subject: &str) -> bool {
    let mut parts = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, parts.next()) {
            (">", rest) => return rest.is_some(),
            (wanted, Some(part)) if wanted == "*" || wanted == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

/// Takes a subject apart; `None` when it is not one of a meeting.
pub fn parse(subject: &str) -> Option<(MeetingId, Topic)> {
    let mut parts = subject.strip_prefix(MEETING_PREFIX)?.split('.');
    let meeting = parts.next()?.parse().ok()?;
    let topic = match parts.next()? {
        "c" => Topic::Control,
        "a" => Topic::Audio(track(&mut parts)?),
        "v" => Topic::Video {
            layer: LayerId {
                track: track(&mut parts)?,
                spatial: parts.next()?.parse().ok()?,
            },
            temporal: parts.next()?.parse().ok()?,
        },
        _ => return None,
    };
    parts.next().is_none().then_some((meeting, topic))
}

fn track<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<TrackRef> {
    Some(TrackRef {
        session: parts.next()?.parse().ok()?,
        track: TrackId(parts.next()?.parse().ok()?),
    })
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
        let subject = subjects.video(layer, 1);
        assert_eq!(subject, "videocall.v1.m.Team-1_x.v.00000000000000ab.3.2.1");
        let topic = Topic::Video { layer, temporal: 1 };
        assert_eq!(parse(&subject), Some((meeting.clone(), topic)));
        let subject = subjects.audio(layer.track);
        assert_eq!(subject, "videocall.v1.m.Team-1_x.a.00000000000000ab.3");
        assert_eq!(parse(&subject), Some((meeting, Topic::Audio(layer.track))));
        assert_eq!(parse(&subjects.audio_all()), None);
        assert_eq!(parse(&subjects.video_layer(layer)), None);
    }

    #[test]
    fn patterns_match_as_nats_has_them() {
        assert!(matches("a.b", "a.b"));
        assert!(matches("a.*.c", "a.b.c"));
        assert!(matches("a.>", "a.b.c"));
        for (pattern, subject) in [
            ("a.b", "a"),
            ("a", "a.b"),
            ("a.*", "a"),
            ("a.*", "a.b.c"),
            ("a.>", "a"),
        ] {
            assert!(!matches(pattern, subject), "{pattern} {subject}");
        }
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
            "videocall.v1.m.a.v.00000000000000ab.2.3",
            "videocall.v1.m.*.c",
            RELAY_DIRECTORY,
        ] {
            assert_eq!(parse(subject), None, "{subject}");
        }
    }
}
