//! Which codec pictures are sent in: one that everybody decodes, and of those the quickest or the thriftiest.
//!
//! Between people who talk to each other every millisecond counts: encoding and decoding a picture of 640x360 takes
//! 6 ms with H.264, 7 to 9 with VP8 and 11 to 14 with VP9 on a usual machine without hardware for it. VP9 and AV1 need
//! a third fewer bits for the same picture, which counts more where many watch, and for the small print of a screen.

use videocall_types::{TrackKind, VideoCodec};

use crate::core::Receivers;

/// Receivers up to which a meeting is a conversation, and from which it is none any more: between the two it stays
/// what it was, so that somebody who comes and goes does not change codecs each time.
const CONVERSATION: usize = 4;
const CROWD: usize = 7;

/// The quickest first.
const QUICK: [VideoCodec; 4] = [
    VideoCodec::H264,
    VideoCodec::Vp8,
    VideoCodec::Vp9,
    VideoCodec::Av1,
];

/// The thriftiest first, as far as encoders keep up without hardware: AV1's do so at the price of everything else.
const THRIFTY: [VideoCodec; 4] = [
    VideoCodec::Vp9,
    VideoCodec::Vp8,
    VideoCodec::H264,
    VideoCodec::Av1,
];

/// What is preferred at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodecChoice {
    receivers: Receivers,
    crowd: bool,
}

impl CodecChoice {
    /// Others receive from now on. Returns whether that may change the choice.
    pub fn set_receivers(&mut self, receivers: Receivers) -> bool {
        let before = *self;
        self.receivers = receivers;
        self.crowd = match receivers.count {
            count if count <= CONVERSATION => false,
            count if count >= CROWD => true,
            _ => self.crowd,
        };
        (before.crowd, before.receivers.decode) != (self.crowd, receivers.decode)
    }

    /// Codecs for a source, the preferred one first. Those that not everybody decodes come last: where there is
    /// nothing that all decode, who decodes VP8 shall see something.
    pub fn order(&self, kind: TrackKind) -> Vec<VideoCodec> {
        let all = match (kind, self.crowd) {
            (TrackKind::Camera, false) => QUICK,
            _ => THRIFTY,
        };
        let decodable = |codec: &VideoCodec| self.receivers.decode.has(*codec);
        let mut order: Vec<VideoCodec> = all.into_iter().filter(decodable).collect();
        for codec in [VideoCodec::Vp8, VideoCodec::Vp9] {
            if !order.contains(&codec) {
                order.push(codec);
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use videocall_types::VideoCodecs;

    use super::*;

    fn choice(count: usize, decode: VideoCodecs) -> CodecChoice {
        let mut choice = CodecChoice::default();
        choice.set_receivers(Receivers { count, decode });
        choice
    }

    fn first(choice: &CodecChoice, kind: TrackKind) -> VideoCodec {
        choice.order(kind)[0]
    }

    #[test]
    fn a_conversation_is_quick_and_a_crowd_and_a_screen_are_thrifty() {
        let two = choice(1, VideoCodecs::ALL);
        assert_eq!(first(&two, TrackKind::Camera), VideoCodec::H264);
        assert_eq!(first(&two, TrackKind::Screen), VideoCodec::Vp9);
        let many = choice(50, VideoCodecs::ALL);
        assert_eq!(first(&many, TrackKind::Camera), VideoCodec::Vp9);
        let old = choice(1, VideoCodecs::UNSAID);
        assert_eq!(first(&old, TrackKind::Camera), VideoCodec::Vp8);
    }

    #[test]
    fn nothing_is_chosen_that_somebody_does_not_decode_as_long_as_there_is_a_choice() {
        for bits in 1..16_u8 {
            let decode: VideoCodecs = VideoCodec::ALL
                .into_iter()
                .filter(|&codec| bits & (1 << codec as u8) != 0)
                .collect();
            for count in [1, 100] {
                for kind in [TrackKind::Camera, TrackKind::Screen] {
                    assert!(decode.has(first(&choice(count, decode), kind)));
                }
            }
        }
        let nothing = choice(2, VideoCodecs::NONE);
        assert_eq!(first(&nothing, TrackKind::Camera), VideoCodec::Vp8);
    }

    #[test]
    fn who_comes_and_goes_changes_nothing() {
        let mut choice = CodecChoice::default();
        let decode = VideoCodecs::ALL;
        let mut changes = 0;
        for count in [3, 4, 5, 4, 5, 6, 5, 7, 6, 5, 6, 7, 5, 4] {
            changes += u32::from(choice.set_receivers(Receivers { count, decode }));
        }
        assert_eq!(changes, 2, "once up and once down");
    }
}
