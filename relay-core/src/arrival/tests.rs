use proptest::prelude::*;
use videocall_types::{SessionId, TrackKind};

use super::*;

/// The sender's clock is ahead of the relay's by this; nothing may depend on it.
const OFFSET_US: u64 = 7_000_000_000;

#[derive(Clone, Copy)]
struct Report {
    interval_ms: u32,
    bytes: u64,
    frames: u32,
    missing: u32,
    growth_us: i32,
}

fn header(track: u32, kind: TrackKind, spatial: u8, sequence: u64, captured_us: u64) -> FrameHeader {
    FrameHeader {
        spatial,
        sequence,
        capture_time_us: captured_us + OFFSET_US,
        keyframe: kind.is_audio(),
        reference_distance: u32::from(!kind.is_audio()),
        ..FrameHeader::first(SessionId::new(1).expect("not zero"), TrackId(track), kind)
    }
}

/// Frames as a relay gets them: when, how many bytes, which.
struct Sender {
    meter: ArrivalMeter,
    reports: Vec<Report>,
}

impl Sender {
    fn new() -> Self {
        Self {
            meter: ArrivalMeter::default(),
            reports: Vec::new(),
        }
    }

    fn arrives(&mut self, header: &FrameHeader, bytes: usize, at_us: u64) {
        let Some(ServerMessage::ArrivalReport {
            interval_ms,
            received_bytes,
            received_frames,
            missing_frames,
            delay_growth_us,
            ..
        }) = self.meter.note(header, bytes, Timestamp::from_micros(at_us))
        else {
            return;
        };
        self.reports.push(Report {
            interval_ms,
            bytes: received_bytes,
            frames: received_frames,
            missing: missing_frames,
            growth_us: delay_growth_us,
        });
    }

    /// The n-th sound of 20 ms.
    fn sound(&mut self, n: u64, delay_us: u64) {
        let captured = n * 20_000;
        let header = header(1, TrackKind::Microphone, 0, n, captured);
        self.arrives(&header, 100, captured + delay_us);
    }

    fn picture(&mut self, n: u64, delay_us: u64) {
        let captured = n * 20_000;
        let header = header(2, TrackKind::Camera, 0, n, captured);
        self.arrives(&header, 1000, captured + delay_us);
    }

    fn queueing_us(&self) -> i64 {
        self.reports
            .iter()
            .map(|report| i64::from(report.growth_us))
            .sum()
    }
}

#[test]
fn what_arrives_evenly_is_counted_every_hundred_milliseconds() {
    let mut sender = Sender::new();
    for n in 0..=500 {
        sender.sound(n, 30_000);
    }
    assert_eq!(sender.reports.len(), 100);
    for report in &sender.reports[1..] {
        assert_eq!((report.interval_ms, report.bytes, report.frames), (100, 500, 5));
        assert_eq!((report.missing, report.growth_us), (0, 0));
    }
}

#[test]
fn a_queue_that_grows_and_drains_shows_in_the_growth_and_its_sum() {
    let mut sender = Sender::new();
    for n in 0..50 {
        sender.sound(n, 30_000);
    }
    // Half as fast as it is sent, for half a second.
    for n in 50..75 {
        sender.sound(n, 30_000 + (n - 49) * 10_000);
    }
    assert!(
        sender
            .reports
            .iter()
            .rev()
            .take(4)
            .all(|report| report.growth_us > 30_000)
    );
    assert!(
        (180_000..=250_000).contains(&sender.queueing_us()),
        "{}",
        sender.queueing_us()
    );
    for n in 75..100 {
        sender.sound(n, 30_000);
    }
    assert_eq!(sender.queueing_us(), 0);
}

#[test]
fn jitter_and_large_frames_are_no_queue() {
    let mut sender = Sender::new();
    let mut noise = 1_u64;
    for n in 0..2000 {
        // An LCG (Numerical Recipes) is random enough.
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) & 0xffff_ffff;
        sender.sound(n, 30_000 + noise % 40_000);
        if n % 2 == 0 {
            sender.picture(n / 2 * 2, 60_000 + noise % 50_000);
        }
    }
    let (mut queue, mut total) = (0, 0);
    for report in &sender.reports {
        queue += i64::from(report.growth_us);
        total += queue;
    }
    // The fastest of five, on average: a sixth of the jitter (the first order statistic).
    let mean = total / sender.reports.len() as i64;
    assert!(mean < 10_000, "{mean} us of 40 ms of jitter");
}

#[test]
fn pictures_that_wait_behind_sound_count_beyond_what_a_retransmission_takes() {
    let mut sender = Sender::new();
    for n in 0..100_u64 {
        sender.sound(n, 30_000);
        sender.picture(n, 40_000);
    }
    for n in 100..150 {
        sender.sound(n, 30_000);
        sender.picture(n, 40_000 + 100_000);
    }
    assert_eq!(sender.queueing_us(), 0);
    for n in 150..200 {
        sender.sound(n, 30_000);
        sender.picture(n, 40_000 + 300_000);
    }
    assert_eq!(sender.queueing_us(), 300_000 - PICTURE_ALLOWANCE_US);
}

#[test]
fn gaps_count_once_and_late_frames_make_up_for_them() {
    let mut sender = Sender::new();
    for n in (0..=20).filter(|n| ![3, 4, 11].contains(n)) {
        sender.sound(n, 30_000);
    }
    let missing = |sender: &Sender| sender.reports.iter().map(|report| report.missing).sum::<u32>();
    assert_eq!(missing(&sender), 3);
    let before = missing(&sender);
    // Two that change places within their interval.
    for n in [21, 23, 22, 24, 25] {
        sender.sound(n, 30_000);
    }
    assert_eq!(missing(&sender), before);
}

