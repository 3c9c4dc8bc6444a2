use proptest::prelude::*;
use videocall_types::{Participant, RedundantFrame, SessionId, TrackId, TrackInfo, TrackKind};

use super::*;

fn session() -> SessionId {
    SessionId::new(5).expect("not zero")
}

fn roster() -> Roster {
    let track = |id, kind| TrackInfo {
        track: TrackId(id),
        kind,
        muted: false,
        codec: String::new(),
        layers: Vec::new(),
    };
    let mut roster = Roster::default();
    let participant = Participant {
        session: session(),
        user_id: "bob".parse().expect("a user name"),
        display_name: "Bob".into(),
        tracks: vec![track(1, TrackKind::Microphone), track(2, TrackKind::Camera)],
        established_at_ms: 0,
        decodes: Default::default(),
    };
    roster.replace(SessionId::new(1).expect("not zero"), vec![participant], None);
    roster
}

fn header(sequence: u64, keyframe: bool, distance: u32) -> FrameHeader {
    FrameHeader {
        sequence,
        capture_time_us: sequence * 33_000,
        keyframe,
        reference_distance: distance,
        ..FrameHeader::first(session(), TrackId(2), TrackKind::Camera)
    }
}

fn packet(header: FrameHeader) -> Bytes {
    let frame = Frame {
        header,
        decoder: None,
        redundancy: Vec::new(),
        payload: Bytes::from_static(b"p"),
    };
    frame.encode()
}

fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn passed(receiver: &mut Receiver, header: FrameHeader, at: u64) -> Option<u64> {
    match receiver.packet(packet(header), &roster(), ms(at)) {
        Received::Frame(frame) => Some(frame.header.sequence),
        _ => None,
    }
}

#[test]
fn only_what_is_decodable_and_new_is_passed() {
    let mut receiver = Receiver::default();
    assert_eq!(passed(&mut receiver, header(3, false, 1), 0), None);
    assert_eq!(passed(&mut receiver, header(4, true, 0), 0), Some(4));
    assert_eq!(passed(&mut receiver, header(5, false, 1), 0), Some(5));
    assert_eq!(passed(&mut receiver, header(5, false, 1), 0), None);
    assert_eq!(passed(&mut receiver, header(4, true, 0), 0), None);
    assert_eq!(passed(&mut receiver, header(7, false, 1), 0), None);
    assert_eq!(passed(&mut receiver, header(8, true, 0), 0), Some(8));
}

#[test]
fn sound_comes_in_any_order_and_once() {
    let mut receiver = Receiver::default();
    let sound = |sequence| FrameHeader {
        track: TrackId(1),
        kind: TrackKind::Microphone,
        ..header(sequence, true, 0)
    };
    let arrived = [100, 102, 101, 102, 100, 164, 101, 100, 103, 103, 500];
    let taken: Vec<_> = arrived
        .into_iter()
        .filter_map(|sequence| passed(&mut receiver, sound(sequence), 0))
        .collect();
    assert_eq!(taken, [100, 102, 101, 164, 103, 500]);
}

#[test]
fn a_stuck_layer_asks_for_a_keyframe_but_not_too_often() {
    let mut receiver = Receiver::default();
    let mut stuck = |sequence, temporal, at| {
        let header = FrameHeader {
            temporal,
            ..header(sequence, false, 1)
        };
        matches!(
            receiver.packet(packet(header), &roster(), ms(at)),
            Received::Stuck(_)
        )
    };
    assert!(!stuck(1, 2, 0));
    assert!(stuck(2, 0, 0));
    assert!(!stuck(3, 0, 100));
    assert!(stuck(4, 0, 600));
}

#[test]
fn what_the_program_did_not_get_is_no_reference() {
    let mut receiver = Receiver::default();
    assert_eq!(passed(&mut receiver, header(0, true, 0), 0), Some(0));
    receiver.discarded(header(0, true, 0).layer());
    assert_eq!(passed(&mut receiver, header(1, false, 1), 0), None);
    assert_eq!(passed(&mut receiver, header(0, true, 0), 0), None);
    assert_eq!(passed(&mut receiver, header(2, true, 0), 0), Some(2));
}

