//! Telling members, and the other relays, who speaks. Who that is decides [`crate::speakers`].

use videocall_types::{RelayId, RelayMessage, ServerMessage, Speaker, Timestamp};

use super::{Counters, Meeting, State};
use crate::member::Member;

impl Meeting {
    /// Another relay has said who speaks among its people.
    pub(super) fn take_speakers(
        &self,
        state: &State,
        relay: RelayId,
        speakers: Vec<Speaker>,
        now: Timestamp,
    ) {
        // Of a relay that nothing else is known of, nobody can be announced.
        if state.relays.contains_key(&relay) {
            self.selection.take_report(relay, speakers, now);
        }
    }

    /// Says what has changed of who speaks.
    pub(super) fn review_speakers(&self, state: &State, now: Timestamp) {
        let tick = self
            .selection
            .tick(|session| state.participant(session).is_some(), now);
        if let Some(speakers) = tick.publish {
            let relay = self.settings.relay.clone();
            self.publish(RelayMessage::Speakers { relay, speakers }, now);
        }
        if let Some(order) = tick.announce {
            Counters::count(&self.counters.speaker_changes);
            self.broadcast(state, ServerMessage::Speakers(order), None, now);
        }
    }

    /// Tells somebody who has just come. Who has left since the last review is not in their roster.
    pub(super) fn greet_with_speakers(&self, state: &State, member: &Member, now: Timestamp) {
        let mut order = self.selection.announced();
        order.retain(|session| state.participant(*session).is_some());
        if !order.is_empty() {
            self.send(member, ServerMessage::Speakers(order).encode(), now);
        }
    }
}
