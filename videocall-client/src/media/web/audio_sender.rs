//! Sends one source of sound: reads the samples, measures their level, encodes them, and hands the frames to the
//! client. A muted microphone stays open and is read, but nothing of it is encoded: it is back with the next word, and
//! who speaks all the same can be told.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use videocall_types::{DecoderConfig, Timestamp, TrackId, TrackInfo, TrackKind};
use wasm_bindgen_futures::spawn_local;

use super::audio_encoder::{Content, EncodedSound, SoundEncoder};
use super::capture::{Sound, SoundSource};
use super::js;
use super::video_sender::SenderEvent;
use crate::Client;
use crate::core::{EncodedFrame, EncoderTarget};
use crate::media::clock::CaptureClock;
use crate::media::level::LevelMeter;
use crate::media::muted_speech::MutedSpeech;
use crate::media::parameters::{AUDIO_CODEC, AUDIO_SAMPLE_RATE};
use crate::media::rate::RateMeter;
use crate::stats::LocalTrackStats;
use crate::transport::web::WebClock;

/// Pieces that may wait in the encoder; beyond, new ones are dropped, because the encoder has stopped.
const MAX_ENCODER_QUEUE: u32 = 25;

/// Levels that wait for the frame they belong to: half a second of pieces of 10 ms.
const MAX_LEVELS: usize = 50;

/// Encoders count samples, so a capture that left out more than this needs a new one. Microseconds.
const MAX_GAP_US: i64 = 60_000;

/// Encoders that may fail one after the other before the source is given up.
const MAX_ENCODER_FAILURES: u32 = 5;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AudioSource {
    pub(crate) track: TrackId,
    pub(crate) kind: TrackKind,
    pub(crate) bitrate_bps: u32,
}

impl AudioSource {
    /// What it is announced as.
    pub(crate) fn describe(&self, muted: bool) -> TrackInfo {
        TrackInfo {
            track: self.track,
            kind: self.kind,
            muted,
            codec: AUDIO_CODEC.to_owned(),
            layers: Vec::new(),
        }
    }

    const fn content(&self) -> Content {
        match self.kind {
            TrackKind::Microphone => Content::Voice,
            _ => Content::Any,
        }
    }
}

/// A source being sent, until it is dropped.
pub(crate) struct AudioSender(Rc<Sending>);

struct Sending {
    source: AudioSource,
    client: Client,
    sound: SoundSource,
    stopped: Cell<bool>,
    muted: Cell<bool>,
    /// The relay takes frames of the track.
    flowing: Cell<bool>,
    bitrate_bps: Cell<u32>,
    clock: RefCell<CaptureClock>,
    /// Time and level of the pieces in the encoder.
    levels: RefCell<VecDeque<(i64, LevelMeter)>>,
    /// Level of the piece that was captured last.
    level: Cell<f32>,
    meter: RefCell<RateMeter>,
}

