use videocall_types::{SessionId, TrackId, TrackKind, TrackRef};

use super::*;
use crate::MeetingSettings;

const TRACK: TrackRef = TrackRef {
    session: SessionId::new(1).expect("not zero"),
    track: TrackId(2),
};

fn layer(spatial: u8, width: u32, height: u32) -> LayerInfo {
    LayerInfo {
        spatial,
        temporal_layers: 3,
        width,
        height,
        frames_per_second: 30,
        bitrate_bps: 0,
    }
}

fn layers() -> [LayerInfo; 3] {
    [layer(0, 320, 180), layer(1, 640, 360), layer(2, 1280, 720)]
}

fn wish(width: u32, height: u32) -> Wish {
    Wish {
        track: TRACK,
        width,
        height,
        priority: 0,
    }
}

fn header(spatial: u8, temporal: u8, sequence: u64) -> FrameHeader {
    FrameHeader {
        spatial,
        temporal,
        sequence,
        keyframe: sequence == 0,
        reference_distance: u32::from(sequence != 0),
        ..FrameHeader::first(TRACK.session, TRACK.track, TrackKind::Camera)
    }
}

/// A track with three layers and somebody who subscribes to it.
struct Scene {
    track: Arc<Track>,
    subscription: Arc<Subscription>,
    now: Timestamp,
}

impl Scene {
    fn new(wanted: u8) -> Self {
        let settings = MeetingSettings::new("relay".parse().expect("an id"));
        let session = SessionId::new(9).expect("not zero");
        let member = Member::new(session, &settings, Timestamp::ZERO);
        let track = Track::new(TRACK, TrackKind::Camera, false);
        track.describe(&layers());
        let subscription = Subscription::new(member);
        subscription.want(wanted, 255);
        Self {
            track,
            subscription,
            now: Timestamp::from_millis(1000),
        }
    }

    fn frame(&mut self, spatial: u8, temporal: u8, sequence: u64) -> Verdict {
        self.now += std::time::Duration::from_millis(10);
        let header = header(spatial, temporal, sequence);
        self.track
            .remember(&header, &bytes::Bytes::from_static(b"picture"), self.now);
        self.subscription.judge(&self.track, &header, self.now)
    }
}

const PASS: Verdict = Verdict::Pass { switched: false };
const SWITCH: Verdict = Verdict::Pass { switched: true };

#[test]
fn the_smallest_layer_that_fills_the_tile_is_chosen() {
    for (width, height, expected) in [
        (0, 0, 2),
        (1, 1, 0),
        (320, 180, 0),
        // Blown up by a quarter.
        (400, 225, 0),
        (401, 226, 1),
        // One side that fits is enough: the picture keeps its shape.
        (2000, 180, 0),
        (180, 2000, 0),
        (1280, 720, 2),
        (3840, 2160, 2),
        (u32::MAX, u32::MAX, 2),
    ] {
        assert_eq!(
            layer_for(&wish(width, height), &layers()),
            expected,
            "{width}x{height}"
        );
    }
    assert_eq!(layer_for(&wish(100, 100), &[]), LARGEST);
}

#[test]
fn only_the_wanted_layer_passes_and_begins_with_a_keyframe() {
    let mut scene = Scene::new(1);
    assert_eq!(scene.frame(1, 0, 7), Verdict::AwaitsKeyframe);
    assert_eq!(scene.frame(2, 0, 0), Verdict::Leave);
    assert_eq!(scene.frame(1, 0, 0), PASS);
    assert_eq!(scene.frame(1, 2, 1), PASS);
    assert_eq!(scene.frame(0, 0, 0), Verdict::Leave);
    assert_eq!(scene.frame(2, 0, 0), Verdict::Leave);
}

#[test]
fn a_smaller_picture_serves_until_the_wanted_one_comes() {
    let mut scene = Scene::new(2);
    assert_eq!(scene.frame(2, 0, 4), Verdict::AwaitsKeyframe);
    assert_eq!(scene.frame(0, 0, 0), PASS);
    assert_eq!(scene.frame(0, 0, 1), PASS);
    assert_eq!(scene.frame(2, 0, 5), Verdict::AwaitsKeyframe);
    assert_eq!(scene.frame(2, 0, 0), SWITCH);
    assert_eq!(scene.frame(0, 0, 2), Verdict::Leave);
}

#[test]
fn the_old_layer_goes_on_until_the_new_one_has_a_keyframe() {
    let mut scene = Scene::new(2);
    scene.frame(2, 0, 0);
    assert!(scene.subscription.want(0, 255));
    assert_eq!(scene.frame(2, 0, 1), PASS);
    assert_eq!(scene.frame(0, 0, 9), Verdict::AwaitsKeyframe);
    assert_eq!(scene.frame(0, 0, 0), SWITCH);
    assert_eq!(scene.frame(2, 0, 2), Verdict::Leave);
}

#[test]
fn another_layer_takes_over_when_the_present_one_is_given_up() {
    let mut scene = Scene::new(2);
    scene.frame(2, 0, 0);
    assert_eq!(scene.frame(1, 0, 9), Verdict::Leave);
    scene.now += std::time::Duration::from_millis(600);
    assert_eq!(scene.frame(1, 0, 10), Verdict::AwaitsKeyframe);
    assert_eq!(scene.frame(1, 0, 0), SWITCH);
    assert_eq!(scene.frame(1, 0, 1), PASS);
}

#[test]
fn a_track_without_a_description_passes() {
    let mut scene = Scene::new(LARGEST);
    scene.track.describe(&[]);
    assert_eq!(scene.frame(0, 0, 3), Verdict::AwaitsKeyframe);
    assert_eq!(scene.frame(0, 0, 0), PASS);
    assert_eq!(scene.frame(0, 0, 1), PASS);
}
