//! The page's half of a capture: the device's track, and what the engine gets of it.

use wasm_bindgen::JsValue;
use web_sys::{MediaStreamTrack, MediaStreamTrackProcessor, MediaStreamTrackProcessorInit};

use crate::media::feed::FeedKind;

/// Pictures the browser keeps for the engine: the newest counts, older ones are late.
const PICTURE_BUFFER: u16 = 2;

/// Pieces of 10 ms of sound that it keeps.
const SOUND_BUFFER: u16 = 25;

/// A track that is captured. Dropping it ends the capture, and the device's light goes out.
#[derive(Debug)]
pub(crate) struct Capture {
    track: MediaStreamTrack,
}

/// What is handed over to the engine: the object, and what it is.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) kind: FeedKind,
    pub(crate) object: JsValue,
}

impl Capture {
    /// Captures a camera or a screen.
    ///
    /// # Errors
    /// When the browser does not let its pictures be read; the track is stopped.
    pub(crate) fn pictures(track: MediaStreamTrack) -> Result<(Self, Feed), JsValue> {
        Self::start(track, PICTURE_BUFFER)
    }

    /// Captures a microphone.
    ///
    /// # Errors
    /// When the browser does not let its samples be read; the track is stopped.
    pub(crate) fn sound(track: MediaStreamTrack) -> Result<(Self, Feed), JsValue> {
        Self::start(track, SOUND_BUFFER)
    }

    fn start(track: MediaStreamTrack, buffer: u16) -> Result<(Self, Feed), JsValue> {
        let capture = Self { track };
        let init = MediaStreamTrackProcessorInit::new(&capture.track);
        // Beyond it, the browser drops the oldest.
        init.set_max_buffer_size(buffer);
        let processor = MediaStreamTrackProcessor::new(&init)?;
        let feed = Feed {
            kind: FeedKind::Stream,
            object: processor.readable().into(),
        };
        Ok((capture, feed))
    }

    /// The device's track.
    pub(crate) fn track(&self) -> &MediaStreamTrack {
        &self.track
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.track.stop();
    }
}
