//! Sends one source of pictures: reads the capture, encodes what the encoder can keep up with, and hands
//! the frames to the client.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use videocall_types::{DecoderConfig, LayerInfo, Timestamp, TrackId, TrackInfo, TrackKind};
use wasm_bindgen_futures::spawn_local;
use web_sys::{MediaStreamTrack, VideoFrame, VideoFrameInit};

use super::js;
use super::track_reader::{Guard, TrackReader};
use super::video_encoder::{EncodedPicture, Encoding, PictureEncoder};
use crate::Client;
use crate::core::EncodedFrame;
use crate::media::clock::CaptureClock;
use crate::media::parameters::{VideoParameters, temporal_layers};
use crate::media::rate::RateMeter;
use crate::stats::LocalTrackStats;
use crate::transport::web::{WebClock, sleep};

/// Pictures the browser keeps for us: the newest counts, older ones are late.
const CAPTURE_BUFFER: u16 = 2;

/// A picture that does not change is not captured again (a shared screen); its last capture is then
/// encoded this often, which sharpens it and answers requests for keyframes.
const REPEAT_AFTER: Duration = Duration::from_millis(250);

/// Encoders that may fail one after the other before the source is given up.
const MAX_ENCODER_FAILURES: u32 = 5;

/// What a sender has to tell its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SenderEvent {
    /// What is encoded has changed; the description for the others.
    Described(TrackInfo),
    /// The capture has ended by itself: unplugged, or ended by the browser's own button.
    Ended,
    /// It cannot be encoded.
    Failed(String),
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VideoSource {
    pub(crate) track: TrackId,
    pub(crate) kind: TrackKind,
    pub(crate) parameters: VideoParameters,
}

impl VideoSource {
    /// The description before anything was captured.
    pub(crate) fn expected(&self, muted: bool) -> TrackInfo {
        let (width, height) = (self.parameters.max_width, self.parameters.max_height);
        let encoding = Encoding {
            codec: self.parameters.codecs((width, height)).next().unwrap_or_default(),
            mode: Some("L1T3"),
            width,
            height,
        };
        TrackInfo {
            muted,
            ..self.describe(&encoding)
        }
    }

    fn describe(&self, encoding: &Encoding) -> TrackInfo {
        TrackInfo {
            track: self.track,
            kind: self.kind,
            muted: false,
            codec: encoding.codec.to_owned(),
            layers: vec![LayerInfo {
                spatial: 0,
                temporal_layers: temporal_layers(encoding.mode),
                width: encoding.width,
                height: encoding.height,
                frames_per_second: self.parameters.frames_per_second,
                bitrate_bps: self.parameters.bitrate_for(encoding.width, encoding.height),
            }],
        }
    }
}

/// A source being sent. Dropping it ends the capture.
pub(crate) struct VideoSender(Rc<Sending>);

struct Sending {
    source: VideoSource,
    client: Client,
    reader: TrackReader,
    stopped: Cell<bool>,
    /// The relay takes frames of the track.
    flowing: Cell<bool>,
    keyframe_wanted: Cell<bool>,
    /// A frame was lost on the way to the client: what refers to it is of no use.
    broken: Cell<bool>,
    clock: RefCell<CaptureClock>,
    decoder: RefCell<Option<DecoderConfig>>,
    meter: RefCell<RateMeter>,
}

impl VideoSender {
    /// Starts to read and, once [`VideoSender::set_flowing`] says so, to send. `events` is called with
    /// what the call has to know.
    pub(crate) fn start(
        source: VideoSource,
        track: MediaStreamTrack,
        client: Client,
        events: impl Fn(SenderEvent) + 'static,
    ) -> Result<Self, String> {
        let reader = TrackReader::new(track, CAPTURE_BUFFER).map_err(|error| js::describe(&error))?;
        let sending = Rc::new(Sending {
            source,
            client,
            reader,
            stopped: Cell::new(false),
            flowing: Cell::new(false),
            keyframe_wanted: Cell::new(true),
            broken: Cell::new(false),
            clock: RefCell::default(),
            decoder: RefCell::default(),
            meter: RefCell::default(),
        });
        let task = sending.clone();
        spawn_local(async move {
            let end = task.run(&events).await;
            // Who stopped it knows.
            if !task.stopped.get() {
                events(end);
            }
        });
        Ok(Self(sending))
    }

    /// Whether frames are encoded: while the relay takes them and somebody wants them.
    pub(crate) fn set_flowing(&self, flowing: bool) {
        if !self.0.flowing.replace(flowing) && flowing {
            self.0.keyframe_wanted.set(true);
        }
    }

    /// The next frame is to be a keyframe.
    pub(crate) fn request_keyframe(&self) {
        self.0.keyframe_wanted.set(true);
    }

    /// The captured track.
    pub(crate) fn track(&self) -> &MediaStreamTrack {
        self.0.reader.track()
    }

    pub(crate) fn stats(&self, now: Timestamp) -> LocalTrackStats {
        let sending = &self.0;
        let meter = sending.meter.borrow();
        let decoder = sending.decoder.borrow();
        let decoder = decoder.as_ref();
        LocalTrackStats {
            track: sending.source.track,
            kind: sending.source.kind,
            muted: false,
            codec: decoder.map(|decoder| decoder.codec.clone()),
            frames_encoded: meter.frames(),
            bytes_encoded: meter.bytes(),
            bitrate_bps: meter.bits_per_second(now),
            fps: Some(meter.frames_per_second(now)),
            width: decoder.map(|decoder| decoder.width),
            height: decoder.map(|decoder| decoder.height),
            audio_level: None,
            layers_wanted: None,
        }
    }
}

