//! A relay: what the connections of one process share.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use rand::Rng as _;
use relay_core::{JoinRequest, Meeting, MeetingSettings, Member, QueueBudget};
use tokio::runtime::Handle;
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;
use videocall_types::limits::RELAY_HEARTBEAT;
use videocall_types::{
    CloseCode, Closing, MeetingId, RelayId, ServerMessage, SessionId, SessionLimits, Timestamp,
};

use crate::admin::AdminSettings;
use crate::admission::Seats;
use crate::connections::Connections;
use crate::meters::{Meters, RelayState};
use crate::overload::Overload;
use crate::room::Room;
use crate::{Bus, Clock, Limit, RelayDirectory, RelaySettings, TokenService};

/// After everybody was closed, how long their connections may take to end.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(3);

/// After the relay has stopped, how long a server may take for its last requests and packets.
const SERVER_TIMEOUT: Duration = Duration::from_secs(4);

/// How often draining looks whether everybody is gone.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// What the connections of one process share, on whatever transport.
pub struct Relay {
    settings: RelaySettings,
    meetings: Arc<MeetingSettings>,
    tokens: TokenService,
    clock: Clock,
    bus: Option<Arc<dyn Bus>>,
    directory: RelayDirectory,
    rooms: DashMap<MeetingId, Arc<Room>>,
    seats: Arc<Seats>,
    connections: Arc<Connections>,
    overload: Arc<Overload>,
    meters: Arc<Meters>,
    /// Cancelled: the relay drains.
    shutdown: CancellationToken,
    drained: CancellationToken,
    /// Where rooms run: connections may be served by runtimes that end with them.
    runtime: Handle,
}

impl Relay {
    /// Starts a relay within the current tokio runtime. It drains when `shutdown` is cancelled;
    /// [`Relay::drained`] tells when that is done. Without a bus it is the only relay.
    pub fn start(
        settings: RelaySettings,
        tokens: TokenService,
        bus: Option<Arc<dyn Bus>>,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        let id = settings.relay_id.clone().unwrap_or_else(random_relay_id);
        let meetings = MeetingSettings {
            bus: bus.is_some(),
            limits: settings.session_limits(),
            max_sessions: settings.max_sessions_per_meeting,
            max_download_bps: settings.max_download_bps,
            queues: QueueBudget::new(settings.max_queued_bytes),
            ..MeetingSettings::new(id.clone())
        };
        let overload = Overload::new(
            settings.overload_limits(),
            meetings.queues.clone(),
            meetings.pressure.clone(),
        );
        let relay = Arc::new(Self {
            seats: Seats::new(settings.max_sessions),
            connections: Connections::new(settings.connection_limits()),
            overload,
            meetings: Arc::new(meetings),
            tokens,
            clock: Clock::start(),
            bus,
            directory: RelayDirectory::new(id),
            rooms: DashMap::new(),
            meters: Meters::shared(),
            shutdown,
            drained: CancellationToken::new(),
            runtime: Handle::current(),
            settings,
        });
        tracing::info!(relay = %relay.id(), "relay started");
        tokio::spawn(relay.clone().keep_house());
        tokio::spawn(crate::meters::watch_bus(relay.clone()));
        tokio::spawn(crate::directory::keep(relay.clone()));
        tokio::spawn(crate::revocation::keep(relay.clone()));
        tokio::spawn(relay.overload.clone().watch_event_loop());
        tokio::spawn(relay.overload.clone().run(relay.connections.clone()));
        tokio::spawn(relay.clone().drain_when_told());
        relay
    }

    /// This relay's id.
    pub fn id(&self) -> &RelayId {
        &self.meetings.relay
    }

    /// Signs and verifies tokens.
    pub fn tokens(&self) -> &TokenService {
        &self.tokens
    }

    /// Where this relay and all others can be reached.
    pub fn directory(&self) -> &RelayDirectory {
        &self.directory
    }

    /// The relay's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What one session may do here.
    pub fn limits(&self) -> &SessionLimits {
        &self.meetings.limits
    }

    /// Sessions that this relay takes at most.
    pub fn max_sessions(&self) -> usize {
        self.settings.max_sessions
    }

    /// What may be set of this relay.
    pub fn settings(&self) -> &RelaySettings {
        &self.settings
    }

    /// The connections that this relay has; ask them before accepting one.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Counts that somebody wanted more than a limit allows.
    pub fn note_exceeded(&self, limit: Limit) {
        self.overload.meters().exceeded(limit);
    }

    /// Whether this relay manages what it has to do.
    pub fn overload(&self) -> &Arc<Overload> {
        &self.overload
    }

    /// Sessions connected now.
    pub fn session_count(&self) -> usize {
        self.seats.taken()
    }

    /// Meetings held now.
    pub fn meeting_count(&self) -> usize {
        self.rooms.len()
    }

    /// Whether the relay has begun to stop: nobody is let in any more.
    pub fn is_draining(&self) -> bool {
        self.shutdown.is_cancelled()
    }

