//! What relays tell one another of a meeting.
//!
//! Every relay publishes its own participants and interest: changes as they happen, the whole state
//! when somebody asks, a heartbeat with the version in between. Whoever notices a gap asks.

use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use videocall_types::{
    CloseCode, Closing, FrameHeader, Interest, MediaClass, Participant, RelayChange, RelayId, RelayInterest,
    RelayMessage, RelayState, ServerMessage, SessionId, Timestamp, TrackInterest, TrackRef, is_frame,
};

use super::{Meeting, RemoteRelay, State};
use crate::ClassSet;
use crate::track::Track;

/// Between two requests for the others' state: one answers every gap noticed meanwhile.
const STATE_REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// A packet to publish on the bus.
#[derive(Clone, Debug)]
pub struct BusMessage {
    /// Where.
    pub subject: String,
    /// What.
    pub packet: Bytes,
    /// How urgent it is.
    pub class: MediaClass,
}

impl Meeting {
    /// The next packet for the bus. One task at a time may wait.
    pub fn poll_bus(&self, now: Timestamp, cx: &mut Context<'_>) -> Poll<Option<BusMessage>> {
        let next = self.bus_outbox.poll_next(ClassSet::ALL, now, cx);
        self.unstick(&self.bus_outbox.take_stuck(), now);
        next.map(|next| {
            next.map(|outgoing| BusMessage {
                subject: match &outgoing.layer {
                    Some(layer) => self.subjects.media(layer),
                    None => self.subjects.control(),
                },
                packet: outgoing.packet,
                class: outgoing.class,
            })
        })
    }

    /// Takes a packet that another relay published on one of this meeting's subjects. What cannot
    /// be read is ignored: it harms nobody but its sender.
    pub fn from_bus(&self, packet: &Bytes, now: Timestamp) {
        if is_frame(packet) {
            self.media_from_bus(packet, now);
            return;
        }
        match RelayMessage::decode(packet) {
            Ok(message) => self.message_from_bus(message, now),
            Err(error) => tracing::debug!(meeting = %self.id, %error, "unreadable bus message"),
        }
    }

    fn media_from_bus(&self, packet: &Bytes, now: Timestamp) {
        let Ok(header) = FrameHeader::peek(packet) else {
            return;
        };
        let tracks = self.tracks.load();
        let Some(track) = tracks.get(&header.track_ref()) else {
            return;
        };
        if track.kind == header.kind && !track.is_muted() {
            self.fan_out(track, &header, packet, now);
        }
    }

    fn message_from_bus(&self, message: RelayMessage, now: Timestamp) {
        let mut state = self.state.lock();
        let state = &mut *state;
        match message {
            RelayMessage::State(remote) if remote.relay != self.settings.relay => {
                self.take_state(state, remote, now);
            }
            RelayMessage::Change {
                relay,
                version,
                change,
            } if relay != self.settings.relay => {
                self.take_change(state, relay, version, *change, now);
            }
            RelayMessage::Heartbeat { relay, version } if relay != self.settings.relay => {
                match state.relays.get_mut(&relay) {
                    Some(known) if known.version == version => known.heard_at = now,
                    Some(known) => {
                        known.heard_at = now;
                        self.ask_other_relays(state, now);
                    }
                    None => self.ask_other_relays(state, now),
                }
            }
            RelayMessage::StateRequest(relay) if relay != self.settings.relay => {
                self.publish_state(state, now);
            }
            RelayMessage::Goodbye(relay) => self.forget_relay(state, &relay, now),
            RelayMessage::KeyframeRequest { track, spatial, .. }
                if state.members.contains_key(&track.session) =>
            {
                self.request_keyframe(track, spatial, now);
            }
            _ => {}
        }
    }

