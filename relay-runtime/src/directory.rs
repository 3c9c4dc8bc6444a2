//! Where relays can be reached: this one's endpoints, and those that others announce on the bus.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use parking_lot::Mutex;
use relay_core::BusMessage;
use relay_core::subject::RELAY_DIRECTORY;
use serde::{Deserialize, Serialize};
use tokio::time::interval;
use videocall_types::api::{RelayEndpoint, TransportKind};
use videocall_types::limits::{RELAY_HEARTBEAT, RELAY_LIVENESS};
use videocall_types::{MediaClass, MeetingId, RelayId, Timestamp};

use crate::{Bus, Relay};

/// Relays remembered at most; announcements of more are ignored.
const MAX_RELAYS: usize = 1000;

/// How often a relay looks whether its load is worth telling before the next heartbeat.
const LOAD_INTERVAL: Duration = Duration::from_millis(100);

/// A relay is well filled when this part of its places is taken, percent: others come before it, so that
/// it has room for those who follow their meeting.
const WELL_FILLED_PERCENT: usize = 70;

/// The relays that clients can be sent to.
pub struct RelayDirectory {
    own: RelayId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    own: Vec<RelayEndpoint>,
    load: RelayLoad,
    withdrawn: bool,
    /// What the others were last told that changes whom they send here.
    announced: Option<(LoadClass, bool)>,
    others: HashMap<RelayId, Other>,
}

struct Other {
    endpoints: Vec<RelayEndpoint>,
    load: RelayLoad,
    heard_at: Timestamp,
}

/// How much a relay has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RelayLoad {
    /// Sessions connected now.
    sessions: usize,
    /// Sessions that it takes at most.
    max_sessions: usize,
    /// It takes no sessions for the moment, whatever their number.
    busy: bool,
}

/// That of a relay that has not said anything yet.
impl Default for RelayLoad {
    fn default() -> Self {
        Self {
            sessions: 0,
            max_sessions: usize::MAX,
            busy: false,
        }
    }
}

/// What a load means for somebody who looks for a relay; the best comes first. Coarse, so that
/// processes whose news differ by a second still name the same relay first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LoadClass {
    Free,
    WellFilled,
    Full,
}

impl RelayLoad {
    fn of(relay: &Relay) -> Self {
        Self {
            sessions: relay.session_count(),
            max_sessions: relay.max_sessions(),
            busy: relay.overload().is_busy(),
        }
    }

    fn class(self) -> LoadClass {
        if self.busy || self.sessions >= self.max_sessions {
            LoadClass::Full
        } else if self.sessions.saturating_mul(100) >= self.max_sessions.saturating_mul(WELL_FILLED_PERCENT) {
            LoadClass::WellFilled
        } else {
            LoadClass::Free
        }
    }
}

/// What a relay tells the others every [`RELAY_HEARTBEAT`], and when its load has another class.
/// Without endpoints it takes no more clients.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Announcement {
    relay: RelayId,
    endpoints: Vec<RelayEndpoint>,
    load: RelayLoad,
}

impl RelayDirectory {
    pub(crate) fn new(own: RelayId) -> Self {
        Self {
            own,
            state: Mutex::default(),
        }
    }

    /// Makes an endpoint of this process known, in place of an earlier one of the same transport.
    pub fn register(&self, endpoint: RelayEndpoint) {
        let mut state = self.state.lock();
        state.own.retain(|own| own.transport != endpoint.transport);
        state.own.push(endpoint);
    }

    /// Makes known how much this relay has to do; `true` when that, or what was said since, is worth telling
    /// others at once.
    fn note_load(&self, load: RelayLoad) -> bool {
        let mut state = self.state.lock();
        state.load = load;
        let class = state.load.class();
        state.announced != Some((class, state.withdrawn))
    }

    /// The endpoints for a meeting: WebTransport before WebSocket; of each transport those with room
    /// before those that are well filled, and those that take nobody last; among equals in an order that
    /// is the same everywhere, so that a meeting gathers on one relay while it has a choice.
    pub fn endpoints(&self, meeting: &MeetingId) -> Vec<RelayEndpoint> {
        let state = self.state.lock();
        let own = state
            .own
            .iter()
            .filter(|_| !state.withdrawn)
            .map(|e| (&self.own, state.load.class(), e));
        let others = state.others.iter().flat_map(|(relay, other)| {
            let load = other.load.class();
            other.endpoints.iter().map(move |e| (relay, load, e))
        });
        let mut found: Vec<_> = own.chain(others).collect();
        found.sort_by_key(|(relay, load, endpoint)| {
            let transport = endpoint.transport != TransportKind::WebTransport;
            (transport, *load, rendezvous(meeting, relay), endpoint.url.clone())
        });
        found
            .into_iter()
            .map(|(_, _, endpoint)| endpoint.clone())
            .collect()
    }

