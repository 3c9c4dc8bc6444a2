//! The colour space of pictures, as part of their codec string.
//!
//! VP9's bitstream says too little about it: without more, browsers take decoded pictures for BT.709 and show
//! those of cameras, mostly BT.601, with wrong colours. The long form of the codec string says it all ("VP Codec ISO
//! Media File Format Binding", Codecs Parameter String), so that it travels with every keyframe.

/// A colour space in the words of W3C WebCodecs §9.9.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColorSpace {
    /// `VideoColorPrimaries`.
    pub primaries: Option<String>,
    /// `VideoTransferCharacteristics`.
    pub transfer: Option<String>,
    /// `VideoMatrixCoefficients`.
    pub matrix: Option<String>,
    /// Whether samples use all of their range.
    pub full_range: Option<bool>,
}

impl ColorSpace {
    /// What the samples of pictures mean that say nothing about it: cameras deliver BT.601, in its limited range,
    /// and browsers show them so. Firefox's are such, and its encoders call them BT.709 all the same.
    pub fn untold() -> Self {
        let bt601 = || Some("smpte170m".to_owned());
        Self {
            primaries: bt601(),
            transfer: bt601(),
            matrix: bt601(),
            full_range: Some(false),
        }
    }
}

/// The codec string with the colour space, where the codec's string has a place for it and all of it is known.
pub fn codec_with_color(codec: &str, space: &ColorSpace) -> String {
    // The short form: name, profile, level, bit depth.
    let is_short_vp9 = codec.starts_with("vp09.") && codec.split('.').count() == 4;
    match (is_short_vp9, code_points(space)) {
        // 01: 4:2:0, the only sampling that browsers encode from camera pictures.
        (true, Some([primaries, transfer, matrix, range])) => {
            format!("{codec}.01.{primaries:02}.{transfer:02}.{matrix:02}.{range:02}")
        }
        _ => codec.to_owned(),
    }
}

/// Primaries, transfer, matrix (ITU-T H.273, tables 2 to 4) and range.
fn code_points(space: &ColorSpace) -> Option<[u8; 4]> {
    let primaries = match space.primaries.as_deref()? {
        "bt709" => 1,
        "bt470bg" => 5,
        "smpte170m" => 6,
        "bt2020" => 9,
        "smpte432" => 12,
        _ => return None,
    };
    let transfer = match space.transfer.as_deref()? {
        "bt709" => 1,
        "smpte170m" => 6,
        "linear" => 8,
        "iec61966-2-1" => 13,
        "pq" => 16,
        "hlg" => 18,
        _ => return None,
    };
    let matrix = match space.matrix.as_deref()? {
        "rgb" => 0,
        "bt709" => 1,
        "bt470bg" => 5,
        "smpte170m" => 6,
        "bt2020-ncl" => 9,
        _ => return None,
    };
    Some([primaries, transfer, matrix, space.full_range?.into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_that_say_nothing_deliver_bt_601() {
        let codec = codec_with_color("vp09.00.21.08", &ColorSpace::untold());
        assert_eq!(codec, "vp09.00.21.08.01.06.06.06.00");
    }

    fn camera() -> ColorSpace {
        let smpte170m = || Some("smpte170m".to_owned());
        ColorSpace {
            primaries: smpte170m(),
            transfer: smpte170m(),
            matrix: smpte170m(),
            full_range: Some(false),
        }
    }

    #[test]
    fn vp9_says_its_colours() {
        let codec = codec_with_color("vp09.00.10.08", &camera());
        assert_eq!(codec, "vp09.00.10.08.01.06.06.06.00");
        assert_eq!(codec_with_color(&codec, &camera()), codec);
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let unknown = ColorSpace {
            matrix: Some("new".into()),
            ..camera()
        };
        for space in [ColorSpace::default(), unknown] {
            assert_eq!(codec_with_color("vp09.00.10.08", &space), "vp09.00.10.08");
        }
        for codec in ["vp8", "avc1.42001f"] {
            assert_eq!(codec_with_color(codec, &camera()), codec);
        }
    }
}
