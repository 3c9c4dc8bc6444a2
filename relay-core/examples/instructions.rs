//! Counts what a forwarded packet costs in instructions, and compares with what is recorded.
//!
//! ```text
//! cargo run --release -p relay-core --example instructions           compares; fails when it costs more
//! VIDEOCALL_WRITE_BASELINE=1 cargo run …                              records
//! ```
//!
//! Time differs from run to run and machine to machine, instructions hardly do. They are counted by
//! callgrind (valgrind) in the one function that relays, with so many packets and with twice as many:
//! the difference is that of packets in a meeting that goes on.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use relay_core::{ClassSet, JoinRequest, Meeting, MeetingSettings, Member};
use videocall_types::{
    Capabilities, Frame, FrameHeader, Hello, SessionId, Timestamp, TrackId, TrackInfo, TrackKind,
};

/// Sent in the shorter run; warm-up is in both, so that it does not count.
const FRAMES: u64 = 500;

/// Recorded counts, beside this crate's manifest.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// Percent by which a count may differ from the recorded one: hashing is seeded anew in each run.
const TOLERANCE: f64 = 3.0;

/// The same for another compiler than the recorded one, which optimises differently.
const COMPILER_TOLERANCE: f64 = 15.0;

/// What is forwarded to how many.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    kind: TrackKind,
    receivers: usize,
    /// Payload, bytes.
    bytes: usize,
}

const CASES: [Case; 4] = [
    Case {
        name: "voice-to-50",
        kind: TrackKind::Microphone,
        receivers: 50,
        bytes: 100,
    },
    Case {
        name: "picture-to-50",
        kind: TrackKind::Camera,
        receivers: 50,
        bytes: 5000,
    },
    Case {
        name: "voice-to-1",
        kind: TrackKind::Microphone,
        receivers: 1,
        bytes: 100,
    },
    Case {
        name: "picture-to-1",
        kind: TrackKind::Camera,
        receivers: 1,
        bytes: 5000,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => judge(),
        [name, frames] => {
            let case = CASES.iter().find(|case| case.name == name).expect("a known case");
            forward(*case, frames.parse().expect("a number of frames"));
            ExitCode::SUCCESS
        }
        _ => panic!("no arguments, or CASE FRAMES"),
    }
}

#[expect(clippy::print_stdout, reason = "the counts are what this program is for")]
fn judge() -> ExitCode {
    let compiler = compiler();
    let counted: BTreeMap<&str, f64> = CASES.iter().map(|case| (case.name, count(*case))).collect();
    if std::env::var_os("VIDEOCALL_WRITE_BASELINE").is_some() {
        let lines = counted.iter().map(|(name, count)| format!("{name} {count:.0}\n"));
        let text = format!("compiler {compiler}\n{}", lines.collect::<String>());
        std::fs::write(BASELINE, &text).expect("the baseline can be written");
        println!("recorded in {BASELINE}:\n{text}");
        return ExitCode::SUCCESS;
    }
    let recorded = std::fs::read_to_string(BASELINE).expect("a baseline was recorded");
    let same_compiler = recorded
        .lines()
        .any(|line| line == format!("compiler {compiler}"));
    let tolerance = if same_compiler {
        TOLERANCE
    } else {
        COMPILER_TOLERANCE
    };
    let mut good = true;
    println!(
        "{:<15} {:>8} {:>9} {:>7}",
        "packet", "counted", "recorded", "change"
    );
    for (name, count) in counted {
        let line = recorded.lines().find_map(|line| line.strip_prefix(name));
        let before: f64 = line
            .and_then(|count| count.trim().parse().ok())
            .expect("every case is recorded");
        let change = 100.0 * (count / before - 1.0);
        good &= change.abs() <= tolerance;
        println!("{name:<15} {count:>8.0} {before:>9.0} {change:>+6.1}%");
    }
    if good {
        return ExitCode::SUCCESS;
    }
    println!(
        "A count differs by more than {tolerance} %. If it is meant to, record it with \
         VIDEOCALL_WRITE_BASELINE=1 scripts/count-instructions.sh and say why in the commit."
    );
    ExitCode::FAILURE
}

