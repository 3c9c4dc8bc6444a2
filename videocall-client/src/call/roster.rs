//! Who is in the meeting, with which tracks. The own person is not part of it.

use std::collections::BTreeMap;

use videocall_types::{Participant, SessionId, TrackInfo, TrackRef};

use super::events::RosterChange;

/// The roster as the relay last told it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    own_session: Option<SessionId>,
    participants: BTreeMap<SessionId, Participant>,
}

impl Roster {
    /// Takes a change.
    pub(crate) fn apply(&mut self, change: &RosterChange) {
        match change {
            RosterChange::Replaced {
                session,
                participants,
            } => {
                self.own_session = Some(*session);
                self.participants = participants
                    .iter()
                    .map(|participant| (participant.session, participant.clone()))
                    .collect();
            }
            RosterChange::Joined(participant) => {
                self.participants.insert(participant.session, participant.clone());
            }
            RosterChange::Left(session) => {
                self.participants.remove(session);
            }
            RosterChange::TrackChanged { session, track } => {
                if let Some(participant) = self.participants.get_mut(session) {
                    participant.tracks.retain(|known| known.track != track.track);
                    participant.tracks.push(track.clone());
                }
            }
            RosterChange::TrackRemoved(track) => {
                if let Some(participant) = self.participants.get_mut(&track.session) {
                    participant.tracks.retain(|known| known.track != track.track);
                }
            }
        }
    }

    /// The whole roster as one change; `None` before the meeting was joined.
    pub(crate) fn whole(&self) -> Option<RosterChange> {
        Some(RosterChange::Replaced {
            session: self.own_session?,
            participants: self.participants.values().cloned().collect(),
        })
    }

    /// Every track of everybody.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (TrackRef, &Participant, &TrackInfo)> {
        self.participants.values().flat_map(|participant| {
            participant.tracks.iter().map(move |info| {
                let track = TrackRef {
                    session: participant.session,
                    track: info.track,
                };
                (track, participant, info)
            })
        })
    }

    /// The description of a track.
    pub(crate) fn track(&self, track: TrackRef) -> Option<&TrackInfo> {
        self.participants
            .get(&track.session)?
            .tracks
            .iter()
            .find(|info| info.track == track.track)
    }
}

#[cfg(test)]
mod tests {
    use videocall_types::{TrackId, TrackKind};

    use super::*;

    fn participant(number: u64, tracks: &[u32]) -> Participant {
        Participant {
            session: SessionId::new(number).expect("not zero"),
            user_id: "ann".parse().expect("a user name"),
            display_name: "Ann".into(),
            tracks: tracks.iter().map(|&track| info(track, false)).collect(),
            established_at_ms: 0,
            decodes: Default::default(),
        }
    }

    fn info(track: u32, muted: bool) -> TrackInfo {
        TrackInfo {
            track: TrackId(track),
            kind: TrackKind::Camera,
            muted,
            codec: "vp8".into(),
            layers: Vec::new(),
        }
    }

    fn numbers(roster: &Roster) -> Vec<(u64, u32, bool)> {
        roster
            .tracks()
            .map(|(track, _, info)| (track.session.get(), track.track.0, info.muted))
            .collect()
    }

    #[test]
    fn changes_add_up() {
        let own = participant(9, &[]).session;
        let mut roster = Roster::default();
        assert_eq!(roster.whole(), None);
        roster.apply(&RosterChange::Replaced {
            session: own,
            participants: vec![participant(1, &[2])],
        });
        roster.apply(&RosterChange::Joined(participant(3, &[1, 2])));
        let session = participant(3, &[]).session;
        roster.apply(&RosterChange::TrackChanged {
            session,
            track: info(2, true),
        });
        roster.apply(&RosterChange::TrackRemoved(TrackRef {
            session,
            track: TrackId(1),
        }));
        assert_eq!(numbers(&roster), [(1, 2, false), (3, 2, true)]);
        let changed = TrackRef {
            session,
            track: TrackId(2),
        };
        assert_eq!(roster.track(changed), Some(&info(2, true)));
        roster.apply(&RosterChange::Left(participant(1, &[]).session));
        assert_eq!(numbers(&roster), [(3, 2, true)]);
        let mut other = Roster::default();
        other.apply(&roster.whole().expect("joined"));
        assert_eq!(numbers(&other), numbers(&roster));
    }

    #[test]
    fn what_is_about_nobody_changes_nothing() {
        let mut roster = Roster::default();
        roster.apply(&RosterChange::TrackChanged {
            session: participant(1, &[]).session,
            track: info(2, false),
        });
        assert_eq!(numbers(&roster), []);
    }
}
