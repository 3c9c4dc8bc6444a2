//! Sends one source of pictures: reads the capture, encodes it in the layers that somebody shows and that the
//! encoders can keep up with, and hands the frames to the client.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use videocall_types::limits::MAX_SPATIAL_LAYERS;
use videocall_types::{
    DecoderConfig, LayerInfo, Timestamp, TrackId, TrackInfo, TrackKind, VideoCodec, VideoCodecs,
};
use wasm_bindgen_futures::spawn_local;
use web_sys::{HardwareAcceleration, VideoFrame, VideoFrameInit};

use super::capture::PictureSource;
use super::guard::Guard;
use super::js;
use super::video_encoder::{Aim, EncodedPicture, Encoding, PictureEncoder};
use crate::Client;
use crate::core::{EncodedFrame, EncoderLoad, EncoderTarget, Receivers};
use crate::media::clock::CaptureClock;
use crate::media::codec_choice::CodecChoice;
use crate::media::parameters::{PlannedLayer, VideoParameters, temporal_layers};
use crate::media::rate::RateMeter;
use crate::stats::LocalTrackStats;
use crate::transport::web::{WebClock, sleep};

/// A picture that does not change is not captured again (a shared screen); its last capture is then
/// encoded this often, which sharpens it and answers requests for keyframes.
const REPEAT_AFTER: Duration = Duration::from_millis(250);

/// How often the client hears how the encoders get on.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);

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
    /// A voice is not heard, because it is muted.
    SpeakingWhileMuted,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VideoSource {
    pub(crate) track: TrackId,
    pub(crate) kind: TrackKind,
    pub(crate) parameters: VideoParameters,
}

impl VideoSource {
    /// The description before anything was captured: as if the camera gave what it is asked for.
    pub(crate) fn expected(&self, muted: bool) -> TrackInfo {
        let largest = self.parameters.largest();
        let planned = self.parameters.plan(largest.max_width, largest.max_height);
        let expected = planned.into_iter().map(|layer| {
            let encoding = Encoding {
                codec: layer
                    .parameters
                    .codec(VideoCodec::Vp8, layer.size)
                    .unwrap_or_default(),
                mode: Some("L1T3"),
                hardware: HardwareAcceleration::NoPreference,
                constant: true,
                width: layer.size.0,
                height: layer.size.1,
            };
            (layer, encoding)
        });
        TrackInfo {
            muted,
            ..self.describe(expected)
        }
    }

    fn describe(&self, layers: impl Iterator<Item = (PlannedLayer, Encoding)>) -> TrackInfo {
        let mut codec = "";
        let describe = |(spatial, (layer, encoding)): (u8, (PlannedLayer, Encoding))| {
            codec = encoding.codec;
            LayerInfo {
                spatial,
                temporal_layers: temporal_layers(encoding.mode),
                width: encoding.width,
                height: encoding.height,
                frames_per_second: layer.parameters.frames_per_second,
                bitrate_bps: layer.parameters.bitrate_for(encoding.width, encoding.height),
            }
        };
        let layers = (0..).zip(layers).map(describe).collect();
        TrackInfo {
            track: self.track,
            kind: self.kind,
            muted: false,
            // Of the largest layer; the others' levels are below.
            codec: codec.to_owned(),
            layers,
        }
    }
}

/// A source being sent, until it is dropped.
pub(crate) struct VideoSender(Rc<Sending>);

struct Sending {
    source: VideoSource,
    client: Client,
    pictures: PictureSource,
    stopped: Cell<bool>,
    /// The relay takes frames of the track.
    flowing: Cell<bool>,
    /// The layers that anybody shows; of use until there are targets, which know that, too.
    wanted: Cell<Layers>,
    targets: RefCell<Option<Targets>>,
    choice: Cell<CodecChoice>,
    /// What is encoded has to be chosen anew.
    choose: Cell<bool>,
    /// Families of which hardware has shown that it is none.
    false_hardware: Cell<VideoCodecs>,
    keyframes_wanted: Cell<Layers>,
    /// A frame was lost on the way to the client: what refers to it is of no use.
    broken: Cell<Layers>,
    clock: RefCell<CaptureClock>,
    sent: RefCell<[SentLayer; MAX_SPATIAL_LAYERS as usize]>,
    load: RefCell<Load>,
}

