use std::task::Waker;
use std::time::Duration;

use videocall_types::{Frame, SessionId, TrackId, TrackKind};

use super::*;

fn frame(kind: TrackKind, sequence: u64, temporal: u8, distance: u32, size: usize) -> (FrameHeader, Bytes) {
    let header = FrameHeader {
        temporal,
        sequence,
        capture_time_us: sequence,
        keyframe: distance == 0 || kind.is_audio(),
        reference_distance: distance,
        ..FrameHeader::first(SessionId::new(1).expect("not zero"), TrackId(1), kind)
    };
    let packet = Frame {
        header,
        decoder: None,
        redundancy: Vec::new(),
        payload: vec![0; size].into(),
    };
    (header, packet.encode())
}

fn camera(sequence: u64, temporal: u8, distance: u32) -> (FrameHeader, Bytes) {
    frame(TrackKind::Camera, sequence, temporal, distance, 1000)
}

fn push(outbox: &Outbox, (header, packet): (FrameHeader, Bytes), now: Timestamp) -> Pushed {
    outbox.push_frame(&packet, &header, now)
}

/// Sequences of the frames that leave now.
fn drain(outbox: &Outbox, classes: ClassSet, now: Timestamp) -> Vec<u64> {
    let mut context = Context::from_waker(Waker::noop());
    let mut sequences = Vec::new();
    while let Poll::Ready(Some(next)) = outbox.poll_next(classes, now, &mut context) {
        sequences.push(FrameHeader::peek(&next.packet).expect("a frame").sequence);
    }
    sequences
}

fn outbox_with(limits: OutboxLimits) -> Outbox {
    let settings = MeetingSettings {
        outbox: limits,
        ..MeetingSettings::new("relay".parse().expect("an id"))
    };
    Outbox::new(&settings, Timestamp::ZERO)
}

fn small() -> OutboxLimits {
    OutboxLimits {
        audio_bytes: 1000,
        video_bytes: 5000,
        ..OutboxLimits::default()
    }
}

#[test]
fn urgent_classes_leave_first() {
    let outbox = outbox_with(OutboxLimits::default());
    let now = Timestamp::ZERO;
    push(&outbox, camera(10, 0, 0), now);
    push(&outbox, frame(TrackKind::Microphone, 20, 0, 0, 10), now);
    outbox.push_control(ServerMessage::TrackAccepted(TrackId(1)).encode(), now);
    let mut context = Context::from_waker(Waker::noop());
    let mut classes = Vec::new();
    while let Poll::Ready(Some(next)) = outbox.poll_next(ClassSet::ALL, now, &mut context) {
        classes.push(next.class);
    }
    assert_eq!(
        classes,
        [MediaClass::Control, MediaClass::Audio, MediaClass::VideoBase]
    );
}

#[test]
fn overflow_takes_enhancement_first_and_leaves_what_decodes() {
    let outbox = outbox_with(small());
    for group in 0..3 {
        let first = group * 4;
        push(
            &outbox,
            camera(first, 0, if group == 0 { 0 } else { 4 }),
            Timestamp::ZERO,
        );
        push(&outbox, camera(first + 1, 2, 1), Timestamp::ZERO);
        push(&outbox, camera(first + 2, 1, 2), Timestamp::ZERO);
        push(&outbox, camera(first + 3, 2, 1), Timestamp::ZERO);
    }
    assert!(outbox.queued_bytes() <= small().video_bytes);
    assert_eq!(drain(&outbox, ClassSet::VIDEO, Timestamp::ZERO), [0, 4, 8]);
}