impl AudioSender {
    /// Starts to read and, once [`AudioSender::set_flowing`] says so, to send.
    pub(crate) fn start(
        source: AudioSource,
        sound: SoundSource,
        client: Client,
        events: impl Fn(SenderEvent) + 'static,
    ) -> Self {
        let sending = Rc::new(Sending {
            source,
            client,
            sound,
            stopped: Cell::new(false),
            muted: Cell::new(true),
            flowing: Cell::new(false),
            bitrate_bps: Cell::new(source.bitrate_bps),
            clock: RefCell::default(),
            levels: RefCell::default(),
            level: Cell::new(0.0),
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
        Self(sending)
    }

    /// Whether the relay takes frames of the track.
    pub(crate) fn set_flowing(&self, flowing: bool) {
        self.0.flowing.set(flowing);
    }

    /// What the track is to take; that of others is of no interest.
    pub(crate) fn set_targets(&self, targets: &[EncoderTarget]) {
        let ours = targets
            .iter()
            .find(|target| target.track == self.0.source.track && target.active);
        if let Some(target) = ours {
            self.0.bitrate_bps.set(target.bitrate_bps);
        }
    }

    /// A muted microphone is not encoded.
    pub(crate) fn set_muted(&self, muted: bool) {
        self.0.muted.set(muted);
    }

    /// Level of what is sent, 0 to 1.
    pub(crate) fn level(&self) -> f64 {
        if self.0.muted.get() {
            0.0
        } else {
            f64::from(self.0.level.get())
        }
    }

    pub(crate) fn stats(&self, now: Timestamp) -> LocalTrackStats {
        let sending = &self.0;
        let meter = sending.meter.borrow();
        LocalTrackStats {
            track: sending.source.track,
            kind: sending.source.kind,
            muted: sending.muted.get(),
            codec: Some(AUDIO_CODEC.to_owned()),
            frames_encoded: meter.frames(),
            bytes_encoded: meter.bytes(),
            bitrate_bps: meter.bits_per_second(now),
            fps: None,
            width: None,
            height: None,
            capture_width: None,
            capture_height: None,
            audio_level: Some(f64::from(sending.level.get())),
            layers_wanted: None,
        }
    }
}

impl Drop for AudioSender {
    fn drop(&mut self) {
        self.0.stopped.set(true);
        self.0.sound.stop();
    }
}

/// The encoder in use, and where the next piece should begin.
#[derive(Default)]
struct EncoderSlot {
    encoder: Option<SoundEncoder>,
    failures: u32,
    expected_us: i64,
    muted_speech: MutedSpeech,
}

impl Sending {
    /// Runs until the capture ends or cannot be encoded.
    async fn run(self: &Rc<Self>, events: &impl Fn(SenderEvent)) -> SenderEvent {
        let mut slot = EncoderSlot::default();
        loop {
            let sound = match self.sound.next().await {
                Ok(Some(sound)) if !self.stopped.get() => sound,
                Ok(_) => return SenderEvent::Ended,
                Err(error) => return SenderEvent::Failed(js::describe(&error)),
            };
            if let Err(reason) = self.take(&sound, &mut slot).await {
                return SenderEvent::Failed(reason);
            }
            let muted = self.muted.get();
            if muted && slot.muted_speech.hears(self.level.get(), sound.duration_us) {
                events(SenderEvent::SpeakingWhileMuted);
            }
        }
    }

    async fn take(self: &Rc<Self>, sound: &Sound, slot: &mut EncoderSlot) -> Result<(), String> {
        let stamp_us = sound.stamp_us;
        self.clock.borrow_mut().captured_at(stamp_us, WebClock::now());
        let mut level = LevelMeter::default();
        level.add(&sound.samples);
        self.level.set(level.root_mean_square());
        if self.muted.get() || !self.flowing.get() {
            // A new one starts with the next word, at the right time.
            slot.encoder = None;
            return Ok(());
        }
        self.prepare(slot, sound.sample_rate, stamp_us).await?;
        slot.expected_us = stamp_us + sound.duration_us;
        let Some(encoder) = &mut slot.encoder else {
            return Ok(());
        };
        encoder.aim_at(self.bitrate_bps.get());
        if encoder.queue_size() < MAX_ENCODER_QUEUE {
            self.note_level(stamp_us, level);
            // A failure shows in `has_failed` with the next piece.
            encoder.encode(&sound.samples, stamp_us).ok();
        }
        Ok(())
    }

    /// Sees to it that there is an encoder that fits.
    async fn prepare(
        self: &Rc<Self>,
        slot: &mut EncoderSlot,
        sample_rate: u32,
        stamp_us: i64,
    ) -> Result<(), String> {
        let failed = slot.encoder.as_ref().is_some_and(SoundEncoder::has_failed);
        let gap = (stamp_us - slot.expected_us).abs() > MAX_GAP_US;
        let fits = slot
            .encoder
            .as_ref()
            .is_some_and(|encoder| encoder.sample_rate() == sample_rate);
        if fits && !failed && !gap {
            return Ok(());
        }
        slot.failures += u32::from(failed);
        if slot.failures > MAX_ENCODER_FAILURES {
            return Err("the encoder fails again and again".into());
        }
        slot.encoder = None;
        self.levels.borrow_mut().clear();
        let sending = Rc::downgrade(self);
        let bitrate_bps = self.bitrate_bps.get();
        let opened = SoundEncoder::open(self.source.content(), sample_rate, bitrate_bps, move |sound| {
            if let Some(sending) = sending.upgrade() {
                sending.send(sound);
            }
        });
        slot.encoder = Some(opened.await.map_err(|error| js::describe(&error))?);
        Ok(())
    }

    fn note_level(&self, stamp_us: i64, level: LevelMeter) {
        let mut levels = self.levels.borrow_mut();
        if levels.len() >= MAX_LEVELS {
            levels.pop_front();
        }
        levels.push_back((stamp_us, level));
    }

    /// The level of the pieces that began before the end of a frame.
    fn level_until(&self, end_us: i64) -> u8 {
        let mut levels = self.levels.borrow_mut();
        let mut level = LevelMeter::default();
        while let Some(&(stamp_us, piece)) = levels.front() {
            if stamp_us >= end_us {
                break;
            }
            level.merge(piece);
            levels.pop_front();
        }
        level.dbov()
    }

    fn send(&self, sound: EncodedSound) {
        if self.stopped.get() || self.muted.get() || sound.payload.is_empty() {
            return;
        }
        let audio_level = self.level_until(sound.stamp_us + i64::from(sound.duration_us));
        let bytes = sound.payload.len();
        let frame = EncodedFrame {
            track: self.source.track,
            spatial: 0,
            temporal: 0,
            capture_time_us: self.clock.borrow().place(sound.stamp_us).as_micros(),
            keyframe: true,
            duration_us: sound.duration_us,
            audio_level: Some(audio_level),
            decoder: Some(DecoderConfig {
                codec: AUDIO_CODEC.to_owned(),
                sample_rate: AUDIO_SAMPLE_RATE,
                channels: 1,
                ..DecoderConfig::default()
            }),
            payload: sound.payload,
        };
        // A frame that finds no room is a lost one; its neighbours repeat it.
        if self.client.send_frame(frame).is_ok() {
            self.meter.borrow_mut().add(bytes, WebClock::now());
        }
    }
}
