//! Sends one source of pictures: reads the capture, encodes it in the layers that somebody shows and that the
//! encoders can keep up with, and hands the frames to the client.

mod encoders;
mod load;
mod source;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use videocall_types::limits::MAX_SPATIAL_LAYERS;
use videocall_types::{DecoderConfig, Timestamp, TrackInfo, TrackKind, VideoCodec, VideoCodecs};
use wasm_bindgen_futures::spawn_local;
use web_sys::{VideoFrame, VideoFrameInit};

use self::encoders::{EncoderSlot, Encoders, choose_encodings};
use self::load::{LoadMeter, Outcome};
use super::capture::PictureSource;
use super::guard::Guard;
use super::js;
use super::video_encoder::{Aim, EncodedPicture, PictureEncoder};
use crate::Client;
use crate::core::{EncodedFrame, EncoderTarget, Receivers};
use crate::media::camera_size::{CameraSize, CameraSizing};
use crate::media::clock::CaptureClock;
use crate::media::codec_choice::CodecChoice;
use crate::media::layer_set::LayerSet;
use crate::media::rate::RateMeter;
use crate::media::still::Still;
use crate::stats::LocalTrackStats;
use crate::transport::web::{WebClock, sleep};

pub(crate) use self::source::VideoSource;

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
    /// The camera is to be asked for this much and no more; for all it has without.
    AskCamera(Option<CameraSize>),
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
    wanted: Cell<LayerSet>,
    targets: RefCell<Option<Targets>>,
    choice: Cell<CodecChoice>,
    /// What is encoded has to be chosen anew.
    choose: Cell<bool>,
    /// Families of which hardware has shown that it is none.
    false_hardware: Cell<VideoCodecs>,
    keyframes_wanted: Cell<LayerSet>,
    /// A frame was lost on the way to the client: what refers to it is of no use.
    broken: Cell<LayerSet>,
    clock: RefCell<CaptureClock>,
    sent: RefCell<[SentLayer; MAX_SPATIAL_LAYERS as usize]>,
    load: RefCell<LoadMeter>,
    /// A screen that does not change is not captured again.
    still: RefCell<Still>,
    /// What the camera gives and is asked for.
    sizing: RefCell<CameraSizing>,
}

/// What each layer is to have, if it is encoded.
type Targets = [Option<Aim>; MAX_SPATIAL_LAYERS as usize];

/// What was sent of a layer.
#[derive(Default)]
struct SentLayer {
    decoder: Option<DecoderConfig>,
    /// Pictures since the last base picture.
    since_base: u32,
    meter: RateMeter,
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
        let sizing = match source.kind {
            TrackKind::Camera => CameraSizing::default(),
            _ => CameraSizing::rigid(),
        };
        let sending = Rc::new(Sending {
            source,
            client,
            pictures,
            stopped: Cell::new(false),
            flowing: Cell::new(false),
            wanted: Cell::new(LayerSet::ALL),
            targets: RefCell::default(),
            choice: Cell::default(),
            choose: Cell::new(false),
            false_hardware: Cell::new(VideoCodecs::NONE),
            load: RefCell::default(),
            still: RefCell::default(),
            sizing: RefCell::new(sizing),
            keyframes_wanted: Cell::new(LayerSet::ALL),
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
            self.0.keyframes_wanted.set(LayerSet::ALL);
        }
    }

    /// The layers that somebody shows; the others are not encoded. Once there are targets, those count.
    pub(crate) fn set_wanted(&self, spatial_layers: &[u8]) {
        let wanted = spatial_layers.iter().copied().collect();
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
        self.0.want_keyframes(LayerSet::of(spatial));
    }