/// What each layer is to have, if it is encoded.
type Targets = [Option<Aim>; MAX_SPATIAL_LAYERS as usize];

/// How the encoders get on.
#[derive(Default)]
struct Load {
    since: Timestamp,
    captured: u32,
    dropped: u32,
}

/// What was sent of a layer.
#[derive(Default)]
struct SentLayer {
    decoder: Option<DecoderConfig>,
    meter: RateMeter,
}

/// A set of spatial layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Layers(u8);

impl Layers {
    const ALL: Self = Self(u8::MAX);

    fn of(spatial: u8) -> Self {
        Self(1_u8.checked_shl(spatial.into()).unwrap_or(0))
    }

    const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    fn has(self, spatial: u8) -> bool {
        self.0 & Self::of(spatial).0 != 0
    }

    /// With layers that are larger than there are replaced by the largest there is.
    fn capped(self, largest: u8) -> Self {
        let above = !((2_u16 << largest) - 1) as u8;
        if self.0 & above == 0 {
            self
        } else {
            Self(self.0 & !above).with(Self::of(largest))
        }
    }
}

impl VideoSender {
    /// Starts to read and, once [`VideoSender::set_flowing`] says so, to send. `events` is called with
    /// what the call has to know.
    pub(crate) fn start(
        source: VideoSource,
        pictures: PictureSource,
        client: Client,
        events: impl Fn(SenderEvent) + 'static,
    ) -> Self {
        let sending = Rc::new(Sending {
            source,
            client,
            pictures,
            stopped: Cell::new(false),
            flowing: Cell::new(false),
            wanted: Cell::new(Layers::ALL),
            targets: RefCell::default(),
            choice: Cell::default(),
            choose: Cell::new(false),
            false_hardware: Cell::new(VideoCodecs::NONE),
            load: RefCell::default(),
            keyframes_wanted: Cell::new(Layers::ALL),
            broken: Cell::default(),
            clock: RefCell::default(),
            sent: RefCell::default(),
        });
        let task = sending.clone();
        spawn_local(async move {
            let end = task.run(&events).await;
            // Who stopped it knows.
            if !task.stopped.get() {
                events(end);
            }
        });
        Self(sending)
    }

    /// Whether frames are encoded: while the relay takes them.
    pub(crate) fn set_flowing(&self, flowing: bool) {
        if !self.0.flowing.replace(flowing) && flowing {
            self.0.keyframes_wanted.set(Layers::ALL);
        }
    }

    /// The layers that somebody shows; the others are not encoded. Once there are targets, those count.
    pub(crate) fn set_wanted(&self, spatial_layers: &[u8]) {
        let layers = spatial_layers.iter().map(|&spatial| Layers::of(spatial));
        let wanted = layers.fold(Layers::default(), Layers::with);
        let before = self.0.active();
        self.0.wanted.set(wanted);
        self.0.want_keyframes(self.0.active().without(before));
    }

    /// Others receive from now on.
    pub(crate) fn set_receivers(&self, receivers: Receivers) {
        let mut choice = self.0.choice.get();
        if choice.set_receivers(receivers) {
            self.0.choose.set(true);
        }
        self.0.choice.set(choice);
    }

    /// What the layers of this track are to have; those of other tracks are of no interest.
    pub(crate) fn set_targets(&self, targets: &[EncoderTarget]) {
        let ours = |target: &&EncoderTarget| target.track == self.0.source.track;
        let mut layers = Targets::default();
        let mut any = false;
        for target in targets.iter().filter(ours) {
            any = true;
            if let Some(layer) = layers.get_mut(usize::from(target.spatial)) {
                *layer = target.active.then_some(Aim {
                    bitrate_bps: target.bitrate_bps,
                    frames_per_second: target.frames_per_second,
                });
            }
        }
        if any {
            let before = self.0.active();
            self.0.targets.replace(Some(layers));
            self.0.want_keyframes(self.0.active().without(before));
        }
    }

