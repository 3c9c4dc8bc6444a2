//! One audio track of somebody else: from packets to the loudspeaker's queue. What is played when is the
//! player's to say; this decodes for it and feeds the audio thread.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use videocall_types::{DecoderConfig, Frame, Timestamp};
use web_sys::AudioData;

use super::samples::mono;
use super::sound_decoder::SoundDecoder;
use super::speaker::{QueueOwner, Speaker, SpeakerQueue};
use super::timing::Timing;
use crate::audio::{AudioFrame, AudioPlayer, PlayerStats, PlayerStep};
use crate::media::parameters::{AUDIO_CODEC, AUDIO_SAMPLE_RATE};
use crate::media::path::PathMeter;
use crate::media::rate::RateMeter;
use crate::media::tone::ToneRing;
use crate::transport::web::WebClock;

/// After so long without sound, a track is silent: the length of what level and tone are measured over.
const SILENT_AFTER: Duration = Duration::from_millis(200);

/// Decoders that may fail without any sound in between, before a track is given up.
const MAX_DECODER_FAILURES: u32 = 10;

/// What a track has played.
#[derive(Clone, Debug, Default)]
pub(crate) struct AudioFigures {
    pub(crate) received: RateMeter,
    pub(crate) path: PathMeter,
    pub(crate) codec: Option<String>,
    pub(crate) player: PlayerStats,
    /// Decoded sound that waits for the audio thread, milliseconds.
    pub(crate) queued_ms: f64,
    /// It waits in memory that the audio thread reads.
    pub(crate) is_shared: bool,
    /// From capture to the ear by the two clocks, microseconds.
    pub(crate) lag_us: Option<i64>,
    pub(crate) level: f64,
    pub(crate) tone_hz: Option<f64>,
}

/// An audio track of somebody else.
pub(crate) struct RemoteAudio(Rc<State>);

struct State {
    me: Weak<Self>,
    queue: SpeakerQueue,
    timing: Rc<Timing>,
    player: RefCell<AudioPlayer>,
    decoder: RefCell<Option<SoundDecoder>>,
    failures: Cell<u32>,
    last_sound: Cell<Timestamp>,
    tone: RefCell<ToneRing>,
    received: RefCell<RateMeter>,
    path: RefCell<PathMeter>,
}

impl RemoteAudio {
    pub(crate) fn new(speaker: &Speaker, timing: Rc<Timing>) -> Self {
        Self(Rc::new_cyclic(|me: &Weak<State>| State {
            me: me.clone(),
            queue: speaker.queue(me),
            timing,
            player: RefCell::default(),
            decoder: RefCell::default(),
            failures: Cell::new(0),
            last_sound: Cell::default(),
            tone: RefCell::new(ToneRing::new(AUDIO_SAMPLE_RATE)),
            received: RefCell::default(),
            path: RefCell::default(),
        }))
    }

    /// Takes a packet as it arrives.
    pub(crate) fn take(&self, frame: Frame, now: Timestamp) {
        let state = &self.0;
        state.received.borrow_mut().add(frame.payload.len(), now);
        let header = &frame.header;
        state.timing.arrived(header, now);
        state
            .path
            .borrow_mut()
            .arrived(header.sequence, header.capture_time_us, now);
        state.player.borrow_mut().insert(frame, now);
        state.pump(now);
    }

    /// Level of what is played, 0 to 1.
    pub(crate) fn level(&self, now: Timestamp) -> f64 {
        let level = self.0.sounds(now).then(|| self.0.tone.borrow().level());
        f64::from(level.unwrap_or_default())
    }

