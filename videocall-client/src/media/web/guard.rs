//! Pictures and samples of WebCodecs have to be closed: they are few, and a capture or a decoder stops when all
//! of them are held.

use std::ops::Deref;

use wasm_bindgen::JsCast;
use web_sys::{AudioData, VideoFrame};

/// A resource of WebCodecs that has to be closed.
pub(super) trait Closable: JsCast {
    fn release(&self);
}

impl Closable for VideoFrame {
    fn release(&self) {
        self.close();
    }
}

impl Closable for AudioData {
    fn release(&self) {
        self.close();
    }
}

/// Closes what it holds when it is dropped.
#[derive(Debug)]
pub(super) struct Guard<T: Closable>(T);

impl<T: Closable> Guard<T> {
    pub(super) fn new(resource: T) -> Self {
        Self(resource)
    }
}

impl<T: Closable> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Closable> Drop for Guard<T> {
    fn drop(&mut self) {
        self.0.release();
    }
}