    fn take_state(&self, state: &mut State, remote: RelayState, now: Timestamp) {
        let participants: std::collections::BTreeMap<_, _> =
            remote.participants.into_iter().map(|p| (p.session, p)).collect();
        let known = state.relays.get(&remote.relay);
        let mut sessions: Vec<SessionId> = participants.keys().copied().collect();
        sessions.extend(known.into_iter().flat_map(|relay| relay.participants.keys()));
        sessions.sort_unstable();
        sessions.dedup();
        let before = state.describe(&sessions);
        state.relays.insert(
            remote.relay,
            RemoteRelay {
                version: remote.version,
                participants,
                interest: remote.interest,
                heard_at: now,
            },
        );
        self.settle(state, before, now);
    }

    fn take_change(
        &self,
        state: &mut State,
        relay: RelayId,
        version: u64,
        change: RelayChange,
        now: Timestamp,
    ) {
        let Some(known) = state.relays.get_mut(&relay) else {
            return self.ask_other_relays(state, now);
        };
        known.heard_at = now;
        if version != known.version + 1 {
            return self.ask_other_relays(state, now);
        }
        known.version = version;
        let session = match &change {
            RelayChange::Participant(participant) => Some(participant.session),
            RelayChange::Left(session) => Some(*session),
            RelayChange::Interest(_) => None,
        };
        let before = state.describe(session.as_slice());
        if let Some(known) = state.relays.get_mut(&relay) {
            match change {
                RelayChange::Participant(participant) => {
                    known.participants.insert(participant.session, participant);
                }
                RelayChange::Left(session) => {
                    known.participants.remove(&session);
                }
                RelayChange::Interest(interest) => known.interest = interest,
            }
        }
        self.settle(state, before, now);
    }

    pub(super) fn forget_relay(&self, state: &mut State, relay: &RelayId, now: Timestamp) {
        let Some(known) = state.relays.get(relay) else {
            return;
        };
        let sessions: Vec<SessionId> = known.participants.keys().copied().collect();
        let before = state.describe(&sessions);
        state.relays.remove(relay);
        self.settle(state, before, now);
    }

    /// After a change of what other relays hold: takes over sessions that went on elsewhere, renews
    /// the snapshots and tells local members.
    fn settle(&self, state: &mut State, before: Vec<(SessionId, Option<Participant>)>, now: Timestamp) {
        for (session, _) in &before {
            self.give_up_when_elsewhere(state, *session, now);
        }
        self.sync_tracks(state);
        self.publish_snapshots(state, now);
        for (session, before) in before {
            self.announce_difference(state, session, before.as_ref(), now);
        }
    }

    /// A session that was resumed on another relay is no longer ours.
    fn give_up_when_elsewhere(&self, state: &mut State, session: SessionId, now: Timestamp) {
        let Some(local) = state.members.get(&session) else {
            return;
        };
        let ours = local.participant.established_at_ms;
        let elsewhere = state
            .relays
            .values()
            .filter_map(|relay| relay.participants.get(&session))
            .any(|theirs| theirs.established_at_ms > ours);
        if elsewhere && let Some(local) = state.members.remove(&session) {
            local.member.close(Closing::new(CloseCode::SessionReplaced), now);
            self.publish_change(state, RelayChange::Left(session), now);
        }
    }

    /// Notes whether the bus can be reached, and tells members when that changes.
    pub fn set_bus_reachable(&self, reachable: bool, now: Timestamp) {
        let mut state = self.state.lock();
        if state.bus_reachable == reachable {
            return;
        }
        state.bus_reachable = reachable;
        let message = ServerMessage::Reachability {
            other_relays_reachable: reachable,
        };
        self.broadcast(&state, message, None, now);
        if reachable {
            state.asked_at = None;
            self.greet_other_relays(&mut state, now);
        }
    }

    /// Says what is here and asks what is there.
    pub(super) fn greet_other_relays(&self, state: &mut State, now: Timestamp) {
        self.publish_state(state, now);
        self.ask_other_relays(state, now);
    }