    pub(crate) fn figures(&self, now: Timestamp) -> AudioFigures {
        let state = &self.0;
        let tone = state
            .sounds(now)
            .then(|| state.tone.borrow().dominant_frequency_hz());
        let queued = state.queue.state(now).unwrap_or_default().queued;
        AudioFigures {
            received: state.received.borrow().clone(),
            path: state.path.borrow().clone(),
            codec: state
                .decoder
                .borrow()
                .as_ref()
                .map(|decoder| decoder.config().codec.clone()),
            player: state.player.borrow().stats(),
            queued_ms: queued as f64 * 1000.0 / f64::from(AUDIO_SAMPLE_RATE),
            is_shared: state.queue.is_shared(),
            lag_us: state.lag_us(),
            level: self.level(now),
            tone_hz: tone.flatten(),
        }
    }
}

impl QueueOwner for State {
    fn played_on(&self) {
        self.pump(WebClock::now());
    }
}

impl State {
    /// Whether anything was played lately.
    fn sounds(&self, now: Timestamp) -> bool {
        now.since(self.last_sound.get()) < SILENT_AFTER
    }

    /// From capture to the ear by the two clocks.
    fn lag_us(&self) -> Option<i64> {
        let latency = i64::try_from(self.queue.latency().as_micros()).unwrap_or(0);
        Some(self.player.borrow().lag_us()? + latency)
    }

    /// Does what the player says, as long as it says something and there is a loudspeaker.
    fn pump(&self, now: Timestamp) {
        while let Some(device) = self.queue.state(now) {
            let step = self.player.borrow_mut().poll(device, now);
            match step {
                Some(PlayerStep::Decode(frame)) => self.decode(&frame),
                Some(PlayerStep::Play(sound)) => self.push(&sound.samples, now),
                Some(PlayerStep::Rest) => self.queue.set_idle(),
                None => break,
            }
        }
        let mut lips = self.timing.lips.borrow_mut();
        lips.heard(self.lag_us(), self.player.borrow().is_audible(), now);
        self.player.borrow_mut().set_wait(lips.sound_wait());
    }

    fn decode(&self, frame: &AudioFrame) {
        if self.failures.get() <= MAX_DECODER_FAILURES {
            self.prepare_decoder(frame);
        }
        let decoded = self
            .decoder
            .borrow()
            .as_ref()
            .map(|decoder| decoder.decode(frame));
        if !matches!(decoded, Some(Ok(()))) {
            self.fail();
        }
    }

    /// Opens a decoder when there is none that fits.
    fn prepare_decoder(&self, frame: &AudioFrame) {
        let fits = self.decoder.borrow().as_ref().is_some_and(|decoder| {
            let stated = frame.decoder.as_ref();
            !decoder.has_failed() && stated.is_none_or(|stated| stated == decoder.config())
        });
        if fits {
            return;
        }
        let config = frame.decoder.clone().unwrap_or_else(|| DecoderConfig {
            codec: AUDIO_CODEC.to_owned(),
            sample_rate: AUDIO_SAMPLE_RATE,
            channels: 1,
            ..DecoderConfig::default()
        });
        let (output, failure) = (self.me.clone(), self.me.clone());
        let opened = SoundDecoder::open(
            &config,
            move |data| with(&output, |state| state.decoded(&data)),
            move || with(&failure, Self::fail),
        );
        // What the former decoder still had is lost.
        if self.decoder.replace(opened.ok()).is_some() {
            self.player.borrow_mut().decoder_replaced();
        }
    }

    /// The decoder can go on no more; the next frame opens another one.
    fn fail(&self) {
        self.failures.set(self.failures.get().saturating_add(1));
        self.player.borrow_mut().decoder_failed();
    }

    fn decoded(&self, data: &AudioData) {
        match mono(data) {
            Ok(samples) => {
                self.failures.set(0);
                self.player.borrow_mut().decoded(samples);
            }
            Err(_) => self.player.borrow_mut().decoder_failed(),
        }
        self.pump(WebClock::now());
    }

    fn push(&self, samples: &[f32], now: Timestamp) {
        self.tone.borrow_mut().push(samples);
        self.last_sound.set(now);
        self.queue.push(samples);
    }
}

fn with(state: &Weak<State>, action: impl FnOnce(&State)) {
    if let Some(state) = state.upgrade() {
        action(&state);
    }
}
