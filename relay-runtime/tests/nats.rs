//! What relays need of NATS besides that it is there: large packets, a cluster that loses a server, and
//! a way that is too narrow.

mod support;

use std::time::Duration;

use bytes::Bytes;
use relay_runtime::bus::NatsBus;
use support::nats::{NarrowWay, NatsServer, connect};
use support::{Client, TestRelay, hello, soon, start, voice};
use tokio::sync::watch;
use tokio::time::{Instant, interval};
use videocall_types::{
    DecoderConfig, Frame, FrameHeader, LayerInfo, ServerMessage, SessionId, TrackId, TrackInfo, TrackKind,
    Welcome, is_frame,
};

const SCREEN: TrackId = TrackId(3);
const CAMERA: TrackId = TrackId(2);

/// As long as a picture is shown at 30 per second.
const PICTURE: Duration = Duration::from_millis(33);

fn video(track: TrackId, kind: TrackKind, temporal_layers: u8) -> TrackInfo {
    TrackInfo {
        track,
        kind,
        muted: false,
        codec: "vp8".into(),
        layers: vec![LayerInfo {
            spatial: 0,
            temporal_layers,
            width: 1280,
            height: 720,
            frames_per_second: 30,
            bitrate_bps: 1_000_000,
        }],
    }
}

/// Picture number `sequence` of three temporal layers, in the order T0 T2 T1 T2. The first is a keyframe.
fn picture(session: SessionId, info: &TrackInfo, sequence: u64, bytes: usize) -> Bytes {
    picture_of(session, info, sequence, bytes, sequence == 0)
}

fn picture_of(session: SessionId, info: &TrackInfo, sequence: u64, bytes: usize, keyframe: bool) -> Bytes {
    let (temporal, reference_distance) = match sequence % 4 {
        0 => (0, 4),
        2 => (1, 2),
        _ => (2, 1),
    };
    Frame {
        header: FrameHeader {
            session,
            track: info.track,
            kind: info.kind,
            spatial: 0,
            temporal,
            sequence,
            capture_time_us: sequence * 33_000,
            keyframe,
            reference_distance: if keyframe { 0 } else { reference_distance },
            duration_us: 33_000,
            audio_level: None,
        },
        decoder: keyframe.then(|| DecoderConfig {
            codec: "vp8".into(),
            ..DecoderConfig::default()
        }),
        redundancy: Vec::new(),
        payload: (0..bytes).map(|at| (at * 31) as u8).collect(),
    }
    .encode()
}

async fn join(relay: &TestRelay, name: &str, tracks: &[TrackInfo]) -> (Client, Welcome) {
    let mut client = relay.connect();
    let mut greeting = hello(name);
    greeting.tracks.extend_from_slice(tracks);
    let welcome = client.enter(greeting).await;
    client.keep_alive();
    (client, welcome)
}

#[tokio::test]
async fn a_screens_keyframe_of_3_mb_crosses_nats_in_one_piece() {
    let nats = NatsServer::start();
    let east = start("east", Some(connect(&nats.url()).await));
    let west = start("west", Some(connect(&nats.url()).await));
    let screen = video(SCREEN, TrackKind::Screen, 1);
    let (mut viewer, _) = join(&west, "viewer", &[]).await;
    let (sharer, sharer_is) = join(&east, "sharer", std::slice::from_ref(&screen)).await;
    assert_eq!(viewer.joined().await, sharer_is.session);
    let sent = picture(sharer_is.session, &screen, 0, 3 * 1024 * 1024);
    sharer.send(sent.clone()).await;
    assert!(soon("the keyframe", viewer.next_frame()).await == sent);
}

#[tokio::test]
async fn a_cluster_that_loses_a_server_costs_no_more_than_a_reconnect() {
    let mut servers: [NatsServer; 3] = NatsServer::cluster();
    // Each relay knows one server, and learns of the others from it.
    let east = start("east", Some(connect(&servers[0].url()).await));
    let west = start("west", Some(connect(&servers[1].url()).await));
    let (mut alice, alice_is) = join(&east, "alice", &[]).await;
    let (mut bob, bob_is) = join(&west, "bob", &[]).await;
    converse((&mut alice, alice_is.session), (&mut bob, bob_is.session), 0).await;

    servers[0].kill();
    assert!(!soon("news", alice.find(reachability)).await);
    assert!(soon("news", alice.find(reachability)).await);
    let later = 100_000;
    converse((&mut alice, alice_is.session), (&mut bob, bob_is.session), later).await;
}

