//! What one member has chosen to receive.

use videocall_types::{Interest, Subscription as Wish, TrackKind, TrackRef};

use crate::track::Track;

/// A member's interest, ready to be asked about a track.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    everything: bool,
    /// The active speakers are to be heard.
    pub(super) speakers: bool,
    /// In ascending order of the track.
    tracks: Vec<Ranked>,
}

/// A wish and its importance among the member's wishes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranked {
    pub(super) wish: Wish,
    /// 0 is left out first.
    pub(super) rank: u8,
}

impl From<Interest> for Choice {
    fn from(interest: Interest) -> Self {
        let speakers = interest.wants_speakers();
        let Interest::Chosen { mut tracks, .. } = interest else {
            return Self {
                everything: true,
                speakers,
                tracks: Vec::new(),
            };
        };
        tracks.sort_by_key(|wish| wish.track);
        // Who asks twice gets what was asked first.
        tracks.dedup_by_key(|wish| wish.track);
        // Of equally important ones, those with the smaller picture go first.
        tracks.sort_by_key(|wish| (wish.priority, u64::from(wish.width) * u64::from(wish.height)));
        let last = tracks.len().saturating_sub(1).max(1);
        let rank = |index: usize| u8::try_from(index * usize::from(u8::MAX) / last).unwrap_or(u8::MAX);
        let mut tracks: Vec<_> = tracks
            .into_iter()
            .enumerate()
            .map(|(index, wish)| Ranked {
                wish,
                rank: rank(index),
            })
            .collect();
        if let [only] = &mut tracks[..] {
            only.rank = u8::MAX;
        }
        tracks.sort_by_key(|ranked| ranked.wish.track);
        Self {
            everything: false,
            speakers,
            tracks,
        }
    }
}

impl Choice {
    /// What the member wants of a track of somebody else, by name or because it wants everything.
    pub(super) fn of(&self, track: &Track) -> Option<Ranked> {
        if self.everything {
            return (!track.kind.is_audio()).then(|| at_its_best(track));
        }
        let found = self
            .tracks
            .binary_search_by_key(&track.id, |ranked| ranked.wish.track);
        found.ok().map(|index| self.tracks[index])
    }

    /// The tracks asked for by name.
    pub(super) fn named(&self) -> impl Iterator<Item = TrackRef> + '_ {
        self.tracks.iter().map(|ranked| ranked.wish.track)
    }

    pub(super) const fn wants_everything(&self) -> bool {
        self.everything
    }
}

/// Nobody said what is important: screens are more so than faces, and of faces always the same are
/// left out first.
fn at_its_best(track: &Track) -> Ranked {
    let spread = track.id.session.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57;
    let rank = match track.kind {
        TrackKind::Screen => u8::MAX,
        _ => u8::try_from(spread).unwrap_or(0),
    };
    Ranked {
        wish: Wish {
            track: track.id,
            width: 0,
            height: 0,
            priority: 0,
        },
        rank,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use videocall_types::{SessionId, TrackId};

    fn wish(session: u64, priority: u32) -> Wish {
        Wish {
            track: TrackRef {
                session: SessionId::new(session).expect("not zero"),
                track: TrackId(2),
            },
            width: 320,
            height: 180,
            priority,
        }
    }

    fn ranks(wishes: Vec<Wish>) -> Vec<u8> {
        let interest = Interest::Chosen {
            speakers: false,
            tracks: wishes,
        };
        Choice::from(interest)
            .tracks
            .iter()
            .map(|ranked| ranked.rank)
            .collect()
    }

    #[test]
    fn ranks_follow_priorities_and_use_the_whole_range() {
        assert_eq!(ranks(vec![wish(3, 10), wish(1, 5), wish(2, 7)]), [0, 127, 255]);
        assert_eq!(ranks(vec![wish(1, 0)]), [255]);
        assert!(ranks(vec![]).is_empty());
    }

    #[test]
    fn a_track_named_twice_counts_once() {
        assert_eq!(ranks(vec![wish(1, 5), wish(1, 9)]).len(), 1);
    }
}
