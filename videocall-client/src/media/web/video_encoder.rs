//! A configured encoder for pictures (W3C WebCodecs §6): choosing a codec that this browser has, and
//! turning its output into frames.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use videocall_types::DecoderConfig;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    CodecState, EncodedVideoChunk, EncodedVideoChunkMetadata, EncodedVideoChunkType, LatencyMode,
    VideoDecoderConfig, VideoEncoder, VideoEncoderConfig, VideoEncoderEncodeOptions, VideoEncoderInit,
    VideoEncoderSupport, VideoFrame,
};

use super::js;
use crate::media::color::{ColorSpace, codec_with_color};
use crate::media::parameters::{LayerParameters, PlannedLayer, SCALABILITY_MODES};

/// What an encoder was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) codec: &'static str,
    pub(super) mode: Option<&'static str>,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// A picture as it comes out.
pub(super) struct EncodedPicture {
    /// As on the picture that went in, microseconds.
    pub(super) stamp_us: i64,
    pub(super) duration_us: u32,
    pub(super) keyframe: bool,
    pub(super) temporal: u8,
    /// Present when it has changed.
    pub(super) decoder: Option<DecoderConfig>,
    pub(super) payload: Bytes,
}

/// An encoder that is closed when it is dropped.
pub(super) struct PictureEncoder {
    encoder: VideoEncoder,
    failed: Rc<Cell<bool>>,
    /// Pictures that go in say what their colours mean.
    told: Rc<Cell<bool>>,
    _output: Closure<dyn FnMut(EncodedVideoChunk, JsValue)>,
    _error: Closure<dyn FnMut(JsValue)>,
}

impl PictureEncoder {
    /// Finds an encoding for a layer.
    pub(super) async fn choose(layer: &PlannedLayer) -> Option<Encoding> {
        let parameters = &layer.parameters;
        let (width, height) = layer.size;
        for codec in parameters.codecs(layer.size) {
            for mode in SCALABILITY_MODES {
                let encoding = Encoding {
                    codec,
                    mode,
                    width,
                    height,
                };
                if is_supported(&configuration(parameters, &encoding)).await {
                    return Some(encoding);
                }
            }
        }
        None
    }

    /// Opens an encoder; `output` gets every picture.
    pub(super) fn open(
        parameters: &LayerParameters,
        content_hint: &str,
        encoding: Encoding,
        output: impl Fn(EncodedPicture) + 'static,
    ) -> Result<Self, JsValue> {
        let (failed, told) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(true)));
        let colors_told = told.clone();
        let on_output = Closure::<dyn FnMut(EncodedVideoChunk, JsValue)>::new(move |chunk, metadata| {
            if let Some(picture) = picture(&chunk, &metadata, &encoding, colors_told.get()) {
                output(picture);
            }
        });
        let on_error = Closure::<dyn FnMut(JsValue)>::new({
            let failed = failed.clone();
            move |error| {
                tracing::warn!(error = js::describe(&error), "video encoder failed");
                failed.set(true);
            }
        });
        let init = VideoEncoderInit::new(
            on_error.as_ref().unchecked_ref(),
            on_output.as_ref().unchecked_ref(),
        );
        let encoder = VideoEncoder::new(&init)?;
        let configuration = configuration(parameters, &encoding);
        configuration.set_content_hint(content_hint);
        encoder.configure(&configuration)?;
        Ok(Self {
            encoder,
            failed,
            told,
            _output: on_output,
            _error: on_error,
        })
    }

    /// It has reported an error and encodes no more.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.get() || self.encoder.state() == CodecState::Closed
    }

    /// Pictures that were given and did not come out.
    pub(super) fn queue_size(&self) -> u32 {
        self.encoder.encode_queue_size()
    }

    /// Encodes a picture, scaled to the size of the encoding.
    pub(super) fn encode(&self, picture: &VideoFrame, keyframe: bool) -> Result<(), JsValue> {
        let options = VideoEncoderEncodeOptions::new();
        options.set_key_frame(keyframe);
        let matrix = js::get(&js::get(picture, "colorSpace"), "matrix");
        self.told.set(!matrix.is_null());
        self.encoder.encode_with_options(picture, &options)
    }
}

impl Drop for PictureEncoder {
    fn drop(&mut self) {
        if self.encoder.state() != CodecState::Closed {
            self.encoder.close().ok();
        }
    }
}

async fn is_supported(configuration: &VideoEncoderConfig) -> bool {
    JsFuture::from(VideoEncoder::is_config_supported(configuration))
        .await
        .is_ok_and(|support: VideoEncoderSupport| support.get_supported().unwrap_or(false))
}

fn configuration(parameters: &LayerParameters, encoding: &Encoding) -> VideoEncoderConfig {
    let Encoding {
        codec,
        mode,
        width,
        height,
    } = *encoding;
    let configuration = VideoEncoderConfig::new(codec, height, width);
    configuration.set_bitrate(parameters.bitrate_for(width, height));
    configuration.set_framerate(f64::from(parameters.frames_per_second));
    configuration.set_latency_mode(LatencyMode::Realtime);
    if let Some(mode) = mode {
        configuration.set_scalability_mode(mode);
    }
    configuration
}

fn picture(
    chunk: &EncodedVideoChunk,
    metadata: &JsValue,
    encoding: &Encoding,
    colors_told: bool,
) -> Option<EncodedPicture> {
    let mut payload = vec![0; chunk.byte_length() as usize];
    chunk.copy_to_with_u8_slice(&mut payload).ok()?;
    let metadata: Option<&EncodedVideoChunkMetadata> = metadata.is_object().then(|| metadata.unchecked_ref());
    let temporal = metadata
        .and_then(EncodedVideoChunkMetadata::get_svc)
        .and_then(|svc| svc.get_temporal_layer_id())
        .unwrap_or(0);
    Some(EncodedPicture {
        stamp_us: chunk.timestamp() as i64,
        duration_us: chunk.duration().unwrap_or(0.0) as u32,
        keyframe: chunk.type_() == EncodedVideoChunkType::Key,
        temporal: u8::try_from(temporal).unwrap_or(0),
        decoder: metadata
            .and_then(EncodedVideoChunkMetadata::get_decoder_config)
            .map(|config| decoder_config(&config, encoding, colors_told)),
        payload: payload.into(),
    })
}

fn decoder_config(config: &VideoDecoderConfig, encoding: &Encoding, colors_told: bool) -> DecoderConfig {
    let space = if colors_told {
        color_space(config)
    } else {
        ColorSpace::untold()
    };
    let description = config.get_description().map(|description| {
        // A buffer, or a view of one.
        let bytes = match description.dyn_ref::<js_sys::Uint8Array>() {
            Some(view) => view.to_vec(),
            None => js_sys::Uint8Array::new(&description).to_vec(),
        };
        Bytes::from(bytes)
    });
    DecoderConfig {
        codec: codec_with_color(&config.get_codec(), &space),
        width: config.get_coded_width().unwrap_or(encoding.width),
        height: config.get_coded_height().unwrap_or(encoding.height),
        sample_rate: 0,
        channels: 0,
        description: description.unwrap_or_default(),
    }
}

fn color_space(config: &VideoDecoderConfig) -> ColorSpace {
    let space = js::get(config, "colorSpace");
    if !space.is_object() {
        return ColorSpace::default();
    }
    let text = |name| js::get(&space, name).as_string();
    ColorSpace {
        primaries: text("primaries"),
        transfer: text("transfer"),
        matrix: text("matrix"),
        full_range: js::get(&space, "fullRange").as_bool(),
    }
}
