//! A configured decoder for sound (W3C WebCodecs §3). What a peer sends is not trusted: its errors end this
//! decoder and nothing else.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::Uint8Array;
use videocall_types::DecoderConfig;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use web_sys::{
    AudioData, AudioDecoder, AudioDecoderConfig, AudioDecoderInit, CodecState, EncodedAudioChunk,
    EncodedAudioChunkInit, EncodedAudioChunkType,
};

use super::guard::Guard;
use super::js;
use crate::audio::AudioFrame;

/// A decoder that is closed when it is dropped.
pub(super) struct SoundDecoder {
    decoder: AudioDecoder,
    config: DecoderConfig,
    failed: Rc<Cell<bool>>,
}

impl SoundDecoder {
    /// Opens a decoder; `output` gets all sound, `failure` is called once when it can go on no more.
    pub(super) fn open(
        config: &DecoderConfig,
        output: impl Fn(Guard<AudioData>) + 'static,
        failure: impl Fn() + 'static,
    ) -> Result<Self, JsValue> {
        let failed = Rc::new(Cell::new(false));
        let on_output = Closure::<dyn FnMut(AudioData)>::new({
            let failed = failed.clone();
            move |data| {
                let data = Guard::new(data);
                if !failed.get() {
                    output(data);
                }
            }
        });
        let on_error = Closure::<dyn FnMut(JsValue)>::new({
            let failed = failed.clone();
            move |error| {
                tracing::warn!(error = js::describe(&error), "audio decoder failed");
                if !failed.replace(true) {
                    failure();
                }
            }
        });
        let init = AudioDecoderInit::new(&js::function(on_error), &js::function(on_output));
        let decoder = AudioDecoder::new(&init)?;
        let configuration = AudioDecoderConfig::new(&config.codec, config.channels, config.sample_rate);
        if !config.description.is_empty() {
            configuration.set_description_u8_array(&Uint8Array::from(config.description.as_ref()));
        }
        decoder.configure(&configuration)?;
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

    pub(super) fn decode(&self, frame: &AudioFrame) -> Result<(), JsValue> {
        let payload = Uint8Array::from(frame.payload.as_ref());
        let init = EncodedAudioChunkInit::new(&payload, 0, EncodedAudioChunkType::Key);
        init.set_timestamp_f64(frame.capture_time_us as f64);
        init.set_duration(frame.duration_us);
        self.decoder.decode(&EncodedAudioChunk::new(&init)?)
    }
}

impl Drop for SoundDecoder {
    fn drop(&mut self) {
        self.failed.set(true);
        if self.decoder.state() != CodecState::Closed {
            self.decoder.close().ok();
        }
    }
}
