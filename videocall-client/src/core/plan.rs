//! Where to connect, in which order, and how long each try may take.

use std::collections::VecDeque;
use std::time::Duration;

use videocall_types::Timestamp;
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};

use super::random::Random;
use crate::config::{ClientConfig, TransportPreference};

/// All tries over WebTransport together, where WebSocket is there to fall back to: a path that
/// carries QUIC has answered long before, and a person should not wait for one that does not.
const WEBTRANSPORT_BUDGET: Duration = Duration::from_secs(2);

/// The least for one of several WebTransport relays: two round trips of a bad mobile path.
const WEBTRANSPORT_MIN: Duration = Duration::from_millis(600);

/// One try where nothing is left to fall back to.
const LAST_RESORT_BUDGET: Duration = Duration::from_secs(5);

/// The tries of one round.
#[derive(Debug, Default)]
pub(super) struct Plan {
    rest: VecDeque<(RelayEndpoint, Duration)>,
}

/// What is known from earlier rounds.
#[derive(Debug, Default)]
pub(super) struct Experience {
    /// Where the last Welcome came from.
    pub(super) last_good: Option<String>,
    /// The carrier of the last Welcome.
    pub(super) last_transport: Option<TransportKind>,
    /// Where a relay has sent us.
    pub(super) advised: Option<RelayEndpoint>,
    /// A relay that stops.
    pub(super) avoided: Option<String>,
}

impl Experience {
    /// Takes a relay's advice where to go, if there is any.
    pub(super) fn heed(&mut self, url: &str, config: &ClientConfig) {
        let url = config.absolute_url(url);
        let transport = match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("https") => TransportKind::WebTransport,
            Some("ws" | "wss") => TransportKind::WebSocket,
            _ => return,
        };
        self.advised = Some(RelayEndpoint {
            transport,
            url,
            certificate_hashes: Vec::new(),
        });
    }

    /// This relay has let us in.
    pub(super) fn arrived(&mut self, endpoint: RelayEndpoint) {
        self.last_good = Some(endpoint.url);
        self.last_transport = Some(endpoint.transport);
        self.advised = None;
    }
}

impl Plan {
    /// The tries for a ticket. WebTransport comes first, unless WebSocket was what worked before; of
    /// one carrier's relays the advised one comes first, then the one that worked, then the ticket's
    /// order. A relay that stops comes last of all.
    pub(super) fn new(ticket: &JoinResponse, config: &ClientConfig, experience: &Experience) -> Self {
        let first = match experience.last_transport {
            Some(transport) if config.transport.allows(transport) => transport,
            _ => TransportKind::WebTransport,
        };
        let mut endpoints: Vec<RelayEndpoint> = ticket
            .relays
            .iter()
            .map(|relay| RelayEndpoint {
                url: config.absolute_url(&relay.url),
                ..relay.clone()
            })
            .collect();
        // A relay may know of one that is newer than the ticket.
        let advised = experience.advised.iter();
        let unknown = advised.filter(|relay| endpoints.iter().all(|known| known.url != relay.url));
        endpoints.extend(unknown.cloned().collect::<Vec<_>>());
        endpoints.retain(|relay| config.transport.allows(relay.transport));
        for relay in &mut endpoints {
            if relay.transport == TransportKind::WebTransport {
                relay
                    .certificate_hashes
                    .extend(config.certificate_hashes.iter().cloned());
            }
        }
        let is = |known: Option<&String>, url: &String| known == Some(url);
        let advised = experience.advised.as_ref().map(|relay| &relay.url);
        endpoints.sort_by_key(|relay| {
            (
                is(experience.avoided.as_ref(), &relay.url),
                relay.transport != first,
                !is(advised, &relay.url),
                !is(experience.last_good.as_ref(), &relay.url),
            )
        });
        let budget = webtransport_budget(&endpoints, config.transport);
        let rest = endpoints
            .into_iter()
            .map(|relay| match relay.transport {
                TransportKind::WebTransport => (relay, budget),
                TransportKind::WebSocket => (relay, LAST_RESORT_BUDGET),
            })
            .collect();
        Self { rest }
    }

