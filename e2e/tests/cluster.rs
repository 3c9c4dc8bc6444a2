//! Several relays of one deployment, as processes: restarted one after the other under a running call,
//! killed, full, and drained.

use std::time::Duration;

use e2e::{ActixApi, Caller, Nats, Server, WebTransportServer, join};
use tokio::time::Instant;
use videocall_client::{ConnectionState, TransportPreference};
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::limits::{LIVENESS, RELAY_LIVENESS};

/// What draining takes at most: the default time for clients to move, farewells, and the end of a
/// process on a busy machine.
const DRAINED: Duration = Duration::from_secs(10);

/// The longest silence that moving to another relay may cost, on a machine that runs everybody.
const LONGEST_SILENCE: Duration = Duration::from_millis(500);

/// A killed relay is noticed by its clients and by the other relays at about the same time; then a client
/// has to connect.
const BACK: Duration = LIVENESS.saturating_add(RELAY_LIVENESS);

struct Deployment {
    _nats: Nats,
    api: Server,
    transport: TransportKind,
    relays: [Server; 2],
    meeting: String,
}

impl Deployment {
    /// The REST interface with a WebSocket relay, and two WebTransport relays.
    async fn start(flags: &[(&str, &str)]) -> Self {
        let nats = Nats::start().await.expect("NATS starts");
        let (api, one, two) = tokio::join!(
            ActixApi::start(&nats),
            WebTransportServer::start_with(&nats, flags),
            WebTransportServer::start_with(&nats, flags),
        );
        let deployment = Self {
            api: api.expect("the API starts"),
            transport: TransportKind::WebTransport,
            relays: [one.expect("a relay starts"), two.expect("a relay starts")],
            meeting: "cluster".into(),
            _nats: nats,
        };
        deployment.until_offered(2).await;
        deployment
    }

    /// The REST interface with a WebSocket relay, and two more WebSocket relays, of which one is the first
    /// for the meeting.
    async fn of_websockets() -> Self {
        let nats = Nats::start().await.expect("NATS starts");
        let (api, one, two) = tokio::join!(
            ActixApi::start(&nats),
            ActixApi::start_public(&nats),
            ActixApi::start_public(&nats),
        );
        let mut deployment = Self {
            api: api.expect("the API starts"),
            transport: TransportKind::WebSocket,
            relays: [one.expect("a relay starts"), two.expect("a relay starts")],
            meeting: String::new(),
            _nats: nats,
        };
        deployment.until_offered(3).await;
        for number in 0.. {
            deployment.meeting = format!("cluster-{number}");
            let ticket = deployment.ticket().await;
            if ticket.relays[0].url.starts_with("ws:") {
                break;
            }
        }
        deployment
    }

    async fn ticket(&self) -> JoinResponse {
        join(&self.api.url, &self.meeting, "probe")
            .await
            .expect("a ticket")
    }

