//! Reads the pictures or samples of a captured track one by one (W3C MediaStreamTrack Insertable Media
//! Processing using Streams), and makes sure that each is closed: they are few, and a capture stops
//! when all of them are held.

use std::ops::Deref;

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    AudioData, MediaStreamTrack, MediaStreamTrackProcessor, MediaStreamTrackProcessorInit,
    ReadableStreamDefaultReader, VideoFrame,
};

use super::js;

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

/// Reads a track. Dropping it ends the capture.
pub(super) struct TrackReader {
    track: MediaStreamTrack,
    reader: ReadableStreamDefaultReader,
}

impl TrackReader {
    /// Keeps at most `buffer` items that were not read; the browser drops the oldest.
    pub(super) fn new(track: MediaStreamTrack, buffer: u16) -> Result<Self, JsValue> {
        let init = MediaStreamTrackProcessorInit::new(&track);
        init.set_max_buffer_size(buffer);
        let processor = MediaStreamTrackProcessor::new(&init)?;
        let reader = ReadableStreamDefaultReader::new(&processor.readable())?;
        Ok(Self { track, reader })
    }

    /// The next picture or samples; `None` when the track has ended. Dropping the future before it is
    /// done leaves one item to the garbage collector.
    pub(super) async fn next<T: Closable>(&self) -> Option<Guard<T>> {
        let result = JsFuture::from(self.reader.read()).await.ok()?;
        if js::get(&result, "done").is_truthy() {
            return None;
        }
        js::get(&result, "value").dyn_into().ok().map(Guard::new)
    }

    /// Ends the capture; the device's light goes out, and [`TrackReader::next`] yields `None`.
    pub(super) fn stop(&self) {
        js::ignore(self.reader.cancel());
        self.track.stop();
    }

    pub(super) fn track(&self) -> &MediaStreamTrack {
        &self.track
    }
}

impl Drop for TrackReader {
    fn drop(&mut self) {
        self.stop();
    }
}
