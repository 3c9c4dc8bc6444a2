//! How many connections a relay accepts, and from whom: decided before anything is spent on one.
//!
//! What a connection is for shows later; who may enter a meeting is left to admission.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::time::{Duration, Instant};
use videocall_types::CloseCode;

use crate::meters::{Limit, LimitMeters};
use crate::network::{Networks, subscriber};
use crate::settings::RelaySettings;

/// Connections beyond the sessions that the relay takes, so that those above its limit are told so
/// instead of being left without an answer.
const SPARE_CONNECTIONS: usize = 256;

/// Connections at a time that are above a limit and let in only to be told so. What a handshake costs
/// bounds how many: a flood is turned away without one.
const MAX_TOLD: usize = 16;

/// One address may open as many connections within this time as it may have at a time. Whoever opens
/// and closes them over and over then costs a relay a bounded number of handshakes.
const OPENING_PERIOD: Duration = Duration::from_secs(10);

/// Connections of one address that need no proof that they come from there: what a household has.
const UNPROVEN_PER_ADDRESS: usize = 16;

/// Connections without a greeting at which every further one needs the proof.
const UNPROVEN: usize = 256;

/// Addresses remembered before those without a connection are forgotten, and the pace of their
/// connections with them: about 10 MB.
const MAX_REMEMBERED: usize = 100_000;

/// Looking through all of them takes some milliseconds; that happens no more often.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);

/// What bounds the connections of a relay.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    /// Sessions of the relay.
    pub(crate) sessions: usize,
    /// Connections of one subscriber; 0: no limit.
    pub(crate) per_address: usize,
    /// Networks that no such limit is for.
    pub(crate) unlimited: Networks,
    /// What the two are called in metrics.
    pub(crate) names: LimitNames,
}

/// What a relay's limits of connections are called in metrics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitNames {
    pub(crate) total: Limit,
    pub(crate) per_address: Limit,
}

impl LimitNames {
    /// Connections that become sessions.
    pub(crate) const SESSIONS: Self = Self {
        total: Limit::ConnectionsPerRelay,
        per_address: Limit::ConnectionsPerAddress,
    };

    /// TCP connections of an HTTP server.
    pub(crate) const HTTP: Self = Self {
        total: Limit::HttpConnectionsPerRelay,
        per_address: Limit::HttpConnectionsPerAddress,
    };
}

/// The connections that a relay has now.
#[derive(Debug)]
pub struct Connections {
    limits: ConnectionLimits,
    open: AtomicUsize,
    /// Those of which nothing is known yet.
    strangers: AtomicUsize,
    told: AtomicUsize,
    /// Only subscribers that are limited; bounded by connections and [`MAX_REMEMBERED`].
    subscribers: DashMap<IpAddr, Subscriber>,
    forgotten_at: Mutex<Instant>,
    meters: LimitMeters,
}

