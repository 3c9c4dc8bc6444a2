//! Memory that the engine shares with the audio thread (ECMA-262 §25.2), where the page is isolated from other
//! origins (HTML §7.6).

use js_sys::{Atomics, Float32Array, Int32Array, SharedArrayBuffer};
use wasm_bindgen::JsValue;

use super::js;
use crate::media::ring::{BYTES, CAPACITY, HEADER_WORDS, RingMemory};

/// The memory of one ring.
#[derive(Debug)]
pub(super) struct SharedMemory {
    buffer: SharedArrayBuffer,
    words: Int32Array,
    samples: Float32Array,
}

impl SharedMemory {
    /// Memory of zeros; `None` where the page is not isolated, or the browser is short of memory.
    pub(super) fn new() -> Option<Self> {
        let isolated = js::get(&js_sys::global(), "crossOriginIsolated").is_truthy();
        // The constructor is hidden from pages that are not.
        if !isolated || !js::get(&js_sys::global(), "SharedArrayBuffer").is_function() {
            return None;
        }
        let buffer = SharedArrayBuffer::new(BYTES);
        if buffer.byte_length() != BYTES {
            return None;
        }
        Some(Self {
            words: Int32Array::new_with_byte_offset_and_length(&buffer, 0, HEADER_WORDS),
            samples: Float32Array::new_with_byte_offset_and_length(&buffer, HEADER_WORDS * 4, CAPACITY),
            buffer,
        })
    }

    /// What the other thread gets.
    pub(super) fn buffer(&self) -> &JsValue {
        &self.buffer
    }
}

impl RingMemory for SharedMemory {
    fn load(&self, word: u32) -> u32 {
        // Fails beyond the end only.
        Atomics::load(&self.words, word)
            .unwrap_or_default()
            .cast_unsigned()
    }

    fn store(&self, word: u32, value: u32) {
        Atomics::store(&self.words, word, value.cast_signed()).ok();
    }

    fn write(&self, index: u32, samples: &[f32]) {
        let end = index + samples.len() as u32;
        self.samples.subarray(index, end).copy_from(samples);
    }
}
