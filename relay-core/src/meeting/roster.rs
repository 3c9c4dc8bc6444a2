//! Telling members who came, who went and whose tracks changed.
//!
//! Where many are, those that come and go within a fraction of a second are told of together: a
//! thousand people who arrive within seconds would otherwise be a million messages.

use std::time::Duration;

use bytes::Bytes;
use videocall_types::{Participant, ServerMessage, SessionId, Timestamp, TrackRef};

use super::{LocalMember, Meeting, State};

/// From this many members on, news are gathered.
const LARGE_MEETING: usize = 50;

/// For how long they are.
const NEWS_DELAY: Duration = Duration::from_millis(100);

/// Who came and went since members were last told. An entry has a number, so that a member is not
/// told what its Welcome has told it.
#[derive(Debug, Default)]
pub(super) struct News {
    joined: Vec<(u64, SessionId)>,
    left: Vec<(u64, SessionId)>,
    /// Entries so far.
    count: u64,
    due: Option<Timestamp>,
}

impl News {
    /// Whoever is welcomed now has seen entries up to this.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) const fn due(&self) -> Option<Timestamp> {
        self.due
    }

    fn note_joined(&mut self, session: SessionId) {
        self.count += 1;
        self.joined.push((self.count, session));
    }

    /// Somebody whose coming nobody was told of has not been there.
    fn note_left(&mut self, session: SessionId) {
        let waiting = self.joined.len();
        self.joined.retain(|(_, joined)| *joined != session);
        if self.joined.len() == waiting {
            self.count += 1;
            self.left.push((self.count, session));
        }
    }

    fn concerns(&self, session: SessionId) -> bool {
        let of = |(_, other): &(u64, SessionId)| *other == session;
        self.joined.iter().any(of) || self.left.iter().any(of)
    }

    fn first(&self) -> u64 {
        let numbers = self.joined.iter().chain(&self.left).map(|(number, _)| *number);
        numbers.min().unwrap_or(u64::MAX)
    }

    fn after(entries: &[(u64, SessionId)], seen: u64) -> Vec<SessionId> {
        let unseen = entries.iter().filter(|(number, _)| *number > seen);
        unseen.map(|(_, session)| *session).collect()
    }
}

/// How a session was described before a change; `None` when it was not there.
pub(super) type Before = (SessionId, Option<Participant>);

impl Meeting {
    /// Tells local members what has changed of these sessions.
    pub(super) fn announce(&self, state: &mut State, changes: Vec<Before>, now: Timestamp) {
        let mut at_once = state.connected().count() < LARGE_MEETING;
        for (session, before) in changes {
            let after = state.participant(session).cloned();
            match (before, after) {
                (None, None) => {}
                (None, Some(new)) => {
                    if state.news.concerns(session) {
                        self.tell_news(state, now);
                    }
                    state.news.note_joined(session);
                    // Media of somebody unknown is of no use to anybody.
                    at_once |= !new.tracks.is_empty();
                }
                (Some(_), None) => state.news.note_left(session),
                (Some(before), Some(after)) => {
                    if state.news.concerns(session) {
                        self.tell_news(state, now);
                    }
                    for change in track_changes(&before, &after) {
                        self.broadcast(state, change, Some(session), now);
                    }
                }
            }
        }
        if at_once {
            self.tell_news(state, now);
        } else if state.news.due.is_none() && state.news.first() != u64::MAX {
            state.news.due = Some(now + NEWS_DELAY);
        }
    }

    /// Tells everybody what they have not been told.
    pub(super) fn tell_news(&self, state: &mut State, now: Timestamp) {
        let news = std::mem::take(&mut state.news);
        state.news.count = news.count;
        let first = news.first();
        if first == u64::MAX {
            return;
        }
        let all = packets(state, &news, 0);
        for local in state.connected() {
            let own;
            let concerned = news
                .joined
                .iter()
                .any(|(_, session)| *session == local.member.session());
            let packets = match local.news_seen < first && !concerned {
                true => &all,
                false => {
                    own = packets(state, &news.without(local), local.news_seen);
                    &own
                }
            };
            for packet in packets {
                self.send(&local.member, packet.clone(), now);
            }
        }
        let seen = news.count;
        for local in state.members.values_mut() {
            local.news_seen = seen;
        }
    }
}

impl News {
    /// Nobody is told of their own coming.
    fn without(&self, local: &LocalMember) -> Self {
        let own = local.member.session();
        let others = |entries: &[(u64, SessionId)]| {
            let others = entries.iter().filter(|(_, session)| *session != own);
            others.copied().collect()
        };
        Self {
            joined: others(&self.joined),
            left: others(&self.left),
            count: self.count,
            due: None,
        }
    }
}

/// The messages with what came after entry number `seen`.
fn packets(state: &State, news: &News, seen: u64) -> Vec<Bytes> {
    let joined: Vec<_> = News::after(&news.joined, seen)
        .into_iter()
        .filter_map(|session| state.participant(session).cloned())
        .collect();
    let left = News::after(&news.left, seen);
    let joined = (!joined.is_empty()).then_some(ServerMessage::ParticipantsJoined(joined));
    let left = (!left.is_empty()).then_some(ServerMessage::ParticipantsLeft(left));
    left.into_iter()
        .chain(joined)
        .map(ServerMessage::encode)
        .collect()
}

/// The messages that turn one description of a participant into another.
fn track_changes(before: &Participant, after: &Participant) -> Vec<ServerMessage> {
    let session = after.session;
    let changed = after.tracks.iter().filter(|info| !before.tracks.contains(info));
    let removed = before
        .tracks
        .iter()
        .filter(|old| after.tracks.iter().all(|new| new.track != old.track));
    let changed = changed.map(|info| ServerMessage::TrackChanged {
        session,
        track: info.clone(),
    });
    let removed = removed.map(|info| {
        ServerMessage::TrackRemoved(TrackRef {
            session,
            track: info.track,
        })
    });
    removed.chain(changed).collect()
}