/// What is known of one address.
#[derive(Debug)]
struct Subscriber {
    open: usize,
    /// Connections that it may still open; a fraction grows with time.
    credit: f64,
    credited_at: Instant,
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            open: AtomicUsize::new(0),
            strangers: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
            subscribers: DashMap::new(),
            forgotten_at: Mutex::new(Instant::now()),
            meters: LimitMeters::new(),
        })
    }

    /// The TCP connections of an HTTP server before a relay. A page keeps one beside that of the call, so
    /// there may be twice as many. Proxies may have any number.
    pub fn of_http(settings: &RelaySettings, proxies: &Networks) -> Arc<Self> {
        let of_sessions = settings.connection_limits();
        Self::new(ConnectionLimits {
            sessions: 2 * of_sessions.sessions,
            per_address: 2 * of_sessions.per_address,
            unlimited: of_sessions.unlimited.with(proxies),
            names: LimitNames::HTTP,
        })
    }

    /// Connections open now.
    pub fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether the next connection from this address should prove that it comes from there before it
    /// is counted against it, where the transport can ask for that (RFC 9000 §8.1.2).
    pub fn wants_proof(&self, address: IpAddr) -> bool {
        let of_address = || {
            let known = self.subscribers.get(&subscriber(address));
            known.is_some_and(|known| known.open >= UNPROVEN_PER_ADDRESS)
        };
        self.strangers.load(Ordering::Relaxed) >= UNPROVEN || of_address()
    }

    /// Counts a connection from this address. One above a limit may be let in to be told so: its
    /// greeting is refused.
    ///
    /// # Errors
    /// With why the connection is to be turned away at once.
    pub fn accept(self: &Arc<Self>, address: IpAddr) -> Result<Connection, CloseCode> {
        let mut connection = Connection {
            connections: self.clone(),
            accepted_at: Instant::now(),
            stranger: true,
            subscriber: None,
            refusal: None,
        };
        self.strangers.fetch_add(1, Ordering::Relaxed);
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.limits.sessions + SPARE_CONNECTIONS {
            self.meters.exceeded(self.limits.names.total);
            return Err(CloseCode::RelayFull);
        }
        if self.limits.per_address == 0 || self.limits.unlimited.contain(address) {
            return Ok(connection);
        }
        let subscriber = subscriber(address);
        match self.count_subscriber(subscriber, connection.accepted_at) {
            Verdict::Within => connection.subscriber = Some(subscriber),
            verdict => {
                self.meters.exceeded(self.limits.names.per_address);
                let refusal = CloseCode::TooManyConnections;
                if verdict == Verdict::TooFast || !self.may_be_told() {
                    return Err(refusal);
                }
                connection.refusal = Some(refusal);
            }
        }
        Ok(connection)
    }

    fn count_subscriber(&self, subscriber: IpAddr, now: Instant) -> Verdict {
        if self.subscribers.len() > MAX_REMEMBERED {
            self.forget_absent(now);
        }
        let limit = self.limits.per_address;
        let mut known = self.subscribers.entry(subscriber).or_insert(Subscriber {
            open: 0,
            credit: limit as f64,
            credited_at: now,
        });
        let earned = now.saturating_duration_since(known.credited_at).as_secs_f64() * limit as f64
            / OPENING_PERIOD.as_secs_f64();
        known.credit = (known.credit + earned).min(limit as f64);
        known.credited_at = now;
        if known.credit < 1.0 {
            return Verdict::TooFast;
        }
        known.credit -= 1.0;
        if known.open >= limit {
            return Verdict::Above;
        }
        known.open += 1;
        Verdict::Within
    }

    fn may_be_told(&self) -> bool {
        let counted = self
            .told
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |told| {
                (told < MAX_TOLD).then_some(told + 1)
            });
        counted.is_ok()
    }

    /// Forgets who has no connection any more.
    fn forget_absent(&self, now: Instant) {
        let mut forgotten_at = self.forgotten_at.lock();
        if now.saturating_duration_since(*forgotten_at) >= FORGET_INTERVAL {
            *forgotten_at = now;
            self.subscribers.retain(|_, known| known.open > 0);
        }
    }

    fn leave(&self, subscriber: IpAddr) {
        if let Some(mut known) = self.subscribers.get_mut(&subscriber) {
            known.open = known.open.saturating_sub(1);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Within,
    /// As many connections are open as may be.
    Above,
    /// Too many were opened within a short time.
    TooFast,
}

/// One counted connection; not counted any more when dropped.
#[derive(Debug)]
pub struct Connection {
    connections: Arc<Connections>,
    accepted_at: Instant,
    stranger: bool,
    /// Against whom it is counted.
    subscriber: Option<IpAddr>,
    refusal: Option<CloseCode>,
}

impl Connection {
    /// When it was accepted; a client has to greet within the handshake time from then.
    pub(crate) fn accepted_at(&self) -> Instant {
        self.accepted_at
    }

    /// Why its greeting is refused, if it was let in only to be told.
    pub(crate) fn refusal(&self) -> Option<CloseCode> {
        self.refusal
    }

    /// It has greeted and is in.
    pub(crate) fn is_known(&mut self) {
        if std::mem::take(&mut self.stranger) {
            self.connections.strangers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.is_known();
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        if self.refusal.is_some() {
            self.connections.told.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(subscriber) = self.subscriber {
            self.connections.leave(subscriber);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn limits(sessions: usize, per_address: usize) -> ConnectionLimits {
        ConnectionLimits {
            sessions,
            per_address,
            unlimited: Networks::loopback(),
            names: LimitNames::SESSIONS,
        }
    }

    fn connections(sessions: usize, per_address: usize) -> Arc<Connections> {
        Connections::new(limits(sessions, per_address))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Tries so many times; those let in, and how many were turned away.
    fn flood(connections: &Arc<Connections>, from: &str, times: usize) -> (Vec<Connection>, usize) {
        let (let_in, refused): (Vec<_>, Vec<_>) = (0..times)
            .map(|_| connections.accept(address(from)))
            .partition(Result::is_ok);
        (let_in.into_iter().flatten().collect(), refused.len())
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_gets_its_share_and_others_theirs() {
        let connections = connections(1000, 50);
        let (one, refused) = flood(&connections, "192.0.2.1", 200);
        assert_eq!((one.len(), refused), (50, 150));
        let (network, _) = flood(&connections, "2001:db8::1", 50);
        assert_eq!(network.len(), 50);
        assert_eq!(flood(&connections, "2001:db8::2", 1).1, 1, "the same network");
        let (local, refused) = flood(&connections, "127.0.0.1", 500);
        assert_eq!((local.len(), refused), (500, 0));
        drop((one, network, local));
        assert_eq!(connections.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn some_above_the_limit_are_let_in_to_be_told() {
        let connections = connections(1000, 10);
        let (first, _) = flood(&connections, "192.0.2.1", 10);
        tokio::time::advance(OPENING_PERIOD * 4).await;
        let (told, refused) = flood(&connections, "192.0.2.1", 100);
        assert_eq!(told.len(), 10, "as many as one may open at once");
        assert_eq!(refused, 90);
        assert!(
            told.iter()
                .all(|one| one.refusal() == Some(CloseCode::TooManyConnections))
        );
        drop(first);
        tokio::time::advance(OPENING_PERIOD).await;
        let again = connections
            .accept(address("192.0.2.1"))
            .expect("there is room again");
        assert_eq!(again.refusal(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn opening_and_closing_all_the_time_is_slowed_down() {
        let connections = connections(1000, 10);
        let mut let_in = 0;
        for _ in 0..1000 {
            let_in += usize::from(connections.accept(address("192.0.2.1")).is_ok());
            tokio::time::advance(OPENING_PERIOD / 1000).await;
        }
        assert!((15..=25).contains(&let_in), "{let_in}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_relay_takes_nobody() {
        let connections = connections(10, 0);
        let (held, refused) = flood(&connections, "192.0.2.1", 10 + SPARE_CONNECTIONS + 5);
        assert_eq!(refused, 5);
        assert_eq!(
            connections.accept(address("127.0.0.1")).err(),
            Some(CloseCode::RelayFull)
        );
        drop(held);
        assert!(connections.accept(address("127.0.0.1")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn proof_of_the_address_is_asked_for_when_there_are_many() {
        let connections = connections(10_000, 100);
        let (_held, _) = flood(&connections, "192.0.2.1", UNPROVEN_PER_ADDRESS);
        assert!(connections.wants_proof(address("192.0.2.1")));
        assert!(!connections.wants_proof(address("192.0.2.2")));
        let (mut strangers, _) = flood(&connections, "127.0.0.1", UNPROVEN);
        assert!(connections.wants_proof(address("192.0.2.2")));
        strangers.iter_mut().for_each(Connection::is_known);
        assert!(!connections.wants_proof(address("192.0.2.2")));
    }
}
