//! One audio track of somebody else: from packets to the loudspeaker's queue.
//!
//! The jitter buffer decides what is played next; this asks it whenever the audio thread's queue is
//! shorter than it should be, decodes, and makes up what is missing.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::Duration;

use videocall_types::{DecoderConfig, Frame, Timestamp};
use web_sys::AudioData;

use super::samples::mono;
use super::sound_decoder::SoundDecoder;
use super::speaker::{QueueOwner, QueueReport, Speaker, SpeakerQueue};
use crate::audio::{AudioFrame, JitterBuffer, JitterBufferConfig, JitterBufferStats, Pace, Playout};
use crate::media::conceal::Concealer;
use crate::media::parameters::{AUDIO_CODEC, AUDIO_FRAME_US, AUDIO_SAMPLE_RATE};
use crate::media::path::PathMeter;
use crate::media::rate::RateMeter;
use crate::media::ring::RingTarget;
use crate::media::stretch::{lengthened, shortened};
use crate::media::tone::ToneRing;
use crate::transport::web::WebClock;

/// Longest frame that is taken at its word, microseconds: Opus has up to 120 ms (RFC 6716 §2.1.4).
const MAX_FRAME_US: u32 = 120_000;

/// After so long without sound, a track is silent: the length of what level and tone are measured over.
const SILENT_AFTER: Duration = Duration::from_millis(200);

/// One frame in so many is made shorter or longer: up to 10 ms in 80, which voices bear, and slow enough for the
/// jitter buffer's smoothed level to follow.
const STRETCH_EVERY: u32 = 4;

/// Decoders that may fail without any sound in between, before a track is given up.
const MAX_DECODER_FAILURES: u32 = 10;

/// What a track has played.
#[derive(Clone, Debug, Default)]
pub(crate) struct AudioFigures {
    pub(crate) received: RateMeter,
    pub(crate) path: PathMeter,
    pub(crate) decoded: u64,
    pub(crate) codec: Option<String>,
    pub(crate) jitter: JitterBufferStats,
    pub(crate) concealed_samples: u64,
    /// Decoded sound that waits for the audio thread, milliseconds.
    pub(crate) queued_ms: f64,
    pub(crate) level: f64,
    pub(crate) tone_hz: Option<f64>,
}

/// An audio track of somebody else.
pub(crate) struct RemoteAudio(Rc<State>);

struct State {
    me: Weak<Self>,
    queue: SpeakerQueue,
    jitter: RefCell<JitterBuffer>,
    decoder: RefCell<Option<SoundDecoder>>,
    failures: Cell<u32>,
    /// What is in the decoder, and what is to be made up between its frames; bounded by the target.
    pending: RefCell<VecDeque<Pending>>,
    concealer: RefCell<Concealer>,
    /// Frames since the last one that was made shorter or longer.
    since_stretch: Cell<u32>,
    target: RefCell<RingTarget>,
    report: Cell<QueueReport>,
    reported_at: Cell<Timestamp>,
    /// Samples given to the queue so far.
    pushed: Cell<u64>,
    concealed: Cell<u64>,
    last_sound: Cell<Timestamp>,
    tone: RefCell<ToneRing>,
    received: RefCell<RateMeter>,
    path: RefCell<PathMeter>,
    decoded: Cell<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Pending {
    /// The decoder is about to deliver so many samples, to be played so fast.
    Decode(u64, Pace),
    /// So many samples are to be made up.
    Conceal(u64),
}

impl RemoteAudio {
    pub(crate) fn new(speaker: &Speaker) -> Self {
        Self(Rc::new_cyclic(|me: &Weak<State>| State {
            me: me.clone(),
            queue: speaker.queue(me),
            jitter: RefCell::new(JitterBuffer::new(JitterBufferConfig {
                playout_stretches: true,
                ..JitterBufferConfig::default()
            })),
            decoder: RefCell::default(),
            failures: Cell::new(0),
            pending: RefCell::default(),
            concealer: RefCell::default(),
            since_stretch: Cell::new(0),
            target: RefCell::default(),
            report: Cell::default(),
            reported_at: Cell::default(),
            pushed: Cell::new(0),
            concealed: Cell::new(0),
            last_sound: Cell::default(),
            tone: RefCell::new(ToneRing::new(AUDIO_SAMPLE_RATE)),
            received: RefCell::default(),
            path: RefCell::default(),
            decoded: Cell::new(0),
        }))
    }

