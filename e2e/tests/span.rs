//! A meeting that spans relays, over a real NATS server.

use e2e::{ActixApi, Call, Caller, Nats, WebTransportServer, join};
use videocall_client::TransportPreference;
use videocall_types::api::TransportKind;

/// Waits until the REST interface has learnt of the WebTransport relay.
async fn learnt(api: &str) {
    let offered = async || {
        let ticket = join(api, "probe", "probe").await.expect("a ticket");
        ticket
            .relays
            .iter()
            .any(|relay| relay.transport == TransportKind::WebTransport)
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        while !offered().await {}
    })
    .await
    .expect("the relays know each other");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_between_the_relays_of_both_carriers() {
    let nats = Nats::start().await.expect("NATS starts");
    let api = ActixApi::start(&nats).await.expect("the API starts");
    let _relay = WebTransportServer::start(&nats).await.expect("the relay starts");
    learnt(&api.url).await;
    let carriers = [TransportPreference::WebTransport, TransportPreference::WebSocket];
    let call = Call::start([&api.url, &api.url], "span", carriers)
        .await
        .expect("frames pass");
    call.check().expect("none is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nats_those_on_one_relay_go_on_and_the_others_come_back() {
    let mut nats = Nats::start().await.expect("NATS starts");
    let here = ActixApi::start(&nats).await.expect("the API starts");
    let _relay = WebTransportServer::start(&nats).await.expect("the relay starts");
    learnt(&here.url).await;
    let join =
        |name: &str, transport| Caller::start(&here.url, "split", name, transport).expect("allowed names");
    let ann = join("ann", TransportPreference::WebSocket);
    let bob = join("bob", TransportPreference::WebSocket);
    let far = join("far", TransportPreference::WebTransport);
    let (_, two, three) = (
        ann.session().await.expect("in"),
        bob.session().await.expect("in"),
        far.session().await.expect("in"),
    );
    ann.receives(20, two).await.expect("the neighbour is there");
    ann.receives(20, three).await.expect("the one far away is there");

    nats.kill();
    ann.receives(100, two).await.expect("the neighbour stays");
    ann.until("the other relay's people are gone", |seen| {
        !seen.roster.contains_key(&three)
    })
    .await
    .expect("gone");
    let seen = ann.seen();
    assert!(seen.roster.contains_key(&two) && seen.joins == 1, "{seen:?}");

    nats.restart().await.expect("NATS starts again");
    ann.until("the one far away is back", |seen| {
        seen.roster.contains_key(&three)
    })
    .await
    .expect("back");
    ann.receives(20, three).await.expect("and heard again");
}
