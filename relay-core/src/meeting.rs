//! A meeting as one relay holds it.
//!
//! Control (joining, tracks, interest, other relays) is serialised by one lock per meeting; media
//! does not take it: a frame finds its track and the track's receivers in snapshots that control
//! replaces.

mod bus;
mod control;
mod join;
mod media;
mod timer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use videocall_types::{
    Closing, Hello, Interest, MeetingId, Participant, RelayId, RelayInterest, ServerMessage, SessionId,
    Timestamp, TrackInfo, TrackRef, UserName,
};

use crate::member::Member;
use crate::outbox::{Outbox, OutboxStats};
use crate::settings::{MeetingSettings, OutboxLimits};
use crate::subject::MeetingSubjects;
use crate::track::Track;

pub use bus::BusMessage;

/// What somebody brings who wants to join; identity comes from the verified token.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Who.
    pub user_id: UserName,
    /// The name that others see.
    pub display_name: String,
    /// What the client said; its tokens are not looked at.
    pub hello: Hello,
    /// The session of a verified resume token.
    pub resume: Option<SessionId>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The person left, or was removed: the others are told at once.
    Left,
    /// The connection broke: the session can be resumed for a while, and the others see nothing.
    Lost,
}

/// Figures of one meeting on this relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeetingStats {
    /// Connected members.
    pub members: usize,
    /// What went to members, including those that are gone.
    pub outboxes: OutboxStats,
    /// What went to other relays.
    pub bus: OutboxStats,
}

/// A meeting as one relay holds it.
#[derive(Debug)]
pub struct Meeting {
    id: MeetingId,
    settings: Arc<MeetingSettings>,
    subjects: MeetingSubjects,
    state: Mutex<State>,
    /// Members that receive every track.
    everything: ArcSwap<Vec<Arc<Member>>>,
    /// Every track, local and remote, for frames that come over the bus.
    tracks: ArcSwap<BTreeMap<TrackRef, Arc<Track>>>,
    bus_outbox: Outbox,
    wants_bus_media: AtomicBool,
}

/// What the control lock guards. Ordered maps, so that a seed of the simulator gives one run.
#[derive(Debug)]
struct State {
    members: BTreeMap<SessionId, LocalMember>,
    relays: BTreeMap<RelayId, RemoteRelay>,
    rng: StdRng,
    /// Counts this relay's changes, for other relays to notice a gap.
    version: u64,
    interest: RelayInterest,
    bus_reachable: bool,
    heartbeat_at: Timestamp,
    /// Other relays were asked for their state at this time.
    asked_at: Option<Timestamp>,
    /// Set once the relay drains: nobody joins any more.
    draining: Option<Closing>,
    departed: OutboxStats,
}

#[derive(Debug)]
struct LocalMember {
    member: Arc<Member>,
    participant: Participant,
    interest: Interest,
    /// The connection is lost and the session is kept until then.
    lost_until: Option<Timestamp>,
}

#[derive(Debug)]
struct RemoteRelay {
    version: u64,
    participants: BTreeMap<SessionId, Participant>,
    interest: RelayInterest,
    heard_at: Timestamp,
}

impl Meeting {
    /// An empty meeting. The seed makes session ids: random in production, fixed in simulations.
    pub fn new(id: MeetingId, settings: Arc<MeetingSettings>, seed: u64, now: Timestamp) -> Arc<Self> {
        let state = State {
            members: BTreeMap::new(),
            relays: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
            version: 0,
            interest: RelayInterest::default(),
            bus_reachable: settings.bus,
            heartbeat_at: now,
            asked_at: None,
            draining: None,
            departed: OutboxStats::default(),
        };
        let bus_limits = OutboxLimits {
            // Other relays' members are many; a stalled bus is reported, never closed.
            audio_bytes: settings.outbox.audio_bytes * 8,
            video_bytes: settings.outbox.video_bytes * 8,
            stall: std::time::Duration::MAX,
            ..settings.outbox
        };
        let meeting = Self {
            subjects: MeetingSubjects::new(&id),
            id,
            settings,
            state: Mutex::new(state),
            everything: ArcSwap::default(),
            tracks: ArcSwap::default(),
            bus_outbox: Outbox::new(bus_limits, now),
            wants_bus_media: AtomicBool::new(false),
        };
        meeting.greet_other_relays(&mut meeting.state.lock(), now);
        Arc::new(meeting)
    }

    /// The meeting's id.
    pub fn id(&self) -> &MeetingId {
        &self.id
    }

    /// The subjects of this meeting on the bus.
    pub fn subjects(&self) -> &MeetingSubjects {
        &self.subjects
    }

    /// Nobody is connected here and nobody may come back: the relay can forget the meeting.
    pub fn is_empty(&self) -> bool {
        self.state.lock().members.is_empty()
    }

    /// Connected members of this relay.
    pub fn member_count(&self) -> usize {
        self.state.lock().connected().count()
    }

    /// Whether somebody here receives media of other relays.
    pub fn wants_bus_media(&self) -> bool {
        self.wants_bus_media.load(Ordering::Relaxed)
    }

    /// Figures for metrics.
    pub fn stats(&self) -> MeetingStats {
        let state = self.state.lock();
        let mut outboxes = state.departed;
        for local in state.connected() {
            outboxes.add(&local.member.outbox.stats());
        }
        MeetingStats {
            members: state.connected().count(),
            outboxes,
            bus: self.bus_outbox.stats(),
        }
    }

