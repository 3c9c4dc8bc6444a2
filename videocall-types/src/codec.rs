//! Codecs for pictures, as far as who sends has to know which of them others decode: by family. Profiles and levels
//! are chosen so that whoever decodes a family decodes them.

use serde::{Deserialize, Serialize};

/// A family of codecs for pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// RFC 6386.
    Vp8,
    /// The VP9 bitstream of the WebM project, profile 0.
    Vp9,
    /// ITU-T H.264, constrained baseline.
    H264,
    /// AV1 of the Alliance for Open Media, main profile.
    Av1,
}

impl VideoCodec {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vp8, Self::Vp9, Self::H264, Self::Av1];

    /// The family of a WebCodecs codec string; `None` of one that is none of these.
    pub fn of(codec: &str) -> Option<Self> {
        match codec.split('.').next()? {
            "vp8" => Some(Self::Vp8),
            "vp9" | "vp09" => Some(Self::Vp9),
            "avc1" | "avc3" | "h264" => Some(Self::H264),
            "av01" | "av1" => Some(Self::Av1),
            _ => None,
        }
    }

    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H.264",
            Self::Av1 => "AV1",
        }
    }
}

/// A set of families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VideoCodecs(u8);

impl VideoCodecs {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// All that have a name here.
    pub const ALL: Self = Self(0b1111);

    /// What a client decodes that does not say: every client so far.
    pub const UNSAID: Self = Self::NONE.with(VideoCodec::Vp8).with(VideoCodec::Vp9);

    /// The families of these codec strings.
    pub fn of_strings(codecs: &[String]) -> Self {
        Self::said(codecs.iter().filter_map(|codec| VideoCodec::of(codec)))
    }

    /// What somebody decodes who names these; who names none that is known here has said nothing.
    pub(crate) fn said(families: impl Iterator<Item = VideoCodec>) -> Self {
        let families: Self = families.collect();
        if families == Self::NONE {
            Self::UNSAID
        } else {
            families
        }
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, codec: VideoCodec) -> Self {
        Self(self.0 | 1 << codec as u8)
    }

    /// What both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it is among them.
    pub const fn has(self, codec: VideoCodec) -> bool {
        self.0 & (1 << codec as u8) != 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = VideoCodec> {
        VideoCodec::ALL.into_iter().filter(move |&codec| self.has(codec))
    }
}

impl Default for VideoCodecs {
    fn default() -> Self {
        Self::UNSAID
    }
}

impl FromIterator<VideoCodec> for VideoCodecs {
    fn from_iter<I: IntoIterator<Item = VideoCodec>>(codecs: I) -> Self {
        codecs.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_strings_have_their_families() {
        for (codec, family) in [
            ("vp8", Some(VideoCodec::Vp8)),
            ("vp09.00.10.08", Some(VideoCodec::Vp9)),
            ("vp09.00.10.08.01.01.01.01.00", Some(VideoCodec::Vp9)),
            ("avc1.42E01F", Some(VideoCodec::H264)),
            ("av01.0.04M.08", Some(VideoCodec::Av1)),
            ("opus", None),
            ("hev1.1.6.L93.B0", None),
            ("", None),
        ] {
            assert_eq!(VideoCodec::of(codec), family, "{codec}");
        }
    }

    #[test]
    fn who_does_not_say_decodes_what_clients_always_did() {
        let strings = |codecs: &[&str]| {
            VideoCodecs::of_strings(&codecs.iter().map(|&codec| codec.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(strings(&[]), VideoCodecs::UNSAID);
        assert_eq!(strings(&["opus"]), VideoCodecs::UNSAID);
        let some = strings(&["opus", "avc1.42E01F", "vp8", "what"]);
        assert_eq!(
            some.iter().collect::<Vec<_>>(),
            [VideoCodec::Vp8, VideoCodec::H264]
        );
        assert_eq!(
            some.and(VideoCodecs::UNSAID).iter().collect::<Vec<_>>(),
            [VideoCodec::Vp8]
        );
        assert_eq!(VideoCodecs::ALL.iter().count(), VideoCodec::ALL.len());
    }
}
