//! Two clients meet, one over WebTransport where that works and one over WebSocket, and count what
//! they hear and see of each other for some seconds:
//! `cargo run -p videocall-client --example two_clients -- http://localhost:8081 demo`.
#![allow(clippy::print_stdout, reason = "an example talks to its user")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout_at};
use videocall_client::types::{TrackId, TrackInfo, TrackKind};
use videocall_client::{Client, ClientConfig, EncodedFrame, Event, EventStream, TransportPreference};

const MICROPHONE: TrackId = TrackId(1);
const CAMERA: TrackId = TrackId(2);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://localhost:8081".into());
    let meeting = arguments.next().unwrap_or_else(|| "demo".into());
    let seconds = arguments.next().map_or(Ok(5), |seconds| seconds.parse())?;
    let start = |user: &str, transport| {
        let config = ClientConfig {
            transport,
            ..ClientConfig::new(&url, meeting.parse()?, user.parse()?)
        };
        Ok::<_, Box<dyn std::error::Error>>(Client::start(config))
    };
    let (ann, ann_events) = start("ann", TransportPreference::Auto)?;
    let (bob, bob_events) = start("bob", TransportPreference::WebSocket)?;
    let end = Instant::now() + Duration::from_secs(seconds);
    tokio::join!(
        send(&ann, end),
        send(&bob, end),
        report("ann", &ann, ann_events, end),
        report("bob", &bob, bob_events, end),
    );
    Ok(())
}

/// Sends what looks like a voice and a face: 50 and 30 frames a second.
async fn send(client: &Client, end: Instant) {
    for (track, kind) in [(MICROPHONE, TrackKind::Microphone), (CAMERA, TrackKind::Camera)] {
        let _ = client.publish(TrackInfo {
            track,
            kind,
            muted: false,
            codec: String::new(),
            layers: Vec::new(),
        });
    }
    let started = Instant::now();
    let mut voice = interval(Duration::from_millis(20));
    let mut face = interval(Duration::from_millis(33));
    face.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut pictures = 0_u64;
    while Instant::now() < end {
        let (track, bytes, keyframe) = tokio::select! {
            _ = voice.tick() => (MICROPHONE, 80, true),
            _ = face.tick() => {
                pictures += 1;
                (CAMERA, 4_000, pictures % 30 == 1)
            }
        };
        let _ = client.send_frame(EncodedFrame {
            track,
            spatial: 0,
            temporal: 0,
            capture_time_us: started.elapsed().as_micros() as u64,
            keyframe,
            duration_us: 0,
            audio_level: None,
            decoder: None,
            payload: vec![0; bytes].into(),
        });
    }
}

async fn report(name: &str, client: &Client, mut events: EventStream, end: Instant) {
    let mut frames = BTreeMap::new();
    while let Ok(Some(event)) = timeout_at(end.into(), events.next()).await {
        match event {
            Event::Frame(frame) => *frames.entry(frame.header.track).or_insert(0) += 1,
            other => println!("{name}: {other:?}"),
        }
    }
    println!("{name} received, by track: {frames:?}; {:?}", client.stats());
    client.leave();
    while let Some(event) = events.next().await {
        if let Event::Closed(closing) = event {
            println!("{name}: {closing:?}");
        }
    }
}
