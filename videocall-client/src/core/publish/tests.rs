use super::*;
use videocall_types::{DependencyTracker, TrackKind};

const SESSION: Option<SessionId> = SessionId::new(7);

fn track(id: u32, kind: TrackKind) -> TrackInfo {
    TrackInfo {
        track: TrackId(id),
        kind,
        muted: false,
        codec: "vp8".into(),
        layers: Vec::new(),
    }
}

fn video(temporal: u8, keyframe: bool) -> EncodedFrame {
    EncodedFrame {
        track: TrackId(2),
        spatial: 0,
        temporal,
        capture_time_us: 1,
        keyframe,
        duration_us: 0,
        audio_level: None,
        decoder: None,
        payload: Bytes::from_static(b"x"),
    }
}

fn audio(number: u64, bytes: usize) -> EncodedFrame {
    EncodedFrame {
        track: TrackId(1),
        capture_time_us: number * 20_000,
        duration_us: 20_000,
        payload: vec![number as u8; bytes].into(),
        decoder: Some(DecoderConfig {
            codec: "opus".into(),
            ..Default::default()
        }),
        ..video(0, false)
    }
}

fn publisher() -> Publisher {
    let mut publisher = Publisher::default();
    publisher.publish(track(1, TrackKind::Microphone));
    publisher.publish(track(2, TrackKind::Camera));
    let announced = publisher.descriptions();
    publisher.welcomed(&announced);
    publisher.accept(TrackId(1));
    publisher.accept(TrackId(2));
    publisher
}

fn send(publisher: &mut Publisher, frame: EncodedFrame) -> Option<Frame> {
    match publisher.number(frame, SESSION) {
        Numbered::Frame { packet, .. } => Some(Frame::decode(&packet).expect("our own frame")),
        Numbered::Dropped => None,
    }
}

#[test]
fn distances_of_three_temporal_layers_are_those_of_the_protocol() {
    let mut publisher = publisher();
    let mut distance = |temporal, keyframe| {
        let frame = send(&mut publisher, video(temporal, keyframe)).expect("accepted");
        frame.header.reference_distance
    };
    let group: Vec<u32> = [0, 2, 1, 2, 0, 2, 1, 2, 0]
        .into_iter()
        .enumerate()
        .map(|(index, temporal)| distance(temporal, index == 0))
        .collect();
    assert_eq!(group, [0, 1, 2, 1, 4, 1, 2, 1, 4]);
}

#[test]
fn without_the_upper_layers_everything_stays_decodable() {
    let mut publisher = publisher();
    let mut tracker = DependencyTracker::default();
    for (index, temporal) in [0, 2, 1, 2].into_iter().cycle().take(40).enumerate() {
        let frame = send(&mut publisher, video(temporal, index == 0)).expect("accepted");
        let header = frame.header;
        if temporal < 2 {
            assert!(tracker.is_decodable(header.sequence, header.keyframe, header.reference_distance));
            tracker.pass(header.sequence, header.keyframe);
        }
    }
}

#[test]
fn numbers_go_on_over_reconnections_and_start_with_a_keyframe() {
    let mut publisher = publisher();
    for index in 0..3 {
        send(&mut publisher, video(0, index == 0));
    }
    publisher.disconnected();
    assert!(send(&mut publisher, video(0, false)).is_none());
    let announced = publisher.descriptions();
    publisher.welcomed(&announced);
    assert_eq!(publisher.accept(TrackId(2)), Some(vec![0]));
    assert_eq!(publisher.accept(TrackId(2)), None);
    assert!(send(&mut publisher, video(0, false)).is_none());
    let frame = send(&mut publisher, video(0, true)).expect("a keyframe");
    assert_eq!(frame.header.sequence, 3);

    publisher.unpublish(TrackId(2));
    publisher.publish(track(2, TrackKind::Camera));
    publisher.accept(TrackId(2));
    let frame = send(&mut publisher, video(0, true)).expect("a keyframe");
    assert_eq!(frame.header.sequence, 4);
}

#[test]
fn a_muted_track_sends_nothing() {
    let mut publisher = publisher();
    publisher.set_muted(TrackId(1), true);
    assert!(send(&mut publisher, audio(0, 80)).is_none());
    publisher.set_muted(TrackId(1), false);
    assert!(send(&mut publisher, audio(1, 80)).is_some());
}

#[test]
fn audio_repeats_two_frames_when_they_fit_a_datagram() {
    let mut publisher = publisher();
    let frames: Vec<Frame> = (0..4)
        .filter_map(|number| send(&mut publisher, audio(number, 80)))
        .collect();
    assert!(frames[0].decoder.is_some());
    assert!(frames[0].redundancy.is_empty());
    assert_eq!(frames[1].redundancy.len(), 1);
    let last = &frames[3].redundancy;
    assert_eq!(last.len(), 2);
    assert_eq!((last[0].sequence_distance, last[1].sequence_distance), (1, 2));
    assert_eq!(last[1].capture_time_distance_us, 40_000);
    assert_eq!(last[1].payload, frames[1].payload);

    for number in 4..8 {
        let Numbered::Frame { packet, .. } = publisher.number(audio(number, 400), SESSION) else {
            panic!("accepted");
        };
        assert!(packet.len() <= MAX_DATAGRAM_BYTES);
    }
    let frame = send(&mut publisher, audio(8, 900)).expect("accepted");
    assert!(frame.redundancy.is_empty());
}

#[test]
fn nonsense_from_a_program_is_left_out() {
    let mut publisher = publisher();
    let empty = EncodedFrame {
        payload: Bytes::new(),
        ..video(0, true)
    };
    let layer = EncodedFrame {
        temporal: 9,
        ..video(0, true)
    };
    let unknown = EncodedFrame {
        track: TrackId(5),
        ..video(0, true)
    };
    for frame in [empty, layer, unknown] {
        assert!(send(&mut publisher, frame).is_none());
    }
}

#[test]
fn changes_are_told_once() {
    let mut publisher = publisher();
    assert_eq!(publisher.take_changes(), (vec![], vec![]));
    publisher.set_muted(TrackId(1), true);
    publisher.set_muted(TrackId(1), true);
    publisher.unpublish(TrackId(2));
    let (changed, ended) = publisher.take_changes();
    assert_eq!((changed.len(), ended), (1, vec![TrackId(2)]));
    assert_eq!(publisher.take_changes(), (vec![], vec![]));
}

#[test]
fn a_track_that_begins_in_the_middle_asks_for_a_keyframe() {
    let mut publisher = Publisher::default();
    publisher.publish(track(1, TrackKind::Microphone));
    publisher.publish(track(2, TrackKind::Camera));
    let announced = publisher.descriptions();
    publisher.welcomed(&announced);
    assert_eq!(publisher.accept(TrackId(1)), Some(Vec::new()));
    assert_eq!(publisher.accept(TrackId(2)), Some(vec![0]));
    assert!(send(&mut publisher, video(0, false)).is_none());
    assert!(send(&mut publisher, video(0, true)).is_some());
}
