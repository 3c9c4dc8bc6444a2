use proptest::prelude::*;
use videocall_types::{FrameHeader, RedundantFrame, SessionId, TrackId, TrackKind};

use super::*;

const FRAME_US: u64 = 20_000;

fn payload(sequence: u64) -> Bytes {
    sequence.to_be_bytes().to_vec().into()
}

/// Frame `sequence` with so many frames of redundancy.
fn frame(sequence: u64, redundant: u32) -> Frame {
    let redundancy = (1..=redundant)
        .filter(|&distance| u64::from(distance) <= sequence)
        .map(|distance| RedundantFrame {
            sequence_distance: distance,
            capture_time_distance_us: distance * FRAME_US as u32,
            duration_us: FRAME_US as u32,
            payload: payload(sequence - u64::from(distance)),
        });
    Frame {
        header: FrameHeader {
            sequence,
            capture_time_us: sequence * FRAME_US,
            duration_us: FRAME_US as u32,
            audio_level: Some(20),
            ..FrameHeader::first(
                SessionId::new(1).expect("not zero"),
                TrackId(1),
                TrackKind::Microphone,
            )
        },
        decoder: None,
        redundancy: redundancy.collect(),
        payload: payload(sequence),
    }
}

fn us(micros: u64) -> Timestamp {
    // Any offset between the clocks of the two sides.
    Timestamp::from_micros(1_000_000_000 + micros)
}

/// Takes what there is to play, at `now` and with `ahead` milliseconds queued.
fn take(buffer: &mut JitterBuffer, ahead: u64, now: u64) -> Playout {
    buffer.next(Duration::from_millis(ahead), us(now))
}

fn sequence(playout: &Playout) -> Option<u64> {
    match playout {
        Playout::Decode { frame, .. } => Some(frame.sequence),
        _ => None,
    }
}

#[test]
fn reordering_and_duplicates_do_not_reach_the_decoder() {
    let mut buffer = JitterBuffer::new(JitterBufferConfig::default());
    let order = [1, 0, 2, 2, 4, 3, 3, 5];
    let mut heard = Vec::new();
    for (index, sequence) in order.into_iter().enumerate() {
        buffer.insert(frame(sequence, 0), us(index as u64));
    }
    while let Some(sequence) = sequence(&take(&mut buffer, 0, 100_000)) {
        heard.push(sequence);
    }
    assert_eq!(heard, [0, 1, 2, 3, 4, 5]);
    assert_eq!(buffer.stats().duplicates, 2);
    buffer.insert(frame(3, 0), us(110_000));
    assert_eq!(buffer.stats().duplicates, 3);
}

#[test]
fn the_first_frame_is_heard_when_it_is_time() {
    let mut buffer = JitterBuffer::new(JitterBufferConfig::default());
    buffer.insert(frame(0, 0), us(0));
    assert_eq!(take(&mut buffer, 0, 19_000), Playout::Wait);
    assert_eq!(sequence(&take(&mut buffer, 0, 20_000)), Some(0));
}

#[test]
fn what_is_missing_is_waited_for_until_the_last_moment() {
    let mut buffer = JitterBuffer::new(JitterBufferConfig::default());
    buffer.insert(frame(0, 0), us(0));
    assert_eq!(sequence(&take(&mut buffer, 0, 20_000)), Some(0));
    buffer.insert(frame(2, 0), us(40_000));
    assert_eq!(take(&mut buffer, 9, 40_000), Playout::Wait);
    assert_eq!(take(&mut buffer, 8, 41_000), Playout::Conceal(PIECE));
    // It comes as redundancy before the rest of it was made up.
    buffer.insert(frame(3, 2), us(42_000));
    assert_eq!(sequence(&take(&mut buffer, 8, 42_000)), Some(1));
    assert_eq!(buffer.stats().redundant_used, 1);
    assert_eq!(buffer.stats().concealed_us, 10_000);
}

#[test]
fn a_lost_frame_is_made_up_as_long_as_it_was() {
    let mut buffer = JitterBuffer::new(JitterBufferConfig::default());
    buffer.insert(frame(0, 0), us(0));
    assert_eq!(sequence(&take(&mut buffer, 0, 20_000)), Some(0));
    buffer.insert(frame(2, 0), us(40_000));
    assert_eq!(take(&mut buffer, 0, 45_000), Playout::Conceal(PIECE));
    assert_eq!(take(&mut buffer, 0, 55_000), Playout::Conceal(PIECE));
    assert_eq!(sequence(&take(&mut buffer, 0, 65_000)), Some(2));
    buffer.insert(frame(1, 0), us(66_000));
    assert_eq!((buffer.stats().late, buffer.stats().duplicates), (1, 0));
}

#[test]
fn the_past_is_left_out_when_there_is_too_much_of_it() {
    let mut buffer = JitterBuffer::new(JitterBufferConfig::default());
    for sequence in 0..60 {
        buffer.insert(frame(sequence, 0), us(1_200_000));
    }
    let first = sequence(&take(&mut buffer, 0, 1_200_000)).expect("it is time");
    assert!(first > 30, "{first}");
    assert!(buffer.stats().skipped > 30);
}

#[test]
fn pace_follows_the_target_and_does_not_overshoot() {
    assert_eq!(pace(TOLERANCE_US, Pace::Normal), Pace::Normal);
    assert_eq!(pace(TOLERANCE_US + 1, Pace::Normal), Pace::Accelerate);
    assert_eq!(pace(1, Pace::Accelerate), Pace::Accelerate);
    assert_eq!(pace(-1, Pace::Accelerate), Pace::Normal);
    assert_eq!(pace(FAR_US, Pace::Normal), Pace::AccelerateFast);
    assert_eq!(pace(1, Pace::AccelerateFast), Pace::Accelerate);
    assert_eq!(pace(-TOLERANCE_US - 1, Pace::Normal), Pace::Expand);
    assert_eq!(pace(-FAR_US - 1, Pace::Expand), Pace::ExpandFast);
    assert_eq!(pace(1, Pace::Expand), Pace::Normal);
}

proptest! {
    /// Whatever arrives whenever, nothing panics, the order holds and the buffer stays small.
    #[test]
    fn hostile_senders_do_no_harm(
        packets in prop::collection::vec(
            (any::<u64>(), 0_u64..40, any::<u32>(), 0_u64..200_000, any::<bool>()), 0..200),
    ) {
        let mut buffer = JitterBuffer::new(JitterBufferConfig::default());
        let mut now = 0;
        let mut last = None;
        for (wild, near, duration, wait, tame) in packets {
            now += wait;
            let number = if tame { near } else { wild };
            let mut packet = frame(near, 2);
            packet.header.sequence = number;
            packet.header.capture_time_us = wild;
            packet.header.duration_us = duration;
            buffer.insert(packet, us(now));
            prop_assert!(buffer.frames.len() <= MAX_FRAMES);
            if let Some(sequence) = sequence(&take(&mut buffer, 0, now)) {
                prop_assert!(last < Some(sequence));
                last = Some(sequence);
            }
            prop_assert!(buffer.stats().target_ms <= 400.0);
        }
    }
}
