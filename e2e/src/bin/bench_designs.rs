//! Compares designs of the relay's fan-out in one process, without sockets, and writes
//! `bench-results/designs.json`.
//!
//!     bench_designs [seconds=10]
//!
//! Each design runs relay-core's own meetings and outboxes; they differ in who calls them:
//!
//! - direct: the task that reads from the sender pushes to all receivers.
//! - task: it hands the packet to a task of the meeting, which does.
//! - sharded: a meeting's receivers are split over two tasks; each gets every packet.
//!
//! What is left over of a core is for everything else, so processor time per delivered packet comes
//! first, then how long a packet takes from the sender's task to the receiver's.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is what it is run for"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use e2e::bench::merge;
use relay_core::{ClassSet, JoinRequest, Meeting, MeetingSettings, Member};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use videocall_load::{Row, usage_of};
use videocall_types::{
    Capabilities, Frame, FrameHeader, Hello, SessionId, Timestamp, TrackId, TrackInfo, TrackKind,
};

const MICROPHONE: TrackId = TrackId(1);
const CAMERA: TrackId = TrackId(2);

/// Packets that may wait for a meeting's task.
const QUEUE: usize = 1024;

/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Design {
    Direct,
    Task,
    Sharded,
}

impl Design {
    const ALL: [(&str, Self); 3] = [
        ("direct", Self::Direct),
        ("task", Self::Task),
        ("sharded", Self::Sharded),
    ];

    const fn parts(self) -> usize {
        match self {
            Self::Direct | Self::Task => 1,
            Self::Sharded => 2,
        }
    }
}

/// So many meetings, in each of which so many send sound and pictures and so many more only receive.
struct Load {
    name: &'static str,
    meetings: usize,
    senders: usize,
    receivers: usize,
}

const LOADS: [Load; 3] = [
    Load {
        name: "small-30",
        meetings: 30,
        senders: 4,
        receivers: 0,
    },
    Load {
        name: "stage-200",
        meetings: 1,
        senders: 5,
        receivers: 200,
    },
    Load {
        name: "town-hall-1000",
        meetings: 1,
        senders: 2,
        receivers: 1000,
    },
];

#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Timestamp {
        Timestamp::from_micros(self.0.elapsed().as_micros() as u64)
    }
}

/// One part of a meeting, and the senders' seats in it.
struct Part {
    meeting: Arc<Meeting>,
    senders: Vec<Arc<Member>>,
}

/// How a sender's task gets rid of a packet.
#[derive(Clone)]
enum Way {
    Direct(Arc<Part>),
    Queues(Vec<mpsc::Sender<(usize, Bytes)>>),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let argument = std::env::args().nth(1);
    let seconds = argument.as_deref().and_then(|text| text.strip_prefix("seconds="));
    let measured = Duration::from_secs(seconds.map_or(Ok(10), str::parse).context("seconds=NUMBER")?);
    println!(
        "{:<16} {:<9} {:>10} {:>9} {:>9} {:>9}",
        "load", "design", "packets/s", "us/pkt", "p50 ms", "p99 ms"
    );
    let mut rows = Vec::new();
    for load in &LOADS {
        for (name, design) in Design::ALL {
            rows.extend(run(load, name, design, measured).await?);
        }
    }
    merge(Path::new("bench-results/designs.json"), &rows)
}

async fn run(load: &Load, name: &str, design: Design, measured: Duration) -> anyhow::Result<Vec<Row>> {
    let clock = Clock(Instant::now());
    let mut tasks = JoinSet::new();
    let (delays_in, mut delays) = mpsc::unbounded_channel();
    for number in 0..load.meetings {
        let parts: Vec<_> = (0..design.parts())
            .map(|part| {
                seat(
                    load,
                    number,
                    (part, design.parts()),
                    clock,
                    &mut tasks,
                    &delays_in,
                )
            })
            .collect::<anyhow::Result<_>>()?;
        let sessions: Vec<_> = parts[0].senders.iter().map(|member| member.session()).collect();
        let way = way(design, parts, clock, &mut tasks);
        for (index, session) in sessions.into_iter().enumerate() {
            tasks.spawn(send(way.clone(), index, session, clock));
        }
    }
    drop(delays_in);
    sleep(WARM_UP).await;
    while delays.try_recv().is_ok() {}
    let (before, since) = (usage_of(std::process::id())?, Instant::now());
    sleep(measured).await;
    let cpu = usage_of(std::process::id())?.cpu - before.cpu;
    let elapsed = since.elapsed();
    let mut times: Vec<u64> = std::iter::from_fn(|| delays.try_recv().ok()).collect();
    tasks.shutdown().await;
    times.sort_unstable();
    anyhow::ensure!(!times.is_empty(), "nothing was delivered");
    let at = |share: usize| times[(times.len() - 1) * share / 100] as f64 / 1e3;
    let per_second = times.len() as f64 / elapsed.as_secs_f64();
    let cost = cpu.as_secs_f64() * 1e6 / times.len() as f64;
    println!(
        "{:<16} {name:<9} {per_second:>10.0} {cost:>9.2} {:>9.2} {:>9.2}",
        load.name,
        at(50),
        at(99)
    );
    let scenario = format!("{}-{name}", load.name);
    let row = |metric: &str, value, unit| Row::new(&scenario, "none", metric, value, unit);
    Ok(vec![
        row("cpu_us_per_packet", cost, "us"),
        row("latency_p50_ms", at(50), "ms"),
        row("latency_p99_ms", at(99), "ms"),
    ])
}