#[test]
fn after_a_lost_base_frame_only_a_keyframe_leaves() {
    let outbox = outbox_with(OutboxLimits::default());
    push(&outbox, camera(0, 0, 0), Timestamp::ZERO);
    push(&outbox, camera(2, 0, 1), Timestamp::ZERO);
    push(&outbox, camera(3, 0, 1), Timestamp::ZERO);
    assert_eq!(drain(&outbox, ClassSet::VIDEO, Timestamp::ZERO), [0]);
    assert_eq!(outbox.take_stuck().len(), 1);
    push(&outbox, camera(4, 0, 0), Timestamp::ZERO);
    push(&outbox, camera(5, 0, 1), Timestamp::ZERO);
    assert_eq!(drain(&outbox, ClassSet::VIDEO, Timestamp::ZERO), [4, 5]);
    assert!(outbox.take_stuck().is_empty());
}

#[test]
fn stale_frames_do_not_leave_but_a_late_keyframe_does() {
    let outbox = outbox_with(OutboxLimits::default());
    push(&outbox, camera(0, 0, 0), Timestamp::ZERO);
    push(&outbox, camera(1, 0, 1), Timestamp::ZERO);
    push(
        &outbox,
        frame(TrackKind::Microphone, 0, 0, 0, 10),
        Timestamp::ZERO,
    );
    let late = Timestamp::from_millis(2000);
    assert_eq!(drain(&outbox, ClassSet::AUDIO, late), [0_u64; 0]);
    assert_eq!(drain(&outbox, ClassSet::VIDEO, late), [0]);
    assert_eq!(
        outbox.stats().dropped[MediaClass::Audio.index()][DropCause::Stale as usize],
        1
    );
}

#[test]
fn what_goes_in_any_case_takes_from_what_pictures_may_use() {
    let now = Timestamp::ZERO;
    let pictures_beside = |voices: u64| {
        let mut settings = MeetingSettings::new("relay".parse().expect("an id"));
        // Of this two seconds pass at once.
        settings.max_download_bps = 40_000;
        let outbox = Outbox::new(&settings, now);
        for sequence in 0..voices {
            push(&outbox, frame(TrackKind::Microphone, sequence, 0, 0, 1000), now);
        }
        for sequence in 0..9 {
            push(&outbox, camera(sequence, 0, u32::from(sequence > 0)), now);
        }
        assert_eq!(drain(&outbox, ClassSet::AUDIO, now).len() as u64, voices);
        let pictures = drain(&outbox, ClassSet::VIDEO, now).len() as u64;
        let dropped = outbox.stats().dropped[MediaClass::VideoBase.index()][DropCause::Rate as usize];
        assert_eq!(pictures + dropped, 9);
        pictures
    };
    assert_eq!(pictures_beside(0), 9);
    assert_eq!(pictures_beside(5), 4);
    assert_eq!(pictures_beside(20), 0, "voices go on above the rate");
}

#[test]
fn an_older_keyframe_from_the_cache_does_not_follow_a_newer_one() {
    let outbox = outbox_with(OutboxLimits::default());
    push(&outbox, camera(9, 0, 0), Timestamp::ZERO);
    push(&outbox, camera(5, 0, 0), Timestamp::ZERO);
    push(&outbox, camera(10, 0, 1), Timestamp::ZERO);
    assert_eq!(drain(&outbox, ClassSet::VIDEO, Timestamp::ZERO), [9, 10]);
}

#[test]
fn another_picture_size_begins_with_a_keyframe_even_where_an_older_one_has_left() {
    let layer = |spatial, (mut header, packet): (FrameHeader, Bytes)| {
        header.spatial = spatial;
        (header, packet)
    };
    let frames = || {
        [
            layer(0, camera(0, 0, 0)),
            layer(1, camera(0, 0, 0)),
            layer(0, camera(1, 0, 1)),
            layer(0, camera(2, 0, 0)),
        ]
    };
    let member = outbox_with(OutboxLimits::default());
    let bus = Outbox::for_bus(
        &MeetingSettings::new("relay".parse().expect("an id")),
        Timestamp::ZERO,
    );
    for frame in frames() {
        push(&member, frame.clone(), Timestamp::ZERO);
        push(&bus, frame, Timestamp::ZERO);
    }
    assert_eq!(drain(&member, ClassSet::VIDEO, Timestamp::ZERO), [0, 0, 2]);
    assert_eq!(member.take_stuck().len(), 1);
    assert_eq!(drain(&bus, ClassSet::VIDEO, Timestamp::ZERO), [0, 0, 1, 2]);
}

