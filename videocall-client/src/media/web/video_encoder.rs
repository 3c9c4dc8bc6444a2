//! A configured encoder for pictures (W3C WebCodecs §6): choosing a codec and hardware that this browser really has,
//! and turning its output into frames.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use js_sys::Object;
use videocall_types::{DecoderConfig, VideoCodec};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    CodecState, EncodedVideoChunk, EncodedVideoChunkMetadata, EncodedVideoChunkType, HardwareAcceleration,
    LatencyMode, VideoDecoderConfig, VideoEncoder, VideoEncoderBitrateMode, VideoEncoderConfig,
    VideoEncoderEncodeOptions, VideoEncoderInit, VideoEncoderSupport, VideoFrame,
};

use super::js;
use crate::media::color::{ColorSpace, codec_with_color};
use crate::media::parameters::{PlannedLayer, SCALABILITY_MODES};
use crate::media::work::Work;
use crate::transport::web::WebClock;

/// Height of pictures from which hardware is worth its start, pixels. Browsers think so, too.
const LEAST_FOR_HARDWARE: u32 = 360;

/// An encoder that answers every new aim with a keyframe is given one when it differs by this share at least: Chromium's
/// H.264 does so while it scales pictures.
const WORTH_A_KEYFRAME: f64 = 0.25;

/// The quantizer of pictures whose bitrate does not matter, of 63 (VP9 and AV1, W3C WebCodecs registrations): small print is
/// as clean as `e2e/browser/screen.test.mjs` asks for, with some room.
const SHARP_QUANTIZER: u32 = 40;

/// Where a quantizer cannot be given, such a picture is a keyframe for which there is so many times the bitrate, at as
/// few pictures a second.
const SHARP_BITRATE: u32 = 2;
const SHARP_FRAMES_PER_SECOND: u32 = 4;

/// What an encoder was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) codec: &'static str,
    pub(super) mode: Option<&'static str>,
    /// Whether it is asked of hardware; what browsers say of that is not always true.
    pub(super) hardware: HardwareAcceleration,
    /// Every picture has its share of the bitrate, as a path carries it.
    pub(super) constant: bool,
    /// A picture can be given its quantizer instead.
    pub(super) quantizer: bool,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// What an encoder is to aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aim {
    pub(super) bitrate_bps: u32,
    pub(super) frames_per_second: u32,
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

/// The keyframes of an encoder.
#[derive(Debug, Default)]
struct Keyframes {
    /// That were asked for and have not come.
    due: Cell<u32>,
    /// One came that nobody had asked for.
    unasked: Cell<bool>,
}

impl Keyframes {
    fn came(&self) {
        match self.due.get() {
            0 => self.unasked.set(true),
            due => self.due.set(due - 1),
        }
    }
}

/// An encoder that is closed when it is dropped.
pub(super) struct PictureEncoder {
    encoder: VideoEncoder,
    encoding: Encoding,
    content_hint: &'static str,
    aim: Aim,
    failed: Rc<Cell<bool>>,
    /// Pictures that go in say what their colours mean.
    told: Rc<Cell<bool>>,
    keyframes: Rc<Keyframes>,
    work: Rc<RefCell<Work>>,
}

impl PictureEncoder {
    /// Finds an encoding of this family for a layer: with temporal layers rather than without, and of these by
    /// hardware, where that is trusted, rather than by software.
    pub(super) async fn choose(
        layer: &PlannedLayer,
        family: VideoCodec,
        trust_hardware: bool,
    ) -> Option<Encoding> {
        let (width, height) = layer.size;
        let codec = layer.parameters.codec(family, layer.size)?;
        let first = match trust_hardware && height >= LEAST_FOR_HARDWARE {
            true => HardwareAcceleration::PreferHardware,
            false => HardwareAcceleration::PreferSoftware,
        };
        for mode in SCALABILITY_MODES {
            for hardware in [first, HardwareAcceleration::NoPreference] {
                for constant in [true, false] {
                    let encoding = Encoding {
                        codec,
                        mode,
                        hardware,
                        constant,
                        quantizer: false,
                        width,
                        height,
                    };
                    if is_supported(&configuration(&encoding, layer.aim())).await {
                        let by_quantizer = quantizer_of(codec).is_some()
                            && is_supported(&without_bitrate(&encoding, layer.aim())).await;
                        return Some(Encoding {
                            quantizer: by_quantizer,
                            ..encoding
                        });
                    }
                }
            }
        }
        None
    }