/// Opens one of so many parts of a meeting and lets its share of the receivers in. Every part gets the
/// senders first and the same seed, so that they have the same sessions in all.
fn seat(
    load: &Load,
    number: usize,
    (part, parts): (usize, usize),
    clock: Clock,
    tasks: &mut JoinSet<()>,
    delays: &mpsc::UnboundedSender<u64>,
) -> anyhow::Result<Part> {
    let id = format!("m{number}").parse().context("an id")?;
    let settings = MeetingSettings::new("bench".parse().context("an id")?);
    let meeting = Meeting::new(id, Arc::new(settings), number as u64, clock.now());
    let join = |sends| {
        let joined = meeting.join(request(sends), &|_| String::new(), clock.now());
        joined.map_err(|refusal| anyhow::anyhow!(refusal.message))
    };
    let senders = (0..load.senders)
        .map(|_| join(true))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut receivers = Vec::new();
    if part == 0 {
        receivers.extend(senders.iter().cloned());
    }
    for _ in (part..load.receivers).step_by(parts) {
        receivers.push(join(false)?);
    }
    for receiver in receivers {
        tasks.spawn(receive(meeting.clone(), receiver, clock, delays.clone()));
    }
    tasks.spawn(keep(meeting.clone(), clock));
    Ok(Part { meeting, senders })
}

fn way(design: Design, parts: Vec<Part>, clock: Clock, tasks: &mut JoinSet<()>) -> Way {
    let mut parts = parts.into_iter().map(Arc::new);
    if matches!(design, Design::Direct)
        && let Some(whole) = parts.next()
    {
        return Way::Direct(whole);
    }
    let queues = parts.map(|part| {
        let (sender, mut packets) = mpsc::channel::<(usize, Bytes)>(QUEUE);
        tasks.spawn(async move {
            while let Some((index, packet)) = packets.recv().await {
                push(&part, index, &packet, clock);
            }
        });
        sender
    });
    Way::Queues(queues.collect())
}

fn push(part: &Part, index: usize, packet: &Bytes, clock: Clock) {
    if let Err(refusal) = part.meeting.media(&part.senders[index], packet, clock.now()) {
        eprintln!("refused: {}", refusal.message);
    }
}

/// Fifty packets of sound of 100 bytes and thirty of video of 5 kB a second.
async fn send(way: Way, index: usize, session: SessionId, clock: Clock) {
    let mut sound = interval(Duration::from_millis(20));
    let mut video = interval(Duration::from_micros(33_333));
    sound.set_missed_tick_behavior(MissedTickBehavior::Burst);
    video.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sounds, mut pictures) = (0, 0);
    loop {
        let packet = tokio::select! {
            _ = sound.tick() => {
                sounds += 1;
                frame(session, MICROPHONE, sounds, clock)
            }
            _ = video.tick() => {
                pictures += 1;
                frame(session, CAMERA, pictures, clock)
            }
        };
        match &way {
            Way::Direct(part) => push(part, index, &packet, clock),
            Way::Queues(queues) => {
                for queue in queues {
                    let _ = queue.send((index, packet.clone())).await;
                }
            }
        }
    }
}

/// Takes what comes, as a carrier does, and notes how long it took.
async fn receive(
    meeting: Arc<Meeting>,
    member: Arc<Member>,
    clock: Clock,
    delays: mpsc::UnboundedSender<u64>,
) {
    let next = || std::future::poll_fn(|cx| meeting.poll_outgoing(&member, ClassSet::ALL, clock.now(), cx));
    while let Some(outgoing) = next().await {
        if outgoing.layer.is_some()
            && let Ok(header) = FrameHeader::peek(&outgoing.packet)
        {
            let _ = delays.send(clock.now().as_micros().saturating_sub(header.capture_time_us));
        }
    }
}

async fn keep(meeting: Arc<Meeting>, clock: Clock) {
    loop {
        meeting.on_timer(clock.now());
        sleep(Duration::from_millis(250)).await;
    }
}

fn request(sends: bool) -> JoinRequest {
    let track = |track, kind| TrackInfo {
        track,
        kind,
        muted: false,
        codec: String::new(),
        layers: Vec::new(),
    };
    let tracks = vec![
        track(MICROPHONE, TrackKind::Microphone),
        track(CAMERA, TrackKind::Camera),
    ];
    JoinRequest {
        user_id: "bench".parse().expect("letters"),
        display_name: "bench".into(),
        hello: Hello {
            protocol_version: 1,
            token: String::new(),
            capabilities: Capabilities {
                subscribe_automatically: true,
                ..Capabilities::default()
            },
            tracks: if sends { tracks } else { Vec::new() },
            resume_token: String::new(),
        },
        resume: None,
    }
}

fn frame(session: SessionId, track: TrackId, sequence: u64, clock: Clock) -> Bytes {
    let sound = track == MICROPHONE;
    // The first is a keyframe, and no further one is needed where nothing is lost.
    let keyframe = sound || sequence % 30 == 1;
    Frame {
        header: FrameHeader {
            session,
            track,
            kind: if sound {
                TrackKind::Microphone
            } else {
                TrackKind::Camera
            },
            spatial: 0,
            temporal: 0,
            sequence,
            capture_time_us: clock.now().as_micros(),
            keyframe,
            reference_distance: u32::from(!keyframe),
            duration_us: 0,
            audio_level: sound.then_some(20),
        },
        decoder: None,
        redundancy: Vec::new(),
        payload: vec![0; if sound { 100 } else { 5000 }].into(),
    }
    .encode()
}