#[test]
fn a_layer_that_begins_while_a_queue_stands_does_not_hide_it() {
    let mut sender = Sender::new();
    for n in 0..50 {
        sender.sound(n, 30_000);
    }
    for n in 50..100 {
        sender.sound(n, 130_000);
        sender.picture(n, 145_000);
    }
    assert_eq!(sender.queueing_us(), 100_000);
    for n in 100..150 {
        sender.picture(n, 45_000);
    }
    assert_eq!(sender.queueing_us(), 0, "seen without the sound, too");
}

#[test]
fn a_longer_way_becomes_the_usual_one_in_time() {
    let mut sender = Sender::new();
    for n in 0..500 {
        sender.sound(n, 30_000);
    }
    for n in 500..(500 + 130 * 50) {
        sender.sound(n, 80_000);
    }
    assert_eq!(sender.queueing_us(), 0);
}

#[test]
fn what_is_kept_of_changing_tracks_is_bounded() {
    let mut meter = ArrivalMeter::default();
    for n in 0..10_000_u32 {
        let header = header(
            n,
            TrackKind::Camera,
            (n % 4) as u8,
            u64::from(n),
            u64::from(n) * 1000,
        );
        meter.note(&header, 100, Timestamp::from_millis(n.into()));
    }
    assert_eq!(meter.flows.len(), MAX_FLOWS);
}

#[test]
fn a_queue_that_fills_quickly_is_told_of_sooner() {
    let mut sender = Sender::new();
    for n in 0..20 {
        sender.sound(n, 30_000);
    }
    let before = sender.reports.len();
    // Less than a third as fast as it is sent.
    for n in 20..40 {
        sender.sound(n, 30_000 + (n - 19) * 50_000);
    }
    let sooner: Vec<_> = sender.reports[before..]
        .iter()
        .filter(|report| report.interval_ms < 100)
        .collect();
    assert!(sooner.len() >= 5, "{} reports", sooner.len());
    for report in sooner {
        assert!(report.growth_us > 40_000 && report.interval_ms >= 50);
    }
}

#[test]
fn pictures_alone_in_an_interval_may_be_late_when_the_sound_was_lost() {
    let mut sender = Sender::new();
    for n in 0..30 {
        sender.sound(n, 30_000);
        sender.picture(n, 30_000);
    }
    // Ten sounds are lost, and the pictures' parts are sent again.
    for n in 30..40 {
        sender.picture(n, 150_000);
    }
    assert_eq!(sender.queueing_us(), 0);
    // A sound that has stopped says nothing any more.
    for n in 40..90 {
        sender.picture(n, 150_000);
    }
    assert_eq!(sender.queueing_us(), 120_000);
}

#[test]
fn how_far_the_pictures_have_got_is_told() {
    let mut meter = ArrivalMeter::default();
    let mut told = Vec::new();
    for n in 0..20_u64 {
        let now = Timestamp::from_millis(n * 20);
        let sound = header(1, TrackKind::Microphone, 0, n, n * 20_000);
        let picture = header(2, TrackKind::Camera, 1, 100 + n, n * 20_000);
        for header in [sound, picture] {
            if let Some(ServerMessage::ArrivalReport { layers, .. }) = meter.note(&header, 10, now) {
                told.extend(layers);
            }
        }
    }
    assert!(!told.is_empty());
    for layer in &told {
        assert_eq!((layer.track, layer.spatial), (TrackId(2), 1));
    }
    assert!(told.is_sorted_by_key(|layer| layer.next_sequence));
    assert!(told.last().is_some_and(|layer| layer.next_sequence > 110));
}

proptest! {
    #[test]
    fn nonsense_gives_reports_that_add_up(
        frames in prop::collection::vec(
            (0_u32..4, 0_u8..4, 0..=u64::MAX / 2, 0..=u64::MAX / 2, 0_u64..300_000),
            1..200,
        ),
    ) {
        let mut meter = ArrivalMeter::default();
        let (mut now, mut counted) = (0, 0);
        for (track, spatial, sequence, captured, pause) in frames.iter().copied() {
            now += pause;
            let mut header = header(track, TrackKind::Camera, spatial, sequence, 0);
            header.capture_time_us = captured;
            let report = meter.note(&header, 10, Timestamp::from_micros(now));
            if let Some(ServerMessage::ArrivalReport { interval_ms, received_bytes, received_frames, .. }) = report {
                prop_assert!(interval_ms >= 50);
                prop_assert_eq!(received_bytes, u64::from(received_frames) * 10);
                counted += received_frames;
            }
        }
        prop_assert_eq!(counted as usize + meter.frames as usize, frames.len());
    }
}

#[test]
fn what_was_held_up_for_a_moment_is_no_queue() {
    // From each moment of an interval on nothing comes for a quarter of a second, and all of it then.
    for begins in 50..55_u64 {
        let mut sender = Sender::new();
        for n in 0..100_u64 {
            let held_up = n.checked_sub(begins).filter(|&since| since <= 12);
            sender.sound(n, 30_000 + held_up.map_or(0, |since| (250 - 20 * since) * 1000));
            assert!(sender.queueing_us() < 60_000, "{}", sender.queueing_us());
        }
        assert_eq!(sender.queueing_us(), 0);
    }
}
