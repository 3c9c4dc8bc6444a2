//! Sizes, rates and bitrates of what is sent: one struct per kind of source, each number with its
//! reason.

use videocall_types::VideoCodec;

/// How pictures of one source are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoParameters {
    /// Its simulcast layers, the smallest first. Each has an encoder of its own, and only those run whose
    /// pictures somebody shows.
    pub layers: &'static [LayerParameters],
    /// A keyframe comes at least this often, in case a request for one is lost. They are otherwise
    /// sent on request, so this is a safety net, not a rhythm: each costs several delta frames.
    pub max_keyframe_interval_ms: u32,
    /// Captures are dropped while the encoder has this many in hand: one in work and one waiting
    /// keep it busy, more is only delay.
    pub max_encoder_queue: u32,
    /// What the encoder is told about the content.
    pub content_hint: &'static str,
}

/// How one layer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerParameters {
    /// Pixels; larger captures are scaled down.
    pub max_width: u32,
    /// Pixels; larger captures are scaled down.
    pub max_height: u32,
    /// At most; captures beyond are left out.
    pub frames_per_second: u32,
    /// Target of the rate control at the largest size.
    pub bitrate_bps: u32,
}

/// A layer for captures of a certain size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedLayer {
    /// Its parameters.
    pub parameters: LayerParameters,
    /// Pixels of its pictures.
    pub size: (u32, u32),
}

/// A face: what a small tile shows, what a tile of a small meeting shows, and a large picture.
pub const CAMERA: VideoParameters = VideoParameters {
    layers: &[
        LayerParameters {
            max_width: 320,
            max_height: 180,
            frames_per_second: 15,
            bitrate_bps: 120_000,
        },
        LayerParameters {
            max_width: 640,
            max_height: 360,
            frames_per_second: 30,
            bitrate_bps: 400_000,
        },
        LayerParameters {
            max_width: 1280,
            max_height: 720,
            frames_per_second: 30,
            bitrate_bps: 1_500_000,
        },
    ],
    max_keyframe_interval_ms: 20_000,
    max_encoder_queue: 2,
    content_hint: "motion",
};

/// A screen: legible text before fluent motion, and no smaller picture, in which text is none.
pub const SCREEN: VideoParameters = VideoParameters {
    layers: &[LayerParameters {
        max_width: 1920,
        max_height: 1080,
        frames_per_second: 15,
        bitrate_bps: 2_500_000,
    }],
    max_keyframe_interval_ms: 20_000,
    max_encoder_queue: 2,
    content_hint: "detail",
};

/// Bits per second of one voice: Opus is transparent for speech well below.
pub const VOICE_BITRATE_BPS: u32 = 32_000;

/// Bits per second of a screen's sound, which may be music, in one channel (RFC 7587 §3.1.1).
pub const SCREEN_SOUND_BITRATE_BPS: u32 = 64_000;

/// Opus runs at this rate inside, and every browser resamples to it (RFC 6716 §2).
pub const AUDIO_SAMPLE_RATE: u32 = 48_000;

/// Length of an Opus frame, microseconds: the usual compromise between delay and overhead.
pub const AUDIO_FRAME_US: u32 = 20_000;

/// Constrained baseline of H.264, which needs no picture to be held back, by level: macroblocks of a picture,
/// macroblocks per second, codec string (ITU-T H.264 table A-1, columns MaxFS and MaxMBPS).
const H264_LEVELS: [(u64, u64, &str); 6] = [
    (396, 11_880, "avc1.42E00D"),
    (1_620, 40_500, "avc1.42E01E"),
    (3_600, 108_000, "avc1.42E01F"),
    (8_192, 245_760, "avc1.42E028"),
    (22_080, 589_824, "avc1.42E032"),
    (36_864, 983_040, "avc1.42E033"),
];

/// AV1 main profile with 8 bits, by level: luma samples of a picture, luma samples per second, codec string (AV1
/// specification annex A.3, columns MaxPicSize and MaxDisplayRate).
const AV1_LEVELS: [(u64, u64, &str); 5] = [
    (147_456, 4_423_680, "av01.0.00M.08"),
    (665_856, 19_975_680, "av01.0.04M.08"),
    (1_065_024, 31_950_720, "av01.0.05M.08"),
    (2_359_296, 70_778_880, "av01.0.08M.08"),
    (8_912_896, 267_386_880, "av01.0.12M.08"),
];