impl Drop for VideoSender {
    fn drop(&mut self) {
        self.0.stopped.set(true);
        self.0.reader.stop();
    }
}

/// The encoder in use, and what it has done.
#[derive(Default)]
struct EncoderSlot {
    encoder: Option<PictureEncoder>,
    failures: u32,
    last_keyframe: Timestamp,
}

impl Sending {
    /// Runs until the capture ends or cannot be encoded.
    async fn run(self: &Rc<Self>, events: &impl Fn(SenderEvent)) -> SenderEvent {
        let mut slot = EncoderSlot::default();
        let repeats = self.source.kind == TrackKind::Screen;
        let mut last: Option<Guard<VideoFrame>> = None;
        let mut next = self.read();
        loop {
            let picture = match last.as_ref() {
                Some(last) => match select(next, Box::pin(sleep(REPEAT_AFTER))).await {
                    Either::Left((picture, _)) => {
                        next = self.read();
                        picture
                    }
                    Either::Right(((), still_reading)) => {
                        next = still_reading;
                        repeated(last)
                    }
                },
                None => {
                    let picture = next.await;
                    next = self.read();
                    picture
                }
            };
            let Some(picture) = picture.filter(|_| !self.stopped.get()) else {
                return SenderEvent::Ended;
            };
            if let Err(reason) = self.take(&picture, &mut slot, events).await {
                return SenderEvent::Failed(reason);
            }
            last = repeats.then_some(picture);
        }
    }

    /// Owned, so that waiting for a picture can go on after something else happened.
    fn read(self: &Rc<Self>) -> Pin<Box<dyn Future<Output = Option<Guard<VideoFrame>>>>> {
        let sending = self.clone();
        Box::pin(async move { sending.reader.next().await })
    }

    /// Encodes a picture, unless nobody takes it or the encoder is behind.
    async fn take(
        self: &Rc<Self>,
        picture: &VideoFrame,
        slot: &mut EncoderSlot,
        events: &impl Fn(SenderEvent),
    ) -> Result<(), String> {
        let now = WebClock::now();
        let captured = picture.timestamp() as i64;
        self.clock.borrow_mut().captured_at(captured, now);
        let size = self
            .source
            .parameters
            .encoded_size(picture.display_width(), picture.display_height());
        let fits = slot.encoder.as_ref().is_some_and(|encoder| {
            let encoding = encoder.encoding();
            (encoding.width, encoding.height) == size && !encoder.has_failed()
        });
        if !fits {
            slot.failures += u32::from(slot.encoder.as_ref().is_some_and(PictureEncoder::has_failed));
            if slot.failures > MAX_ENCODER_FAILURES {
                return Err("the encoder fails again and again".into());
            }
            slot.encoder = Some(self.open_encoder(size, events).await?);
            self.keyframe_wanted.set(true);
        }
        let Some(encoder) = slot.encoder.as_ref().filter(|_| self.flowing.get()) else {
            return Ok(());
        };
        if encoder.queue_size() >= self.source.parameters.max_encoder_queue {
            return Ok(());
        }
        let longest = u64::from(self.source.parameters.max_keyframe_interval_ms);
        let overdue = now.since(slot.last_keyframe) >= Duration::from_millis(longest);
        let keyframe = self.keyframe_wanted.replace(false) || overdue;
        if keyframe {
            slot.last_keyframe = now;
        }
        // A failure shows in `has_failed` with the next picture.
        encoder.encode(picture, keyframe).ok();
        Ok(())
    }

    async fn open_encoder(
        self: &Rc<Self>,
        size: (u32, u32),
        events: &impl Fn(SenderEvent),
    ) -> Result<PictureEncoder, String> {
        let parameters = &self.source.parameters;
        let encoding = PictureEncoder::choose(parameters, size)
            .await
            .ok_or("this browser encodes neither VP9 nor VP8")?;
        let sending = Rc::downgrade(self);
        let encoder = PictureEncoder::open(parameters, encoding, move |picture| {
            if let Some(sending) = sending.upgrade() {
                sending.send(picture);
            }
        })
        .map_err(|error| js::describe(&error))?;
        events(SenderEvent::Described(self.source.describe(&encoding)));
        Ok(encoder)
    }

    fn send(&self, picture: EncodedPicture) {
        if self.stopped.get() || (self.broken.get() && !picture.keyframe) {
            return;
        }
        if picture.decoder.is_some() {
            self.decoder.replace(picture.decoder);
        }
        let decoder = picture.keyframe.then(|| self.decoder.borrow().clone()).flatten();
        let bytes = picture.payload.len();
        let frame = EncodedFrame {
            track: self.source.track,
            spatial: 0,
            temporal: picture.temporal,
            capture_time_us: self.clock.borrow().place(picture.stamp_us).as_micros(),
            keyframe: picture.keyframe,
            duration_us: picture.duration_us,
            audio_level: None,
            decoder,
            payload: picture.payload,
        };
        let lost = self.client.send_frame(frame).is_err();
        self.broken.set(lost);
        if lost {
            self.keyframe_wanted.set(true);
        } else {
            self.meter.borrow_mut().add(bytes, WebClock::now());
        }
    }
}

/// The same picture, as if it had been captured a moment later.
fn repeated(picture: &VideoFrame) -> Option<Guard<VideoFrame>> {
    let init = VideoFrameInit::new();
    init.set_timestamp_f64(picture.timestamp() + REPEAT_AFTER.as_micros() as f64);
    VideoFrame::new_with_video_frame_and_video_frame_init(picture, &init)
        .ok()
        .map(Guard::new)
}
