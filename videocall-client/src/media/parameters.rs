//! Sizes, rates and bitrates of what is sent: one struct per kind of source, each number with its
//! reason.

/// How pictures of one source are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoParameters {
    /// Pixels; larger captures are scaled down.
    pub max_width: u32,
    /// Pixels; larger captures are scaled down.
    pub max_height: u32,
    /// What the capture is asked for and the rate control expects.
    pub frames_per_second: u32,
    /// Target of the rate control at the largest size.
    pub bitrate_bps: u32,
    /// A keyframe comes at least this often, in case a request for one is lost. They are otherwise
    /// sent on request, so this is a safety net, not a rhythm: each costs several delta frames.
    pub max_keyframe_interval_ms: u32,
    /// Captures are dropped while the encoder has this many in hand: one in work and one waiting
    /// keep it busy, more is only delay.
    pub max_encoder_queue: u32,
    /// What the encoder is told about the content.
    pub content_hint: &'static str,
}

/// A face: 360p is what a tile of a small meeting shows, at the frame rate of speech.
pub const CAMERA: VideoParameters = VideoParameters {
    max_width: 640,
    max_height: 360,
    frames_per_second: 30,
    bitrate_bps: 800_000,
    max_keyframe_interval_ms: 20_000,
    max_encoder_queue: 2,
    content_hint: "motion",
};

/// A screen: legible text before fluent motion.
pub const SCREEN: VideoParameters = VideoParameters {
    max_width: 1920,
    max_height: 1080,
    frames_per_second: 15,
    bitrate_bps: 2_500_000,
    max_keyframe_interval_ms: 20_000,
    max_encoder_queue: 2,
    content_hint: "detail",
};

/// Bits per second of one voice: Opus is transparent for speech well below.
pub const VOICE_BITRATE_BPS: u32 = 32_000;

/// Opus runs at this rate inside, and every browser resamples to it (RFC 6716 §2).
pub const AUDIO_SAMPLE_RATE: u32 = 48_000;

/// Length of an Opus frame, microseconds: the usual compromise between delay and overhead.
pub const AUDIO_FRAME_US: u32 = 20_000;

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

/// The codec string for Opus.
pub const AUDIO_CODEC: &str = "opus";

/// Scalability modes in the order in which they are tried; `None` leaves it to the encoder.
pub const SCALABILITY_MODES: [Option<&str>; 3] = [Some("L1T3"), Some("L1T1"), None];

impl VideoParameters {
    /// Codec strings for pictures of this size in the order in which they are tried: VP9 needs the fewest
    /// bits, VP8 is decoded everywhere.
    pub fn codecs(&self, (width, height): (u32, u32)) -> impl Iterator<Item = &'static str> {
        let picture = u64::from(width) * u64::from(height);
        let rate = picture * u64::from(self.frames_per_second);
        let vp9 = VP9_LEVELS
            .into_iter()
            .find(|&(largest, fastest, _)| picture <= largest && rate <= fastest)
            .map(|(_, _, codec)| codec);
        vp9.into_iter().chain(["vp8"])
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

    #[test]
    fn small_captures_keep_their_size() {
        assert_eq!(CAMERA.encoded_size(320, 180), (320, 180));
        assert_eq!(CAMERA.encoded_size(640, 360), (640, 360));
    }

    #[test]
    fn large_captures_fit_the_box_with_their_ratio_and_even_sides() {
        assert_eq!(CAMERA.encoded_size(1280, 720), (640, 360));
        assert_eq!(CAMERA.encoded_size(640, 480), (480, 360));
        assert_eq!(CAMERA.encoded_size(720, 1280), (360, 640));
        assert_eq!(SCREEN.encoded_size(3841, 2160), (1920, 1078));
        assert_eq!(SCREEN.encoded_size(1023, 767), (1022, 766));
        assert_eq!(CAMERA.encoded_size(0, 0), (2, 2));
    }

    #[test]
    fn the_level_of_vp9_follows_the_size() {
        let first = |parameters: VideoParameters, size| parameters.codecs(size).next();
        assert_eq!(first(CAMERA, (320, 180)), Some("vp09.00.11.08"));
        assert_eq!(first(CAMERA, (640, 360)), Some("vp09.00.21.08"));
        assert_eq!(first(SCREEN, (1280, 720)), Some("vp09.00.31.08"));
        assert_eq!(first(SCREEN, (1920, 1080)), Some("vp09.00.40.08"));
        assert_eq!(first(SCREEN, (9999, 9999)), Some("vp8"), "beyond all levels");
        assert_eq!(CAMERA.codecs((640, 360)).last(), Some("vp8"));
    }

    #[test]
    fn bitrate_follows_the_size_within_bounds() {
        assert_eq!(CAMERA.bitrate_for(640, 360), 800_000);
        assert_eq!(CAMERA.bitrate_for(480, 360), 600_000);
        assert_eq!(CAMERA.bitrate_for(16, 16), 200_000);
        assert_eq!(CAMERA.bitrate_for(9999, 9999), 800_000);
    }
}
