//! A meeting over two relays: on a bus within the process, and over a real NATS server that dies and
//! comes back.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use relay_core::BusMessage;
use relay_runtime::bus::{MemoryHub, NatsBus, Published};
use relay_runtime::{Bus, Relay};
use support::nats::{NatsServer, connect};
use support::{Client, TestRelay, hello, loud_voice, soon, start, voice};
use tokio::sync::watch;
use videocall_types::api::{RelayEndpoint, TransportKind};
use videocall_types::{ClientMessage, CloseCode, ServerMessage, SessionId, Welcome, is_frame};

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
    soon("bob's return", alice.0.sees(bob.1.session)).await;
    soon("carol's arrival", bob.0.sees(carol_is.session)).await;
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

#[tokio::test]
async fn a_relay_that_stops_says_where_to_go() {
    let hub = MemoryHub::new();
    let east = start("east", Some(hub.connect()));
    let west = start("west", Some(hub.connect()));
    let endpoint = |name: &str| RelayEndpoint {
        transport: TransportKind::WebSocket,
        url: format!("wss://{name}.example/ws"),
        certificate_hashes: Vec::new(),
    };
    east.relay.directory().register(endpoint("east"));
    west.relay.directory().register(endpoint("west"));
    let (mut alice, _) = east.member("alice").await;
    soon("the directory", async {
        while east
            .relay
            .directory()
            .endpoints(&"demo".parse().expect("an id"))
            .len()
            < 2
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    east.shutdown.cancel();
    let told = alice.find(|message| match message {
        ServerMessage::Draining { alternate_url, .. } => Some(alternate_url),
        _ => None,
    });
    assert_eq!(soon("the news", told).await, endpoint("west").url);
    let mut late = east.connect();
    late.say(ClientMessage::Hello(Box::new(hello("late")))).await;
    let refusal = late.find(|message| match message {
        ServerMessage::Closing(closing) => Some(closing),
        _ => None,
    });
    let refusal = soon("the refusal", refusal).await;
    assert_eq!(refusal.code, CloseCode::Draining);
    until(&west.relay, &[endpoint("west")]).await;
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

/// A bus that counts what comes over it.
struct Counted {
    bus: Arc<dyn Bus>,
    frames: Arc<AtomicUsize>,
}

impl Bus for Counted {
    fn has_room(&self) -> bool {
        self.bus.has_room()
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        self.bus.room()
    }

    fn publish(&self, message: BusMessage) -> Published {
        self.bus.publish(message)
    }

    fn subscribe(&self, subject: String) -> BoxStream<'static, Bytes> {
        let frames = self.frames.clone();
        let count = move |packet: &Bytes| {
            frames.fetch_add(usize::from(is_frame(packet)), Ordering::Relaxed);
        };
        self.bus.subscribe(subject).inspect(count).boxed()
    }

    fn reachable(&self) -> watch::Receiver<bool> {
        self.bus.reachable()
    }

    fn pressure(&self) -> watch::Receiver<u8> {
        self.bus.pressure()
    }

    fn describe(&self) -> String {
        self.bus.describe()
    }
}

#[tokio::test]
async fn a_frame_crosses_nats_once_however_many_receive_it() {
    const LISTENERS: usize = 5;
    const FRAMES: u64 = 50;
    let nats = NatsServer::start();
    let frames = Arc::new(AtomicUsize::new(0));
    let counted = Counted {
        bus: connect(&nats.url()).await,
        frames: frames.clone(),
    };
    let east = start("east", Some(connect(&nats.url()).await));
    let west = start("west", Some(Arc::new(counted)));
    let (speaker, speaker_is) = east.member("speaker").await;
    speaker.keep_alive();
    let mut listeners = Vec::new();
    for number in 0..LISTENERS {
        let (mut listener, _) = west.member(&format!("listener-{number}")).await;
        listener.keep_alive();
        if number == 0 {
            hear(&speaker, speaker_is.session, &mut listener).await;
        }
        listeners.push(listener);
    }
    // The last of what the first has heard alone.
    let marker = voice(speaker_is.session, 100_000);
    speaker.send(marker.clone()).await;
    for listener in &mut listeners {
        soon("the marker", async {
            while listener.next_frame().await != marker {}
        })
        .await;
    }
    let before = frames.load(Ordering::Relaxed);
    for number in 1..=FRAMES {
        let said = voice(speaker_is.session, 100_000 + number);
        speaker.send(said.clone()).await;
        for listener in &mut listeners {
            assert!(listener.next_frame().await == said);
        }
    }
    assert_eq!((frames.load(Ordering::Relaxed) - before) as u64, FRAMES);
}

#[tokio::test]
async fn the_order_of_speakers_is_the_same_on_all_relays() {
    let nats = NatsServer::start();
    let mut members = Vec::new();
    let mut relays = Vec::new();
    for name in ["east", "west", "north"] {
        let relay = start(name, Some(connect(&nats.url()).await));
        let (client, welcome) = relay.member(name).await;
        client.keep_alive();
        members.push((client, welcome.session));
        relays.push(relay);
    }
    let order = [members[1].1, members[0].1];
    let mut heard: [Vec<SessionId>; 3] = Default::default();
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
    let mut sequence = 0;
    soon("one order", async {
        while heard.iter().any(|speakers| *speakers != order) {
            ticks.tick().await;
            sequence += 1;
            // West is louder than east; north listens.
            for (member, level) in [(1, 20), (0, 50)] {
                let (client, session) = &members[member];
                client.send(loud_voice(*session, sequence, level)).await;
            }
            for ((client, _), heard) in members.iter_mut().zip(&mut heard) {
                while let Some(packet) = client.waiting_packet() {
                    if let Ok(ServerMessage::Speakers(speakers)) = ServerMessage::decode(&packet) {
                        *heard = speakers;
                    }
                }
            }
        }
    })
    .await;
}
