//! Where relays can be reached: this one's endpoints, and those that others announce on the bus.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

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

/// The relays that clients can be sent to.
pub struct RelayDirectory {
    own: RelayId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    own: Vec<RelayEndpoint>,
    withdrawn: bool,
    others: HashMap<RelayId, Other>,
}

struct Other {
    endpoints: Vec<RelayEndpoint>,
    heard_at: Timestamp,
}

/// What a relay tells the others every [`RELAY_HEARTBEAT`]. Without endpoints it takes no more
/// clients.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Announcement {
    relay: RelayId,
    endpoints: Vec<RelayEndpoint>,
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

    /// The endpoints for a meeting: WebTransport before WebSocket, and of each transport in an order
    /// that is the same everywhere, so that a meeting gathers on one relay while it has a choice.
    pub fn endpoints(&self, meeting: &MeetingId) -> Vec<RelayEndpoint> {
        let state = self.state.lock();
        let own = state
            .own
            .iter()
            .filter(|_| !state.withdrawn)
            .map(|e| (&self.own, e));
        let others = state
            .others
            .iter()
            .flat_map(|(relay, other)| other.endpoints.iter().map(move |e| (relay, e)));
        let mut found: Vec<_> = own.chain(others).collect();
        found.sort_by_key(|(relay, endpoint)| {
            let transport = endpoint.transport != TransportKind::WebTransport;
            (transport, rendezvous(meeting, relay), endpoint.url.clone())
        });
        found.into_iter().map(|(_, endpoint)| endpoint.clone()).collect()
    }

    /// Sends nobody here any more.
    pub(crate) fn withdraw(&self) {
        self.state.lock().withdrawn = true;
    }

    fn announcement(&self) -> Announcement {
        let state = self.state.lock();
        // An address relative to a page means something on that page's server only.
        let absolute = |endpoint: &&RelayEndpoint| !endpoint.url.starts_with('/');
        let endpoints = match state.withdrawn {
            true => Vec::new(),
            false => state.own.iter().filter(absolute).cloned().collect(),
        };
        Announcement {
            relay: self.own.clone(),
            endpoints,
        }
    }

    fn hear(&self, packet: &[u8], now: Timestamp) {
        let Ok(Announcement { relay, endpoints }) = serde_json::from_slice(packet) else {
            tracing::debug!("an announcement of a relay cannot be read");
            return;
        };
        let mut state = self.state.lock();
        if endpoints.is_empty() {
            state.others.remove(&relay);
        } else if relay != self.own && (state.others.len() < MAX_RELAYS || state.others.contains_key(&relay))
        {
            let other = Other {
                endpoints,
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
    loop {
        tokio::select! {
            packet = heard.next() => match packet {
                Some(packet) => directory.hear(&packet, relay.clock().now()),
                None => heard = bus.subscribe(RELAY_DIRECTORY.to_owned()),
            },
            _ = ticks.tick() => {
                announce(directory, &*bus);
                directory.forget_silent(relay.clock().now());
            }
            () = relay.drained() => {
                announce(directory, &*bus);
                return;
            }
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
        relay.withdraw();
        api.hear(&told(&relay), now);
        assert_eq!(urls(&api), ["/ws"]);
        assert!(urls(&relay).is_empty());
        api.hear(b"nonsense", now);
    }

    #[test]
    fn every_process_sends_a_meeting_to_the_same_relay_first() {
        let names = ["a", "b", "c"];
        let relays = names.map(|name| {
            let url = format!("https://{name}:1/wt");
            directory(name, &[(TransportKind::WebTransport, &url)])
        });
        for listener in &relays {
            relays
                .iter()
                .for_each(|relay| listener.hear(&told(relay), Timestamp::ZERO));
        }
        assert_eq!(urls(&relays[0]), urls(&relays[1]));
        assert_eq!(urls(&relays[1]), urls(&relays[2]));
        assert_eq!(urls(&relays[0]).len(), 3);
    }
}
