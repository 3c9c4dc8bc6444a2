//! What publishers send, and when.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use videocall_types::{Frame, FrameHeader, LayerInfo, SessionId, TrackId, TrackInfo, TrackKind};

use crate::plan::{Camera, Load};

/// Every publisher's microphone.
pub(crate) const MICROPHONE: TrackId = TrackId(1);
/// Every publisher's camera.
pub(crate) const CAMERA: TrackId = TrackId(2);

/// A keyframe comes after so many seconds even when nobody asks: whoever has lost a frame is not lost
/// for good.
const KEYFRAME_SECONDS: u32 = 1;

/// Opus with discontinuous transmission says every 400 ms that there is silence (RFC 6716 §2.1.9).
const SILENCE_PERIOD: Duration = Duration::from_millis(400);

/// Of such a packet's payload.
const SILENCE_BYTES: usize = 2;

/// Levels after RFC 6464, -dBov.
const LOUDEST: u8 = 20;
const SILENCE: u8 = 127;

/// Whether a frame is of somebody who speaks.
pub(crate) fn is_voice(header: &FrameHeader) -> bool {
    header.audio_level.is_some_and(|level| level < SILENCE)
}

/// Makes the frames of one track's layer.
#[derive(Debug)]
pub struct Source {
    header: FrameHeader,
    /// Frames since the last keyframe.
    since_keyframe: u32,
    keyframe_interval: u32,
    temporal_layers: u8,
    payload: Bytes,
}

impl Source {
    /// The microphone of a meeting's n-th publisher.
    pub fn microphone(load: &Load, session: SessionId, number: usize) -> Self {
        let speaks = number < load.speakers;
        let (level, bytes) = match speaks {
            // No two are equally loud, so that their order is known.
            true => (LOUDEST + (number % 64) as u8, load.voice.bytes),
            false => (SILENCE, SILENCE_BYTES),
        };
        let mut source = Self::new(session, MICROPHONE, TrackKind::Microphone, bytes);
        source.header.audio_level = Some(level);
        source
    }

    /// One layer of a camera.
    pub fn camera(camera: &Camera, session: SessionId, spatial: u8) -> Self {
        let mut source = Self::new(session, CAMERA, TrackKind::Camera, layer_bytes(camera, spatial));
        source.header.spatial = spatial;
        source.temporal_layers = camera.temporal_layers;
        source.keyframe_interval = camera.per_second * KEYFRAME_SECONDS;
        source
    }

    fn new(session: SessionId, track: TrackId, kind: TrackKind, bytes: usize) -> Self {
        Self {
            header: FrameHeader::first(session, track, kind),
            since_keyframe: 0,
            keyframe_interval: 1,
            temporal_layers: 1,
            payload: vec![0x5a; bytes].into(),
        }
    }

    /// The next frame, captured at this time.
    pub fn next(&mut self, capture_time_us: u64) -> Bytes {
        let (temporal, distance) = position(self.since_keyframe, self.temporal_layers);
        let mut header = self.header;
        header.capture_time_us = capture_time_us;
        header.keyframe = self.since_keyframe == 0;
        if !header.kind.is_audio() && !header.keyframe {
            header.temporal = temporal;
            header.reference_distance = distance;
        }
        self.header.sequence += 1;
        self.since_keyframe = (self.since_keyframe + 1) % self.keyframe_interval;
        Frame {
            header,
            decoder: None,
            redundancy: Vec::new(),
            payload: self.payload.clone(),
        }
        .encode()
    }

    /// The next frame will be a keyframe.
    pub(crate) fn restart(&mut self) {
        self.since_keyframe = 0;
    }
}

/// Temporal layer and reference distance of the n-th frame after a keyframe: L1T1, L1T2 and L1T3 as
/// the protocol describes them.
fn position(since_keyframe: u32, temporal_layers: u8) -> (u8, u32) {
    match (temporal_layers, since_keyframe % 4) {
        (2, 0 | 2) => (0, 2),
        (2, _) => (1, 1),
        (3, 0) => (0, 4),
        (3, 2) => (1, 2),
        (3, _) => (2, 1),
        _ => (0, 1),
    }
}

fn layer_bytes(camera: &Camera, spatial: u8) -> usize {
    let below = camera.spatial_layers.saturating_sub(1).saturating_sub(spatial);
    (camera.bytes >> (2 * below)).max(1)
}