fn compiler() -> String {
    let version = Command::new("rustc")
        .arg("--version")
        .output()
        .expect("rustc runs");
    String::from_utf8_lossy(&version.stdout).trim().to_owned()
}

/// Instructions for one packet to one receiver.
fn count(case: Case) -> f64 {
    let [short, long] = [FRAMES, 2 * FRAMES].map(|frames| callgrind(case, frames));
    (long - short) as f64 / (FRAMES * case.receivers as u64) as f64
}

fn callgrind(case: Case, frames: u64) -> u64 {
    let own = std::env::current_exe().expect("this program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*relay_one*")
        .arg(own)
        .args([case.name, &frames.to_string()])
        .output()
        .expect("valgrind runs; scripts/setup-system.sh test installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // "==1234== Collected : 123456789"
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.unwrap_or_else(|| panic!("callgrind has counted nothing:\n{said}"));
    count.trim().parse().expect("a number")
}

/// One sends so many frames to the receivers, each of whom takes every one.
fn forward(case: Case, frames: u64) {
    let settings = MeetingSettings::new("relay".parse().expect("an id"));
    let mut now = Timestamp::from_millis(1);
    let meeting = Meeting::new("demo".parse().expect("an id"), Arc::new(settings), 1, now);
    let sender = enter(&meeting, "sender", case.kind, now);
    let receivers: Vec<Arc<Member>> = (0..case.receivers)
        .map(|number| enter(&meeting, &format!("receiver-{number}"), case.kind, now))
        .collect();
    let mut forwarded = 0;
    for sequence in 0..frames {
        // As far apart as frames of sound are; the sender's allowance lasts.
        now += Duration::from_millis(20);
        meeting.on_timer(now);
        let packet = frame(case, sender.session(), sequence, now);
        forwarded += relay_one(&meeting, &sender, &receivers, &packet, now);
    }
    assert!(
        forwarded >= frames * case.receivers as u64,
        "everything is forwarded"
    );
}

/// What is counted.
#[inline(never)]
fn relay_one(
    meeting: &Meeting,
    sender: &Arc<Member>,
    receivers: &[Arc<Member>],
    packet: &Bytes,
    now: Timestamp,
) -> u64 {
    meeting.media(sender, packet, now).expect("honest");
    let mut context = Context::from_waker(Waker::noop());
    let mut taken = 0;
    for receiver in receivers {
        while meeting
            .poll_outgoing(receiver, ClassSet::ALL, now, &mut context)
            .is_ready()
        {
            taken += 1;
        }
    }
    taken
}

fn enter(meeting: &Meeting, name: &str, kind: TrackKind, now: Timestamp) -> Arc<Member> {
    let track = TrackInfo {
        track: TrackId(1),
        kind,
        muted: false,
        codec: "vp8".into(),
        layers: Vec::new(),
    };
    let request = JoinRequest {
        user_id: name.parse().expect("a name"),
        display_name: name.into(),
        hello: Hello {
            protocol_version: 1,
            token: String::new(),
            capabilities: Capabilities {
                subscribe_automatically: true,
                ..Capabilities::default()
            },
            tracks: vec![track],
            resume_token: String::new(),
        },
        resume: None,
    };
    meeting
        .join(request, &|session| session.to_string(), now)
        .expect("let in")
}

fn frame(case: Case, session: SessionId, sequence: u64, now: Timestamp) -> Bytes {
    let audio = case.kind.is_audio();
    let keyframe = audio || sequence == 0;
    let header = FrameHeader {
        session,
        track: TrackId(1),
        kind: case.kind,
        spatial: 0,
        temporal: 0,
        sequence,
        capture_time_us: now.as_micros(),
        keyframe,
        reference_distance: u32::from(!keyframe),
        duration_us: 20_000,
        audio_level: audio.then_some(30),
    };
    Frame {
        header,
        decoder: None,
        redundancy: Vec::new(),
        payload: vec![7; case.bytes].into(),
    }
    .encode()
}
