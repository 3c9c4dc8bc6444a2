//! Samples out of the browser's `AudioData`, as one channel of floats.

use wasm_bindgen::JsValue;
use web_sys::{AudioData, AudioDataCopyToOptions, AudioSampleFormat};

/// More channels than any codec here delivers; what claims more is not sound.
const MAX_CHANNELS: u32 = 8;

/// The mean of all channels, each sample between -1 and 1.
pub(super) fn mono(data: &AudioData) -> Result<Vec<f32>, JsValue> {
    let channels = data.number_of_channels();
    if channels == 0 || channels > MAX_CHANNELS {
        return Err("a number of channels that cannot be played".into());
    }
    let mut mixed = channel(data, 0)?;
    for index in 1..channels {
        for (sum, sample) in mixed.iter_mut().zip(channel(data, index)?) {
            *sum += sample;
        }
    }
    if channels > 1 {
        for sample in &mut mixed {
            *sample /= channels as f32;
        }
    }
    Ok(mixed)
}

fn channel(data: &AudioData, index: u32) -> Result<Vec<f32>, JsValue> {
    let options = AudioDataCopyToOptions::new(index);
    // Every browser converts to this format (WebCodecs §9.2.3).
    options.set_format(AudioSampleFormat::F32Planar);
    let plane = js_sys::Float32Array::new_with_length(data.number_of_frames());
    data.copy_to_with_buffer_source(&plane, &options)?;
    Ok(plane.to_vec())
}
