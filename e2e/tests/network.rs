//! Library clients behind networks that change and fail, with real relays.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::bench::{Algorithm, bottleneck, saturate_until};
use e2e::proxy::{Conditions, Direction, Report, UdpProxy};
use e2e::{Cable, Call, Caller, Server, VideocallServer};
use tokio::time::Instant;
use videocall_client::TransportPreference;

/// A change of network is bridged within this.
const BRIDGED: Duration = Duration::from_secs(1);

/// From the end of an outage until voices are heard again: a try to connect that was begun in it has to fail first, and
/// the pause before the next one.
const AFTER_OUTAGE: Duration = Duration::from_secs(4);

const OUTAGE: Duration = Duration::from_secs(5);

/// A server that announces its WebTransport relay as behind a network.
async fn behind(conditions: Conditions) -> (Server, UdpProxy) {
    let quic = e2e::free_port().expect("a port");
    let target = SocketAddr::from(([127, 0, 0, 1], quic));
    let proxy = UdpProxy::to(target, conditions).await.expect("a port");
    let address = format!("https://{}/wt", proxy.address());
    let flags = [("public-webtransport-url", address.as_str())];
    let server = VideocallServer::start_at(quic, &flags).await.expect("it starts");
    (server, proxy)
}

fn both_ways(direction: Direction) -> Conditions {
    Conditions {
        seed: 1,
        up: direction.clone(),
        down: direction,
    }
}

fn with_delay(delay_ms: u64) -> Direction {
    Direction {
        delay_ms,
        ..Direction::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_webtransport_a_call_goes_on_from_another_address() {
    let (server, proxy) = behind(both_ways(with_delay(25))).await;
    let transports = [TransportPreference::WebTransport; 2];
    let call = Call::start([&server.url; 2].map(String::as_str), "roaming", transports)
        .await
        .expect("frames pass");
    for _change in 0..3 {
        let since = Instant::now();
        proxy.rebind().await.expect("ports");
        call.goes_on().await.expect("frames pass from the new addresses");
        let gap = call.longest_silence(since);
        let limit = BRIDGED + call.longest_stall();
        assert!(gap < limit, "nothing was heard for {gap:?}, {limit:?} would do");
    }
    call.check_connections().expect("the connections are the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_websocket_a_call_goes_on_over_another_connection() {
    let server = VideocallServer::start().await.expect("the server starts");
    let cable = Cable::to(server.url.trim_start_matches("http://"))
        .await
        .expect("a port");
    let through = format!("http://{}", cable.address());
    let ann =
        Caller::start(&through, "roaming", "ann", TransportPreference::WebSocket).expect("allowed names");
    let bob = Caller::start(&server.url, "roaming", "bob", TransportPreference::Auto).expect("allowed names");
    let (one, two) = (ann.session().await.expect("in"), bob.session().await.expect("in"));
    ann.receives(25, two).await.expect("frames");
    bob.receives(25, one).await.expect("frames");
    for change in 1..=3 {
        let since = Instant::now();
        cable.cut();
        ann.until("ann is back", |seen| seen.joins == change + 1)
            .await
            .expect("back");
        ann.receives(25, two).await.expect("frames again");
        bob.receives(25, one).await.expect("frames again");
        for (seen, other) in [(ann.seen(), two), (bob.seen(), one)] {
            let gap = seen.longest_silence_of(other, since).expect("heard before");
            let limit = BRIDGED + seen.longest_stall;
            assert!(gap < limit, "nothing was heard for {gap:?}, {limit:?} would do");
            assert!(seen.left.is_empty(), "{seen:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_call_goes_on() {
    let (server, proxy) = behind(both_ways(with_delay(25))).await;
    let ann = Caller::start(&server.url, "outage", "ann", TransportPreference::WebTransport)
        .expect("allowed names");
    let bob =
        Caller::start(&server.url, "outage", "bob", TransportPreference::WebSocket).expect("allowed names");
    let (one, two) = (ann.session().await.expect("in"), bob.session().await.expect("in"));
    ann.receives(25, two).await.expect("frames");
    bob.receives(25, one).await.expect("frames");
    let began = Instant::now();
    let length = u64::try_from(OUTAGE.as_millis()).expect("short");
    proxy.begin(both_ways(with_delay(25).with_outage(0, length)));
    ann.receives(25, two).await.expect("frames again");
    bob.receives(25, one).await.expect("frames again");
    for (seen, other) in [(ann.seen(), two), (bob.seen(), one)] {
        let gap = seen.longest_silence_of(other, began).expect("heard before");
        assert!(
            gap >= OUTAGE - Duration::from_millis(100),
            "there was no outage: {gap:?}"
        );
        assert!(gap < OUTAGE + AFTER_OUTAGE, "nothing was heard for {gap:?}");
        assert!(seen.left.is_empty() && seen.session.is_some(), "{seen:?}");
    }
}

/// A queue of half a second is CUBIC's when so much of it has been seen.
const FULL_MS: f64 = 300.0;

/// What the line carries in two seconds; a busy machine takes longer.
const ENOUGH_BYTES: u64 = 250_000;

#[tokio::test(flavor = "multi_thread")]
async fn made_for_calls_means_short_queues() {
    let full = |report: &Report| report.down.queueing_ms.max > FULL_MS;
    let cubic = saturate_until(Algorithm::Cubic, bottleneck(1_000_000), full).await;
    cubic.expect("CUBIC fills the queue");
    let enough = |report: &Report| report.down.bytes >= ENOUGH_BYTES;
    let media = saturate_until(Algorithm::Media, bottleneck(1_000_000), enough)
        .await
        .expect("it sends");
    // The bench shows how short; a machine that is busy with other tests makes any queue longer.
    let queue = media.down.queueing_ms.p95;
    assert!(queue < FULL_MS / 2.0, "{queue} ms");
}
