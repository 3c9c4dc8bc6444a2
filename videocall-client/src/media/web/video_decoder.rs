//! A configured decoder for pictures (W3C WebCodecs §5). What a peer sends is not trusted: its errors end
//! this decoder and nothing else.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::Uint8Array;
use videocall_types::{DecoderConfig, Frame};
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use web_sys::{
    CodecState, EncodedVideoChunk, EncodedVideoChunkInit, EncodedVideoChunkType, VideoDecoder,
    VideoDecoderConfig, VideoDecoderInit, VideoFrame,
};

use super::guard::Guard;
use super::js;

/// Pixels of the largest picture that is decoded: 4K. A peer that announces more would fill the memory.
const MAX_PIXELS: u64 = 4096 * 2304;

/// Pictures up to this size are decoded sooner by the processor than by hardware that has to be asked, of which
/// there is little: 640 x 360.
const MAX_SMALL_PIXELS: u64 = 640 * 360;

/// Which decoder the browser should take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preference {
    /// The one that delays a picture of this size least.
    Quickest,
    /// Any: a preference can be what makes a configuration fail.
    None,
}

/// A decoder that is closed when it is dropped.
pub(super) struct PictureDecoder {
    decoder: VideoDecoder,
    config: DecoderConfig,
    failed: Rc<Cell<bool>>,
}

impl PictureDecoder {
    /// Opens a decoder; `output` gets every picture, `failure` is called once when it can go on no more.
    pub(super) fn open(
        config: &DecoderConfig,
        preference: Preference,
        output: impl Fn(Guard<VideoFrame>) + 'static,
        failure: impl Fn() + 'static,
    ) -> Result<Self, JsValue> {
        if u64::from(config.width) * u64::from(config.height) > MAX_PIXELS {
            return Err("a picture that is too large".into());
        }
        let failed = Rc::new(Cell::new(false));
        let on_output = Closure::<dyn FnMut(VideoFrame)>::new({
            let failed = failed.clone();
            move |frame| {
                let frame = Guard::new(frame);
                if !failed.get() {
                    output(frame);
                }
            }
        });
        let on_error = Closure::<dyn FnMut(JsValue)>::new({
            let failed = failed.clone();
            move |error| {
                tracing::warn!(error = js::describe(&error), "video decoder failed");
                if !failed.replace(true) {
                    failure();
                }
            }
        });
        let init = VideoDecoderInit::new(&js::function(on_error), &js::function(on_output));
        let decoder = VideoDecoder::new(&init)?;
        decoder.configure(&configuration(config, preference))?;
        Ok(Self {
            decoder,
            config: config.clone(),
            failed,
        })
    }

    /// What it was opened for.
    pub(super) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// It has reported an error and decodes no more.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.get() || self.decoder.state() == CodecState::Closed
    }

    /// Frames that were given and not taken yet.
    pub(super) fn queue_size(&self) -> u32 {
        self.decoder.decode_queue_size()
    }

    pub(super) fn decode(&self, frame: &Frame) -> Result<(), JsValue> {
        let kind = if frame.header.keyframe {
            EncodedVideoChunkType::Key
        } else {
            EncodedVideoChunkType::Delta
        };
        let payload = Uint8Array::from(frame.payload.as_ref());
        let init = EncodedVideoChunkInit::new(&payload, 0, kind);
        init.set_timestamp_f64(frame.header.capture_time_us as f64);
        self.decoder.decode(&EncodedVideoChunk::new(&init)?)
    }
}

impl Drop for PictureDecoder {
    fn drop(&mut self) {
        self.failed.set(true);
        if self.decoder.state() != CodecState::Closed {
            self.decoder.close().ok();
        }
    }
}

fn configuration(config: &DecoderConfig, preference: Preference) -> VideoDecoderConfig {
    let configuration = VideoDecoderConfig::new(&config.codec);
    if config.width > 0 && config.height > 0 {
        configuration.set_coded_width(config.width);
        configuration.set_coded_height(config.height);
    }
    if !config.description.is_empty() {
        configuration.set_description_u8_array(&Uint8Array::from(config.description.as_ref()));
    }
    let pixels = u64::from(config.width) * u64::from(config.height);
    if preference == Preference::Quickest && (1..=MAX_SMALL_PIXELS).contains(&pixels) {
        js::set(&configuration, "hardwareAcceleration", &"prefer-software".into());
    }
    configuration.set_optimize_for_latency(true);
    configuration
}
