//! Relays that have more to send to somebody than the path takes: how much of it each congestion control uses, and what
//! queue it makes.
//!
//! The simulation of media-congestion compares the same on more networks, without relays and real time.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use videocall_client::core::EncodedFrame;
use videocall_client::{Client, ClientConfig, Event, EventStream, TransportPreference};
use videocall_types::{DecoderConfig, TrackId, TrackInfo, TrackKind};

use crate::proxy::{Conditions, Direction, Loss, Rate, Report, UdpProxy};
use crate::{Server, VideocallServer, free_port};

/// Everybody is in and frames pass within this.
const UP: Duration = Duration::from_secs(20);

/// What is waited for shows within this, and is looked for so often.
const LONGEST: Duration = Duration::from_secs(40);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What is not measured: how a connection begins.
const BEGINNING: Duration = Duration::from_secs(2);

/// Voices, because a relay sends as many of them as the path takes, where it would choose smaller pictures: 4 Mbit/s
/// of five people.
const VOICES: usize = 5;
const FRAME_BYTES: usize = 1_000;
const FRAME_INTERVAL: Duration = Duration::from_millis(10);

const MICROPHONE: TrackId = TrackId(1);

/// What decides how much the relay sends: `--congestion-control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the setting")]
pub enum Algorithm {
    Media,
    Cubic,
    Newreno,
    Bbr,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Media, Self::Cubic, Self::Newreno, Self::Bbr];

    /// As the setting has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Media => "media",
            Self::Cubic => "cubic",
            Self::Newreno => "newreno",
            Self::Bbr => "bbr",
        }
    }
}

/// The networks on which relays are compared; those of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Network {
    Bottleneck300k,
    Bottleneck1000k,
    Steps,
    Loss5,
    Jitter40ms,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Bottleneck300k,
        Self::Bottleneck1000k,
        Self::Steps,
        Self::Loss5,
        Self::Jitter40ms,
    ];

    /// For tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bottleneck300k => "bottleneck-300k",
            Self::Bottleneck1000k => "bottleneck-1000k",
            Self::Steps => "3000k-500k-3000k",
            Self::Loss5 => "loss-5",
            Self::Jitter40ms => "jitter-40ms-3000k",
        }
    }

    /// For a measurement of this length, after [`BEGINNING`].
    pub fn conditions(self, measured: Duration) -> Conditions {
        let third = |number: u32| {
            let at = BEGINNING + measured * number / 3;
            u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
        };
        let mut conditions = bottleneck(match self {
            Self::Bottleneck300k => 300_000,
            Self::Bottleneck1000k => 1_000_000,
            Self::Steps | Self::Loss5 | Self::Jitter40ms => 3_000_000,
        });
        match self {
            Self::Steps => conditions.down.rates.extend([
                Rate {
                    at_ms: third(1),
                    bps: 500_000,
                },
                Rate {
                    at_ms: third(2),
                    bps: 3_000_000,
                },
            ]),
            Self::Loss5 => {
                conditions.up.loss = Loss::Random(0.05);
                conditions.down.loss = Loss::Random(0.05);
            }
            Self::Jitter40ms => conditions.down.jitter_ms = 40,
            Self::Bottleneck300k | Self::Bottleneck1000k => {}
        }
        conditions
    }
}

/// A line of this rate to the client, with a queue of half a second, and round trips of 50 ms.
pub fn bottleneck(bps: u64) -> Conditions {
    Conditions {
        seed: 1,
        up: Direction {
            delay_ms: 25,
            ..Direction::default()
        },
        down: Direction::line(bps, 25),
    }
}

/// A relay with this congestion control sends to somebody behind this network, who is to get more than it takes.
/// The report begins when the connection has been used for two seconds.
///
/// # Errors
/// When the call does not come about.
pub async fn saturate(
    algorithm: Algorithm,
    conditions: Conditions,
    measured: Duration,
) -> anyhow::Result<Report> {
    let crowd = Crowd::start(algorithm, conditions).await?;
    tokio::time::sleep(BEGINNING).await;
    crowd.proxy.forget();
    tokio::time::sleep(measured).await;
    Ok(crowd.proxy.report())
}