/// What a message says of other relays. Nobody may be taken for dead.
fn reachability(message: ServerMessage) -> Option<bool> {
    match message {
        ServerMessage::Reachability {
            other_relays_reachable,
        } => Some(other_relays_reachable),
        ServerMessage::ParticipantsLeft(sessions) => panic!("{sessions:?} were taken for dead"),
        _ => None,
    }
}

/// Each speaks until the other hears it; nobody is taken for dead meanwhile.
async fn converse(one: (&mut Client, SessionId), other: (&mut Client, SessionId), first: u64) {
    let mut ticks = interval(Duration::from_millis(20));
    let (mut heard_one, mut heard_other) = (false, false);
    let mut sequence = first;
    soon("voices both ways", async {
        while !(heard_one && heard_other) {
            tokio::select! {
                _ = ticks.tick() => {
                    sequence += 1;
                    one.0.send(voice(one.1, sequence)).await;
                    other.0.send(voice(other.1, sequence)).await;
                }
                packet = one.0.next_packet() => heard_other |= is_voice(&packet, first),
                packet = other.0.next_packet() => heard_one |= is_voice(&packet, first),
            }
        }
    })
    .await;
}

/// Whether a packet is a frame that was sent after this one.
fn is_voice(packet: &Bytes, first: u64) -> bool {
    if is_frame(packet) {
        return FrameHeader::peek(packet).expect("a frame").sequence > first;
    }
    let _news = reachability(ServerMessage::decode(packet).expect("a server message"));
    false
}

/// What has come of a voice and a face.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    voices: u64,
    /// By temporal layer.
    pictures: [u64; 3],
    /// How long the last voice was under way.
    voice_delay: Duration,
}

/// A relay that NATS reaches at 60 kB/s while 170 kB/s are sent to it: it gives up temporal layers and
/// keeps sound and base layer, without being cut off, and takes everything back once there is room.
#[tokio::test]
async fn a_narrow_way_from_nats_costs_enhancement_layers_and_nothing_else() {
    let nats = NatsServer::start();
    let way = NarrowWay::to(nats.address()).await;
    let far = NatsBus::connect(&way.url(), "far").await.expect("an address");
    let mut reachable = far.reachable();
    soon("NATS", reachable.wait_for(|&is| is))
        .await
        .expect("it is there");
    let mut pressure = far.pressure();
    let near = start("near", Some(connect(&nats.url()).await));
    let relay = start("far", Some(far.clone()));
    let camera = video(CAMERA, TrackKind::Camera, 3);
    let (viewer, viewer_is) = join(&relay, "viewer", &[]).await;
    let (sender, sender_is) = join(&near, "sender", std::slice::from_ref(&camera)).await;
    drop(viewer_is);
    let epoch = Instant::now();
    let sending = tokio::spawn(send(sender, sender_is.session, camera, epoch));
    let (report, mut seen) = watch::channel(Seen::default());
    let watching = tokio::spawn(look(viewer, report, epoch));

    let all = |seen: &Seen| seen.pictures.iter().all(|count| *count > 20);
    soon("everything", seen.wait_for(all)).await.expect("it goes on");
    reachable.mark_unchanged();

    way.set_rate(Some(60_000));
    soon("pressure", pressure.wait_for(|level| *level > 0))
        .await
        .expect("it goes on");
    let then = *seen.borrow();
    let goes_on = |seen: &Seen| {
        let settled = seen.voice_delay < Duration::from_millis(500);
        settled && seen.voices > then.voices + 250 && seen.pictures[0] > then.pictures[0] + 20
    };
    let now = *soon("voice and base layer", seen.wait_for(goes_on))
        .await
        .expect("it goes on");
    let more = |layer: usize| now.pictures[layer] - then.pictures[layer];
    assert!(
        more(2) < more(0),
        "the highest layer was given up: {then:?} {now:?}"
    );

    way.set_rate(None);
    soon("relief", pressure.wait_for(|level| *level == 0))
        .await
        .expect("it goes on");
    let then = *seen.borrow();
    let back = |seen: &Seen| seen.pictures[2] > then.pictures[2] + 20;
    soon("the highest layer again", seen.wait_for(back))
        .await
        .expect("it goes on");
    assert!(
        !reachable.has_changed().expect("the bus is there"),
        "NATS has not cut us off"
    );
    sending.abort();
    watching.abort();
}