    /// Opens an encoder; `output` gets every picture.
    pub(super) fn open(
        encoding: Encoding,
        content_hint: &'static str,
        aim: Aim,
        output: impl Fn(EncodedPicture) + 'static,
    ) -> Result<Self, JsValue> {
        let (failed, told) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(true)));
        let work = Rc::new(RefCell::new(Work::default()));
        let keyframes = Rc::new(Keyframes::default());
        let (done, colors_told, counted) = (work.clone(), told.clone(), keyframes.clone());
        let on_output = Closure::<dyn FnMut(EncodedVideoChunk, JsValue)>::new({
            let failed = failed.clone();
            move |chunk: EncodedVideoChunk, metadata| {
                done.borrow_mut().ended(chunk.timestamp() as i64, WebClock::now());
                let picture = picture(&chunk, &metadata, &encoding, colors_told.get());
                if let Some(picture) = picture.filter(|_| !failed.get()) {
                    if picture.keyframe {
                        counted.came();
                    }
                    output(picture);
                }
            }
        });
        let on_error = Closure::<dyn FnMut(JsValue)>::new({
            let failed = failed.clone();
            move |error| {
                tracing::warn!(error = js::describe(&error), "video encoder failed");
                failed.set(true);
            }
        });
        let init = VideoEncoderInit::new(&js::function(on_error), &js::function(on_output));
        let encoder = VideoEncoder::new(&init)?;
        let configuration = configuration(&encoding, aim);
        configuration.set_content_hint(content_hint);
        encoder.configure(&configuration)?;
        Ok(Self {
            encoder,
            encoding,
            content_hint,
            aim,
            failed,
            told,
            keyframes,
            work,
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

    /// Pictures that have not come out and that will, as far as is known: an encoder may leave some out.
    pub(super) fn pictures_inside(&self) -> u32 {
        self.work.borrow().pictures() as u32
    }

    /// Encodes a picture, scaled to the size of the encoding.
    pub(super) fn encode(&self, picture: &VideoFrame, keyframe: bool) -> Result<(), JsValue> {
        self.put(picture, keyframe, &VideoEncoderEncodeOptions::new())
    }

    fn put(
        &self,
        picture: &VideoFrame,
        keyframe: bool,
        options: &VideoEncoderEncodeOptions,
    ) -> Result<(), JsValue> {
        options.set_key_frame(keyframe);
        if keyframe {
            self.keyframes.due.set(self.keyframes.due.get() + 1);
        }
        let matrix = js::get(&js::get(picture, "colorSpace"), "matrix");
        self.told.set(!matrix.is_null());
        self.work
            .borrow_mut()
            .began(picture.timestamp() as i64, WebClock::now());
        self.encoder.encode_with_options(picture, options)
    }

    fn configuration(&self, aim: Aim) -> VideoEncoderConfig {
        let configuration = configuration(&self.encoding, aim);
        configuration.set_content_hint(self.content_hint);
        configuration
    }

    /// Encodes a picture, which stands still, at its best whatever it takes. The pictures after it are as usual.
    pub(super) fn encode_sharp(&self, picture: &VideoFrame, keyframe: bool) -> Result<(), JsValue> {
        let name = quantizer_of(self.encoding.codec).filter(|_| self.encoding.quantizer);
        if let Some(name) = name {
            self.encoder
                .configure(&without_bitrate(&self.encoding, self.aim))?;
            let quantizer = Object::new();
            js::set(&quantizer, "quantizer", &SHARP_QUANTIZER.into());
            let options = VideoEncoderEncodeOptions::new();
            js::set(&options, name, &quantizer);
            self.put(picture, keyframe, &options)?;
            return self.encoder.configure(&self.configuration(self.aim));
        }
        if self.keyframes.unasked.get() {
            // Back at the usual bitrate it would make another one, as coarse as any.
            return self.encode(picture, true);
        }
        let sharp = Aim {
            bitrate_bps: self.aim.bitrate_bps.saturating_mul(SHARP_BITRATE),
            frames_per_second: SHARP_FRAMES_PER_SECOND,
        };
        self.encoder.configure(&self.configuration(sharp))?;
        self.encode(picture, true)?;
        self.encoder.configure(&self.configuration(self.aim))
    }

    /// What [`PictureEncoder::encode_sharp`] makes are keyframes.
    pub(super) const fn makes_sharp_keyframes(&self) -> bool {
        !self.encoding.quantizer
    }

    /// Aims at another bitrate or frame rate from the next picture on. The same codec, size and mode: the encoder
    /// goes on (W3C WebCodecs §6.4), without a keyframe where the browser allows.
    pub(super) fn aim_at(&mut self, aim: Aim) {
        if self.aim == aim || self.keyframes.unasked.get() && !aim.is_far_from(self.aim) {
            return;
        }
        self.aim = aim;
        // A failure shows in `has_failed`.
        self.encoder.configure(&self.configuration(aim)).ok();
    }

    /// It was asked of hardware, and its first pictures took so long that there is none behind it, or a bad one.
    pub(super) fn is_false_hardware(&self) -> bool {
        self.encoding.is_hardware() && self.work.borrow().is_slow(WebClock::now())
    }

    /// How long it has worked since the last time it was asked.
    pub(super) fn take_work(&self) -> Duration {
        self.work.borrow_mut().take()
    }
}

impl Drop for PictureEncoder {
    fn drop(&mut self) {
        self.failed.set(true);
        if self.encoder.state() != CodecState::Closed {
            self.encoder.close().ok();
        }
    }
}

impl Encoding {
    pub(super) fn is_hardware(&self) -> bool {
        self.hardware == HardwareAcceleration::PreferHardware
    }
}

impl Aim {
    fn is_far_from(self, other: Self) -> bool {
        let (bitrate, before) = (f64::from(self.bitrate_bps), f64::from(other.bitrate_bps));
        self.frames_per_second != other.frames_per_second
            || (bitrate - before).abs() > before * WORTH_A_KEYFRAME
    }
}

impl PlannedLayer {
    /// What the layer is to have while nobody has said otherwise.
    pub(super) fn aim(&self) -> Aim {
        Aim {
            bitrate_bps: self.parameters.bitrate_for(self.size.0, self.size.1),
            frames_per_second: self.parameters.frames_per_second,
        }
    }
}

async fn is_supported(configuration: &VideoEncoderConfig) -> bool {
    JsFuture::from(VideoEncoder::is_config_supported(configuration))
        .await
        .is_ok_and(|support: VideoEncoderSupport| support.get_supported().unwrap_or(false))
}

fn configuration(encoding: &Encoding, aim: Aim) -> VideoEncoderConfig {
    let Encoding {
        codec,
        mode,
        hardware,
        constant,
        width,
        height,
        ..
    } = *encoding;
    let configuration = VideoEncoderConfig::new(codec, height, width);
    configuration.set_bitrate(aim.bitrate_bps);
    configuration.set_framerate(f64::from(aim.frames_per_second.max(1)));
    configuration.set_latency_mode(LatencyMode::Realtime);
    configuration.set_bitrate_mode(match constant {
        true => VideoEncoderBitrateMode::Constant,
        false => VideoEncoderBitrateMode::Variable,
    });
    configuration.set_hardware_acceleration(hardware);
    if VideoCodec::of(codec) == Some(VideoCodec::H264) {
        // Parameter sets in the keyframes, so that there is nothing to be known besides.
        let avc = Object::new();
        js::set(&avc, "format", &"annexb".into());
        js::set(&configuration, "avc", &avc);
    }
    if let Some(mode) = mode {
        configuration.set_scalability_mode(mode);
    }
    configuration
}

/// The same for pictures that are given a quantizer.
fn without_bitrate(encoding: &Encoding, aim: Aim) -> VideoEncoderConfig {
    let configuration = configuration(encoding, aim);
    js::set(&configuration, "bitrateMode", &"quantizer".into());
    js::set(&configuration, "bitrate", &JsValue::UNDEFINED);
    configuration
}

/// Where a picture's options have its quantizer: of the codecs whose quantizers are known to mean what they say.
fn quantizer_of(codec: &str) -> Option<&'static str> {
    match VideoCodec::of(codec)? {
        VideoCodec::Vp9 => Some("vp9"),
        VideoCodec::Av1 => Some("av1"),
        VideoCodec::Vp8 | VideoCodec::H264 => None,
    }
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
