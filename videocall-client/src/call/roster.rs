//! Who is in the meeting, with which tracks. The own person is not part of it.

use std::collections::BTreeMap;

use videocall_types::{Participant, SessionId, TrackInfo, TrackRef};

use super::events::RosterChange;

/// The roster as the relay last told it.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    own_session: Option<SessionId>,
    participants: BTreeMap<SessionId, Participant>,
}

impl Roster {
    /// Takes a change.
    pub(super) fn apply(&mut self, change: &RosterChange) {
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
    pub(super) fn whole(&self) -> Option<RosterChange> {
        Some(RosterChange::Replaced {
            session: self.own_session?,
            participants: self.participants.values().cloned().collect(),
        })
    }

    /// Every track of everybody.
    pub(super) fn tracks(&self) -> impl Iterator<Item = (TrackRef, &Participant, &TrackInfo)> {
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
    pub(super) fn track(&self, track: TrackRef) -> Option<&TrackInfo> {
        self.participants
            .get(&track.session)?
            .tracks
            .iter()
            .find(|info| info.track == track.track)
    }
}