    /// The next try and how long it may take, up to and including the Welcome.
    pub(super) fn next(&mut self) -> Option<(RelayEndpoint, Duration)> {
        self.rest.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

fn webtransport_budget(endpoints: &[RelayEndpoint], preference: TransportPreference) -> Duration {
    let of = |kind| endpoints.iter().filter(move |relay| relay.transport == kind);
    let fallback = of(TransportKind::WebSocket).next().is_some();
    if preference != TransportPreference::Auto || !fallback {
        return LAST_RESORT_BUDGET;
    }
    let count = of(TransportKind::WebTransport).count().max(1);
    let share = WEBTRANSPORT_BUDGET / u32::try_from(count).unwrap_or(u32::MAX);
    share.max(WEBTRANSPORT_MIN)
}

/// The waits between rounds: exponential with jitter, so that the clients of a restarted relay do
/// not come back all at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after the first failure, before jitter.
    const FIRST: Duration = Duration::from_millis(250);
    /// The longest wait while an outage is young: a restarted relay is found soon.
    const YOUNG: Duration = Duration::from_secs(2);
    /// The longest wait.
    const LONGEST: Duration = Duration::from_secs(5);
    /// How long an outage is young.
    const YOUTH: Duration = Duration::from_secs(20);

    /// How long to wait now, half to all of the doubled wait.
    pub(super) fn next(&mut self, down_since: Timestamp, now: Timestamp, random: &mut Random) -> Duration {
        let longest = if now.since(down_since) < Self::YOUTH {
            Self::YOUNG
        } else {
            Self::LONGEST
        };
        let doubled = Self::FIRST.saturating_mul(1 << self.failures.min(10));
        self.failures += 1;
        doubled.min(longest).mul_f64(0.5 + random.fraction() / 2.0)
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(transport: TransportKind, url: &str) -> RelayEndpoint {
        RelayEndpoint {
            transport,
            url: url.into(),
            certificate_hashes: Vec::new(),
        }
    }

    fn ticket() -> JoinResponse {
        use TransportKind::{WebSocket, WebTransport};
        JoinResponse {
            token: "t".into(),
            expires_at_ms: i64::MAX,
            relays: vec![
                relay(WebSocket, "/ws"),
                relay(WebTransport, "https://a/wt"),
                relay(WebTransport, "https://b/wt"),
            ],
        }
    }

    fn config(transport: TransportPreference) -> ClientConfig {
        let meeting = "demo".parse().expect("a meeting id");
        let user = "ann".parse().expect("a user name");
        ClientConfig {
            transport,
            ..ClientConfig::new("http://a", meeting, user)
        }
    }

    fn urls(preference: TransportPreference, experience: &Experience) -> Vec<String> {
        let mut plan = Plan::new(&ticket(), &config(preference), experience);
        std::iter::from_fn(|| plan.next().map(|(relay, _)| relay.url)).collect()
    }

    #[test]
    fn webtransport_comes_first_and_leaves_two_seconds_in_total() {
        let new = Experience::default();
        assert_eq!(
            urls(TransportPreference::Auto, &new),
            ["https://a/wt", "https://b/wt", "ws://a/ws"]
        );
        let mut plan = Plan::new(&ticket(), &config(TransportPreference::Auto), &new);
        let budget = |plan: &mut Plan| plan.next().map(|(_, budget)| budget);
        assert_eq!(budget(&mut plan), Some(Duration::from_secs(1)));
        assert_eq!(budget(&mut plan), Some(Duration::from_secs(1)));
        assert_eq!(budget(&mut plan), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_forced_carrier_has_no_fallback() {
        let new = Experience::default();
        assert_eq!(urls(TransportPreference::WebSocket, &new), ["ws://a/ws"]);
        assert_eq!(
            urls(TransportPreference::WebTransport, &new),
            ["https://a/wt", "https://b/wt"]
        );
    }

    #[test]
    fn what_worked_or_was_advised_comes_first() {
        let worked = Experience {
            last_good: Some("https://b/wt".into()),
            last_transport: Some(TransportKind::WebTransport),
            ..Experience::default()
        };
        assert_eq!(
            urls(TransportPreference::Auto, &worked),
            ["https://b/wt", "https://a/wt", "ws://a/ws"]
        );
        let mut advised = worked;
        advised.heed("https://a/wt", &config(TransportPreference::Auto));
        assert_eq!(urls(TransportPreference::Auto, &advised)[0], "https://a/wt");
        let fell_back = Experience {
            last_transport: Some(TransportKind::WebSocket),
            ..Experience::default()
        };
        assert_eq!(urls(TransportPreference::Auto, &fell_back)[0], "ws://a/ws");
    }

    #[test]
    fn the_programs_certificates_are_accepted_besides_those_of_every_ticket() {
        let config = ClientConfig {
            certificate_hashes: vec!["ab".into()],
            ..config(TransportPreference::Auto)
        };
        let mut plan = Plan::new(&ticket(), &config, &Experience::default());
        let hashes: Vec<_> = std::iter::from_fn(|| plan.next())
            .map(|(relay, _)| relay.certificate_hashes.join(" "))
            .collect();
        assert_eq!(hashes, ["ab", "ab", ""]);
    }

    #[test]
    fn a_relay_that_stops_comes_last_and_its_advice_first() {
        let mut draining = Experience {
            last_good: Some("https://a/wt".into()),
            last_transport: Some(TransportKind::WebTransport),
            avoided: Some("https://a/wt".into()),
            ..Experience::default()
        };
        let auto = TransportPreference::Auto;
        assert_eq!(
            urls(auto, &draining),
            ["https://b/wt", "ws://a/ws", "https://a/wt"]
        );
        draining.heed("https://new/wt", &config(auto));
        assert_eq!(urls(auto, &draining)[0], "https://new/wt");
        assert_eq!(urls(TransportPreference::WebSocket, &draining), ["ws://a/ws"]);
        draining.heed("javascript:alert(1)", &config(auto));
        assert_eq!(
            urls(auto, &draining)[0],
            "https://new/wt",
            "nonsense is no advice"
        );
    }

    #[test]
    fn waits_grow_to_a_limit() {
        let mut random = Random::new(7);
        let mut backoff = Backoff::default();
        let start = Timestamp::ZERO;
        let mut waits = (0..6).map(|_| backoff.next(start, start, &mut random));
        for expected in [250, 500, 1000, 2000, 2000, 2000] {
            let wait = waits.next().expect("six waits").as_millis();
            assert!((expected / 2..=expected).contains(&wait), "{wait} of {expected}");
        }
        let later = start + Duration::from_secs(60);
        assert!(backoff.next(start, later, &mut random) >= Duration::from_millis(2500));
    }
}