    /// Tells every connected member that the relay stops soon and lets nobody join any more.
    pub fn drain(&self, announcement: ServerMessage, refusal: Closing, now: Timestamp) {
        let mut state = self.state.lock();
        state.draining = Some(refusal);
        self.broadcast(&state, announcement, None, now);
    }

    /// Closes every connection with this.
    pub fn close_all(&self, closing: &Closing, now: Timestamp) {
        for local in self.state.lock().connected() {
            local.member.close(closing.clone(), now);
        }
    }

    /// Sends a message to every connected member but one.
    fn broadcast(&self, state: &State, message: ServerMessage, except: Option<SessionId>, now: Timestamp) {
        let packet = message.encode();
        for local in state.connected() {
            if Some(local.member.session()) != except {
                self.send(&local.member, packet.clone(), now);
            }
        }
    }

    fn send(&self, member: &Member, packet: bytes::Bytes, now: Timestamp) {
        let pushed = member.outbox.push_control(packet, now);
        self.close_when_stalled(member, pushed, now);
    }

    /// Replaces the snapshots of who receives what. Called after every change of membership,
    /// interest or tracks, under the control lock.
    fn publish_snapshots(&self, state: &mut State, now: Timestamp) {
        let everything = state
            .connected()
            .filter(|local| local.interest == Interest::Everything)
            .map(|local| local.member.clone())
            .collect();
        self.everything.store(Arc::new(everything));

        let mut by_track: BTreeMap<TrackRef, Vec<Arc<Member>>> = BTreeMap::new();
        for local in state.connected() {
            if let Interest::Chosen { tracks: wishes, .. } = &local.interest {
                for wish in wishes {
                    if wish.track.session != local.member.session() {
                        by_track.entry(wish.track).or_default().push(local.member.clone());
                    }
                }
            }
        }
        for (id, track) in self.tracks.load().iter() {
            let subscribers = by_track.remove(id).unwrap_or_default();
            if !(subscribers.is_empty() && track.subscribers.load().is_empty()) {
                track.subscribers.store(Arc::new(subscribers));
            }
            self.set_wanted_by_bus(track, state.is_wanted_elsewhere(*id), now);
        }
        self.publish_interest(state, now);
    }

    /// Brings the set of track objects in line with what participants publish.
    fn sync_tracks(&self, state: &State) {
        let old = self.tracks.load_full();
        let mut tracks = BTreeMap::new();
        for (session, info) in state.published() {
            let id = TrackRef {
                session,
                track: info.track,
            };
            let track = match old.get(&id) {
                Some(track) if track.kind == info.kind => track.clone(),
                _ => Track::new(id, info.kind, info.muted),
            };
            track.set_muted(info.muted);
            tracks.insert(id, track);
        }
        let mut ended = Vec::new();
        for (id, track) in old.iter().filter(|(id, _)| !tracks.contains_key(id)) {
            // Members hold tracks and tracks hold members; here the circle is cut.
            track.subscribers.store(Arc::default());
            ended.push(*id);
        }
        for local in state.connected() {
            ended.iter().for_each(|id| local.member.outbox.forget(*id));
            let own = local.participant.tracks.iter().filter_map(|info| {
                let session = local.member.session();
                tracks
                    .get(&TrackRef {
                        session,
                        track: info.track,
                    })
                    .cloned()
            });
            let own: Vec<_> = own.collect();
            own.iter().for_each(|track| track.set_publisher(&local.member));
            let current = local.member.tracks.load();
            let same = current.len() == own.len() && current.iter().zip(&own).all(|(a, b)| Arc::ptr_eq(a, b));
            if !same {
                local.member.tracks.store(Arc::new(own));
            }
        }
        ended.iter().for_each(|id| self.bus_outbox.forget(*id));
        self.tracks.store(Arc::new(tracks));
    }
}

impl State {
    fn connected(&self) -> impl Iterator<Item = &LocalMember> {
        self.members.values().filter(|local| local.lost_until.is_none())
    }

    /// The local member of this very connection, unless another has taken its place.
    fn current(&mut self, member: &Member) -> Option<&mut LocalMember> {
        self.members
            .get_mut(&member.session())
            .filter(|local| std::ptr::eq(&*local.member, member) && local.lost_until.is_none())
    }

    /// Whoever holds this session by the latest claim, here or on another relay.
    fn participant(&self, session: SessionId) -> Option<&Participant> {
        let local = self.members.get(&session).map(|local| &local.participant);
        let remote = self
            .relays
            .values()
            .filter_map(|relay| relay.participants.get(&session));
        local
            .into_iter()
            .chain(remote)
            .max_by_key(|participant| participant.established_at_ms)
    }

    /// Everybody in the meeting, each session once.
    fn participants(&self) -> Vec<&Participant> {
        let local = self.members.keys();
        let remote = self.relays.values().flat_map(|relay| relay.participants.keys());
        let mut sessions: Vec<_> = local.chain(remote).copied().collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions
            .into_iter()
            .filter_map(|session| self.participant(session))
            .collect()
    }

    fn published(&self) -> impl Iterator<Item = (SessionId, &TrackInfo)> {
        self.participants()
            .into_iter()
            .flat_map(|participant| participant.tracks.iter().map(|info| (participant.session, info)))
    }

    fn is_wanted_elsewhere(&self, id: TrackRef) -> bool {
        self.members.contains_key(&id.session)
            && self.relays.values().any(|relay| {
                relay.interest.speakers || relay.interest.tracks.iter().any(|wish| wish.track == id)
            })
    }
}

#[cfg(test)]
mod tests;
