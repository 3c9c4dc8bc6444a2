//! Who is in the meeting and what they publish, as the relay says. Nothing else changes it.

use std::collections::{BTreeMap, BTreeSet};

use videocall_types::{Participant, SessionId, Timestamp, TrackInfo, TrackKind, TrackRef, VideoCodecs};

use super::types::Receivers;

/// Everybody but ourselves.
#[derive(Debug, Default)]
pub(super) struct Roster {
    own: Option<SessionId>,
    participants: BTreeMap<SessionId, Participant>,
    /// Those who were there before and of whom the relay has not heard yet, and until when it may.
    unconfirmed: BTreeSet<SessionId>,
    confirm_until: Option<Timestamp>,
    /// Somebody has come or gone since [`Roster::take_receivers`].
    changed: bool,
    receivers: Receivers,
}

impl Roster {
    /// A Welcome: what was known before no longer counts, except that who is missing may still be
    /// confirmed until the given time.
    pub(super) fn replace(
        &mut self,
        own: SessionId,
        participants: Vec<Participant>,
        confirm_until: Option<Timestamp>,
    ) {
        self.changed = true;
        self.own = Some(own);
        let before = std::mem::take(&mut self.participants);
        for participant in participants {
            self.join(participant);
        }
        self.unconfirmed.clear();
        self.confirm_until = confirm_until;
        for (session, participant) in before {
            if confirm_until.is_some() && session != own && !self.has(session) {
                self.unconfirmed.insert(session);
                self.participants.insert(session, participant);
            }
        }
        if self.unconfirmed.is_empty() {
            self.confirm_until = None;
        }
    }

    /// When [`Roster::expire`] has something to do.
    pub(super) fn confirm_until(&self) -> Option<Timestamp> {
        self.confirm_until
    }

    /// Those who have not been confirmed in time: they are gone.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<SessionId> {
        if self.confirm_until.is_none_or(|until| until > now) {
            return Vec::new();
        }
        self.confirm_until = None;
        let gone: Vec<_> = std::mem::take(&mut self.unconfirmed).into_iter().collect();
        for session in &gone {
            self.participants.remove(session);
        }
        self.changed = true;
        gone
    }

    pub(super) fn has(&self, session: SessionId) -> bool {
        self.participants.contains_key(&session)
    }

    /// Somebody is new or came back. Nothing changes when it is ourselves.
    pub(super) fn join(&mut self, participant: Participant) -> bool {
        let other = self.own != Some(participant.session);
        self.unconfirmed.remove(&participant.session);
        self.changed = true;
        if other {
            self.participants.insert(participant.session, participant);
        }
        other
    }

    /// Whether that was somebody.
    pub(super) fn leave(&mut self, session: SessionId) -> bool {
        self.unconfirmed.remove(&session);
        self.changed = true;
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

    /// Who receives what we send, when that has changed.
    pub(super) fn take_receivers(&mut self) -> Option<Receivers> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let others = self.participants.values();
        let receivers = Receivers {
            count: others.len(),
            decode: others.fold(VideoCodecs::ALL, |all, one| all.and(one.decodes)),
        };
        (std::mem::replace(&mut self.receivers, receivers) != receivers).then_some(receivers)
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
            decodes: Default::default(),
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
        roster.replace(
            session(1),
            vec![participant(1), participant(2), participant(3)],
            None,
        );
        assert_eq!(roster.participants().len(), 2);
        assert!(!roster.join(participant(1)));
        assert!(roster.leave(session(2)));
        assert!(!roster.leave(session(2)));
    }

    #[test]
    fn who_was_there_before_may_be_confirmed_later() {
        let mut roster = Roster::default();
        let until = Timestamp::from_millis(2_000);
        roster.replace(
            session(1),
            vec![participant(2), participant(3), participant(4)],
            None,
        );
        roster.replace(session(1), vec![participant(2)], Some(until));
        assert_eq!(roster.participants().len(), 3);
        assert!(roster.join(participant(3)), "the relay has heard of the third");
        assert_eq!(roster.expire(Timestamp::from_millis(1_999)), []);
        assert_eq!(roster.expire(until), [session(4)]);
        assert_eq!((roster.participants().len(), roster.confirm_until()), (2, None));
    }

    #[test]
    fn what_all_decode_is_told_when_it_changes() {
        let mut roster = Roster::default();
        let decoding = |raw, decodes| Participant {
            decodes,
            ..participant(raw)
        };
        let everything = VideoCodecs::ALL;
        roster.replace(session(1), Vec::new(), None);
        assert_eq!(roster.take_receivers(), None, "still nobody");
        roster.join(decoding(2, everything));
        assert_eq!(
            roster.take_receivers(),
            Some(Receivers {
                count: 1,
                decode: everything
            })
        );
        roster.join(decoding(3, VideoCodecs::UNSAID));
        let told = roster.take_receivers().expect("news");
        assert_eq!((told.count, told.decode), (2, VideoCodecs::UNSAID));
        roster.join(decoding(3, VideoCodecs::UNSAID));
        assert_eq!(roster.take_receivers(), None, "as before");
        roster.leave(session(3));
        let told = roster.take_receivers().expect("news");
        assert_eq!((told.count, told.decode), (1, everything));
    }

    #[test]
    fn tracks_belong_to_somebody() {
        let mut roster = Roster::default();
        roster.replace(session(1), vec![participant(2)], None);
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