    fn ask_other_relays(&self, state: &mut State, now: Timestamp) {
        let recently = |at: Timestamp| now.since(at) < STATE_REQUEST_INTERVAL;
        if !self.settings.bus || state.asked_at.is_some_and(recently) {
            return;
        }
        state.asked_at = Some(now);
        self.publish(RelayMessage::StateRequest(self.settings.relay.clone()), now);
    }

    fn publish(&self, message: RelayMessage, now: Timestamp) {
        if self.settings.bus {
            self.bus_outbox.push_control(message.encode(), now);
        }
    }

    fn publish_state(&self, state: &State, now: Timestamp) {
        let message = RelayMessage::State(RelayState {
            relay: self.settings.relay.clone(),
            version: state.version,
            participants: state
                .members
                .values()
                .map(|local| local.participant.clone())
                .collect(),
            interest: state.interest.clone(),
        });
        self.publish(message, now);
    }

    pub(super) fn publish_change(&self, state: &mut State, change: RelayChange, now: Timestamp) {
        state.version += 1;
        let message = RelayMessage::Change {
            relay: self.settings.relay.clone(),
            version: state.version,
            change: Box::new(change),
        };
        self.publish(message, now);
    }

    pub(super) fn publish_heartbeat(&self, state: &State, now: Timestamp) {
        let message = RelayMessage::Heartbeat {
            relay: self.settings.relay.clone(),
            version: state.version,
        };
        self.publish(message, now);
    }

    /// Tells the others that nobody is left here. Called before the meeting is forgotten.
    pub fn say_goodbye(&self, now: Timestamp) {
        self.publish(RelayMessage::Goodbye(self.settings.relay.clone()), now);
    }

    pub(super) fn publish_keyframe_request(&self, track: TrackRef, spatial: u8, now: Timestamp) {
        let message = RelayMessage::KeyframeRequest {
            relay: self.settings.relay.clone(),
            track,
            spatial,
        };
        self.publish(message, now);
    }

    /// Works out what this relay wants of the others' media, and tells them when that changes.
    pub(super) fn publish_interest(&self, state: &mut State, now: Timestamp) {
        if !self.settings.bus {
            return;
        }
        let interest = state.local_interest();
        let wants = interest.speakers || !interest.tracks.is_empty();
        self.wants_bus_media.store(wants, Ordering::Relaxed);
        if interest != state.interest {
            state.interest = interest.clone();
            self.publish_change(state, RelayChange::Interest(interest), now);
        }
    }

    /// Sets whether other relays want the track. Those that begin to start from the cached
    /// keyframe, which is quicker than one from the sender.
    pub(super) fn set_wanted_by_bus(&self, track: &Track, wanted: bool, now: Timestamp) {
        if track.set_wanted_by_bus(wanted) || !wanted {
            return;
        }
        for (header, packet) in track.keyframes() {
            self.bus_outbox.push_frame(&packet, &header, now);
        }
    }
}

impl State {
    fn describe(&self, sessions: &[SessionId]) -> Vec<(SessionId, Option<Participant>)> {
        sessions
            .iter()
            .map(|session| (*session, self.participant(*session).cloned()))
            .collect()
    }

    fn local_interest(&self) -> RelayInterest {
        let everything = self
            .connected()
            .any(|local| local.interest == Interest::Everything);
        let mut tracks = Vec::new();
        if !everything {
            for local in self.connected() {
                let Interest::Chosen { tracks: wishes, .. } = &local.interest else {
                    continue;
                };
                tracks.extend(wishes.iter().map(|wish| wish.track));
            }
            tracks.retain(|id| !self.members.contains_key(&id.session));
            tracks.sort_unstable();
            tracks.dedup();
        }
        let wish = |track| TrackInterest {
            track,
            spatial_layers: Vec::new(),
        };
        RelayInterest {
            speakers: everything,
            tracks: tracks.into_iter().map(wish).collect(),
        }
    }
}