/// VP9 profile 0 with 8 bits, by level: luma samples of a picture, luma samples per second, codec string
/// ("VP9 Levels", WebM project, columns Max Luma Picture Size and Max Luma Sample Rate).
const VP9_LEVELS: [(u64, u64, &str); 6] = [
    (73_728, 2_764_800, "vp09.00.11.08"),
    (245_760, 9_216_000, "vp09.00.21.08"),
    (552_960, 20_736_000, "vp09.00.30.08"),
    (983_040, 36_864_000, "vp09.00.31.08"),
    (2_228_224, 83_558_400, "vp09.00.40.08"),
    (8_912_896, 311_951_360, "vp09.00.50.08"),
];

/// Percent of the packets that Opus prepares for by repeating the last frame coarsely: it repeats nothing while it
/// expects no loss (RFC 6716 §2.1.7). What repeats whole frames is the client's core, as far as the path loses any.
pub const AUDIO_EXPECTED_LOSS: u32 = 5;

/// The codec string for Opus.
pub const AUDIO_CODEC: &str = "opus";

/// Scalability modes in the order in which they are tried; `None` leaves it to the encoder. Upper temporal layers
/// are what a relay leaves out first for whoever has a slow path.
pub const SCALABILITY_MODES: [Option<&str>; 4] = [Some("L1T3"), Some("L1T2"), Some("L1T1"), None];

impl VideoParameters {
    /// The largest layer: what a capture is asked for.
    ///
    /// # Panics
    /// Without layers, which no source is.
    pub const fn largest(&self) -> &'static LayerParameters {
        let Some(largest) = self.layers.last() else {
            panic!("every source has a layer");
        };
        largest
    }

    /// The layers for captures of this size. Nothing is made larger than it was captured: a layer that
    /// would be no larger than the one below takes its place.
    pub fn plan(&self, width: u32, height: u32) -> Vec<PlannedLayer> {
        let mut planned: Vec<PlannedLayer> = Vec::with_capacity(self.layers.len());
        for parameters in self.layers {
            let size = parameters.encoded_size(width, height);
            let layer = PlannedLayer {
                parameters: *parameters,
                size,
            };
            match planned.last_mut().filter(|below| below.size == size) {
                Some(below) => *below = layer,
                None => planned.push(layer),
            }
        }
        planned
    }
}

impl LayerParameters {
    /// The codec string of a family for pictures of this size; `None` beyond all levels.
    pub fn codec(&self, family: VideoCodec, (width, height): (u32, u32)) -> Option<&'static str> {
        let samples = u64::from(width) * u64::from(height);
        let macroblocks = u64::from(width.div_ceil(16)) * u64::from(height.div_ceil(16));
        let level = |levels: &[(u64, u64, &'static str)], picture: u64| {
            let rate = picture * u64::from(self.frames_per_second);
            let fits = |level: &&(u64, u64, &str)| picture <= level.0 && rate <= level.1;
            levels.iter().find(fits).map(|level| level.2)
        };
        match family {
            VideoCodec::Vp8 => Some("vp8"),
            VideoCodec::Vp9 => level(&VP9_LEVELS, samples),
            VideoCodec::H264 => level(&H264_LEVELS, macroblocks),
            VideoCodec::Av1 => level(&AV1_LEVELS, samples),
        }
    }

    /// The size at which a capture is encoded: its own, or scaled down to fit with its aspect
    /// ratio. Even, because 4:2:0 chroma has half as many samples in both directions.
    pub fn encoded_size(&self, width: u32, height: u32) -> (u32, u32) {
        // A capture is upright when it is higher than wide; the box turns with it.
        let (box_width, box_height) = if height > width {
            (self.max_height, self.max_width)
        } else {
            (self.max_width, self.max_height)
        };
        let (width, height) = (width.max(2), height.max(2));
        let scale = f64::min(
            f64::from(box_width) / f64::from(width),
            f64::from(box_height) / f64::from(height),
        )
        .min(1.0);
        let even = |side: u32| ((f64::from(side) * scale) as u32 / 2 * 2).max(2);
        (even(width), even(height))
    }

    /// The target for pictures of this size: proportional to the number of pixels, but not below a
    /// quarter, because small pictures need more bits per pixel.
    pub fn bitrate_for(&self, width: u32, height: u32) -> u32 {
        let full = u64::from(self.max_width) * u64::from(self.max_height);
        let pixels = u64::from(width) * u64::from(height);
        let scaled = u64::from(self.bitrate_bps) * pixels / full.max(1);
        let bounded = scaled.clamp(u64::from(self.bitrate_bps) / 4, u64::from(self.bitrate_bps));
        // At most bitrate_bps, which is a u32.
        bounded as u32
    }
}

