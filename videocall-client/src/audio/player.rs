//! Plays one audio track: from packets to the samples that a device is to play next. It does no IO; the
//! program decodes what it is told to and feeds the device.

use std::collections::VecDeque;
use std::time::Duration;

use videocall_types::{Frame, Timestamp};

use super::jitter::{AudioFrame, JitterBuffer, JitterBufferConfig, JitterBufferStats, Pace, Playout};
use crate::media::conceal::Concealer;
use crate::media::parameters::AUDIO_SAMPLE_RATE;
use crate::media::queue_target::QueueTarget;
use crate::media::stretch::{Change, Stretcher};

/// Frames in the decoder; one that has stopped gets no more.
const MAX_DECODING: usize = 25;

/// Share of each new value: the delay is looked at over some tenths of a second.
const SMOOTHING: f64 = 1.0 / 8.0;

/// What the device is about to play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceQueue {
    /// Samples that it will play after those that are heard now.
    pub queued: u64,
    /// Samples that were not there when they were to be played, so far; not while the player was idle.
    pub missed: u64,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum PlayerStep {
    /// Decode this frame and give its sound to [`AudioPlayer::decoded`], in the order of these steps.
    Decode(AudioFrame),
    /// Queue this sound for the device.
    Play(Sound),
    /// What is queued may run out: nothing follows, and nothing is missing.
    Rest,
}

/// Sound for the device: one channel, 48 kHz.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sound {
    /// Samples between -1 and 1.
    pub samples: Vec<f32>,
    /// When it was captured, on the sender's clock, microseconds; `None` when it was made up.
    pub capture_time_us: Option<u64>,
}

/// What was played so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlayerStats {
    /// The jitter buffer's part.
    pub jitter: JitterBufferStats,
    /// Frames that the decoder has put out.
    pub decoded: u64,
    /// Samples that were not there: made up, silent instead, or missed by the device.
    pub concealed_samples: u64,
    /// Samples more than were recorded, by stretching; fewer when negative.
    pub stretched_samples: i64,
}

/// The player of one track.
#[derive(Debug)]
pub struct AudioPlayer {
    jitter: JitterBuffer,
    stretcher: Stretcher,
    concealer: Concealer,
    target: QueueTarget,
    /// What is in the decoder, and what is to be made up between its frames; bounded by the target.
    pending: VecDeque<Pending>,
    ready: VecDeque<Sound>,
    resting: bool,
    decoded: u64,
    missed: u64,
    stretched: i64,
    lag_us: Option<f64>,
}

#[derive(Debug)]
enum Pending {
    Decode {
        capture_time_us: u64,
        expected: u64,
        pace: Pace,
        sound: Option<Vec<f32>>,
    },
    Conceal(u64),
}

impl Default for AudioPlayer {
    fn default() -> Self {
        Self::new(JitterBufferConfig::default())
    }
}

impl AudioPlayer {
    /// A player of a track of which nothing has come.
    pub fn new(config: JitterBufferConfig) -> Self {
        Self {
            jitter: JitterBuffer::new(config),
            stretcher: Stretcher::default(),
            concealer: Concealer::default(),
            target: QueueTarget::default(),
            pending: VecDeque::new(),
            ready: VecDeque::new(),
            resting: true,
            decoded: 0,
            missed: 0,
            stretched: 0,
            lag_us: None,
        }
    }

    /// Takes a packet as it arrives.
    pub fn insert(&mut self, frame: Frame, now: Timestamp) {
        self.jitter.insert(frame, now);
    }

    /// What to do next; to be called until there is nothing, whenever a packet or decoded sound came and
    /// every few milliseconds besides.
    pub fn poll(&mut self, device: DeviceQueue, now: Timestamp) -> Option<PlayerStep> {
        self.target.observe(device.missed, !self.jitter.is_empty(), now);
        self.missed = device.missed;
        if let Some(sound) = self.ready.pop_front() {
            self.note_lag(&sound, device.queued, now);
            return Some(PlayerStep::Play(sound));
        }
        loop {
            let ahead = device.queued + self.expected();
            if ahead >= u64::from(self.target.samples()) || self.pending.len() >= MAX_DECODING {
                return None;
            }
            // What the device cannot be fed in less time than has to be there earlier.
            self.jitter.set_margin(duration_of(self.target.margin().into()));
            match self.jitter.next(duration_of(ahead), now) {
                Playout::Decode { frame, pace } => {
                    self.resting = false;
                    self.pending.push_back(Pending::Decode {
                        capture_time_us: frame.capture_time_us,
                        expected: samples_of(frame.duration_us),
                        pace,
                        sound: None,
                    });
                    return Some(PlayerStep::Decode(frame));
                }
                Playout::Conceal(duration) => {
                    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
                    self.pending.push_back(Pending::Conceal(samples_of(micros)));
                    self.advance();
                    if !self.ready.is_empty() {
                        return self.poll(device, now);
                    }
                }
                Playout::Wait => return self.rest(ahead),
            }
        }
    }

