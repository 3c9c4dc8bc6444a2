use proptest::prelude::*;
use videocall_types::SessionId;

use super::*;

const L1T3: [(u8, u32); 4] = [(0, 4), (2, 1), (1, 2), (2, 1)];

fn header(kind: TrackKind, sequence: u64) -> FrameHeader {
    let (temporal, distance) = L1T3[(sequence % 4) as usize];
    let keyframe = sequence == 0 || kind.is_audio();
    FrameHeader {
        session: SessionId::new(1).expect("not zero"),
        track: TrackId(match kind {
            TrackKind::Microphone => 1,
            TrackKind::Camera => 2,
            TrackKind::Screen => 3,
            TrackKind::ScreenAudio => 4,
        }),
        kind,
        spatial: 0,
        temporal: if kind.is_audio() { 0 } else { temporal },
        sequence,
        capture_time_us: 0,
        keyframe,
        reference_distance: if keyframe { 0 } else { distance },
        duration_us: 0,
        audio_level: None,
    }
}

fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn push(queue: &mut SendQueue, header: FrameHeader, at: u64) -> Option<KeyframeNeeded> {
    let packet = header.sequence.to_be_bytes().to_vec();
    queue.push_frame(header, packet.into(), ms(at))
}

fn number(packet: &OutgoingPacket) -> u64 {
    let bytes: [u8; 8] = packet.packet[..].try_into().expect("made by push");
    u64::from_be_bytes(bytes)
}

fn drain(queue: &mut SendQueue, at: u64) -> Vec<OutgoingPacket> {
    std::iter::from_fn(|| queue.pop(ms(at), |_| true)).collect()
}

#[test]
fn the_most_important_leaves_first() {
    let mut queue = SendQueue::default();
    push(&mut queue, header(TrackKind::Camera, 0), 0);
    let upper = FrameHeader {
        spatial: 1,
        ..header(TrackKind::Screen, 0)
    };
    push(&mut queue, upper, 0);
    push(&mut queue, header(TrackKind::Screen, 0), 0);
    push(&mut queue, header(TrackKind::Microphone, 0), 0);
    queue.push_control(Bytes::from_static(b"c")).expect("room");
    let lanes: Vec<Lane> = drain(&mut queue, 1).iter().map(|packet| packet.lane).collect();
    let video = |track, spatial| Lane::Video(TrackId(track), spatial);
    assert_eq!(
        lanes,
        [Lane::Control, Lane::Audio, video(3, 0), video(2, 0), video(3, 1)]
    );
}

#[test]
fn a_lane_that_is_not_ready_holds_up_no_other() {
    let mut queue = SendQueue::default();
    push(&mut queue, header(TrackKind::Screen, 0), 0);
    push(&mut queue, header(TrackKind::Camera, 0), 0);
    let blocked = Lane::Video(TrackId(3), 0);
    let packet = queue.pop(ms(1), |lane| lane != blocked).expect("the camera");
    assert_eq!(packet.lane, Lane::Video(TrackId(2), 0));
    assert_eq!(queue.pop(ms(1), |lane| lane != blocked), None);
}

#[test]
fn late_upper_layers_go_before_the_base() {
    let mut queue = SendQueue::default();
    for sequence in 0..9 {
        assert_eq!(
            push(&mut queue, header(TrackKind::Camera, sequence), sequence * 33),
            None
        );
    }
    let sent: Vec<u64> = drain(&mut queue, 300).iter().map(number).collect();
    assert_eq!(sent, [0, 4, 8]);
    assert_eq!(queue.dropped(), 6);
}

#[test]
fn a_lane_that_is_too_late_starts_again_with_a_keyframe() {
    let mut queue = SendQueue::default();
    push(&mut queue, header(TrackKind::Camera, 0), 0);
    assert_eq!(drain(&mut queue, 0).len(), 1);
    let mut asked = Vec::new();
    for sequence in 1..40 {
        let at = sequence * 33;
        asked.extend(push(&mut queue, header(TrackKind::Camera, sequence), at).map(|_| at));
    }
    assert_eq!(asked.len(), 1, "{asked:?}");
    // The first frame of the base is that of 132 ms.
    assert!((632..700).contains(&asked[0]), "{asked:?}");
    assert_eq!(drain(&mut queue, 1400), []);
    let keyframe = FrameHeader {
        keyframe: true,
        temporal: 0,
        reference_distance: 0,
        ..header(TrackKind::Camera, 40)
    };
    push(&mut queue, keyframe, 1400);
    let sent = drain(&mut queue, 1400);
    assert_eq!(sent.iter().map(number).collect::<Vec<_>>(), [40]);
    assert!(sent[0].supersedes);
}

#[test]
fn late_audio_is_dropped() {
    let mut queue = SendQueue::default();
    for sequence in 0..40 {
        push(&mut queue, header(TrackKind::Microphone, sequence), sequence * 20);
    }
    let sent: Vec<u64> = drain(&mut queue, 800).iter().map(number).collect();
    assert_eq!(sent, (26..40).collect::<Vec<_>>());
}

#[test]
fn control_messages_are_never_dropped_silently() {
    let mut queue = SendQueue::default();
    for _ in 0..MAX_CONTROL {
        assert_eq!(queue.push_control(Bytes::new()), Ok(()));
    }
    assert_eq!(queue.push_control(Bytes::new()), Err(ControlFull));
}

proptest! {
    /// Whatever the path does, what leaves a lane is decodable and in order, and the queue bounded.
    #[test]
    fn what_leaves_is_decodable(ready in prop::collection::vec(prop::bool::weighted(0.4), 1..400)) {
        let mut queue = SendQueue::default();
        let mut receiver = DependencyTracker::default();
        let mut wanted = true;
        for (index, ready) in ready.into_iter().enumerate() {
            let at = index as u64 * 33;
            let mut next = header(TrackKind::Camera, index as u64);
            if wanted || index % 90 == 0 {
                next = FrameHeader { keyframe: true, temporal: 0, reference_distance: 0, ..next };
            }
            wanted = push(&mut queue, next, at).is_some();
            prop_assert!(queue.video.values().all(|lane| lane.frames.len() <= MAX_LANE_FRAMES));
            if ready && index % 3 != 0 {
                let Some(packet) = queue.pop(ms(at), |_| true) else { continue };
                let sequence = number(&packet);
                let (_, distance) = L1T3[(sequence % 4) as usize];
                prop_assert!(receiver.is_decodable(sequence, packet.keyframe, distance));
                prop_assert!(receiver.newest().is_none_or(|newest| newest < sequence));
                receiver.pass(sequence, packet.keyframe);
            }
        }
    }
}
