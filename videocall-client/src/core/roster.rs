//! Who is in the meeting and what they publish, as the relay says. Nothing else changes it.

use std::collections::BTreeMap;

use videocall_types::{Participant, SessionId, TrackInfo, TrackKind, TrackRef};

/// Everybody but ourselves.
#[derive(Debug, Default)]
pub(super) struct Roster {
    own: Option<SessionId>,
    participants: BTreeMap<SessionId, Participant>,
}

impl Roster {
    /// A Welcome: what was known before no longer counts.
    pub(super) fn replace(&mut self, own: SessionId, participants: Vec<Participant>) {
        self.own = Some(own);
        self.participants.clear();
        for participant in participants {
            self.join(participant);
        }
    }

    /// Somebody is new or came back. Nothing changes when it is ourselves.
    pub(super) fn join(&mut self, participant: Participant) -> bool {
        let other = self.own != Some(participant.session);
        if other {
            self.participants.insert(participant.session, participant);
        }
        other
    }

    /// Whether that was somebody.
    pub(super) fn leave(&mut self, session: SessionId) -> bool {
        self.participants.remove(&session).is_some()
    }

    /// Whether it is somebody's track.
    pub(super) fn change_track(&mut self, session: SessionId, track: TrackInfo) -> bool {
        let Some(participant) = self.participants.get_mut(&session) else {
            return false;
        };
        match participant
            .tracks
            .iter_mut()
            .find(|known| known.track == track.track)
        {
            Some(known) => *known = track,
            None => participant.tracks.push(track),
        }
        true
    }

    /// Whether that was somebody's track.
    pub(super) fn remove_track(&mut self, track: TrackRef) -> bool {
        let Some(participant) = self.participants.get_mut(&track.session) else {
            return false;
        };
        let before = participant.tracks.len();
        participant.tracks.retain(|known| known.track != track.track);
        participant.tracks.len() < before
    }

    /// What a track carries, if there is one.
    pub(super) fn kind(&self, track: TrackRef) -> Option<TrackKind> {
        let participant = self.participants.get(&track.session)?;
        let known = participant.tracks.iter().find(|known| known.track == track.track);
        known.map(|known| known.kind)
    }

    pub(super) fn participants(&self) -> Vec<Participant> {
        self.participants.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use videocall_types::TrackId;

    fn session(raw: u64) -> SessionId {
        SessionId::new(raw).expect("not zero")
    }

    fn participant(raw: u64) -> Participant {
        Participant {
            session: session(raw),
            user_id: "ann".parse().expect("a user name"),
            display_name: "Ann".into(),
            tracks: Vec::new(),
            established_at_ms: 0,
        }
    }

    fn camera(muted: bool) -> TrackInfo {
        TrackInfo {
            track: TrackId(2),
            kind: TrackKind::Camera,
            muted,
            codec: "vp8".into(),
            layers: Vec::new(),
        }
    }

    #[test]
    fn two_sessions_of_one_name_are_two_and_we_are_none() {
        let mut roster = Roster::default();
        roster.replace(session(1), vec![participant(1), participant(2), participant(3)]);
        assert_eq!(roster.participants().len(), 2);
        assert!(!roster.join(participant(1)));
        assert!(roster.leave(session(2)));
        assert!(!roster.leave(session(2)));
    }

    #[test]
    fn tracks_belong_to_somebody() {
        let mut roster = Roster::default();
        roster.replace(session(1), vec![participant(2)]);
        let track = TrackRef {
            session: session(2),
            track: TrackId(2),
        };
        assert!(roster.change_track(session(2), camera(false)));
        assert!(roster.change_track(session(2), camera(true)));
        assert!(!roster.change_track(session(9), camera(false)));
        assert_eq!(roster.kind(track), Some(TrackKind::Camera));
        assert_eq!(roster.participants()[0].tracks, [camera(true)]);
        assert!(roster.remove_track(track));
        assert!(!roster.remove_track(track));
        assert_eq!(roster.kind(track), None);
    }
}
