//! What cameras, microphones and screens deliver, on its way from the page to the engine.
//!
//! Only a page can open a device, and the engine runs in a worker. [`Capture`] is the page's half: it makes of a
//! track what can be handed over, a [`Feed`]. [`PictureSource`] and [`SoundSource`] are the engine's: they read
//! it, and nobody behind them has to know which of the [`FeedKind`]s it is.

mod page;
mod stream;

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AudioData, VideoFrame};

use self::stream::StreamReader;
use super::guard::Guard;
use super::samples::mono;
use crate::media::feed::FeedKind;

pub(crate) use self::page::{Capture, Feed};

/// Where captured pictures come from.
#[derive(Debug)]
pub(crate) enum PictureSource {
    /// See [`FeedKind::Stream`].
    Stream(StreamReader),
}

impl PictureSource {
    /// Of what the page has handed over.
    ///
    /// # Errors
    /// When it is not what its kind says.
    pub(crate) fn new(kind: FeedKind, object: JsValue) -> Result<Self, JsValue> {
        match kind {
            FeedKind::Stream => StreamReader::new(&object.dyn_into()?).map(Self::Stream),
        }
    }

    /// The next picture; `None` when the capture has ended.
    pub(super) async fn next(&self) -> Option<Guard<VideoFrame>> {
        match self {
            Self::Stream(reader) => reader.next().await,
        }
    }

    /// From now on [`PictureSource::next`] yields `None`.
    pub(super) fn stop(&self) {
        match self {
            Self::Stream(reader) => reader.stop(),
        }
    }
}

/// Where captured sound comes from.
#[derive(Debug)]
pub(crate) enum SoundSource {
    /// See [`FeedKind::Stream`].
    Stream(StreamReader),
}

/// A piece of captured sound, some 10 ms.
#[derive(Clone, Debug)]
pub(super) struct Sound {
    /// One channel, each sample between -1 and 1.
    pub(super) samples: Vec<f32>,
    /// Samples per second.
    pub(super) sample_rate: u32,
    /// When it begins, by the capture's own clock.
    pub(super) stamp_us: i64,
    /// How long it is.
    pub(super) duration_us: i64,
}

impl SoundSource {
    /// Of what the page has handed over.
    ///
    /// # Errors
    /// When it is not what its kind says.
    pub(crate) fn new(kind: FeedKind, object: JsValue) -> Result<Self, JsValue> {
        match kind {
            FeedKind::Stream => StreamReader::new(&object.dyn_into()?).map(Self::Stream),
        }
    }

    /// The next piece; `None` when the capture has ended.
    ///
    /// # Errors
    /// When it is sound of a kind that cannot be read.
    pub(super) async fn next(&self) -> Result<Option<Sound>, JsValue> {
        match self {
            Self::Stream(reader) => match reader.next::<AudioData>().await {
                Some(data) => Sound::of(&data).map(Some),
                None => Ok(None),
            },
        }
    }

    /// From now on [`SoundSource::next`] yields `None`.
    pub(super) fn stop(&self) {
        match self {
            Self::Stream(reader) => reader.stop(),
        }
    }
}

impl Sound {
    fn of(data: &AudioData) -> Result<Self, JsValue> {
        Ok(Self {
            samples: mono(data)?,
            sample_rate: data.sample_rate() as u32,
            stamp_us: data.timestamp() as i64,
            duration_us: data.duration() as i64,
        })
    }
}