    /// Takes a packet as it arrives.
    pub(crate) fn take(&self, frame: Frame, now: Timestamp) {
        self.0.received.borrow_mut().add(frame.payload.len(), now);
        let header = &frame.header;
        self.0
            .path
            .borrow_mut()
            .arrived(header.sequence, header.capture_time_us, now);
        self.0.jitter.borrow_mut().insert(frame, now);
        self.0.pump(now);
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
        AudioFigures {
            received: state.received.borrow().clone(),
            path: state.path.borrow().clone(),
            decoded: state.decoded.get(),
            codec: state
                .decoder
                .borrow()
                .as_ref()
                .map(|decoder| decoder.config().codec.clone()),
            jitter: state.jitter.borrow().stats(),
            concealed_samples: state.concealed.get() + state.report.get().missed,
            queued_ms: state.ahead(now) as f64 * 1000.0 / f64::from(AUDIO_SAMPLE_RATE),
            level: self.level(now),
            tone_hz: tone.flatten(),
        }
    }
}

impl QueueOwner for State {
    fn report(&self, report: QueueReport) {
        let now = WebClock::now();
        let had_frames = self.jitter.borrow().stats().buffered_ms > 0.0;
        self.report.set(report);
        self.reported_at.set(now);
        self.target.borrow_mut().observe(report.missed, had_frames, now);
        self.pump(now);
    }
}

impl State {
    /// Whether anything was played lately.
    fn sounds(&self, now: Timestamp) -> bool {
        now.since(self.last_sound.get()) < SILENT_AFTER
    }

    /// Samples that will be played after those that are heard now.
    fn ahead(&self, now: Timestamp) -> u64 {
        let report = self.report.get();
        let played =
            now.since(self.reported_at.get()).as_micros() * u128::from(AUDIO_SAMPLE_RATE) / 1_000_000;
        let queued = report
            .queued
            .saturating_sub(u64::try_from(played).unwrap_or(u64::MAX));
        let on_the_way = self.pushed.get().saturating_sub(report.received);
        let pending: u64 = self
            .pending
            .borrow()
            .iter()
            .map(|&(Pending::Decode(samples, _) | Pending::Conceal(samples))| samples)
            .sum();
        queued + on_the_way + pending
    }

    /// Fills the audio thread's queue.
    fn pump(&self, now: Timestamp) {
        if !self.queue.is_open() {
            return;
        }
        // The target is reached within a few frames, each of which is longer than nothing.
        loop {
            let ahead = self.ahead(now);
            if ahead >= u64::from(self.target.borrow().samples()) {
                return;
            }
            let held = Duration::from_micros(ahead * 1_000_000 / u64::from(AUDIO_SAMPLE_RATE));
            let next = {
                let mut jitter = self.jitter.borrow_mut();
                jitter.playout_holds(held, now);
                jitter.next(now)
            };
            match next {
                Playout::Decode { frame, pace } => self.decode(&frame, pace, now),
                Playout::Conceal(duration) => {
                    let samples = samples_of(u32::try_from(duration.as_micros()).unwrap_or(MAX_FRAME_US));
                    self.pending.borrow_mut().push_back(Pending::Conceal(samples));
                    self.make_up(now);
                }
                Playout::Wait => {
                    if ahead == 0 {
                        self.queue.set_idle();
                    }
                    return;
                }
            }
        }
    }

