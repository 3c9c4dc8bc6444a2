//! A meeting as one relay holds it.
//!
//! Control (joining, tracks, interest, other relays) is serialised by one lock per meeting; media
//! does not take it: a frame finds its track and the track's receivers in snapshots that control
//! replaces.

mod bus;
mod choice;
mod control;
mod interest;
mod join;
mod media;
mod revoke;
mod roster;
mod speech;
mod timer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use videocall_types::{
    Closing, Hello, MeetingId, Participant, RelayId, RelayInterest, ServerMessage, SessionId, Timestamp,
    TrackRef, UserName,
};

use crate::downlink::Restriction;
use crate::member::Member;
use crate::outbox::{Outbox, OutboxStats};
use crate::settings::MeetingSettings;
use crate::speakers::Selection;
use crate::subject::MeetingSubjects;
use crate::subscription::Subscription;
use crate::track::Track;

pub use bus::BusMessage;

use bus::BusInterest;
use choice::Choice;
use interest::{NarrowPath, Told};
use roster::News;

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
    /// Bytes that wait for members.
    pub queued_bytes: usize,
    /// Members for whom something is left out at present, because their path does not carry it.
    pub restricted_members: usize,
    /// Keyframes that senders here were asked for.
    pub keyframe_requests: u64,
    /// Changes of a receiver from one spatial layer to another.
    pub layer_switches: u64,
    /// Changes of who speaks, or of their order.
    pub speaker_changes: u64,
}

/// What is counted on the media path.
#[derive(Debug, Default)]
struct Counters {
    keyframe_requests: AtomicU64,
    layer_switches: AtomicU64,
    speaker_changes: AtomicU64,
}

impl Counters {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A meeting as one relay holds it.
#[derive(Debug)]
pub struct Meeting {
    id: MeetingId,
    settings: Arc<MeetingSettings>,
    subjects: MeetingSubjects,
    state: Mutex<State>,
    /// Members that hear the active speakers.
    audience: ArcSwap<Vec<Arc<Member>>>,
    /// Every track, local and remote, for frames that come over the bus.
    tracks: ArcSwap<BTreeMap<TrackRef, Arc<Track>>>,
    /// The microphones that are forwarded.
    selection: Selection,
    bus_outbox: Outbox,
    /// Some other relay wants the active speakers.
    bus_hears_speakers: AtomicBool,
    /// What to subscribe to on the bus.
    bus_subjects: ArcSwap<BTreeSet<String>>,
    counters: Counters,
}

/// What the control lock guards. Ordered maps, so that a seed of the simulator gives one run.
#[derive(Debug)]
struct State {
    members: BTreeMap<SessionId, LocalMember>,
    relays: BTreeMap<RelayId, RemoteRelay>,
    rng: StdRng,
    /// Counts this relay's changes, for other relays to notice a gap.
    version: u64,
    interest: BusInterest,
    /// What senders here were told to send.
    told: BTreeMap<TrackRef, Told>,
    /// Of members whose paths do not carry everything, as of the last review.
    paths: BTreeMap<SessionId, NarrowPath>,
    news: News,
    /// When layers are next looked at without a reason.
    review_at: Timestamp,
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
    choice: Choice,
    subscriptions: BTreeMap<TrackRef, Arc<Subscription>>,
    /// The number of the last news that this member was told.
    news_seen: u64,
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

impl LocalMember {
    const fn is_connected(&self) -> bool {
        self.lost_until.is_none()
    }
}

impl Meeting {
    /// An empty meeting. The seed makes session ids: random in production, fixed in simulations.
    pub fn new(id: MeetingId, settings: Arc<MeetingSettings>, seed: u64, now: Timestamp) -> Arc<Self> {
        let state = State {
            members: BTreeMap::new(),
            relays: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
            version: 0,
            interest: BusInterest::default(),
            told: BTreeMap::new(),
            paths: BTreeMap::new(),
            news: News::default(),
            review_at: now,
            bus_reachable: settings.bus,
            heartbeat_at: now,
            asked_at: None,
            draining: None,
            departed: OutboxStats::default(),
        };
        let meeting = Self {
            subjects: MeetingSubjects::new(&id),
            id,
            selection: Selection::new(settings.max_speakers),
            bus_outbox: Outbox::for_bus(&settings, now),
            settings,
            state: Mutex::new(state),
            audience: ArcSwap::default(),
            tracks: ArcSwap::default(),
            bus_hears_speakers: AtomicBool::new(false),
            bus_subjects: ArcSwap::default(),
            counters: Counters::default(),
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

    /// The subjects, some with wildcards, of the media that members here receive from other relays.
    pub fn bus_subjects(&self) -> Arc<BTreeSet<String>> {
        self.bus_subjects.load_full()
    }

    /// Figures for metrics.
    pub fn stats(&self) -> MeetingStats {
        let state = self.state.lock();
        let mut stats = MeetingStats {
            outboxes: state.departed,
            bus: self.bus_outbox.stats(),
            keyframe_requests: self.counters.keyframe_requests.load(Ordering::Relaxed),
            layer_switches: self.counters.layer_switches.load(Ordering::Relaxed),
            speaker_changes: self.counters.speaker_changes.load(Ordering::Relaxed),
            ..MeetingStats::default()
        };
        for LocalMember { member, .. } in state.connected() {
            stats.members += 1;
            stats.outboxes.add(&member.outbox.stats());
            stats.queued_bytes += member.outbox.queued_bytes();
            stats.restricted_members += usize::from(member.outbox.restriction() != Restriction::NONE);
        }
        stats
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
}

impl State {
    fn connected(&self) -> impl Iterator<Item = &LocalMember> {
        self.members.values().filter(|local| local.is_connected())
    }

    /// The local member of this very connection, unless another has taken its place.
    fn current(&mut self, member: &Member) -> Option<&mut LocalMember> {
        self.members
            .get_mut(&member.session())
            .filter(|local| std::ptr::eq(&*local.member, member) && local.is_connected())
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

    /// The sessions as they are now, to be compared with after a change.
    fn describe(&self, sessions: &[SessionId]) -> Vec<roster::Before> {
        let describe = |session: &SessionId| (*session, self.participant(*session).cloned());
        sessions.iter().map(describe).collect()
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
}

#[cfg(test)]
mod tests;