    /// The decoder has delivered the sound of the oldest frame that it had.
    pub fn decoded(&mut self, samples: Vec<f32>) {
        let waiting = self.pending.iter_mut().find_map(|pending| match pending {
            Pending::Decode { sound, .. } if sound.is_none() => Some(sound),
            _ => None,
        });
        if let Some(sound) = waiting {
            *sound = Some(samples);
            self.decoded += 1;
        }
        self.advance();
    }

    /// The decoder can go on no more: what it still had is made up.
    pub fn decoder_failed(&mut self) {
        self.give_up(0);
    }

    /// There is another decoder, which was given the newest frame only.
    pub fn decoder_replaced(&mut self) {
        self.give_up(1);
    }

    /// Makes up what is in the decoder, but for the newest frames.
    fn give_up(&mut self, kept: usize) {
        let given_up = self.pending.len().saturating_sub(kept);
        for pending in self.pending.iter_mut().take(given_up) {
            if let Pending::Decode {
                sound: None,
                expected,
                ..
            } = *pending
            {
                *pending = Pending::Conceal(expected);
            }
        }
        self.advance();
    }

    /// Delays sound by so much more than it needs, for the sake of pictures that come later.
    pub fn set_wait(&mut self, wait: Duration) {
        self.jitter.set_wait(wait);
    }

    /// From when the sender captured what is heard until the device has played it, by the two clocks:
    /// microseconds. `None` while nothing is played.
    pub fn lag_us(&self) -> Option<i64> {
        self.lag_us.map(|lag| lag as i64)
    }

    /// Whether what is played can be heard.
    pub fn is_audible(&self) -> bool {
        !self.resting && self.jitter.is_audible()
    }

    /// What was played so far.
    pub fn stats(&self) -> PlayerStats {
        let jitter = self.jitter.stats();
        let made_up = jitter.concealed_us.saturating_mul(u64::from(AUDIO_SAMPLE_RATE)) / 1_000_000;
        PlayerStats {
            jitter,
            decoded: self.decoded,
            concealed_samples: made_up.saturating_add(self.missed),
            stretched_samples: self.stretched,
        }
    }

    /// Samples that the decoder is about to deliver, or that were not taken yet.
    fn expected(&self) -> u64 {
        let pending = self.pending.iter().map(|pending| match pending {
            Pending::Decode { expected, .. } => *expected,
            Pending::Conceal(samples) => *samples,
        });
        let ready = self.ready.iter().map(|sound| sound.samples.len() as u64);
        pending.chain(ready).sum()
    }

    fn rest(&mut self, ahead: u64) -> Option<PlayerStep> {
        if ahead > 0 || self.resting {
            return None;
        }
        self.resting = true;
        self.lag_us = None;
        Some(PlayerStep::Rest)
    }

    /// Makes sound of what is complete, in order.
    fn advance(&mut self) {
        while let Some(pending) = self.pending.pop_front() {
            match pending {
                Pending::Decode { sound: None, .. } => {
                    self.pending.push_front(pending);
                    return;
                }
                Pending::Decode {
                    capture_time_us,
                    pace,
                    sound: Some(samples),
                    ..
                } => self.follow(samples, capture_time_us, pace),
                Pending::Conceal(samples) => self.make_up(samples),
            }
        }
    }

    fn follow(&mut self, samples: Vec<f32>, capture_time_us: u64, pace: Pace) {
        let recorded = samples.len();
        let mut samples = self.stretcher.process(samples, change(pace));
        self.stretched += samples.len() as i64 - recorded as i64;
        self.concealer.follow(&mut samples);
        self.ready.push_back(Sound {
            samples,
            capture_time_us: Some(capture_time_us),
        });
    }

    fn make_up(&mut self, count: u64) {
        let mut kept = self.stretcher.take_kept();
        if !kept.is_empty() {
            self.stretched += kept.len() as i64;
            self.concealer.follow(&mut kept);
            self.ready.push_back(Sound {
                samples: kept,
                capture_time_us: None,
            });
        }
        self.ready.push_back(Sound {
            samples: self.concealer.conceal(usize::try_from(count).unwrap_or(0)),
            capture_time_us: None,
        });
    }

    fn note_lag(&mut self, sound: &Sound, queued: u64, now: Timestamp) {
        let Some(captured) = sound.capture_time_us else {
            return;
        };
        let heard = now + duration_of(queued);
        let lag = heard.as_micros() as f64 - captured as f64;
        let smoothed = self
            .lag_us
            .map_or(lag, |before| before + (lag - before) * SMOOTHING);
        self.lag_us = Some(smoothed);
    }
}

