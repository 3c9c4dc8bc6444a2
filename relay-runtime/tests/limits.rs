//! What a relay does when there is too much of something, and with tokens that were taken back.

mod support;

use std::time::Duration;

use relay_runtime::bus::MemoryHub;
use relay_runtime::{RelaySettings, Revoke};
use support::{TestRelay, hello, soon, start, start_with, voice};
use tokio::time::{Instant, sleep};
use videocall_types::{ClientMessage, CloseCode, Hello};

async fn refused(relay: &TestRelay, hello: Hello) -> CloseCode {
    let client = relay.connect();
    client.say(ClientMessage::Hello(Box::new(hello))).await;
    client.closed().await
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_relay_takes_nobody_new_and_keeps_whom_it_has() {
    let settings = RelaySettings {
        max_relay_upload_bps: 10_000,
        ..RelaySettings::default()
    };
    let relay = start_with("one", None, settings);
    let (alice, alice_is) = relay.member("alice").await;
    let (mut bob, bob_is) = relay.member("bob").await;
    let mut sequence = 0;
    while !relay.relay.overload().is_busy() {
        alice.send(voice(alice_is.session, sequence)).await;
        sequence += 1;
        assert_eq!(bob.next_frame().await, voice(alice_is.session, sequence - 1));
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(refused(&relay, hello("carol")).await, CloseCode::Busy);
    // Voices go on while it lasts, and whoever lost the connection is let in again.
    for round in 0..250 {
        alice.send(voice(alice_is.session, sequence)).await;
        assert_eq!(bob.next_frame().await, voice(alice_is.session, sequence));
        sequence += 1;
        if round % 50 == 0 {
            bob.keep_alive_once().await;
        }
        sleep(Duration::from_millis(20)).await;
    }
    drop(bob);
    let mut back = hello("bob");
    back.resume_token = bob_is.resume_token;
    assert!(relay.connect().enter(back).await.resumed);
    // It is quiet again.
    drop(alice);
    let mut tries = 0;
    while relay.relay.overload().is_busy() {
        sleep(Duration::from_secs(1)).await;
        tries += 1;
        assert!(tries < 120, "the relay does not recover");
    }
    relay.member("carol").await;
}

#[tokio::test(start_paused = true)]
async fn the_handshake_time_counts_from_the_accepted_connection() {
    let settings = RelaySettings {
        handshake_timeout_ms: 700,
        ..RelaySettings::default()
    };
    let relay = start_with("one", None, settings);
    let began = Instant::now();
    assert_eq!(relay.connect().closed().await, CloseCode::HandshakeTimeout);
    assert_eq!(began.elapsed(), Duration::from_millis(700));
}

#[tokio::test]
async fn a_revoked_token_is_good_on_no_relay() {
    let hub = MemoryHub::new();
    let (east, west) = (
        start("east", Some(hub.connect())),
        start("west", Some(hub.connect())),
    );
    let greeting = hello("mallory");
    let mut mallory = east.connect();
    let welcome = mallory.enter(greeting.clone()).await;
    let (bystander, _) = east.member("alice").await;
    bystander.keep_alive();
    let revoke = Revoke {
        meeting: "demo".parse().expect("an id"),
        user: Some("mallory".parse().expect("a name")),
    };
    // The other relay has to be listening; it is asked again until it was.
    soon("the news on the other relay", async {
        while !mallory_is_out(&east, &greeting).await {
            west.relay.revoke(revoke.clone());
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(mallory.closed().await, CloseCode::Removed);
    let mut replay = greeting.clone();
    replay.resume_token = welcome.resume_token;
    for relay in [&east, &west] {
        assert_eq!(refused(relay, replay.clone()).await, CloseCode::BadToken);
    }
    assert_eq!(east.relay.session_count(), 1, "nobody else is concerned");
    // A relay that starts later asks the others.
    let north = start("north", Some(hub.connect()));
    soon("the news on the new relay", async {
        while !mallory_is_out(&north, &greeting).await {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

async fn mallory_is_out(relay: &TestRelay, greeting: &Hello) -> bool {
    relay
        .relay
        .tokens()
        .verify(&greeting.token, videocall_types::token::TokenUse::Join)
        .is_err()
}
