//! What cameras, microphones and screens deliver, on its way from the page to the engine.
//!
//! Only a page can open a device, and the engine runs in a worker. [`Capture`] is the page's half: it makes of a
//! track what can be handed over, a [`Feed`]. [`PictureSource`] and [`SoundSource`] are the engine's: they read
//! it, and nobody behind them has to know which of the [`FeedKind`]s it is.

mod page;
mod port;
mod pump;
mod stream;
mod tap;
mod track;

use js_sys::Float32Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{AudioData, VideoFrame};

use self::port::PortReader;
use self::stream::StreamReader;
use self::track::TrackReader;
use super::guard::Guard;
use super::js;
use super::samples::mono;
use crate::media::feed::FeedKind;

pub(crate) use self::page::{Capture, Feed};

/// Pieces of sound that are taken between two words about it to the audio thread: a tenth of a second.
const SOUND_REPORT: u64 = 10;

/// Where captured pictures come from.
#[derive(Debug)]
pub(crate) enum PictureSource {
    /// See [`FeedKind::Stream`].
    Stream(StreamReader),
    /// See [`FeedKind::Track`].
    Track(TrackReader),
    /// See [`FeedKind::Port`].
    Port(PortReader),
}

impl PictureSource {
    /// Of what the page has handed over.
    ///
    /// # Errors
    /// When it is not what its kind says.
    pub(crate) fn new(kind: FeedKind, object: JsValue) -> Result<Self, JsValue> {
        match kind {
            FeedKind::Stream => StreamReader::new(&object.dyn_into()?).map(Self::Stream),
            FeedKind::Track => Ok(Self::Track(TrackReader::new(object.dyn_into()?))),
            FeedKind::Port => Ok(Self::Port(PortReader::new(object.dyn_into()?, 1))),
        }
    }

    /// The next picture; `None` when the capture has ended.
    pub(super) async fn next(&self) -> Option<Guard<VideoFrame>> {
        match self {
            Self::Stream(reader) => reader.next().await,
            Self::Track(reader) => reader.next().await,
            // A page that cannot post pictures has none: the capture is over.
            Self::Port(reader) => reader.next().await.ok()??.dyn_into().ok().map(Guard::new),
        }
    }

    /// From now on [`PictureSource::next`] yields `None`.
    pub(super) fn stop(&self) {
        match self {
            Self::Stream(reader) => reader.stop(),
            Self::Track(reader) => reader.stop(),
            Self::Port(reader) => reader.stop(),
        }
    }
}

/// Where captured sound comes from.
#[derive(Debug)]
pub(crate) enum SoundSource {
    /// See [`FeedKind::Stream`].
    Stream(StreamReader),
    /// See [`FeedKind::Port`].
    Port(PortReader),
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
            FeedKind::Track => Err("a worker reads no sound of a track".into()),
            FeedKind::Port => Ok(Self::Port(PortReader::new(object.dyn_into()?, SOUND_REPORT))),
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
            Self::Port(reader) => match reader.next().await? {
                Some(message) => Sound::from_worklet(&message).map(Some),
                None => Ok(None),
            },
        }
    }

    /// From now on [`SoundSource::next`] yields `None`.
    pub(super) fn stop(&self) {
        match self {
            Self::Stream(reader) => reader.stop(),
            Self::Port(reader) => reader.stop(),
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

    /// See `capture-worklet.js`.
    fn from_worklet(message: &JsValue) -> Result<Self, JsValue> {
        let number = |name| js::get(message, name).as_f64().filter(|number| *number >= 0.0);
        let samples: Float32Array = js::get(message, "samples").dyn_into()?;
        let (rate, stamp) = number("rate")
            .zip(number("stamp"))
            .filter(|(rate, _)| *rate >= 1.0)
            .ok_or("sound without rate or time")?;
        Ok(Self {
            samples: samples.to_vec(),
            sample_rate: rate as u32,
            stamp_us: stamp as i64,
            duration_us: (f64::from(samples.length()) * 1e6 / rate) as i64,
        })
    }
}