    /// The next frame of a layer is to be a keyframe.
    pub(crate) fn request_keyframe(&self, spatial: u8) {
        self.0.want_keyframes(Layers::of(spatial));
    }

    pub(crate) fn stats(&self, now: Timestamp) -> LocalTrackStats {
        let sent = self.0.sent.borrow();
        let is_recent = |layer: &&SentLayer| layer.meter.frames_per_second(now) > 0.0;
        // What is sent now, or else what was sent.
        let newest = sent.iter().rfind(is_recent);
        let newest = newest.or_else(|| sent.iter().rfind(|layer| layer.decoder.is_some()));
        let decoder = newest.and_then(|layer| layer.decoder.as_ref());
        let sum = |of: fn(&RateMeter) -> u64| sent.iter().map(|layer| of(&layer.meter)).sum();
        LocalTrackStats {
            track: self.0.source.track,
            kind: self.0.source.kind,
            muted: false,
            codec: decoder.map(|decoder| decoder.codec.clone()),
            frames_encoded: sum(RateMeter::frames),
            bytes_encoded: sum(RateMeter::bytes),
            bitrate_bps: sent.iter().map(|layer| layer.meter.bits_per_second(now)).sum(),
            fps: Some(newest.map_or(0.0, |layer| layer.meter.frames_per_second(now))),
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
        self.0.pictures.stop();
    }
}

/// The encoders for captures of one size.
#[derive(Default)]
struct Encoders {
    captured: (u32, u32),
    layers: Vec<EncoderSlot>,
    failures: u32,
}

/// What became of a capture; of several layers the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    NotDue,
    Encoded,
    /// An encoder was behind.
    Dropped,
}

/// One layer.
struct EncoderSlot {
    planned: PlannedLayer,
    encoding: Encoding,
    /// Once somebody has shown its pictures; it rests while nobody does, because opening one takes longer
    /// than somebody who comes should wait for the first picture.
    encoder: Option<PictureEncoder>,
    last_keyframe: Timestamp,
    /// When the next picture is due, microseconds on the capture's clock.
    due_us: i64,
}

impl EncoderSlot {
    /// Whether this picture is one of those that the frame rate has room for. Cameras are not exact, so one that
    /// comes a little early is in time.
    fn is_due(&mut self, captured_us: i64, frames_per_second: u32) -> bool {
        let interval = 1_000_000 / i64::from(frames_per_second.max(1));
        if captured_us + interval / 3 < self.due_us {
            return false;
        }
        // After a pause the rhythm begins anew.
        self.due_us = (self.due_us + interval).max(captured_us + interval / 2);
        true
    }
}

