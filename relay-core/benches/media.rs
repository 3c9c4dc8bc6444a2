//! What a frame costs a relay: from [`Meeting::media`] into the outbox of one receiver and out again.
//!
//! `cargo bench -p relay-core --bench media`

use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use relay_core::{ClassSet, JoinRequest, Meeting, MeetingSettings, Member};
use videocall_types::{Capabilities, Frame, FrameHeader, Hello, Timestamp, TrackId, TrackInfo, TrackKind};

const CAMERA: TrackId = TrackId(2);

fn enter(meeting: &Meeting, name: &str, now: Timestamp) -> Arc<Member> {
    let camera = TrackInfo {
        track: CAMERA,
        kind: TrackKind::Camera,
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
            tracks: vec![camera],
            resume_token: String::new(),
        },
        resume: None,
    };
    let entered = meeting.join(request, &|session| session.to_string(), now);
    entered.expect("let in")
}

fn picture(sender: &Member, sequence: u64, now: Timestamp) -> Bytes {
    let header = FrameHeader {
        sequence,
        capture_time_us: now.as_micros(),
        keyframe: sequence == 0,
        reference_distance: u32::from(sequence > 0),
        ..FrameHeader::first(sender.session(), CAMERA, TrackKind::Camera)
    };
    Frame {
        header,
        decoder: None,
        redundancy: Vec::new(),
        payload: Bytes::from_static(&[7; 1000]),
    }
    .encode()
}

fn forward(criterion: &mut Criterion) {
    let settings = MeetingSettings::new("relay".parse().expect("an id"));
    let mut now = Timestamp::from_millis(1);
    let meeting = Meeting::new("demo".parse().expect("an id"), Arc::new(settings), 1, now);
    let (sender, receiver) = (enter(&meeting, "sender", now), enter(&meeting, "receiver", now));
    let mut context = Context::from_waker(Waker::noop());
    let mut sequence = 0;
    criterion.bench_function("forward a picture to one receiver", |bencher| {
        bencher.iter_batched(
            || {
                now += Duration::from_millis(20);
                sequence += 1;
                (picture(&sender, sequence - 1, now), now)
            },
            |(packet, now)| {
                meeting.media(&sender, &packet, now).expect("honest");
                for member in [&sender, &receiver] {
                    while meeting
                        .poll_outgoing(member, ClassSet::ALL, now, &mut context)
                        .is_ready()
                    {}
                }
                black_box(packet)
            },
            criterion::BatchSize::NumIterations(1),
        );
    });
}

criterion_group!(benches, forward);
criterion_main!(benches);