#[test]
fn frames_wait_for_the_announcement_of_their_track() {
    let mut receiver = Receiver::default();
    let nobody = Roster::default();
    for sequence in 0..3 {
        let early = packet(header(sequence, sequence == 0, 1));
        assert_eq!(receiver.packet(early, &nobody, ms(0)), Received::Nothing);
    }
    assert_eq!(receiver.take_early(&nobody, ms(100)).len(), 0);
    assert_eq!(receiver.take_early(&roster(), ms(100)).len(), 3);
    assert_eq!(receiver.take_early(&roster(), ms(100)).len(), 0);
    assert_eq!(receiver.early_bytes, 0);
}

#[test]
fn early_frames_are_bounded_and_do_not_wait_forever() {
    let mut receiver = Receiver::default();
    let nobody = Roster::default();
    for sequence in 0..1000 {
        receiver.packet(packet(header(sequence, true, 0)), &nobody, ms(0));
    }
    assert_eq!(receiver.early.len(), MAX_EARLY_FRAMES);
    assert_eq!(receiver.ignored(), 1000 - MAX_EARLY_FRAMES as u64);
    receiver.packet(packet(header(1000, true, 0)), &nobody, ms(3000));
    assert_eq!(receiver.early.len(), 1);
}

#[test]
fn audio_comes_as_it_is_with_its_redundancy() {
    let mut receiver = Receiver::default();
    let header = |sequence| FrameHeader {
        track: TrackId(1),
        kind: TrackKind::Microphone,
        ..header(sequence, true, 0)
    };
    let frame = Frame {
        header: header(9),
        decoder: None,
        redundancy: vec![RedundantFrame {
            sequence_distance: 1,
            capture_time_distance_us: 20_000,
            duration_us: 20_000,
            payload: Bytes::from_static(b"r"),
        }],
        payload: Bytes::from_static(b"p"),
    };
    let packet_9 = frame.clone().encode();
    assert_eq!(
        receiver.packet(packet_9, &roster(), ms(0)),
        Received::Frame(frame)
    );
    assert_eq!(passed(&mut receiver, header(8), 0), Some(8));
}

#[test]
fn a_frame_of_the_wrong_kind_is_ignored() {
    let mut receiver = Receiver::default();
    let wrong = FrameHeader {
        track: TrackId(1),
        ..header(0, true, 0)
    };
    assert_eq!(passed(&mut receiver, wrong, 0), None);
    assert_eq!(receiver.ignored(), 1);
    assert_eq!(receiver.layer_stats().count(), 0);
}

proptest! {
    /// Whatever bytes come, nothing panics; whatever frames come, a decoder gets only what it can use.
    #[test]
    fn hostile_packets_do_no_harm(
        garbage in prop::collection::vec(any::<u8>(), 0..200),
        frames in prop::collection::vec((any::<u64>(), any::<bool>(), any::<u32>(), 0_u8..4), 0..50),
    ) {
        let roster = roster();
        let mut receiver = Receiver::default();
        let mut garbage = garbage;
        receiver.packet(garbage.clone().into(), &roster, ms(0));
        garbage.insert(0, 0x0a);
        receiver.packet(garbage.into(), &roster, ms(0));
        let mut newest = None;
        for (sequence, keyframe, distance, temporal) in frames {
            let header = FrameHeader { temporal, ..header(sequence % 64, keyframe, distance % 8) };
            if let Received::Frame(frame) = receiver.packet(packet(header), &roster, ms(0)) {
                prop_assert!(newest < Some(frame.header.sequence));
                prop_assert!(newest.is_some() || keyframe);
                newest = Some(frame.header.sequence);
            }
        }
        let extreme = FrameHeader { sequence: u64::MAX / 2, ..header(0, true, 0) };
        receiver.packet(packet(extreme), &roster, ms(0));
        receiver.packet(packet(header(1, false, u32::MAX)), &roster, ms(0));
    }
}
