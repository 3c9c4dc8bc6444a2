//! A configured Opus encoder (W3C WebCodecs §5, WebCodecs Opus registration).

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use js_sys::{Float32Array, Object};
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AudioData, AudioDataInit, AudioEncoder, AudioEncoderConfig, AudioEncoderInit, AudioEncoderSupport,
    AudioSampleFormat, CodecState, EncodedAudioChunk,
};

use super::guard::Guard;
use super::js;
use crate::media::parameters::{AUDIO_CODEC, AUDIO_EXPECTED_LOSS, AUDIO_FRAME_US};

/// What an encoder is told about the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Voice,
    /// Anything: music, films.
    Any,
}

/// Sound as it comes out.
pub(super) struct EncodedSound {
    /// Of its first sample, on the clock of the samples that went in, microseconds.
    pub(super) stamp_us: i64,
    pub(super) duration_us: u32,
    pub(super) payload: Bytes,
}

/// An encoder that is closed when it is dropped. One channel.
pub(super) struct SoundEncoder {
    encoder: AudioEncoder,
    content: Content,
    sample_rate: u32,
    bitrate_bps: u32,
    /// The browser takes what is particular to Opus.
    extras: bool,
    failed: Rc<Cell<bool>>,
}

impl SoundEncoder {
    /// Opens an encoder for samples at this rate; `output` gets every frame.
    pub(super) async fn open(
        content: Content,
        sample_rate: u32,
        bitrate_bps: u32,
        output: impl Fn(EncodedSound) + 'static,
    ) -> Result<Self, JsValue> {
        let extras = choose(content, sample_rate, bitrate_bps)
            .await
            .ok_or("this browser does not encode Opus")?;
        let failed = Rc::new(Cell::new(false));
        let on_output = Closure::<dyn FnMut(EncodedAudioChunk)>::new({
            let failed = failed.clone();
            move |chunk| {
                if let Some(sound) = sound(&chunk).filter(|_| !failed.get()) {
                    output(sound);
                }
            }
        });
        let on_error = Closure::<dyn FnMut(JsValue)>::new({
            let failed = failed.clone();
            move |error| {
                tracing::warn!(error = js::describe(&error), "audio encoder failed");
                failed.set(true);
            }
        });
        let init = AudioEncoderInit::new(&js::function(on_error), &js::function(on_output));
        let encoder = AudioEncoder::new(&init)?;
        encoder.configure(&configuration(content, sample_rate, bitrate_bps, extras))?;
        Ok(Self {
            encoder,
            content,
            sample_rate,
            bitrate_bps,
            extras,
            failed,
        })
    }

    pub(super) fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Takes another bitrate from the next piece on.
    pub(super) fn aim_at(&mut self, bitrate_bps: u32) {
        if self.bitrate_bps == bitrate_bps {
            return;
        }
        self.bitrate_bps = bitrate_bps;
        let configuration = configuration(self.content, self.sample_rate, bitrate_bps, self.extras);
        // A failure shows in `has_failed`.
        self.encoder.configure(&configuration).ok();
    }

    /// It has reported an error and encodes no more.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.get() || self.encoder.state() == CodecState::Closed
    }

    /// Pieces of sound that were given and not taken yet.
    pub(super) fn queue_size(&self) -> u32 {
        self.encoder.encode_queue_size()
    }

    /// Encodes samples that were captured at the given time.
    pub(super) fn encode(&self, samples: &[f32], stamp_us: i64) -> Result<(), JsValue> {
        let init = AudioDataInit::new(
            &Float32Array::from(samples),
            AudioSampleFormat::F32Planar,
            1,
            u32::try_from(samples.len()).unwrap_or(u32::MAX),
            self.sample_rate as f32,
            0,
        );
        init.set_timestamp_f64(stamp_us as f64);
        let data = Guard::new(AudioData::new(&init)?);
        self.encoder.encode(&data)
    }
}

impl Drop for SoundEncoder {
    fn drop(&mut self) {
        self.failed.set(true);
        if self.encoder.state() != CodecState::Closed {
            self.encoder.close().ok();
        }
    }
}

/// Whether with everything that a lossy path wants, or plain.
async fn choose(content: Content, sample_rate: u32, bitrate_bps: u32) -> Option<bool> {
    for extras in [true, false] {
        let configuration = configuration(content, sample_rate, bitrate_bps, extras);
        let supported = JsFuture::from(AudioEncoder::is_config_supported(&configuration))
            .await
            .is_ok_and(|support: AudioEncoderSupport| support.get_supported().unwrap_or(false));
        if supported {
            return Some(extras);
        }
    }
    None
}

fn configuration(content: Content, sample_rate: u32, bitrate_bps: u32, extras: bool) -> AudioEncoderConfig {
    let configuration = AudioEncoderConfig::new(AUDIO_CODEC, 1, sample_rate);
    configuration.set_bitrate(bitrate_bps);
    if extras {
        let opus = Object::new();
        js::set(&opus, "frameDuration", &AUDIO_FRAME_US.into());
        // In-band error correction (RFC 6716 §2.1.7). No discontinuous transmission (§2.1.9): Chromium
        // stamps what follows a pause as if there had been none, so that capture times fall behind with
        // every pause; and receivers could not tell a pause from lost packets.
        js::set(&opus, "useinbandfec", &JsValue::TRUE);
        js::set(&opus, "packetlossperc", &AUDIO_EXPECTED_LOSS.into());
        let (application, signal) = match content {
            Content::Voice => ("voip", "voice"),
            Content::Any => ("audio", "auto"),
        };
        js::set(&opus, "application", &application.into());
        js::set(&opus, "signal", &signal.into());
        js::set(&opus, "usedtx", &JsValue::FALSE);
        js::set(&configuration, "opus", &opus);
    }
    configuration
}

fn sound(chunk: &EncodedAudioChunk) -> Option<EncodedSound> {
    let mut payload = vec![0; chunk.byte_length() as usize];
    chunk.copy_to_with_u8_slice(&mut payload).ok()?;
    Some(EncodedSound {
        stamp_us: chunk.timestamp() as i64,
        duration_us: chunk
            .duration()
            .map_or(AUDIO_FRAME_US, |duration| duration as u32),
        payload: payload.into(),
    })
}
