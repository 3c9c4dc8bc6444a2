use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
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
            session: SessionId::new(1).expect("not zero"),
            track: TrackId(1),
            kind: TrackKind::Microphone,
            spatial: 0,
            temporal: 0,
            sequence,
            capture_time_us: sequence * FRAME_US,
            keyframe: true,
            reference_distance: 0,
            duration_us: FRAME_US as u32,
            audio_level: Some(20),
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

/// What a player got that asks every 10 ms and keeps less than 30 ms of sound itself.
#[derive(Debug, Default)]
struct Played {
    sequences: Vec<u64>,
    /// Concealments between the first and the last frame.
    concealed: usize,
    /// Milliseconds from capture to the ear, of the last frames.
    delay_ms: f64,
    stats: JitterBufferStats,
}

/// Sends frames over a path that delays each by so many microseconds, or loses it.
fn simulate(frames: u64, redundant: u32, mut path: impl FnMut(u64) -> Option<u64>) -> Played {
    let mut buffer = JitterBuffer::new(JitterBufferConfig::default());
    let mut arrivals: Vec<(u64, u64)> = (0..frames)
        .filter_map(|sequence| Some((sequence * FRAME_US + path(sequence)?, sequence)))
        .collect();
    arrivals.sort_unstable();
    let mut arrivals = arrivals.into_iter().peekable();
    let mut played = Played::default();
    let mut covered = 0;
    for now in (0..(frames * FRAME_US + 1_000_000)).step_by(1_000) {
        while let Some((_, sequence)) = arrivals.next_if(|&(at, _)| at <= now) {
            buffer.insert(frame(sequence, redundant), us(now));
        }
        if now % 10_000 != 0 {
            continue;
        }
        while covered < now + 30_000 {
            match buffer.next(us(now)) {
                Playout::Decode { frame, .. } => {
                    covered = covered.max(now) + FRAME_US;
                    assert_eq!(frame.payload, payload(frame.sequence));
                    played.delay_ms = (covered - FRAME_US - frame.capture_time_us) as f64 / 1000.0;
                    played.sequences.push(frame.sequence);
                }
                Playout::Conceal(duration) => {
                    covered = covered.max(now) + duration.as_micros() as u64;
                    played.concealed += usize::from(now < frames * FRAME_US);
                }
                Playout::Wait => break,
            }
        }
    }
    played.stats = buffer.stats();
    played
}

#[test]
fn a_good_path_has_little_delay_and_no_concealment() {
    let mut random = StdRng::seed_from_u64(1);
    let played = simulate(1000, 2, |_| Some(30_000 + random.random_range(0..4_000)));
    assert_eq!(played.sequences, (0..1000).collect::<Vec<_>>());
    assert_eq!(played.concealed, 0);
    let added = played.delay_ms - 30.0;
    assert!((20.0..=60.0).contains(&added), "{added} ms");
    assert!(played.stats.target_ms <= 60.0, "{:?}", played.stats);
}

#[test]
fn redundancy_heals_losses_of_one_and_two() {
    let lost = |sequence: u64| [7, 8].contains(&(sequence % 25)) || sequence % 25 == 15;
    let played = simulate(1000, 2, |sequence| (!lost(sequence)).then_some(40_000));
    let missing = 1000 - played.sequences.len();
    assert!(played.stats.redundant_used > 60, "{:?}", played.stats);
    assert!(missing <= 60, "{missing}");
}

#[test]
fn losses_without_redundancy_are_concealed_once_each() {
    let played = simulate(1000, 0, |sequence| (sequence % 50 != 10).then_some(40_000));
    assert_eq!(played.sequences.len(), 980);
    assert_eq!(played.concealed, 20);
    assert_eq!(played.stats.late, 0);
}

#[test]
fn reordering_and_duplicates_do_not_reach_the_decoder() {
    let mut buffer = JitterBuffer::new(JitterBufferConfig::default());
    let order = [1, 0, 2, 2, 4, 3, 3, 5];
    let mut heard = Vec::new();
    for (index, sequence) in order.into_iter().enumerate() {
        buffer.insert(frame(sequence, 0), us(index as u64));
    }
    while let Playout::Decode { frame, .. } = buffer.next(us(100_000)) {
        heard.push(frame.sequence);
    }
    assert_eq!(heard, [0, 1, 2, 3, 4, 5]);
    assert_eq!(buffer.stats().duplicates, 2);
    buffer.insert(frame(3, 0), us(110_000));
    assert_eq!(buffer.stats().duplicates, 3);
}

#[test]
fn a_bad_path_is_waited_for_and_a_good_one_again_is_not() {
    let mut random = StdRng::seed_from_u64(2);
    let mut path = |sequence: u64| {
        let jitter = if sequence < 1000 { 120_000 } else { 2_000 };
        Some(20_000 + random.random_range(0..jitter))
    };
    let bad = simulate(1000, 2, &mut path);
    assert!((100.0..=200.0).contains(&bad.stats.target_ms), "{:?}", bad.stats);
    assert!(bad.concealed < 50, "{}", bad.concealed);
    let again = simulate(3000, 2, &mut path);
    assert!(again.stats.target_ms <= 60.0, "{:?}", again.stats);
    assert!(again.delay_ms <= 20.0 + 60.0 + 45.0, "{}", again.delay_ms);
}

#[test]
fn a_muted_sender_is_silence_and_not_concealment() {
    let pause = |sequence: u64| (500..800).contains(&sequence);
    let played = simulate(1000, 0, |sequence| (!pause(sequence)).then_some(30_000));
    // The numbers go on without a gap at the sender in truth; a gap of the path is jumped over.
    assert!(played.stats.concealed <= 12, "{:?}", played.stats);
    assert_eq!(played.sequences.len(), 700);
}

#[test]
fn a_stall_is_caught_up_with() {
    // A second of nothing, then everything at once.
    let stall = |sequence: u64| {
        let at = sequence * FRAME_US;
        let held = (2_000_000..3_000_000).contains(&at);
        Some(if held { 3_000_000 - at + 20_000 } else { 20_000 })
    };
    let played = simulate(1500, 2, stall);
    assert!(
        played.delay_ms < 150.0,
        "{} ms {:?}",
        played.delay_ms,
        played.stats
    );
}

#[test]
fn seeded_paths_are_played_in_order_and_nearly_complete() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let jitter = random.random_range(1_000..80_000);
        let loss = random.random_range(0.0..0.1);
        let played = simulate(1500, 2, |_| {
            let delay = 10_000 + random.random_range(0..jitter);
            (!random.random_bool(loss)).then_some(delay)
        });
        assert!(played.sequences.is_sorted_by(|a, b| a < b), "seed {seed}");
        let share = played.sequences.len() as f64 / 1500.0;
        assert!(share > 0.93, "seed {seed}: {share} {:?}", played.stats);
        assert!(played.stats.target_ms <= 400.0, "seed {seed}");
    }
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
            let sequence = if tame { near } else { wild % (u64::MAX / 2) };
            let mut packet = frame(near, 2);
            packet.header.sequence = sequence;
            packet.header.capture_time_us = wild % (u64::MAX / 2);
            packet.header.duration_us = duration;
            buffer.insert(packet, us(now));
            prop_assert!(buffer.frames.len() <= MAX_FRAMES);
            if let Playout::Decode { frame, .. } = buffer.next(us(now)) {
                prop_assert!(last < Some(frame.sequence));
                last = Some(frame.sequence);
            }
            prop_assert!(buffer.stats().target_ms <= 400.0);
        }
    }
}
