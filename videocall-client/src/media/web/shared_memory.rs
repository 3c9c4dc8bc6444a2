//! Memory that the engine shares with the audio thread (ECMA-262 §25.2), where the page is isolated from other
//! origins (HTML §7.6).
//!
//! The page makes it and gives it to both. Memory that the engine itself sends to the worklet does not always get
//! there: Firefox loses it, as a `messageerror`, while the port is new that it is sent through.

use js_sys::{Atomics, Float32Array, Int32Array, SharedArrayBuffer};

use super::js;
use crate::media::ring::{BYTES, CAPACITY, HEADER_WORDS, RINGS, RingMemory};

/// A block of zeros for all rings; `None` where the page is not isolated, or the browser is short of memory.
pub(super) fn new_block() -> Option<SharedArrayBuffer> {
    let isolated = js::get(&js_sys::global(), "crossOriginIsolated").is_truthy();
    // The constructor is hidden from pages that are not.
    if !isolated || !js::get(&js_sys::global(), "SharedArrayBuffer").is_function() {
        return None;
    }
    let block = SharedArrayBuffer::new(RINGS * BYTES);
    (block.byte_length() == RINGS * BYTES).then_some(block)
}

/// The memory of one ring.
#[derive(Debug)]
pub(super) struct SharedMemory {
    words: Int32Array,
    samples: Float32Array,
}

impl SharedMemory {
    /// The ring with this number; `None` when the block has not so many.
    pub(super) fn new(block: &SharedArrayBuffer, number: u32) -> Option<Self> {
        let start = number.checked_mul(BYTES)?;
        let end = start.checked_add(BYTES)?;
        (end <= block.byte_length()).then(|| Self {
            words: Int32Array::new_with_byte_offset_and_length(block, start, HEADER_WORDS),
            samples: Float32Array::new_with_byte_offset_and_length(block, start + HEADER_WORDS * 4, CAPACITY),
        })
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
