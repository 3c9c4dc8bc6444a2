//! Which codecs for pictures this browser decodes (W3C WebCodecs §5.2).

use videocall_types::VideoCodec;
use wasm_bindgen_futures::JsFuture;
use web_sys::{VideoDecoder, VideoDecoderConfig, VideoDecoderSupport};

use crate::media::parameters::CAMERA;

/// The size for which browsers are asked: what decodes it decodes smaller ones.
const SIZE: (u32, u32) = (1280, 720);

/// A codec string of each family that is decoded. A browser without WebCodecs decodes none; it is told so elsewhere.
pub(crate) async fn decodable() -> Vec<String> {
    let mut decodable = Vec::new();
    for family in VideoCodec::ALL {
        let Some(codec) = CAMERA.largest().codec(family, SIZE) else {
            continue;
        };
        let configuration = VideoDecoderConfig::new(codec);
        let supported = JsFuture::from(VideoDecoder::is_config_supported(&configuration))
            .await
            .is_ok_and(|support: VideoDecoderSupport| support.get_supported().unwrap_or(false));
        if supported {
            decodable.push(codec.to_owned());
        }
    }
    decodable
}
