//! Reads the pictures of a track that the page has handed over, in browsers whose workers can.

use std::cell::OnceCell;

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    MediaStreamTrack, MediaStreamTrackProcessor, MediaStreamTrackProcessorInit, MessagePort, VideoFrame,
};

use super::super::guard::Guard;
use super::page::PICTURE_BUFFER;
use super::port::PortReader;
use super::stream::StreamReader;

/// Reads a track, which comes through a port. Dropping it ends the capture.
#[derive(Debug)]
pub(crate) struct TrackReader {
    port: PortReader,
    /// Once it has come.
    track: OnceCell<(MediaStreamTrack, StreamReader)>,
}

impl TrackReader {
    pub(super) fn new(port: MessagePort) -> Self {
        Self {
            port: PortReader::new(port, 1),
            track: OnceCell::new(),
        }
    }

    /// The next picture; `None` when the track has ended, and where it cannot be read.
    pub(super) async fn next(&self) -> Option<Guard<VideoFrame>> {
        if self.track.get().is_none() {
            let track = self.port.next().await.ok()??.unchecked_into();
            let reader = read(&track).ok()?;
            // Nobody else reads: it was not set meanwhile.
            self.track.set((track, reader)).ok();
        }
        self.track.get()?.1.next().await
    }

    /// From now on [`TrackReader::next`] yields `None`.
    pub(super) fn stop(&self) {
        self.port.stop();
        if let Some((track, reader)) = self.track.get() {
            reader.stop();
            track.stop();
        }
    }
}

impl Drop for TrackReader {
    fn drop(&mut self) {
        self.stop();
    }
}

fn read(track: &MediaStreamTrack) -> Result<StreamReader, JsValue> {
    let init = MediaStreamTrackProcessorInit::new(track);
    init.set_max_buffer_size(PICTURE_BUFFER);
    StreamReader::new(&MediaStreamTrackProcessor::new(&init)?.readable())
}