    fn decode(&self, frame: &AudioFrame, pace: Pace, now: Timestamp) {
        if self.failures.get() > MAX_DECODER_FAILURES {
            return;
        }
        self.prepare_decoder(frame);
        let decoded = self
            .decoder
            .borrow()
            .as_ref()
            .map(|decoder| decoder.decode(frame));
        let samples = samples_of(frame.duration_us);
        if let Some(Ok(())) = decoded {
            self.pending
                .borrow_mut()
                .push_back(Pending::Decode(samples, pace));
        } else {
            self.fail();
            self.pending.borrow_mut().push_back(Pending::Conceal(samples));
            self.make_up(now);
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
        // What the former decoder still had is lost.
        self.pending
            .borrow_mut()
            .retain(|pending| matches!(pending, Pending::Conceal(_)));
        let (output, failure) = (self.me.clone(), self.me.clone());
        let opened = SoundDecoder::open(
            &config,
            move |data| with(&output, |state| state.play(&data)),
            move || with(&failure, Self::fail),
        );
        self.decoder.replace(opened.ok());
    }

    /// The decoder can go on no more; the next frame opens another one.
    fn fail(&self) {
        self.failures.set(self.failures.get().saturating_add(1));
        self.pending
            .borrow_mut()
            .retain(|pending| matches!(pending, Pending::Conceal(_)));
    }

    /// Queues what the decoder delivers.
    fn play(&self, data: &AudioData) {
        let now = WebClock::now();
        let mut pending = self.pending.borrow_mut();
        let pace = match pending.front() {
            Some(&Pending::Decode(_, pace)) => {
                pending.pop_front();
                pace
            }
            _ => Pace::Normal,
        };
        drop(pending);
        if let Ok(samples) = mono(data) {
            let mut samples = self.stretched(samples, pace);
            self.failures.set(0);
            self.decoded.set(self.decoded.get() + 1);
            self.concealer.borrow_mut().follow(&mut samples);
            self.push(&samples, now);
        }
        self.make_up(now);
    }

    /// The samples at the pace that is wanted, as far as that is not heard.
    fn stretched(&self, samples: Vec<f32>, pace: Pace) -> Vec<f32> {
        let since = self.since_stretch.get().saturating_add(1);
        self.since_stretch.set(since);
        if since < STRETCH_EVERY {
            return samples;
        }
        let stretched = match pace {
            Pace::Normal => None,
            Pace::Accelerate => shortened(&samples),
            Pace::Expand => lengthened(&samples),
        };
        match stretched {
            Some(stretched) => {
                self.since_stretch.set(0);
                stretched
            }
            None => samples,
        }
    }

    /// Makes up what is next to be made up, as far as no frame is before it.
    fn make_up(&self, now: Timestamp) {
        loop {
            let next = self.pending.borrow().front().copied();
            let Some(Pending::Conceal(samples)) = next else {
                return;
            };
            self.pending.borrow_mut().pop_front();
            self.concealed.set(self.concealed.get() + samples);
            let made_up = self.concealer.borrow_mut().conceal(samples as usize);
            self.push(&made_up, now);
        }
    }

    fn push(&self, samples: &[f32], now: Timestamp) {
        self.tone.borrow_mut().push(samples);
        self.last_sound.set(now);
        if self.queue.push(samples) {
            self.pushed.set(self.pushed.get() + samples.len() as u64);
        }
    }
}

/// Samples of a frame of this length; frames that state none have the usual one.
fn samples_of(duration_us: u32) -> u64 {
    let duration_us = match duration_us {
        0 => AUDIO_FRAME_US,
        stated => stated.min(MAX_FRAME_US),
    };
    u64::from(duration_us) * u64::from(AUDIO_SAMPLE_RATE) / 1_000_000
}

fn with(state: &Weak<State>, action: impl FnOnce(&State)) {
    if let Some(state) = state.upgrade() {
        action(&state);
    }
}