    /// Where to go from here when this relay stops: the best other relay of the transport that is
    /// offered here. `None` when there is none, or when several transports are offered here, so that
    /// clients do better to ask the REST interface.
    pub(crate) fn alternate(&self, meeting: &MeetingId) -> Option<RelayEndpoint> {
        let transport = match &self.state.lock().own[..] {
            [own] => own.transport,
            _ => return None,
        };
        let own = |endpoint: &RelayEndpoint| self.state.lock().own.contains(endpoint);
        let endpoints = self.endpoints(meeting).into_iter();
        endpoints.filter(|e| e.transport == transport).find(|e| !own(e))
    }

    /// Sends nobody here any more.
    pub(crate) fn withdraw(&self) {
        self.state.lock().withdrawn = true;
    }

    fn announcement(&self) -> Announcement {
        let mut state = self.state.lock();
        state.announced = Some((state.load.class(), state.withdrawn));
        // An address relative to a page means something on that page's server only.
        let absolute = |endpoint: &&RelayEndpoint| !endpoint.url.starts_with('/');
        let endpoints = match state.withdrawn {
            true => Vec::new(),
            false => state.own.iter().filter(absolute).cloned().collect(),
        };
        Announcement {
            relay: self.own.clone(),
            endpoints,
            load: state.load,
        }
    }

    fn hear(&self, packet: &[u8], now: Timestamp) {
        let Ok(announcement) = serde_json::from_slice(packet) else {
            tracing::debug!("an announcement of a relay cannot be read");
            return;
        };
        let Announcement {
            relay,
            endpoints,
            load,
        } = announcement;
        let mut state = self.state.lock();
        if endpoints.is_empty() {
            state.others.remove(&relay);
        } else if relay != self.own && (state.others.len() < MAX_RELAYS || state.others.contains_key(&relay))
        {
            let other = Other {
                endpoints,
                load,
                heard_at: now,
            };
            state.others.insert(relay, other);
        }
    }

    fn forget_silent(&self, now: Timestamp) {
        let mut state = self.state.lock();
        state
            .others
            .retain(|_, other| now.since(other.heard_at) < RELAY_LIVENESS);
    }
}

/// Highest random weight hashing: each meeting has its own order of the relays, and a relay that
/// comes or goes moves only the meetings that it is first for.
fn rendezvous(meeting: &MeetingId, relay: &RelayId) -> u64 {
    let mut hasher = DefaultHasher::new();
    (meeting.as_str(), relay.as_str()).hash(&mut hasher);
    hasher.finish()
}

/// Tells other relays of this one and hears of them, as long as the relay runs.
pub(crate) async fn keep(relay: Arc<Relay>) {
    let Some(bus) = relay.bus().cloned() else {
        return;
    };
    let directory = relay.directory();
    let mut heard = bus.subscribe(RELAY_DIRECTORY.to_owned());
    let mut ticks = interval(RELAY_HEARTBEAT);
    let mut looks = interval(LOAD_INTERVAL);
    while !relay.is_drained() {
        tokio::select! {
            packet = heard.next() => match packet {
                Some(packet) => directory.hear(&packet, relay.clock().now()),
                None => heard = bus.subscribe(RELAY_DIRECTORY.to_owned()),
            },
            _ = ticks.tick() => {
                announce(directory, &*bus);
                directory.forget_silent(relay.clock().now());
            }
            _ = looks.tick() => if directory.note_load(RelayLoad::of(&relay)) {
                announce(directory, &*bus);
            },
        }
    }
}