fn change(pace: Pace) -> Change {
    match pace {
        Pace::Normal => Change::None,
        Pace::Accelerate => Change::Shorten { fast: false },
        Pace::AccelerateFast => Change::Shorten { fast: true },
        Pace::Expand => Change::Lengthen { fast: false },
        Pace::ExpandFast => Change::Lengthen { fast: true },
    }
}

fn samples_of(duration_us: u32) -> u64 {
    u64::from(duration_us) * u64::from(AUDIO_SAMPLE_RATE) / 1_000_000
}

fn duration_of(samples: u64) -> Duration {
    Duration::from_micros(samples.saturating_mul(1_000_000) / u64::from(AUDIO_SAMPLE_RATE))
}

#[cfg(test)]
mod tests {
    use videocall_types::{FrameHeader, SessionId, TrackId, TrackKind};

    use super::*;

    const EMPTY: DeviceQueue = DeviceQueue { queued: 0, missed: 0 };

    fn frame(sequence: u64) -> Frame {
        Frame {
            header: FrameHeader {
                sequence,
                capture_time_us: sequence * 20_000,
                duration_us: 20_000,
                audio_level: Some(20),
                ..FrameHeader::first(
                    SessionId::new(1).expect("not zero"),
                    TrackId(1),
                    TrackKind::Microphone,
                )
            },
            decoder: None,
            redundancy: Vec::new(),
            payload: vec![1].into(),
        }
    }

    /// A player with these frames in its decoder, at 100 ms.
    fn decoding(frames: u64) -> (AudioPlayer, Timestamp) {
        let mut player = AudioPlayer::default();
        let now = Timestamp::from_millis(100);
        for sequence in 0..frames {
            player.insert(frame(sequence), Timestamp::from_millis(80));
        }
        for _ in 0..frames {
            assert!(matches!(player.poll(EMPTY, now), Some(PlayerStep::Decode(_))));
        }
        (player, now)
    }

    fn played(player: &mut AudioPlayer, now: Timestamp) -> Option<Sound> {
        match player.poll(EMPTY, now) {
            Some(PlayerStep::Play(sound)) => Some(sound),
            _ => None,
        }
    }

    #[test]
    fn sound_is_played_in_the_order_of_its_frames() {
        let (mut player, now) = decoding(2);
        assert_eq!(player.poll(EMPTY, now), None, "more than enough is on its way");
        player.decoded(vec![0.1; 960]);
        player.decoded(vec![0.2; 960]);
        let first = played(&mut player, now).expect("it is decoded");
        assert_eq!((first.samples, first.capture_time_us), (vec![0.1; 960], Some(0)));
        let second = played(&mut player, now).expect("it is decoded");
        assert_eq!((second.samples[0], second.capture_time_us), (0.2, Some(20_000)));
        assert_eq!(player.stats().decoded, 2);
    }

    #[test]
    fn what_a_decoder_swallows_is_made_up() {
        let (mut player, now) = decoding(2);
        player.decoder_replaced();
        let made_up = played(&mut player, now).expect("it was made up");
        assert_eq!((made_up.samples.len(), made_up.capture_time_us), (960, None));
        player.decoded(vec![0.2; 960]);
        assert_eq!(
            played(&mut player, now).and_then(|sound| sound.capture_time_us),
            Some(20_000)
        );
        let (mut player, now) = decoding(2);
        player.decoder_failed();
        player.decoded(vec![0.2; 960]);
        assert_eq!(
            played(&mut player, now).and_then(|sound| sound.capture_time_us),
            None
        );
        assert_eq!(player.stats().decoded, 0);
    }

    #[test]
    fn it_rests_once_when_nothing_follows() {
        let mut player = AudioPlayer::default();
        assert_eq!(
            player.poll(EMPTY, Timestamp::from_millis(1)),
            None,
            "it rests already"
        );
        let (mut player, now) = decoding(1);
        player.decoded(vec![0.1; 960]);
        assert!(played(&mut player, now).is_some());
        let mut steps = Vec::new();
        for millis in 0..200 {
            while let Some(step) = player.poll(EMPTY, now + Duration::from_millis(millis)) {
                steps.push(step);
            }
        }
        let rests = steps.iter().filter(|step| **step == PlayerStep::Rest).count();
        assert_eq!(rests, 1);
        assert_eq!(steps.last(), Some(&PlayerStep::Rest));
        assert_eq!((player.lag_us(), player.is_audible()), (None, false));
    }

    #[test]
    fn the_lag_is_from_capture_to_the_ear() {
        let (mut player, now) = decoding(1);
        player.decoded(vec![0.1; 960]);
        let queued = DeviceQueue {
            queued: 480,
            missed: 0,
        };
        assert!(player.poll(queued, now).is_some());
        assert_eq!((player.lag_us(), player.is_audible()), (Some(110_000), true));
    }
}
