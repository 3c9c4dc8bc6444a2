//! Codec strings (WebCodecs codec registry) for what the encoders here produce.

use crate::arguments::{Codec, Resolution};

/// Samples per second and samples per picture of VP9's levels, with the level's two digits
/// (VP9 bitstream overview, annex A), lowest first.
const VP9_LEVELS: [(u64, u64, u8); 9] = [
    (829_440, 36_864, 10),
    (2_764_800, 73_728, 11),
    (4_608_000, 122_880, 20),
    (9_216_000, 245_760, 21),
    (20_736_000, 552_960, 30),
    (36_864_000, 983_040, 31),
    (83_558_400, 2_228_224, 40),
    (160_432_128, 2_228_224, 41),
    (311_951_360, 8_912_896, 50),
];

/// The codec string of a key frame, or `None` when its payload does not say.
pub(super) fn codec_string(codec: Codec, resolution: Resolution, fps: u32, payload: &[u8]) -> Option<String> {
    match codec {
        Codec::Vp8 => Some("vp8".into()),
        Codec::Vp9 => Some(format!("vp09.00.{}.08", vp9_level(resolution, fps))),
        Codec::H264 => avc_profile_and_level(payload)
            .map(|[profile, constraints, level]| format!("avc1.{profile:02x}{constraints:02x}{level:02x}")),
    }
}

fn vp9_level(resolution: Resolution, fps: u32) -> u8 {
    let picture = u64::from(resolution.width) * u64::from(resolution.height);
    let rate = picture * u64::from(fps);
    VP9_LEVELS
        .into_iter()
        .find(|&(max_rate, max_picture, _)| rate <= max_rate && picture <= max_picture)
        .map_or(62, |(_, _, level)| level)
}

/// The three bytes behind the header of the first sequence parameter set in an H.264 byte stream
/// (ISO/IEC 14496-10 annex B and §7.3.2.1.1).
fn avc_profile_and_level(byte_stream: &[u8]) -> Option<[u8; 3]> {
    /// Sequence parameter set, §7.4.1.
    const SPS: u8 = 7;
    byte_stream
        .windows(7)
        .find(|window| window[..3] == [0, 0, 1] && window[3] & 0x1f == SPS)
        .map(|window| [window[4], window[5], window[6]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Resolution = Resolution {
        width: 1280,
        height: 720,
    };

    #[test]
    fn levels_follow_size_and_rate() {
        let small = Resolution {
            width: 256,
            height: 144,
        };
        assert_eq!(
            codec_string(Codec::Vp9, small, 15, &[]).as_deref(),
            Some("vp09.00.10.08")
        );
        assert_eq!(
            codec_string(Codec::Vp9, HD, 30, &[]).as_deref(),
            Some("vp09.00.31.08")
        );
        assert_eq!(
            codec_string(Codec::Vp9, HD, 60, &[]).as_deref(),
            Some("vp09.00.40.08")
        );
    }

    #[test]
    fn avc_strings_come_from_the_parameter_set() {
        let stream = [0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0xda];
        assert_eq!(
            codec_string(Codec::H264, HD, 30, &stream).as_deref(),
            Some("avc1.42c01f")
        );
        assert_eq!(codec_string(Codec::H264, HD, 30, &stream[..8]), None);
    }
}
