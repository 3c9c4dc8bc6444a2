//! A meeting over two relays: on a bus within the process, and over a real NATS server that dies and
//! comes back.

mod support;

use relay_runtime::Relay;
use relay_runtime::bus::{MemoryHub, NatsBus};
use support::nats::{NatsServer, connect};
use support::{Client, TestRelay, soon, start, voice};
use videocall_types::api::{RelayEndpoint, TransportKind};
use videocall_types::{SessionId, Welcome};

#[tokio::test]
async fn relays_on_one_hub_hold_one_meeting() {
    let hub = MemoryHub::new();
    let east = start("east", Some(hub.connect()));
    let west = start("west", Some(hub.connect()));
    let (mut alice, mut bob) = meet(&east, &west).await;
    hub.set_reachable(false);
    assert!(!soon("news", alice.0.others_reachable()).await);
    assert!(!soon("news", bob.0.others_reachable()).await);
    hub.set_reachable(true);
    speak_across(&mut alice, &mut bob).await;
}

/// Alice at one relay and Bob at the other see and hear one another.
async fn meet(east: &TestRelay, west: &TestRelay) -> ((Client, Welcome), (Client, Welcome)) {
    let mut alice = east.member("alice").await;
    let mut bob = west.member("bob").await;
    alice.0.keep_alive();
    bob.0.keep_alive();
    assert_eq!(alice.0.joined().await, bob.1.session);
    if bob.1.participants.is_empty() {
        assert_eq!(bob.0.joined().await, alice.1.session);
    }
    speak_across(&mut alice, &mut bob).await;
    (alice, bob)
}

/// Each speaks until the other hears it; a relay takes a moment to learn that it is listened to.
async fn speak_across(alice: &mut (Client, Welcome), bob: &mut (Client, Welcome)) {
    hear(&alice.0, alice.1.session, &mut bob.0).await;
    hear(&bob.0, bob.1.session, &mut alice.0).await;
}

async fn hear(speaker: &Client, session: SessionId, listener: &mut Client) {
    let mut sequence = 0;
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    soon("a voice from the other relay", async {
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    speaker.send(voice(session, sequence)).await;
                    sequence += 1;
                }
                _ = listener.next_frame() => return,
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_meeting_spans_relays_over_nats_and_survives_its_death() {
    let mut nats = NatsServer::start();
    let east = start("east", Some(connect(&nats.url()).await));
    let west = start("west", Some(connect(&nats.url()).await));
    let (mut alice, mut bob) = meet(&east, &west).await;

    nats.kill();
    assert!(!soon("news", alice.0.others_reachable()).await);
    assert!(east.relay.readiness().ready);
    assert!(east.relay.readiness().details["bus"].contains("not connected"));
    // Two people on one relay do not notice.
    let (carol, carol_is) = east.member("carol").await;
    carol.keep_alive();
    hear(&carol, carol_is.session, &mut alice.0).await;
    // The other relay is silent for long enough: who is there is gone.
    let gone = soon("the other relay's end", alice.0.left()).await;
    assert_eq!(gone, bob.1.session);

    nats.restart();
    assert!(soon("news", alice.0.others_reachable()).await);
    soon("bob's return", async {
        while alice.0.joined().await != bob.1.session {}
    })
    .await;
    soon("carol's arrival", async {
        while bob.0.joined().await != carol_is.session {}
    })
    .await;
    speak_across(&mut alice, &mut bob).await;
}

#[tokio::test]
async fn relays_find_one_another_through_nats() {
    let nats = NatsServer::start();
    let east = start("east", Some(connect(&nats.url()).await));
    let west = start("west", Some(connect(&nats.url()).await));
    let endpoint = RelayEndpoint {
        transport: TransportKind::WebTransport,
        url: "https://127.0.0.1:1/wt".into(),
        certificate_hashes: vec!["ab".into()],
    };
    west.relay.directory().register(endpoint.clone());
    until(&east.relay, &[endpoint]).await;
    west.shutdown.cancel();
    until(&east.relay, &[]).await;
}

async fn until(relay: &Relay, expected: &[RelayEndpoint]) {
    let meeting = "demo".parse().expect("an id");
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(10));
    soon("the directory", async {
        while relay.directory().endpoints(&meeting) != expected {
            looks.tick().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_relay_without_its_nats_serves_its_own_people() {
    let bus = NatsBus::connect("nats://127.0.0.1:1", "test")
        .await
        .expect("a readable address");
    let relay = start("alone", Some(bus));
    let (mut alice, _) = relay.member("alice").await;
    let (bob, bob_is) = relay.member("bob").await;
    hear(&bob, bob_is.session, &mut alice).await;
}
