//! Encoders as they are: they come near to their bitrate after some frames, no two frames have the same size, and
//! keyframes are large.

use std::time::Duration;

use bytes::Bytes;
use videocall_client::{EncodedFrame, EncoderTarget};
use videocall_types::{DecoderConfig, LayerInfo, Timestamp, TrackId};

/// A keyframe has the size of so many frames, and is saved again in the frames that follow.
const KEYFRAME: f64 = 4.0;

/// As large is the first picture of another scene that refers to what was before.
const CUT: f64 = 16.0;

/// One layer of a camera.
pub(crate) struct Encoder {
    track: TrackId,
    pub(crate) layer: LayerInfo,
    pub(crate) target: EncoderTarget,
    pub(crate) keyframe_wanted: bool,
    /// The next base picture is of another scene.
    pub(crate) cut: bool,
    /// What the pictures need, bits per second, whatever they may use.
    pub(crate) need: f64,
    /// It does not get below this, bits per second.
    pub(crate) floor: f64,
    bitrate: f64,
    debt: f64,
    next_at: Timestamp,
    frames: u64,
}

impl Encoder {
    pub(crate) fn new(track: TrackId, layer: LayerInfo, now: Timestamp) -> Self {
        Self {
            track,
            layer,
            target: EncoderTarget {
                track,
                spatial: layer.spatial,
                active: false,
                bitrate_bps: layer.bitrate_bps,
                frames_per_second: layer.frames_per_second,
            },
            keyframe_wanted: true,
            cut: false,
            need: f64::INFINITY,
            floor: 0.0,
            bitrate: 0.0,
            debt: 0.0,
            next_at: now,
            frames: 0,
        }
    }

    pub(crate) fn obey(&mut self, target: EncoderTarget, now: Timestamp) {
        if target.active && !self.target.active {
            self.keyframe_wanted = true;
            self.next_at = now;
            self.bitrate = f64::from(target.bitrate_bps);
        }
        self.target = target;
    }

    /// The frame that is due, if one is. Encoding takes a few milliseconds, more for larger pictures.
    pub(crate) fn encode(&mut self, now: Timestamp, mut chance: impl FnMut() -> f64) -> Option<EncodedFrame> {
        if now < self.next_at {
            return None;
        }
        let rate = self.target.frames_per_second.max(1);
        self.next_at = now + Duration::from_secs(1) / rate;
        if !self.target.active {
            return None;
        }
        self.bitrate += (f64::from(self.target.bitrate_bps) - self.bitrate) * 0.2;
        let usual = self.bitrate.max(self.floor).min(self.need) / 8.0 / f64::from(rate);
        let keyframe = std::mem::take(&mut self.keyframe_wanted);
        let mut size = usual * (0.7 + 0.6 * chance());
        if keyframe {
            size = usual * KEYFRAME;
            self.frames = 0;
            self.cut = false;
        } else if self.frames.is_multiple_of(4) && std::mem::take(&mut self.cut) {
            size = usual * CUT;
        }
        // The rate control saves what was spent, half of the usual size at most.
        self.debt += size - usual;
        let saved = if keyframe {
            0.0
        } else {
            self.debt.clamp(usual * -0.3, usual * 0.4)
        };
        self.debt -= saved;
        let temporal = match self.frames % 4 {
            0 => 0,
            2 => 1,
            _ => 2,
        };
        self.frames += 1;
        let encoding = Duration::from_millis(2 + 4 * u64::from(self.layer.spatial));
        Some(EncodedFrame {
            track: self.track,
            spatial: self.layer.spatial,
            temporal,
            capture_time_us: now.as_micros() - encoding.as_micros() as u64,
            keyframe,
            duration_us: 0,
            audio_level: None,
            decoder: keyframe.then(|| DecoderConfig {
                codec: "vp8".into(),
                width: self.layer.width,
                height: self.layer.height,
                ..DecoderConfig::default()
            }),
            payload: Bytes::from(vec![7; (size - saved).max(40.0) as usize]),
        })
    }
}