impl Sending {
    /// Runs until the capture ends or cannot be encoded.
    async fn run(self: &Rc<Self>, events: &impl Fn(SenderEvent)) -> SenderEvent {
        let mut encoders = Encoders::default();
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
            if let Err(reason) = self.take(&picture, &mut encoders, events).await {
                return SenderEvent::Failed(reason);
            }
            last = repeats.then_some(picture);
        }
    }

    /// Owned, so that waiting for a picture can go on after something else happened.
    fn read(self: &Rc<Self>) -> Pin<Box<dyn Future<Output = Option<Guard<VideoFrame>>>>> {
        let sending = self.clone();
        Box::pin(async move { sending.pictures.next().await })
    }

    /// Encodes a picture in all layers that somebody takes, unless an encoder is behind.
    async fn take(
        self: &Rc<Self>,
        picture: &VideoFrame,
        encoders: &mut Encoders,
        events: &impl Fn(SenderEvent),
    ) -> Result<(), String> {
        let now = WebClock::now();
        let captured_us = picture.timestamp() as i64;
        self.clock.borrow_mut().captured_at(captured_us, now);
        let captured = (picture.display_width(), picture.display_height());
        if encoders.layers.is_empty() || encoders.captured != captured || self.choose.take() {
            self.plan(encoders, captured, events).await?;
        }
        let largest = encoders.layers.len().saturating_sub(1) as u8;
        let wanted = match self.flowing.get() {
            true => self.active().capped(largest),
            false => Layers::default(),
        };
        let mut outcome = Outcome::NotDue;
        for (spatial, slot) in (0..).zip(&mut encoders.layers) {
            if !wanted.has(spatial) {
                continue;
            }
            let failed = slot.encoder.as_ref().is_some_and(PictureEncoder::has_failed);
            let slow = slot
                .encoder
                .as_ref()
                .is_some_and(PictureEncoder::is_false_hardware);
            if failed {
                encoders.failures += u32::from(!slot.encoding.is_hardware());
                slot.encoder = None;
            }
            if slow || failed && slot.encoding.is_hardware() {
                tracing::info!(codec = slot.encoding.codec, "no hardware encodes this after all");
                self.distrust_hardware(slot.encoding.codec);
            }
            if encoders.failures > MAX_ENCODER_FAILURES {
                return Err("the encoder fails again and again".into());
            }
            let aim = self.aim(spatial, slot);
            if slot.is_due(captured_us, aim.frames_per_second) {
                outcome = outcome.max(self.encode(picture, spatial, slot, aim)?);
            }
        }
        self.note_load(outcome, encoders, now);
        Ok(())
    }

    /// The layers that are to be encoded.
    fn active(&self) -> Layers {
        let Some(targets) = *self.targets.borrow() else {
            return self.wanted.get();
        };
        let active = (0..).zip(targets).filter(|(_, aim)| aim.is_some());
        active.fold(Layers::default(), |layers, (spatial, _)| {
            layers.with(Layers::of(spatial))
        })
    }

    fn aim(&self, spatial: u8, slot: &EncoderSlot) -> Aim {
        let targets = self.targets.borrow();
        let target = targets.and_then(|targets| targets.get(usize::from(spatial)).copied().flatten());
        target.unwrap_or_else(|| slot.planned.aim())
    }

    /// Tells the client about once a second whether the encoders keep up.
    fn note_load(&self, outcome: Outcome, encoders: &Encoders, now: Timestamp) {
        let mut load = self.load.borrow_mut();
        load.captured += u32::from(outcome != Outcome::NotDue);
        load.dropped += u32::from(outcome == Outcome::Dropped);
        let time = now.since(load.since);
        if time < LOAD_INTERVAL {
            return;
        }
        let running = encoders.layers.iter().filter_map(|slot| slot.encoder.as_ref());
        // Each encoder has a thread of its own.
        let worked = running.map(PictureEncoder::take_work).max().unwrap_or_default();
        let told = EncoderLoad {
            track: self.source.track,
            captured: load.captured,
            dropped: load.dropped,
            busy: (worked.as_secs_f32() / time.as_secs_f32()).min(1.0),
        };
        *load = Load {
            since: now,
            ..Load::default()
        };
        // The first interval has no beginning. A client that is full hears the next one.
        if told.captured > 0 && time < LOAD_INTERVAL * 5 {
            self.client.report_encoder(told).ok();
        }
    }

    fn encode(
        self: &Rc<Self>,
        picture: &VideoFrame,
        spatial: u8,
        slot: &mut EncoderSlot,
        aim: Aim,
    ) -> Result<Outcome, String> {
        let encoder = match slot.encoder.take() {
            Some(encoder) => encoder,
            None => {
                self.want_keyframes(Layers::of(spatial));
                self.open_encoder(spatial, slot, aim)?
            }
        };
        let encoder = slot.encoder.insert(encoder);
        let parameters = &self.source.parameters;
        if encoder.queue_size() >= parameters.max_encoder_queue {
            return Ok(Outcome::Dropped);
        }
        encoder.aim_at(aim);
        let now = WebClock::now();
        let longest = Duration::from_millis(parameters.max_keyframe_interval_ms.into());
        let asked = self.keyframes_wanted.get();
        let keyframe = asked.has(spatial) || now.since(slot.last_keyframe) >= longest;
        if keyframe {
            self.keyframes_wanted.set(asked.without(Layers::of(spatial)));
            slot.last_keyframe = now;
        }
        // A failure shows in `has_failed` with the next picture.
        encoder.encode(picture, keyframe).ok();
        Ok(Outcome::Encoded)
    }

    fn want_keyframes(&self, layers: Layers) {
        self.keyframes_wanted
            .set(self.keyframes_wanted.get().with(layers));
    }

    /// Finds out what captures of this size are encoded as.
    async fn plan(
        &self,
        encoders: &mut Encoders,
        captured: (u32, u32),
        events: &impl Fn(SenderEvent),
    ) -> Result<(), String> {
        let planned = self.source.parameters.plan(captured.0, captured.1);
        let chosen = self.choose_encodings(&planned).await;
        let chosen = chosen.ok_or("this browser encodes nothing that everybody decodes, nor VP8")?;
        let mut before = std::mem::take(&mut encoders.layers).into_iter();
        encoders.captured = captured;
        for (planned, encoding) in planned.into_iter().zip(chosen) {
            let slot = EncoderSlot {
                planned,
                encoding,
                encoder: None,
                last_keyframe: Timestamp::ZERO,
                due_us: i64::MIN / 2,
            };
            // What stays as it is goes on.
            let same = before.next().filter(|old| old.encoding == encoding);
            encoders
                .layers
                .push(same.map_or(slot, |old| EncoderSlot { planned, ..old }));
        }
        let layers = encoders.layers.iter();
        let description = self
            .source
            .describe(layers.map(|slot| (slot.planned, slot.encoding)));
        events(SenderEvent::Described(description));
        Ok(())
    }

    /// Encodings of one family for all layers: the first in the order of preference that has temporal layers, or else
    /// the first at all.
    async fn choose_encodings(&self, planned: &[PlannedLayer]) -> Option<Vec<Encoding>> {
        let mut without_temporal = None;
        for family in self.choice.get().order(self.source.kind) {
            let trusted = !self.false_hardware.get().has(family);
            let mut encodings = Vec::with_capacity(planned.len());
            for layer in planned {
                match PictureEncoder::choose(layer, family, trusted).await {
                    Some(encoding) => encodings.push(encoding),
                    None => break,
                }
            }
            if encodings.len() < planned.len() {
                continue;
            }
            if encodings
                .iter()
                .all(|encoding| temporal_layers(encoding.mode) > 1)
            {
                return Some(encodings);
            }
            without_temporal.get_or_insert(encodings);
        }
        without_temporal
    }

    fn distrust_hardware(&self, codec: &str) {
        if let Some(family) = VideoCodec::of(codec) {
            self.false_hardware.set(self.false_hardware.get().with(family));
            self.choose.set(true);
        }
    }

    fn open_encoder(
        self: &Rc<Self>,
        spatial: u8,
        slot: &EncoderSlot,
        aim: Aim,
    ) -> Result<PictureEncoder, String> {
        let sending = Rc::downgrade(self);
        let output = move |picture| {
            if let Some(sending) = sending.upgrade() {
                sending.send(spatial, picture);
            }
        };
        let hint = self.source.parameters.content_hint;
        PictureEncoder::open(slot.encoding, hint, aim, output).map_err(|error| js::describe(&error))
    }

    fn send(&self, spatial: u8, picture: EncodedPicture) {
        let layer = Layers::of(spatial);
        let broken = self.broken.get();
        if self.stopped.get() || (broken.has(spatial) && !picture.keyframe) {
            return;
        }
        let mut sent = self.sent.borrow_mut();
        let Some(sent) = sent.get_mut(usize::from(spatial)) else {
            return;
        };
        if picture.decoder.is_some() {
            sent.decoder = picture.decoder;
        }
        let bytes = picture.payload.len();
        let frame = EncodedFrame {
            track: self.source.track,
            spatial,
            temporal: picture.temporal,
            capture_time_us: self.clock.borrow().place(picture.stamp_us).as_micros(),
            keyframe: picture.keyframe,
            duration_us: picture.duration_us,
            audio_level: None,
            decoder: picture.keyframe.then(|| sent.decoder.clone()).flatten(),
            payload: picture.payload,
        };
        if self.client.send_frame(frame).is_err() {
            self.broken.set(broken.with(layer));
            self.want_keyframes(layer);
        } else {
            self.broken.set(broken.without(layer));
            sent.meter.add(bytes, WebClock::now());
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