    /// Begins to stop, as the `shutdown` of [`Relay::start`] does, and gives the time within which the
    /// server ends.
    pub fn drain(&self) -> Duration {
        self.shutdown.cancel();
        self.drain_timeout() + FAREWELL_TIMEOUT + SERVER_TIMEOUT
    }

    fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.settings.drain_timeout_ms.into())
    }

    /// Ready once the relay has stopped: every connection was closed.
    pub async fn drained(&self) {
        self.drained.cancelled().await;
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.drained.is_cancelled()
    }

    pub(crate) fn admin(&self) -> &AdminSettings {
        &self.settings.admin
    }

    pub(crate) fn bus(&self) -> Option<&Arc<dyn Bus>> {
        self.bus.as_ref()
    }

    /// The meeting, if it is held here.
    pub(crate) fn room(&self, id: &MeetingId) -> Option<Arc<Room>> {
        self.rooms.get(id).map(|room| room.clone())
    }

    pub(crate) fn seats(&self) -> &Arc<Seats> {
        &self.seats
    }

    pub(crate) fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// Joins a meeting, which begins here when it is the first to. The entry of the meeting is
    /// locked meanwhile, so that it cannot end at the same time.
    pub(crate) fn join_room(
        self: &Arc<Self>,
        id: &MeetingId,
        request: JoinRequest,
        resume_token: &dyn Fn(SessionId) -> String,
        now: Timestamp,
    ) -> Result<(Arc<Room>, Arc<Member>), Closing> {
        let room = match self.rooms.entry(id.clone()) {
            Entry::Occupied(entry) => entry.into_ref(),
            Entry::Vacant(entry) => {
                let seed = rand::rng().next_u64();
                let meeting = Meeting::new(id.clone(), self.meetings.clone(), seed, now);
                let room = Room::new(meeting);
                self.runtime.spawn(room.clone().run(self.clone()));
                entry.insert(room)
            }
        };
        let joined = room.meeting().join(request, resume_token, now);
        room.poke();
        Ok((room.clone(), joined?))
    }

    /// Forgets a room that nobody is in; `true` when it is gone.
    pub(crate) fn close_room_if_empty(&self, room: &Room) -> bool {
        if !room.meeting().is_empty() {
            return false;
        }
        let removed = self
            .rooms
            .remove_if(room.meeting().id(), |_, held| held.meeting().is_empty());
        if removed.is_some() {
            self.meters.keep_stats_of(&room.meeting().stats());
        }
        removed.is_some()
    }

    /// Brings the figures up to date that nobody counts as they happen.
    async fn keep_house(self: Arc<Self>) {
        let mut ticks = interval(RELAY_HEARTBEAT);
        while !self.drained.is_cancelled() {
            ticks.tick().await;
            let stats = self.rooms.iter().map(|room| room.meeting().stats());
            let state = RelayState {
                meetings: self.rooms.len(),
                sessions_limit: self.settings.max_sessions,
                draining: self.is_draining(),
                bus: self.bus.as_ref().map(|bus| *bus.reachable().borrow()),
            };
            self.meters.take_stock(stats, state);
        }
    }

    /// Announces the end, lets clients move, closes who is left, and waits for that to be done.
    async fn drain_when_told(self: Arc<Self>) {
        self.shutdown.cancelled().await;
        self.directory.withdraw();
        let deadline = self.drain_timeout();
        tracing::info!(sessions = self.session_count(), ?deadline, "draining");
        for room in &self.rooms {
            let meeting = room.meeting();
            let (announcement, refusal) = self.farewell(meeting.id());
            meeting.drain(announcement, refusal, self.clock.now());
        }
        self.until_empty(deadline).await;
        for room in &self.rooms {
            let meeting = room.meeting();
            meeting.close_all(&self.farewell(meeting.id()).1, self.clock.now());
        }
        self.until_empty(FAREWELL_TIMEOUT).await;
        self.drained.cancel();
        tracing::info!("relay stopped");
    }

    /// What somebody in a meeting, and somebody who wants to join it, is told when the relay stops.
    fn farewell(&self, meeting: &MeetingId) -> (ServerMessage, Closing) {
        let alternate = self.directory.alternate(meeting);
        let alternate_url = alternate.map(|endpoint| endpoint.url).unwrap_or_default();
        let announcement = ServerMessage::Draining {
            alternate_url: alternate_url.clone(),
            deadline_ms: self.settings.drain_timeout_ms,
        };
        let refusal = Closing {
            alternate_url,
            ..Closing::new(CloseCode::Draining)
        };
        (announcement, refusal)
    }

    async fn until_empty(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.session_count() > 0 && Instant::now() < deadline {
            sleep(DRAIN_POLL).await;
        }
    }
}

fn random_relay_id() -> RelayId {
    format!("relay-{:012x}", rand::rng().next_u64() >> 16)
        .parse()
        .expect("hexadecimal digits make an id")
}
