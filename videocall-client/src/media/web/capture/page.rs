//! The page's half of a capture: the device's track, and what the engine gets of it.
//!
//! What browsers offer differs, so each way is tried in turn, the best first, and the first that works is taken.
//! No browser is asked for its name.

use js_sys::Array;
use wasm_bindgen::JsValue;
use web_sys::{MediaStreamTrack, MediaStreamTrackProcessor, MediaStreamTrackProcessorInit, MessageChannel};

use super::super::js;
use super::pump::Pump;
use super::tap::Tap;
use crate::media::feed::FeedKind;

/// Pictures the browser keeps for the engine: the newest counts, older ones are late.
pub(super) const PICTURE_BUFFER: u16 = 2;

/// Pieces of 10 ms of sound that it keeps.
const SOUND_BUFFER: u16 = 25;

/// A track that is captured. Dropping it ends the capture, and the device's light goes out.
#[derive(Debug)]
pub(crate) struct Capture {
    track: MediaStreamTrack,
    way: Way,
}

/// What has to be held while the track is captured.
#[derive(Debug)]
#[expect(dead_code, reason = "held for what their drop does")]
enum Way {
    /// The browser reads it.
    Browser,
    /// The engine reads a copy of it.
    Copy,
    /// The page plays it and takes the pictures.
    Pump(Pump),
    /// An audio graph plays it and takes the samples.
    Tap(Tap),
}

/// What is handed over to the engine: the object, and what it is.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) kind: FeedKind,
    pub(crate) object: JsValue,
}

impl Capture {
    /// Captures a camera or a screen. `engine_reads`: the engine's worker can read the pictures of a track.
    ///
    /// # Errors
    /// When the browser does not let its pictures be read; the track is stopped.
    pub(crate) fn pictures(track: MediaStreamTrack, engine_reads: bool) -> Result<(Self, Feed), JsValue> {
        Self::start(track, |track| {
            processor(track, PICTURE_BUFFER)
                .or_else(|error| if engine_reads { copy(track) } else { Err(error) })
                .or_else(|_| {
                    let (pump, port) = Pump::start(track)?;
                    Ok((Way::Pump(pump), Feed::new(FeedKind::Port, port)))
                })
        })
    }

    /// Captures a microphone.
    ///
    /// # Errors
    /// When the browser does not let its samples be read; the track is stopped.
    pub(crate) fn sound(track: MediaStreamTrack) -> Result<(Self, Feed), JsValue> {
        Self::start(track, |track| {
            processor(track, SOUND_BUFFER).or_else(|_| {
                let (tap, port) = Tap::start(track)?;
                Ok((Way::Tap(tap), Feed::new(FeedKind::Port, port)))
            })
        })
    }

    fn start(
        track: MediaStreamTrack,
        open: impl FnOnce(&MediaStreamTrack) -> Result<(Way, Feed), JsValue>,
    ) -> Result<(Self, Feed), JsValue> {
        match open(&track) {
            Ok((way, feed)) => Ok((Self { track, way }, feed)),
            Err(error) => {
                track.stop();
                Err(error)
            }
        }
    }

    /// What the track is asked for changes what the engine reads.
    pub(crate) const fn follows_track(&self) -> bool {
        !matches!(self.way, Way::Copy)
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

impl Feed {
    fn new(kind: FeedKind, object: impl Into<JsValue>) -> Self {
        Self {
            kind,
            object: object.into(),
        }
    }
}

/// Lets the browser read the track. Fails where it does not, also where it reads pictures alone.
fn processor(track: &MediaStreamTrack, buffer: u16) -> Result<(Way, Feed), JsValue> {
    if !js::get(&js_sys::global(), "MediaStreamTrackProcessor").is_function() {
        return Err("this browser has no MediaStreamTrackProcessor".into());
    }
    let init = MediaStreamTrackProcessorInit::new(track);
    // Beyond it, the browser drops the oldest.
    init.set_max_buffer_size(buffer);
    let processor = MediaStreamTrackProcessor::new(&init)?;
    Ok((Way::Browser, Feed::new(FeedKind::Stream, processor.readable())))
}

/// Hands a copy of the track over; the page goes on to show the track itself. Fails where tracks cannot be handed over.
fn copy(track: &MediaStreamTrack) -> Result<(Way, Feed), JsValue> {
    let channel = MessageChannel::new()?;
    let copy = track.clone();
    channel
        .port1()
        .post_message_with_transferable(&copy, &Array::of1(&copy))
        .inspect_err(|_| copy.stop())?;
    Ok((Way::Copy, Feed::new(FeedKind::Track, channel.port2())))
}