/// Speaks and shows itself: 50 voices of 100 bytes and 30 pictures of 5 kB a second. A voice says when
/// it was sent.
async fn send(mut client: Client, session: SessionId, camera: TrackInfo, epoch: Instant) {
    let (mut voices, mut pictures) = (interval(Duration::from_millis(20)), interval(PICTURE));
    let (mut voice_number, mut picture_number, mut keyframe) = (0, 0, true);
    loop {
        tokio::select! {
            _ = voices.tick() => {
                // Grows from voice to voice and is a time as well.
                voice_number = (epoch.elapsed().as_millis() as u64).max(voice_number + 1);
                client.send(voice(session, voice_number)).await;
            }
            _ = pictures.tick() => {
                let now = keyframe && picture_number % 4 == 0;
                keyframe &= !now;
                client.send(picture_of(session, &camera, picture_number, 5000, now)).await;
                picture_number += 1;
            }
            packet = client.next_packet() => {
                let message = ServerMessage::decode(&packet);
                keyframe |= matches!(message, Ok(ServerMessage::KeyframeWanted { .. }));
            }
        }
    }
}

async fn look(mut client: Client, report: watch::Sender<Seen>, epoch: Instant) {
    loop {
        let packet = client.next_packet().await;
        if !is_frame(&packet) {
            continue;
        }
        let header = FrameHeader::peek(&packet).expect("a frame");
        report.send_modify(|seen| match header.kind {
            TrackKind::Microphone => {
                seen.voices += 1;
                seen.voice_delay = epoch
                    .elapsed()
                    .saturating_sub(Duration::from_millis(header.sequence));
            }
            _ => seen.pictures[usize::from(header.temporal)] += 1,
        });
    }
}

/// A server that does not read: what it does not take stays with the meeting, and people on this relay
/// wait for nothing.
#[tokio::test]
async fn a_nats_server_that_stands_still_slows_nobody_here() {
    let nats = NatsServer::start();
    let bus = connect(&nats.url()).await;
    let here = start("here", Some(bus.clone()));
    let there = start("there", Some(connect(&nats.url()).await));
    let camera = video(CAMERA, TrackKind::Camera, 3);
    let (mut neighbour, _) = join(&here, "neighbour", &[]).await;
    let (mut listener, _) = join(&there, "listener", &[]).await;
    let (sender, sender_is) = join(&here, "sender", std::slice::from_ref(&camera)).await;
    sender.send(picture(sender_is.session, &camera, 0, 20_000)).await;
    soon("a picture there", listener.next_frame()).await;
    soon("a picture here", neighbour.next_frame()).await;

    nats.pause();
    let mut ticks = interval(Duration::from_millis(5));
    let mut sequence = 0;
    let mut behind = 0;
    soon("NATS is taken for full", async {
        // And on for a while.
        while behind < 40 {
            ticks.tick().await;
            sequence += 1;
            behind += u32::from(!bus.has_room());
            let sent = picture(sender_is.session, &camera, sequence, 10_000);
            sender.send(sent.clone()).await;
            assert!(soon("a picture here", neighbour.next_frame()).await == sent);
        }
    })
    .await;

    nats.go_on();
    let said = voice(sender_is.session, 0);
    sender.send(said.clone()).await;
    soon("a voice there", async {
        while listener.next_frame().await != said {}
    })
    .await;
}