/// What a publisher announces.
pub(crate) fn tracks(load: &Load) -> Vec<TrackInfo> {
    let track = |track, kind, codec: &str, layers| TrackInfo {
        track,
        kind,
        muted: false,
        codec: codec.to_owned(),
        layers,
    };
    let mut tracks = vec![track(MICROPHONE, TrackKind::Microphone, "opus", Vec::new())];
    if let Some(camera) = load.camera {
        let layers = (0..camera.spatial_layers).map(|spatial| layer(&camera, spatial));
        tracks.push(track(CAMERA, TrackKind::Camera, "vp8", layers.collect()));
    }
    tracks
}

fn layer(camera: &Camera, spatial: u8) -> LayerInfo {
    // 1280x720 for the largest, half of it for the next.
    let below = u32::from(camera.spatial_layers.saturating_sub(1).saturating_sub(spatial));
    LayerInfo {
        spatial,
        temporal_layers: camera.temporal_layers,
        width: 1280 >> below,
        height: 720 >> below,
        frames_per_second: camera.per_second,
        bitrate_bps: (layer_bytes(camera, spatial) as u32) * 8 * camera.per_second,
    }
}

/// When a publisher's next frame is due. Publishers begin at different times within a frame, as people
/// do, and a frame that is late does not move the next.
#[derive(Debug)]
pub struct Timetable {
    voice: Interval,
    camera: Option<Interval>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The microphone's next packet.
    Voice,
    /// The camera's next picture, of all its layers.
    Picture,
}

impl Timetable {
    /// From now on, for a meeting's n-th publisher.
    pub fn start(load: &Load, meeting: usize, number: usize) -> Self {
        let voice = match number < load.speakers {
            true => Duration::from_secs(1) / load.voice.per_second.max(1),
            false => SILENCE_PERIOD,
        };
        // Spread by the golden ratio: evenly, whatever the number of publishers.
        let share = ((meeting * load.publishers + number) as f64 * 0.618_034).fract();
        let every = |period: Duration| {
            let mut interval = interval_at(Instant::now() + period.mul_f64(share), period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
            interval
        };
        let camera = load.camera.filter(|camera| camera.per_second > 0);
        Self {
            voice: every(voice),
            camera: camera.map(|camera| every(Duration::from_secs(1) / camera.per_second)),
        }
    }

    /// Waits for what is due next.
    pub async fn next(&mut self) -> Due {
        let camera = async {
            match &mut self.camera {
                Some(camera) => camera.tick().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.voice.tick() => Due::Voice,
            _ = camera => Due::Picture,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::new(7).expect("not zero");

    fn camera(temporal_layers: u8) -> Camera {
        Camera {
            per_second: 8,
            bytes: 1600,
            spatial_layers: 3,
            temporal_layers,
        }
    }

    #[test]
    fn frames_refer_back_as_the_protocol_says() {
        let mut source = Source::camera(&camera(3), SESSION, 2);
        let headers: Vec<FrameHeader> = (0..9)
            .map(|time| FrameHeader::peek(&source.next(time)).expect("a frame"))
            .collect();
        let temporal: Vec<u8> = headers.iter().map(|header| header.temporal).collect();
        let distance: Vec<u32> = headers.iter().map(|header| header.reference_distance).collect();
        assert_eq!(temporal, [0, 2, 1, 2, 0, 2, 1, 2, 0]);
        assert_eq!(distance, [0, 1, 2, 1, 4, 1, 2, 1, 0]);
        let keyframes: Vec<bool> = headers.iter().map(|header| header.keyframe).collect();
        assert!(keyframes[0] && keyframes[8] && !keyframes[1..8].contains(&true));
    }

    #[test]
    fn a_keyframe_comes_when_asked_for() {
        let mut source = Source::camera(&camera(1), SESSION, 0);
        source.next(0);
        source.restart();
        assert!(FrameHeader::peek(&source.next(1)).expect("a frame").keyframe);
    }

    #[test]
    fn lower_layers_are_smaller() {
        let sizes = [0, 1, 2].map(|spatial| layer_bytes(&camera(1), spatial));
        assert_eq!(sizes, [100, 400, 1600]);
        assert_eq!(layer(&camera(1), 0).width, 320);
    }
}