#[test]
fn a_track_that_comes_back_begins_anew() {
    let outbox = outbox_with(OutboxLimits::default());
    push(&outbox, camera(0, 0, 0), Timestamp::ZERO);
    push(&outbox, camera(1, 0, 1), Timestamp::ZERO);
    assert_eq!(drain(&outbox, ClassSet::VIDEO, Timestamp::ZERO), [0, 1]);
    outbox.forget(camera(0, 0, 0).0.track_ref());
    push(&outbox, camera(2, 0, 1), Timestamp::ZERO);
    assert_eq!(drain(&outbox, ClassSet::VIDEO, Timestamp::ZERO), [0_u64; 0]);
    push(&outbox, camera(0, 0, 0), Timestamp::ZERO);
    push(&outbox, camera(1, 0, 1), Timestamp::ZERO);
    assert_eq!(drain(&outbox, ClassSet::VIDEO, Timestamp::ZERO), [0, 1]);
}

#[test]
fn audio_is_dropped_from_its_old_end() {
    let outbox = outbox_with(small());
    for sequence in 0..100 {
        push(
            &outbox,
            frame(TrackKind::Microphone, sequence, 0, 0, 60),
            Timestamp::ZERO,
        );
    }
    assert!(outbox.queued_bytes() <= small().audio_bytes);
    let left = drain(&outbox, ClassSet::AUDIO, Timestamp::ZERO);
    assert_eq!(left.last(), Some(&99));
    assert!(left.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn a_receiver_that_takes_nothing_is_stalled_after_the_stated_time() {
    let limits = OutboxLimits::default();
    let outbox = outbox_with(limits);
    assert_eq!(push(&outbox, camera(0, 0, 0), Timestamp::ZERO), Pushed::Queued);
    let just = Timestamp::ZERO + limits.stall;
    assert_eq!(push(&outbox, camera(1, 0, 1), just), Pushed::Queued);
    let after = just + Duration::from_millis(1);
    assert_eq!(push(&outbox, camera(2, 0, 1), after), Pushed::Stalled);
}

#[test]
fn too_much_control_is_not_kept() {
    let limits = OutboxLimits {
        control_bytes: 100,
        ..OutboxLimits::default()
    };
    let outbox = outbox_with(limits);
    let packet = Bytes::from(vec![0; 60]);
    assert_eq!(
        outbox.push_control(packet.clone(), Timestamp::ZERO),
        Pushed::Queued
    );
    assert_eq!(outbox.push_control(packet, Timestamp::ZERO), Pushed::Stalled);
    assert_eq!(outbox.queued_bytes(), 60);
}

#[test]
fn a_closed_outbox_ends_with_its_reason() {
    let outbox = outbox_with(OutboxLimits::default());
    push(&outbox, camera(0, 0, 0), Timestamp::ZERO);
    outbox.close(Closing::new(CloseCode::Removed), Timestamp::ZERO);
    assert_eq!(push(&outbox, camera(1, 0, 0), Timestamp::ZERO), Pushed::Closed);
    let mut context = Context::from_waker(Waker::noop());
    let mut next = || outbox.poll_next(ClassSet::ALL, Timestamp::ZERO, &mut context);
    let Poll::Ready(Some(last)) = next() else {
        panic!("a closing message waits");
    };
    let closing = ServerMessage::Closing(Closing::new(CloseCode::Removed));
    assert_eq!(ServerMessage::decode(&last.packet), Ok(closing));
    assert!(matches!(next(), Poll::Ready(None)));
}
