//! What happens by itself as time passes.

use videocall_types::limits::{RELAY_HEARTBEAT, RELAY_LIVENESS};
use videocall_types::{RelayId, SessionId, Timestamp};

use super::{Meeting, State};
use crate::speakers;

/// How often it is looked at what members' paths carry and who speaks.
const REVIEW_INTERVAL: std::time::Duration = speakers::TICK;

impl Meeting {
    /// Carries out what is due: lost sessions end, silent relays are forgotten, news are told, and
    /// this relay tells the others that it lives. Returns when to call again; `None` when only
    /// another call on the meeting can make something due.
    pub fn on_timer(&self, now: Timestamp) -> Option<Timestamp> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        for session in state.expired_sessions(now) {
            self.remove(state, session, now);
        }
        for relay in state.silent_relays(now) {
            tracing::warn!(meeting = %self.id, %relay, "relay is silent; its participants are gone");
            self.forget_relay(state, &relay, now);
        }
        if state.news.due().is_some_and(|due| due <= now) {
            self.tell_news(state, now);
        }
        if state.review_at <= now || state.shrinks_at().is_some_and(|at| at <= now) {
            state.review_at = now + REVIEW_INTERVAL;
            self.review_layers(state, now);
            self.review_speakers(state, now);
        }
        if self.settings.bus && state.heartbeat_at <= now {
            state.heartbeat_at = now + RELAY_HEARTBEAT;
            self.publish_heartbeat(state, now);
        }
        let busy = !self.tracks.load().is_empty() || self.selection.next_tick().is_some();
        let review = busy.then_some(state.review_at);
        review
            .into_iter()
            .chain(state.next_deadline(self.settings.bus))
            .min()
    }
}

impl State {
    fn expired_sessions(&self, now: Timestamp) -> Vec<SessionId> {
        self.members
            .iter()
            .filter(|(_, local)| local.lost_until.is_some_and(|until| until <= now))
            .map(|(session, _)| *session)
            .collect()
    }

    fn silent_relays(&self, now: Timestamp) -> Vec<RelayId> {
        self.relays
            .iter()
            .filter(|(_, relay)| now.since(relay.heard_at) >= RELAY_LIVENESS)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// When something is to be given up that nobody wants any more.
    fn shrinks_at(&self) -> Option<Timestamp> {
        let told = self.told.values().filter_map(super::Told::shrink_at);
        told.chain(self.interest.shrink_at()).min()
    }

    fn next_deadline(&self, bus: bool) -> Option<Timestamp> {
        let lost = self.members.values().filter_map(|local| local.lost_until);
        let silent = self.relays.values().map(|relay| relay.heard_at + RELAY_LIVENESS);
        let heartbeat = bus.then_some(self.heartbeat_at);
        let soon = [heartbeat, self.shrinks_at(), self.news.due()]
            .into_iter()
            .flatten();
        lost.chain(silent).chain(soon).min()
    }
}