/// The same until the report shows something.
///
/// # Errors
/// When the call does not come about, or the report never shows it.
pub async fn saturate_until(
    algorithm: Algorithm,
    conditions: Conditions,
    shown: impl Fn(&Report) -> bool,
) -> anyhow::Result<Report> {
    let crowd = Crowd::start(algorithm, conditions).await?;
    let deadline = Instant::now() + LONGEST;
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let report = crowd.proxy.report();
        if shown(&report) {
            return Ok(report);
        }
        let (down, name) = (&report.down, algorithm.name());
        ensure!(
            Instant::now() < deadline,
            "{name}: not within {LONGEST:?}; {} bytes, {:?}",
            down.bytes,
            down.queueing_ms
        );
    }
}

/// Senders, their relay, and the receiver behind a proxy.
struct Crowd {
    proxy: UdpProxy,
    _server: Server,
    _receiver: Client,
    _tasks: JoinSet<()>,
}

impl Crowd {
    async fn start(algorithm: Algorithm, conditions: Conditions) -> anyhow::Result<Self> {
        let quic = free_port()?;
        // From the beginning: a path that becomes longer later is something else.
        let proxy = UdpProxy::to(SocketAddr::from(([127, 0, 0, 1], quic)), conditions.clone()).await?;
        let address = format!("https://{}/wt", proxy.address());
        let flags = [
            ("public-webtransport-url", address.as_str()),
            ("congestion-control", algorithm.name()),
        ];
        let server = VideocallServer::start_at(quic, &flags).await?;
        let enter = |name: &str, transport| -> anyhow::Result<(Client, EventStream)> {
            let mut config = ClientConfig::new(server.url.as_str(), "full".parse()?, name.parse()?);
            config.transport = transport;
            Ok(Client::start(config))
        };
        let mut tasks = JoinSet::new();
        for number in 0..VOICES {
            let (sender, events) = enter(&format!("sender-{number}"), TransportPreference::WebSocket)?;
            tasks.spawn(send(sender, events));
        }
        let (receiver, mut events) = enter("receiver", TransportPreference::WebTransport)?;
        timeout(UP, first_frame(&mut events)).await??;
        tasks.spawn(async move { while events.next().await.is_some() {} });
        proxy.begin(conditions);
        Ok(Self {
            proxy,
            _server: server,
            _receiver: receiver,
            _tasks: tasks,
        })
    }
}

async fn first_frame(events: &mut EventStream) -> anyhow::Result<()> {
    loop {
        match events.next().await {
            Some(Event::Frame(_)) => return Ok(()),
            Some(Event::Closed(closing)) => anyhow::bail!("closed: {closing:?}"),
            Some(_) => {}
            None => anyhow::bail!("the client has ended"),
        }
    }
}

async fn send(client: Client, mut events: EventStream) {
    // A client that has ended says so by the end of its events.
    let _ended = client.publish(TrackInfo {
        track: MICROPHONE,
        kind: TrackKind::Microphone,
        muted: false,
        codec: "opus".to_owned(),
        layers: Vec::new(),
    });
    let payload = Bytes::from(vec![7; FRAME_BYTES]);
    let mut ticks = interval(FRAME_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let started = ticks.tick().await;
    loop {
        tokio::select! {
            event = events.next() => if event.is_none() {
                return;
            },
            due = ticks.tick() => {
                let time = (due - started).as_micros();
                let _dropped = client.send_frame(frame(u64::try_from(time).unwrap_or(0), payload.clone()));
            }
        }
    }
}

fn frame(capture_time_us: u64, payload: Bytes) -> EncodedFrame {
    EncodedFrame {
        track: MICROPHONE,
        spatial: 0,
        temporal: 0,
        capture_time_us,
        keyframe: true,
        duration_us: 10_000,
        audio_level: Some(20),
        decoder: Some(DecoderConfig {
            codec: "opus".to_owned(),
            ..DecoderConfig::default()
        }),
        payload,
    }
}