/// How many temporal layers a scalability mode has.
pub fn temporal_layers(mode: Option<&str>) -> u8 {
    match mode {
        Some("L1T3") => 3,
        Some("L1T2") => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACE: LayerParameters = CAMERA.layers[1];
    const TEXT: &LayerParameters = SCREEN.largest();

    #[test]
    fn small_captures_keep_their_size() {
        assert_eq!(FACE.encoded_size(320, 180), (320, 180));
        assert_eq!(FACE.encoded_size(640, 360), (640, 360));
    }

    #[test]
    fn large_captures_fit_the_box_with_their_ratio_and_even_sides() {
        assert_eq!(FACE.encoded_size(1280, 720), (640, 360));
        assert_eq!(FACE.encoded_size(640, 480), (480, 360));
        assert_eq!(FACE.encoded_size(720, 1280), (360, 640));
        assert_eq!(TEXT.encoded_size(3841, 2160), (1920, 1078));
        assert_eq!(TEXT.encoded_size(1023, 767), (1022, 766));
        assert_eq!(FACE.encoded_size(0, 0), (2, 2));
    }

    #[test]
    fn there_are_as_many_layers_as_the_capture_has_room_for() {
        let sizes = |parameters: &VideoParameters, width, height| -> Vec<(u32, u32)> {
            let planned = parameters.plan(width, height);
            planned.iter().map(|layer| layer.size).collect()
        };
        assert_eq!(sizes(&CAMERA, 1920, 1080), [(320, 180), (640, 360), (1280, 720)]);
        assert_eq!(sizes(&CAMERA, 640, 480), [(240, 180), (480, 360), (640, 480)]);
        assert_eq!(sizes(&CAMERA, 640, 360), [(320, 180), (640, 360)]);
        assert_eq!(sizes(&CAMERA, 320, 180), [(320, 180)]);
        assert_eq!(sizes(&SCREEN, 800, 600), [(800, 600)]);
        let small = CAMERA.plan(320, 180)[0].parameters;
        assert_eq!(small.frames_per_second, 30, "the only layer is a good one");
        for layer in CAMERA.plan(1280, 720) {
            let (width, height) = layer.size;
            assert_eq!(
                layer.parameters.bitrate_for(width, height),
                layer.parameters.bitrate_bps
            );
        }
    }

    #[test]
    fn the_level_follows_the_size() {
        use VideoCodec::{Av1, H264, Vp8, Vp9};
        assert_eq!(FACE.codec(Vp9, (320, 180)), Some("vp09.00.11.08"));
        assert_eq!(FACE.codec(Vp9, (640, 360)), Some("vp09.00.21.08"));
        assert_eq!(TEXT.codec(Vp9, (1280, 720)), Some("vp09.00.31.08"));
        assert_eq!(TEXT.codec(Vp9, (1920, 1080)), Some("vp09.00.40.08"));
        assert_eq!(FACE.codec(H264, (320, 180)), Some("avc1.42E00D"));
        assert_eq!(FACE.codec(H264, (640, 360)), Some("avc1.42E01E"));
        assert_eq!(CAMERA.layers[2].codec(H264, (1280, 720)), Some("avc1.42E01F"));
        assert_eq!(TEXT.codec(H264, (1920, 1080)), Some("avc1.42E028"));
        assert_eq!(FACE.codec(Av1, (640, 360)), Some("av01.0.04M.08"));
        assert_eq!(TEXT.codec(Av1, (1920, 1080)), Some("av01.0.08M.08"));
        for family in [Vp9, H264, Av1] {
            assert_eq!(TEXT.codec(family, (9999, 9999)), None, "beyond all levels");
        }
        assert_eq!(TEXT.codec(Vp8, (9999, 9999)), Some("vp8"));
    }

    #[test]
    fn bitrate_follows_the_size_within_bounds() {
        assert_eq!(FACE.bitrate_for(640, 360), 400_000);
        assert_eq!(FACE.bitrate_for(480, 360), 300_000);
        assert_eq!(FACE.bitrate_for(16, 16), 100_000);
        assert_eq!(FACE.bitrate_for(9999, 9999), 400_000);
    }
}