fn announce(directory: &RelayDirectory, bus: &dyn Bus) {
    let packet = serde_json::to_vec(&directory.announcement()).unwrap_or_default();
    bus.publish(BusMessage {
        subject: RELAY_DIRECTORY.to_owned(),
        packet: packet.into(),
        class: MediaClass::Control,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(transport: TransportKind, url: &str) -> RelayEndpoint {
        RelayEndpoint {
            transport,
            url: url.to_owned(),
            certificate_hashes: Vec::new(),
        }
    }

    fn directory(name: &str, endpoints: &[(TransportKind, &str)]) -> RelayDirectory {
        let directory = RelayDirectory::new(name.parse().expect("an id"));
        for (transport, url) in endpoints {
            directory.register(endpoint(*transport, url));
        }
        directory
    }

    fn told(directory: &RelayDirectory) -> Vec<u8> {
        serde_json::to_vec(&directory.announcement()).expect("plain JSON")
    }

    fn urls(directory: &RelayDirectory) -> Vec<String> {
        let meeting = "demo".parse().expect("an id");
        directory.endpoints(&meeting).into_iter().map(|e| e.url).collect()
    }

    #[test]
    fn relays_hear_of_one_another_and_forget_the_silent() {
        let api = directory("api", &[(TransportKind::WebSocket, "/ws")]);
        let relay = directory("wt", &[(TransportKind::WebTransport, "https://a:1/wt")]);
        let now = Timestamp::from_millis(10);
        api.hear(&told(&relay), now);
        relay.hear(&told(&api), now);
        assert_eq!(urls(&api), ["https://a:1/wt", "/ws"]);
        assert_eq!(urls(&relay), ["https://a:1/wt"]);
        relay.register(endpoint(TransportKind::WebTransport, "https://a:2/wt"));
        api.hear(&told(&relay), now);
        assert_eq!(urls(&api), ["https://a:2/wt", "/ws"]);
        api.forget_silent(now + RELAY_LIVENESS);
        assert_eq!(urls(&api), ["/ws"]);
        api.hear(&told(&relay), now);
        assert!(!relay.note_load(load(0)));
        relay.withdraw();
        assert!(relay.note_load(load(0)), "that is worth telling at once");
        api.hear(&told(&relay), now);
        assert_eq!(urls(&api), ["/ws"]);
        assert!(urls(&relay).is_empty());
        api.hear(b"nonsense", now);
    }

    #[test]
    fn every_process_sends_a_meeting_to_the_same_relay_first() {
        let relays = three();
        gossip(&relays);
        assert_eq!(urls(&relays[0]), urls(&relays[1]));
        assert_eq!(urls(&relays[1]), urls(&relays[2]));
        assert_eq!(urls(&relays[0]).len(), 3);
    }
    /// The relays of three processes.
    fn three() -> [RelayDirectory; 3] {
        ["a", "b", "c"].map(|name| {
            let url = format!("https://{name}:1/wt");
            directory(name, &[(TransportKind::WebTransport, &url)])
        })
    }

    fn load(sessions: usize) -> RelayLoad {
        RelayLoad {
            sessions,
            max_sessions: 100,
            busy: false,
        }
    }

    fn gossip(relays: &[RelayDirectory]) {
        for listener in relays {
            relays
                .iter()
                .for_each(|relay| listener.hear(&told(relay), Timestamp::ZERO));
        }
    }

    #[test]
    fn relays_with_room_come_first_and_full_or_busy_ones_last() {
        let relays = three();
        gossip(&relays);
        let order = urls(&relays[0]);
        let expect = |order: [&String; 3]| {
            gossip(&relays);
            for relay in &relays {
                assert_eq!(
                    urls(relay).iter().collect::<Vec<_>>(),
                    order,
                    "the same everywhere"
                );
            }
        };
        let of = |url: &str| {
            let offers = |relay: &&RelayDirectory| relay.state.lock().own[0].url == url;
            relays.iter().find(offers).expect("one of them")
        };
        let (first, second) = (of(&order[0]), of(&order[1]));
        assert!(!first.note_load(load(69)));
        expect([&order[0], &order[1], &order[2]]);
        assert!(first.note_load(load(70)));
        expect([&order[1], &order[2], &order[0]]);
        let busy = RelayLoad {
            busy: true,
            ..load(0)
        };
        assert!(second.note_load(busy));
        expect([&order[2], &order[0], &order[1]]);
    }

    #[test]
    fn a_relay_that_stops_names_another_of_its_only_transport() {
        let meeting = "demo".parse().expect("an id");
        let relays = three();
        assert_eq!(relays[0].alternate(&meeting), None, "it knows no other");
        gossip(&relays);
        relays[0].withdraw();
        let alternate = relays[0].alternate(&meeting).expect("another");
        assert_eq!(alternate, relays[0].endpoints(&meeting)[0]);
        assert!(!relays[0].state.lock().own.contains(&alternate));
        relays[0].register(endpoint(TransportKind::WebSocket, "/ws"));
        assert_eq!(
            relays[0].alternate(&meeting),
            None,
            "one address does not fit all of its clients"
        );
    }
}
