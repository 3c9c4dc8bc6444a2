//! What happens by itself as time passes.

use videocall_types::limits::{RELAY_HEARTBEAT, RELAY_LIVENESS};
use videocall_types::{RelayId, SessionId, Timestamp};

use super::{Meeting, State};

impl Meeting {
    /// Carries out what is due: lost sessions end, silent relays are forgotten, this relay tells
    /// the others that it lives. Returns when to call again; `None` when only another call on the
    /// meeting can make something due.
    pub fn on_timer(&self, now: Timestamp) -> Option<Timestamp> {
        let mut state = self.state.lock();
        for session in state.expired_sessions(now) {
            self.remove(&mut state, session, now);
        }
        for relay in state.silent_relays(now) {
            tracing::warn!(meeting = %self.id, %relay, "relay is silent; its participants are gone");
            self.forget_relay(&mut state, &relay, now);
        }
        if self.settings.bus && state.heartbeat_at <= now {
            state.heartbeat_at = now + RELAY_HEARTBEAT;
            self.publish_heartbeat(&state, now);
        }
        state.next_deadline(self.settings.bus)
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

    fn next_deadline(&self, bus: bool) -> Option<Timestamp> {
        let lost = self.members.values().filter_map(|local| local.lost_until);
        let silent = self.relays.values().map(|relay| relay.heard_at + RELAY_LIVENESS);
        let heartbeat = bus.then_some(self.heartbeat_at);
        lost.chain(silent).chain(heartbeat).min()
    }
}