    /// Waits until joins are answered with so many relays of the transport.
    async fn until_offered(&self, count: usize) {
        let offered = async || {
            let ticket = join(&self.api.url, "probe", "probe").await.expect("a ticket");
            let is = |relay: &&RelayEndpoint| relay.transport == self.transport;
            ticket.relays.iter().filter(is).count()
        };
        tokio::time::timeout(Duration::from_secs(10), async {
            while offered().await != count {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("the relays know each other");
    }

    fn caller(&self, name: &str, transport: TransportPreference) -> Caller {
        Caller::start(&self.api.url, &self.meeting, name, transport).expect("allowed names")
    }

    /// Sessions on one of the two relays.
    async fn sessions_on(&self, relay: usize) -> f64 {
        let page = self.relays[relay].page("/metrics").await.expect("figures");
        let name = format!("videocall_sessions{{transport=\"{}\"}} ", self.transport);
        let of = |line: &str| line.strip_prefix(&name)?.parse().ok();
        page.lines().find_map(of).unwrap_or_default()
    }

    /// Which of the two relays has sessions.
    async fn busy_relay(&self) -> usize {
        usize::from(self.sessions_on(1).await > self.sessions_on(0).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_both_relays_is_not_heard() {
    let mut deployment = Deployment::start(&[]).await;
    let callers = [
        deployment.caller("ann", TransportPreference::WebTransport),
        deployment.caller("bob", TransportPreference::WebTransport),
        deployment.caller("eve", TransportPreference::WebSocket),
    ];
    let silences = rolling_restart(&mut deployment, &callers).await;
    let longest = LONGEST_SILENCE + longest_stall(&callers);
    assert!(
        silences.iter().all(|silence| *silence <= longest),
        "{silences:?}: {callers:?}"
    );
    let moved = callers.iter().filter(|caller| caller.seen().joins >= 3).count();
    assert_eq!(moved, 2, "both WebTransport callers have moved twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_one_of_websocket_relays() {
    let mut deployment = Deployment::of_websockets().await;
    let callers = ["ann", "bob"].map(|name| deployment.caller(name, TransportPreference::WebSocket));
    let silences = rolling_restart(&mut deployment, &callers).await;
    let longest = LONGEST_SILENCE + longest_stall(&callers);
    assert!(
        silences.iter().all(|silence| *silence <= longest),
        "{silences:?}: {callers:?}"
    );
    assert!(
        callers.iter().all(|caller| caller.seen().joins >= 2),
        "both have moved"
    );
}

/// For how long the machine did not run a caller: nothing can be heard meanwhile, whatever relays do.
fn longest_stall(callers: &[Caller]) -> Duration {
    let stalls = callers.iter().map(|caller| caller.seen().longest_stall);
    stalls.max().unwrap_or_default()
}

/// Restarts both relays, first the one with the callers, and checks that everybody stays who they are.
/// Returns the longest silence that each has heard of each.
async fn rolling_restart(deployment: &mut Deployment, callers: &[Caller]) -> Vec<Duration> {
    let mut sessions = Vec::new();
    for caller in callers {
        sessions.push(caller.session().await.expect("in"));
    }
    everybody_hears_everybody(callers, &sessions).await;

    let since = Instant::now();
    let first = deployment.busy_relay().await;
    for (turn, relay) in [first, 1 - first].into_iter().enumerate() {
        let offered = deployment.ticket().await.relays.len();
        let server = &mut deployment.relays[relay];
        let ended = match turn {
            0 => server.terminate(DRAINED).await,
            _ => server.drain().await,
        };
        ended.expect("it ends within the stated time");
        everybody_hears_everybody(callers, &sessions).await;
        deployment.relays[relay].start().await.expect("it starts again");
        while deployment.ticket().await.relays.len() < offered {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        everybody_hears_everybody(callers, &sessions).await;
    }

    let mut silences = Vec::new();
    for (caller, own) in callers.iter().zip(&sessions) {
        let seen = caller.seen();
        assert_eq!(seen.session, Some(*own), "everybody stays who they are");
        assert!(
            seen.left.is_empty() && seen.roster.len() + 1 == sessions.len(),
            "{seen:?}"
        );
        let others = sessions.iter().filter(|other| *other != own);
        silences.extend(others.map(|other| seen.longest_silence_of(*other, since).expect("heard")));
    }
    silences
}

async fn everybody_hears_everybody(callers: &[Caller], sessions: &[videocall_types::SessionId]) {
    for (caller, own) in callers.iter().zip(sessions) {
        for other in sessions.iter().filter(|other| *other != own) {
            caller.receives(25, *other).await.expect("frames");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_people_of_a_killed_relay_are_resumed_elsewhere_without_ghosts() {
    let mut deployment = Deployment::start(&[]).await;
    let here = deployment.caller("here", TransportPreference::WebSocket);
    let far = deployment.caller("far", TransportPreference::WebTransport);
    let (one, two) = (
        here.session().await.expect("in"),
        far.session().await.expect("in"),
    );
    here.receives(20, two).await.expect("frames");
    far.receives(20, one).await.expect("frames");

    let relay = deployment.busy_relay().await;
    deployment.relays[relay].kill();
    let back = far
        .until_within(BACK, "on the other relay", |seen| {
            seen.joins == 2 && seen.status.state == ConnectionState::Connected
        })
        .await
        .expect("back");
    assert_eq!(back.session, Some(two), "the same session goes on");
    here.receives(20, two).await.expect("frames again");
    far.receives(20, one).await.expect("frames again");
    let seen = here.seen();
    assert_eq!(
        seen.roster.keys().collect::<Vec<_>>(),
        [&two],
        "nobody is there twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_people_of_a_killed_relay_are_gone_in_time_when_there_is_no_other() {
    let mut deployment = Deployment::start(&[]).await;
    let here = deployment.caller("here", TransportPreference::WebSocket);
    let far = deployment.caller("far", TransportPreference::WebTransport);
    let two = far.session().await.expect("in");
    here.receives(20, two).await.expect("frames");
    // They die together.
    deployment.relays.iter_mut().for_each(Server::kill);
    here.until_within(BACK, "those on it are gone", |seen| seen.roster.is_empty())
        .await
        .expect("gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_first_candidate_leads_to_the_next() {
    let mut deployment = Deployment::start(&[]).await;
    let first = deployment.caller("first", TransportPreference::WebTransport);
    first.session().await.expect("in");
    let dead = deployment.busy_relay().await;
    deployment.relays[dead].kill();
    // Before any relay has noticed.
    let next = deployment.caller("next", TransportPreference::WebTransport);
    next.session().await.expect("in");
    assert!(deployment.sessions_on(1 - dead).await > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_relays_lead_to_the_next_and_come_last() {
    let deployment = Deployment::start(&[("max-sessions", "1")]).await;
    // More at once than there are places on the relay that all are told of first.
    let callers = ["ann", "bob", "eve"].map(|name| deployment.caller(name, TransportPreference::Auto));
    let mut sessions = Vec::new();
    for caller in &callers {
        sessions.push(caller.session().await.expect("in"));
    }
    everybody_hears_everybody(&callers, &sessions).await;
    for relay in 0..2 {
        assert!(
            deployment.sessions_on(relay).await <= 1.0,
            "no more than there is room for"
        );
    }
    let on = |caller: &&Caller| caller.seen().status.transport == Some(TransportKind::WebSocket);
    assert!(
        callers.iter().filter(on).count() >= 1,
        "somebody is where there is room"
    );
}