    pub(crate) fn stats(&self, now: Timestamp) -> LocalTrackStats {
        let sent = self.0.sent.borrow();
        let is_recent = |layer: &&SentLayer| layer.meter.frames_per_second(now) > 0.0;
        // What is sent now, or else what was sent.
        let newest = sent.iter().rfind(is_recent);
        let newest = newest.or_else(|| sent.iter().rfind(|layer| layer.decoder.is_some()));
        let decoder = newest.and_then(|layer| layer.decoder.as_ref());
        let captured = self.0.sizing.borrow().newest();
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
            capture_width: captured.map(|size| size.0),
            capture_height: captured.map(|size| size.1),
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

impl Sending {
    /// Runs until the capture ends or cannot be encoded.
    async fn run(self: &Rc<Self>, events: &impl Fn(SenderEvent)) -> SenderEvent {
        let mut encoders = Encoders::default();
        let repeats = self.source.kind == TrackKind::Screen;
        let mut last: Option<Guard<VideoFrame>> = None;
        let mut next = self.read();
        loop {
            let repeat_after = self.still.borrow().repeat_after();
            let (picture, again) = match last.as_ref() {
                Some(last) => match select(next, Box::pin(sleep(repeat_after))).await {
                    Either::Left((picture, _)) => {
                        next = self.read();
                        (picture, false)
                    }
                    Either::Right(((), still_reading)) => {
                        next = still_reading;
                        (repeated(last, repeat_after), true)
                    }
                },
                None => {
                    let picture = next.await;
                    next = self.read();
                    (picture, false)
                }
            };
            let Some(picture) = picture.filter(|_| !self.stopped.get()) else {
                return SenderEvent::Ended;
            };
            if !again {
                self.still.borrow_mut().moved(WebClock::now());
            }
            if let Err(reason) = self.take(&picture, again, &mut encoders, events).await {
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

    /// Encodes a picture in all layers that somebody takes, unless an encoder is behind. `again`: it was before.
    async fn take(
        self: &Rc<Self>,
        picture: &VideoFrame,
        again: bool,
        encoders: &mut Encoders,
        events: &impl Fn(SenderEvent),
    ) -> Result<(), String> {
        let now = WebClock::now();
        let captured_us = picture.timestamp() as i64;
        self.clock.borrow_mut().captured_at(captured_us, now);
        self.note_size(picture, captured_us, now);
        let full = self.sizing.borrow().full();
        if encoders.layers.is_empty() || encoders.planned_for != full || self.choose.take() {
            self.plan(encoders, full, events).await?;
        }
        let wanted = self.ask_camera(encoders, events, now);
        let mut outcome = Outcome::NotDue;
        for (spatial, slot) in (0..).zip(&mut encoders.layers) {
            if !wanted.has(spatial) {
                continue;
            }
            encoders.failures += self.look_after(slot);
            if encoders.failures > MAX_ENCODER_FAILURES {
                return Err("the encoder fails again and again".into());
            }
            let aim = self.aim(spatial, slot);
            let sharp = again && self.is_sharp(captured_us, spatial, slot, aim);
            if sharp || slot.is_due(captured_us, aim.frames_per_second) {
                outcome = outcome.max(self.encode(picture, sharp, (spatial, slot), aim)?);
            }
        }
        let worked = || encoders.take_work();
        let told = self
            .load
            .borrow_mut()
            .note(self.source.track, outcome, worked, now);
        if let Some(told) = told {
            // A client that is full hears the next one.
            self.client.report_encoder(told).ok();
        }
        Ok(())
    }

    fn note_size(&self, picture: &VideoFrame, captured_us: i64, now: Timestamp) {
        let size = (picture.display_width(), picture.display_height());
        self.sizing.borrow_mut().captured(size, captured_us, now);
    }

    /// Has the camera asked for what is to be encoded at most. Returns the layers that are to be encoded of what it gives:
    /// until it gives enough for one, the largest that there is enough for takes its place.
    fn ask_camera(&self, encoders: &Encoders, events: &impl Fn(SenderEvent), now: Timestamp) -> LayerSet {
        if !self.flowing.get() {
            return LayerSet::default();
        }
        let active = self.active().capped(encoders.largest());
        let mut sizing = self.sizing.borrow_mut();
        let largest = active
            .largest()
            .and_then(|spatial| encoders.layers.get(usize::from(spatial)));
        let wanted = largest.map(|slot| CameraSize {
            width: slot.encoding.width,
            height: slot.encoding.height,
            frames_per_second: slot.planned.parameters.frames_per_second,
        });
        if let Some(size) = sizing.want(wanted, now) {
            events(SenderEvent::AskCamera(size));
        }
        active.capped(encoders.largest_where(|planned| sizing.has_room_for(planned.size)))
    }

    /// Gives up an encoder that has failed, and hardware that is none. Returns how many failures that were the encoder's.
    fn look_after(&self, slot: &mut EncoderSlot) -> u32 {
        let failed = slot.encoder.as_ref().is_some_and(PictureEncoder::has_failed);
        let slow = slot
            .encoder
            .as_ref()
            .is_some_and(PictureEncoder::is_false_hardware);
        if failed {
            slot.encoder = None;
        }
        if slow || failed && slot.encoding.is_hardware() {
            tracing::info!(codec = slot.encoding.codec, "no hardware encodes this after all");
            self.distrust_hardware(slot.encoding.codec);
        }
        u32::from(failed && !slot.encoding.is_hardware())
    }

    /// The layers that are to be encoded.
    fn active(&self) -> LayerSet {
        let Some(targets) = *self.targets.borrow() else {
            return self.wanted.get();
        };
        let active = (0..).zip(targets).filter(|(_, aim)| aim.is_some());
        active.map(|(spatial, _)| spatial).collect()
    }

    /// What a layer is to have. One in the place of a larger one gets no more bits than were meant for that.
    fn aim(&self, spatial: u8, slot: &EncoderSlot) -> Aim {
        let usual = slot.planned.aim();
        let Some(targets) = *self.targets.borrow() else {
            return usual;
        };
        let from = usize::from(spatial).min(targets.len());
        match (targets[from..].first(), targets[from..].iter().flatten().next()) {
            (Some(Some(own)), _) => *own,
            (_, Some(larger)) => Aim {
                bitrate_bps: usual.bitrate_bps.min(larger.bitrate_bps),
                frames_per_second: usual.frames_per_second.min(larger.frames_per_second),
            },
            _ => usual,
        }
    }

    /// Whether this repetition of a picture that stands still is the one that is as good as can be.
    fn is_sharp(&self, captured_us: i64, spatial: u8, slot: &EncoderSlot, aim: Aim) -> bool {
        let Some(encoder) = slot.encoder.as_ref() else {
            return false;
        };
        let since_base = self
            .sent
            .borrow()
            .get(usize::from(spatial))
            .map_or(0, |sent| sent.since_base);
        if encoder.queue_size() >= self.source.parameters.max_encoder_queue {
            return false;
        }
        let keyframe = self.is_keyframe_due(spatial, slot, WebClock::now());
        if keyframe {
            // Others are coarse.
            self.still.borrow_mut().coarsened();
        }
        let next = since_base + encoder.pictures_inside() + 1;
        let is_base = keyframe || encoder.makes_sharp_keyframes() || next.is_multiple_of(slot.period());
        let share = f64::from(aim.bitrate_bps) / f64::from(slot.planned.aim().bitrate_bps.max(1));
        self.still
            .borrow_mut()
            .repeats(captured_us, is_base, share, WebClock::now())
    }

    /// Encodes a picture for a layer; a sharp one at its best.
    fn encode(
        self: &Rc<Self>,
        picture: &VideoFrame,
        sharp: bool,
        (spatial, slot): (u8, &mut EncoderSlot),
        aim: Aim,
    ) -> Result<Outcome, String> {
        let encoder = match slot.encoder.take() {
            Some(encoder) => encoder,
            None => {
                self.want_keyframes(LayerSet::of(spatial));
                self.open_encoder(spatial, slot, aim)?
            }
        };
        let now = WebClock::now();
        let keyframe = self.is_keyframe_due(spatial, slot, now);
        let encoder = slot.encoder.insert(encoder);
        if encoder.queue_size() >= self.source.parameters.max_encoder_queue {
            return Ok(Outcome::Dropped);
        }
        encoder.aim_at(aim);
        if keyframe {
            let asked = self.keyframes_wanted.get();
            self.keyframes_wanted.set(asked.without(LayerSet::of(spatial)));
            slot.last_keyframe = now;
        }
        // A failure shows in `has_failed` with the next picture.
        if sharp {
            encoder.encode_sharp(picture, keyframe).ok();
        } else {
            encoder.encode(picture, keyframe).ok();
        }
        Ok(Outcome::Encoded)
    }

    fn is_keyframe_due(&self, spatial: u8, slot: &EncoderSlot, now: Timestamp) -> bool {
        let longest = Duration::from_millis(self.source.parameters.max_keyframe_interval_ms.into());
        self.keyframes_wanted.get().has(spatial) || now.since(slot.last_keyframe) >= longest
    }

    fn want_keyframes(&self, layers: LayerSet) {
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
        let order = self.choice.get().order(self.source.kind);
        let chosen = choose_encodings(&planned, order, self.false_hardware.get()).await;
        let chosen = chosen.ok_or("this browser encodes nothing that everybody decodes, nor VP8")?;
        encoders.replan(captured, planned, chosen);
        let layers = encoders.layers.iter();
        let description = self
            .source
            .describe(layers.map(|slot| (slot.planned, slot.encoding)));
        events(SenderEvent::Described(description));
        Ok(())
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
        let layer = LayerSet::of(spatial);
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
        let is_base = picture.temporal == 0;
        sent.since_base = if is_base { 0 } else { sent.since_base + 1 };
        let usual = f64::from(self.source.parameters.largest().bitrate_bps.max(1));
        let takes = bytes as f64 * 8.0 / usual;
        self.still
            .borrow_mut()
            .encoded(picture.stamp_us, is_base, takes, WebClock::now());
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

/// The same picture, as if it had been captured so much later.
fn repeated(picture: &VideoFrame, after: Duration) -> Option<Guard<VideoFrame>> {
    let init = VideoFrameInit::new();
    init.set_timestamp_f64(picture.timestamp() + after.as_micros() as f64);
    VideoFrame::new_with_video_frame_and_video_frame_init(picture, &init)
        .ok()
        .map(Guard::new)
}
