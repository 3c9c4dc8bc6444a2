use videocall_types::{SessionId, TrackId};

use super::*;

fn track() -> Arc<Track> {
    let id = TrackRef {
        session: SessionId::new(1).expect("not zero"),
        track: TrackId(2),
    };
    Track::new(id, TrackKind::Camera, false)
}

fn frame(track: &Track, sequence: u64, distance: u32, temporal: u8, bytes: usize) {
    let header = FrameHeader {
        spatial: 1,
        temporal,
        sequence,
        keyframe: distance == 0,
        reference_distance: distance,
        ..FrameHeader::first(track.id.session, track.id.track, track.kind)
    };
    track.remember(&header, &vec![0; bytes].into(), Timestamp::from_millis(sequence));
}

fn replayed(track: &Track) -> (Vec<u64>, Replay) {
    let mut sequences = Vec::new();
    let replay = track.replay(1, |header, _| sequences.push(header.sequence));
    (sequences, replay)
}

#[test]
fn the_base_frames_since_the_keyframe_are_kept() {
    let track = track();
    assert_eq!(replayed(&track), (vec![], Replay::Nothing));
    frame(&track, 3, 1, 0, 10);
    assert_eq!(
        replayed(&track),
        (vec![], Replay::Nothing),
        "nothing to start from"
    );
    frame(&track, 4, 0, 0, 10);
    frame(&track, 5, 1, 2, 10);
    frame(&track, 6, 2, 1, 10);
    frame(&track, 8, 4, 0, 10);
    frame(&track, 8, 4, 0, 10);
    assert_eq!(replayed(&track), (vec![4, 8], Replay::Complete));
    frame(&track, 9, 0, 0, 10);
    assert_eq!(replayed(&track), (vec![9], Replay::Complete));
    assert_eq!(track.replay(0, |_, _| {}), Replay::Nothing);
}

#[test]
fn a_gap_leaves_the_keyframe_alone() {
    let track = track();
    frame(&track, 0, 0, 0, 10);
    frame(&track, 1, 1, 0, 10);
    frame(&track, 3, 1, 0, 10);
    assert_eq!(replayed(&track), (vec![0], Replay::Picture));
    frame(&track, 4, 1, 0, 10);
    assert_eq!(
        replayed(&track),
        (vec![0], Replay::Picture),
        "until the next keyframe"
    );
}

#[test]
fn what_is_kept_is_bounded() {
    let many = track();
    for sequence in 0..200 {
        frame(&many, sequence, u32::from(sequence > 0), 0, 10);
    }
    assert_eq!(replayed(&many), (vec![0], Replay::Picture));
    let large = track();
    frame(&large, 0, 0, 0, 3_000_000);
    frame(&large, 1, 1, 0, MAX_TAIL_BYTES);
    assert_eq!(replayed(&large), (vec![0, 1], Replay::Complete));
    frame(&large, 2, 1, 0, 1);
    assert_eq!(replayed(&large), (vec![0], Replay::Picture));
}

#[test]
fn a_muted_track_keeps_nothing() {
    let track = track();
    frame(&track, 0, 0, 0, 10);
    track.set_muted(true);
    assert_eq!(replayed(&track), (vec![], Replay::Nothing));
    frame(&track, 1, 0, 0, 10);
    assert_eq!(replayed(&track), (vec![], Replay::Nothing));
}

#[test]
fn a_layer_is_live_while_frames_come() {
    let track = track();
    let at = Timestamp::from_millis;
    assert!(!track.is_live(1, at(0)));
    frame(&track, 100, 0, 0, 10);
    assert!(track.is_live(1, at(599)));
    assert!(!track.is_live(1, at(600)));
    assert!(!track.is_live(0, at(100)));
    assert!(!track.is_live(200, at(100)));
}
