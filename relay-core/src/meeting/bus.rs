//! What relays tell one another of a meeting.
//!
//! Every relay publishes its own participants and interest: changes as they happen, the whole state
//! when somebody asks, a heartbeat with the version in between. Whoever notices a gap asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use videocall_types::{
    CloseCode, Closing, FrameHeader, LayerId, MediaClass, RelayChange, RelayId, RelayInterest, RelayMessage,
    RelayState, ServerMessage, SessionId, Timestamp, TrackInterest, TrackRef, is_frame,
};

use super::interest::{BitrateLimit, SHRINK_DELAY, bits, is_news};
use super::roster::Before;
use super::{Meeting, RemoteRelay, State};
use crate::ClassSet;
use crate::track::Track;

/// Between two requests for the others' state: one answers every gap noticed meanwhile.
const STATE_REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// A layer that was asked for and has not come for so long is taken to be sent by nobody.
const UNMET: Duration = Duration::from_millis(500);

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
                subject: match outgoing.layer {
                    Some(layer) if outgoing.class == MediaClass::Audio => self.subjects.audio(layer.track),
                    Some(layer) => self.subjects.video(layer, outgoing.temporal),
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
            RelayMessage::Speakers { relay, speakers } if relay != self.settings.relay => {
                self.take_speakers(state, relay, speakers, now);
            }
            RelayMessage::KeyframeRequest { track, spatial, .. }
                if state.members.contains_key(&track.session) =>
            {
                self.request_keyframe(track, spatial, now);
            }
            _ => {}
        }
    }

    fn take_state(&self, state: &mut State, remote: RelayState, now: Timestamp) {
        let participants: BTreeMap<_, _> = remote.participants.into_iter().map(|p| (p.session, p)).collect();
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
                interest: sorted(remote.interest),
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
                RelayChange::Interest(interest) => known.interest = sorted(interest),
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
        self.selection.forget_relay(relay);
        self.settle(state, before, now);
    }

    /// After a change of what other relays hold: takes over sessions that went on elsewhere, renews
    /// the snapshots and tells local members.
    fn settle(&self, state: &mut State, before: Vec<Before>, now: Timestamp) {
        let sessions: Vec<_> = before.iter().map(|(session, _)| *session).collect();
        for session in &sessions {
            self.give_up_when_elsewhere(state, *session, now);
        }
        self.sync_tracks(state, &sessions, now);
        self.sync_bus_interest(state, now);
        self.announce(state, before, now);
        self.publish_interest(state, now);
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
        if elsewhere && let Some(mut local) = state.members.remove(&session) {
            if local.is_connected() {
                state.departed.add(&local.member.outbox.stats());
            }
            Self::forget_what_was_told(state, session);
            self.unsubscribe(state, &mut local, now);
            self.sync_audience(state);
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

    pub(super) fn publish(&self, message: RelayMessage, now: Timestamp) {
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
            interest: state.interest.told.to_wire(),
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

    /// Works out what this relay wants of the others' media, and tells them when that changes: more at
    /// once, less after a while.
    pub(super) fn publish_interest(&self, state: &mut State, now: Timestamp) {
        if !self.settings.bus {
            return;
        }
        let wanted = self.wanted_of_others(state);
        let interest = &mut state.interest;
        let due = interest.shrink_at.is_some_and(|at| at <= now);
        let told = match due {
            true => wanted.clone(),
            false => interest.told.with(&wanted),
        };
        interest.shrink_at = match interest.shrink_at.filter(|_| !due) {
            _ if told == wanted => None,
            Some(at) => Some(at),
            None => Some(now + SHRINK_DELAY),
        };
        if told != interest.told {
            interest.told = told;
            self.bus_subjects.store(Arc::new(self.subjects_of(interest)));
            let interest = interest.told.to_wire();
            self.publish_change(state, RelayChange::Interest(interest), now);
        }
    }

    fn wanted_of_others(&self, state: &State) -> Wanted {
        let mut wanted = Wanted {
            speakers: state.connected().any(|local| local.choice.speakers),
            tracks: BTreeMap::new(),
        };
        for (id, track) in self.tracks.load().iter() {
            if state.members.contains_key(&id.session) || track.subscribers.load().is_empty() {
                continue;
            }
            let layers = match track.kind.is_audio() {
                true => Wanted::SOUND,
                false => state
                    .interest
                    .pressure_allows(Self::layers_wanted_here(track), track),
            };
            if layers != 0 {
                let limit = match track.kind.is_audio() {
                    false if state.interest.pressure == 0 => {
                        self.limit_here(state, track).and_then(|(_, limit)| limit)
                    }
                    _ => None,
                };
                let told = state.interest.told.tracks.get(id).and_then(|wish| wish.limit);
                let limit = if is_news(told, limit) { limit } else { told };
                wanted.tracks.insert(*id, Wish { layers, limit });
            }
        }
        wanted
    }

    /// Where nothing of a layer comes that this relay has asked for, its sender may send a smaller one in its place.
    pub(super) fn follow_what_is_sent(&self, state: &mut State, now: Timestamp) {
        let tracks = self.tracks.load();
        let interest = &mut state.interest;
        let mut unmet = BTreeMap::new();
        let mut in_place = BTreeMap::new();
        for (id, wish) in &interest.told.tracks {
            let Some(track) = tracks.get(id).filter(|track| !track.is_muted()) else {
                continue;
            };
            let missing = bits(wish.layers & !Wanted::SOUND).filter(|&layer| !track.is_live(layer, now));
            let Some(largest) = missing.max() else { continue };
            let since = interest.unmet.get(id).copied().unwrap_or(now);
            unmet.insert(*id, since);
            if now.since(since) >= UNMET {
                let below = ((1_u16 << largest) - 1) as u8;
                in_place.insert(*id, below & track.announced_layers());
            }
        }
        interest.unmet = unmet;
        if in_place != interest.in_place {
            interest.in_place = in_place;
            self.bus_subjects
                .store(Arc::new(self.subjects_of(&state.interest)));
        }
    }

    fn subjects_of(&self, interest: &BusInterest) -> BTreeSet<String> {
        let mut subjects = BTreeSet::new();
        if interest.told.speakers {
            subjects.insert(self.subjects.audio_all());
        }
        for (&track, &Wish { layers, .. }) in &interest.told.tracks {
            if layers == Wanted::SOUND {
                if !interest.told.speakers {
                    subjects.insert(self.subjects.audio(track));
                }
                continue;
            }
            let in_place = interest.in_place.get(&track).copied().unwrap_or_default();
            for spatial in bits(layers | in_place) {
                let layer = LayerId { track, spatial };
                subjects.insert(match interest.pressure {
                    0 => self.subjects.video_layer(layer),
                    _ => self.subjects.video(layer, 0),
                });
            }
        }
        subjects
    }

    /// Says how short the way from other relays is: 0 not at all, 1 only base temporal layers are to
    /// come over the bus, 2 of the smallest spatial layer only, 3 no video.
    pub fn set_bus_pressure(&self, level: u8, now: Timestamp) {
        let mut state = self.state.lock();
        if state.interest.pressure == level {
            return;
        }
        state.interest.pressure = level;
        // What has to be less is so at once.
        state.interest.shrink_at = Some(now);
        self.publish_interest(&mut state, now);
        self.bus_subjects
            .store(Arc::new(self.subjects_of(&state.interest)));
    }
}

/// What this relay wants of the others' media.
#[derive(Debug, Default)]
pub(super) struct BusInterest {
    /// What the others were told.
    told: Wanted,
    /// Less is wanted; they are told so then, if it still is.
    shrink_at: Option<Timestamp>,
    /// Tracks of which a layer that was asked for does not come, since when, and the smaller layers that are taken in its
    /// place after a while.
    unmet: BTreeMap<TrackRef, Timestamp>,
    in_place: BTreeMap<TrackRef, u8>,
    /// See [`Meeting::set_bus_pressure`].
    pressure: u8,
}

impl BusInterest {
    /// What the way from other relays carries of these layers.
    fn pressure_allows(&self, layers: u8, track: &Track) -> u8 {
        match self.pressure {
            0 | 1 => layers,
            2 if layers != 0 => track.within(1),
            _ => 0,
        }
    }

    pub(super) const fn shrink_at(&self) -> Option<Timestamp> {
        self.shrink_at
    }
}

/// A set of tracks and layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    speakers: bool,
    tracks: BTreeMap<TrackRef, Wish>,
}

/// What is wanted of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wish {
    /// Bit n: spatial layer n; or [`Wanted::SOUND`].
    layers: u8,
    /// The most that can be taken of the largest.
    limit: BitrateLimit,
}

impl Wanted {
    /// A track of sound, which has no layers.
    const SOUND: u8 = 0x80;

    /// Both together, with the limits of the other.
    fn with(&self, other: &Self) -> Self {
        let mut tracks = self.tracks.clone();
        for (id, wish) in &other.tracks {
            let both: &mut Wish = tracks.entry(*id).or_default();
            // Beside a bounded layer, each other counts as wanted without bounds.
            both.layers = if wish.limit.is_some() { 0 } else { both.layers } | wish.layers;
            both.limit = wish.limit;
        }
        Self {
            speakers: self.speakers || other.speakers,
            tracks,
        }
    }

    fn to_wire(&self) -> RelayInterest {
        let wish = |(&track, wish): (&TrackRef, &Wish)| TrackInterest {
            track,
            spatial_layers: bits(wish.layers & !Self::SOUND).collect(),
            max_bitrate_bps: wish.limit,
        };
        RelayInterest {
            speakers: self.speakers,
            tracks: self.tracks.iter().map(wish).collect(),
        }
    }
}

/// Another relay's list may be in any order; it is searched for every frame's track.
fn sorted(mut interest: RelayInterest) -> RelayInterest {
    interest.tracks.sort_by_key(|wish| wish.track);
    interest
}
