//! One voice over one path: a sender that repeats earlier frames in each packet, a network that delays and
//! loses packets, a decoder, and a device that plays 128 samples at a time. All of it in simulated time.

use std::collections::VecDeque;
use std::f32::consts::TAU;

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use videocall_client::audio::{AudioPlayer, DeviceQueue, PlayerStats, PlayerStep, Sound};
use videocall_client::types::{Frame, FrameHeader, RedundantFrame, SessionId, Timestamp, TrackId, TrackKind};

const FRAME_US: u64 = 20_000;
const FRAME_SAMPLES: u64 = 960;

/// Microseconds between two looks at the world.
const TICK_US: u64 = 500;

/// Samples that the device takes at a time, and after how many of these it says what it has.
const QUANTUM: usize = 128;
const REPORT_QUANTA: u64 = 2;

/// From the decoder's input to its output.
const DECODING_US: u64 = 2_000;

/// What the fastest packets take.
pub(crate) const SHORTEST_US: u64 = 30_000;

/// What a packet goes through: microseconds beyond [`SHORTEST_US`] until it arrives, or nothing.
pub(crate) type Path = Box<dyn FnMut(u64, &mut StdRng) -> Option<u64>>;

/// What is simulated.
pub(crate) struct World {
    pub(crate) seconds: u64,
    /// How far behind the frames are that a packet repeats.
    pub(crate) redundancy: &'static [u32],
    /// By how many millionths the sender's clock is faster.
    pub(crate) drift_ppm: i64,
    pub(crate) seed: u64,
    pub(crate) path: Path,
    /// The sender records nothing in this time, in milliseconds.
    pub(crate) muted_ms: std::ops::Range<u64>,
}

/// What was heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Milliseconds from when the fastest packet could have been there until it was heard: of real sound.
    pub(crate) delays: Vec<(u64, f64)>,
    /// Stretches without real sound: when they began, and for how long, milliseconds.
    pub(crate) gaps: Vec<(u64, f64)>,
    pub(crate) stats: PlayerStats,
    /// All of it.
    pub(crate) samples: Vec<f32>,
}

impl Heard {
    /// Milliseconds without real sound.
    pub(crate) fn concealed_ms(&self) -> f64 {
        self.gaps.iter().map(|gap| gap.1).sum()
    }

    /// The longest stretch of it.
    pub(crate) fn longest_gap_ms(&self) -> f64 {
        self.gaps.iter().map(|gap| gap.1).fold(0.0, f64::max)
    }

    /// The mean delay between two times in milliseconds.
    pub(crate) fn delay_ms(&self, time: std::ops::Range<u64>) -> f64 {
        let within: Vec<f64> = self
            .delays
            .iter()
            .filter(|(at, _)| time.contains(at))
            .map(|&(_, delay)| delay)
            .collect();
        within.iter().sum::<f64>() / within.len().max(1) as f64
    }

    /// Since when, in milliseconds, the delay has been at most this.
    pub(crate) fn settled_ms(&self, most: f64) -> u64 {
        let last = self.delays.iter().rev().find(|(_, delay)| *delay > most);
        last.map_or(0, |&(at, _)| at)
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            seconds: 30,
            redundancy: &[1, 2],
            drift_ppm: 0,
            seed: 1,
            path: Box::new(|_, _| Some(0)),
            muted_ms: 0..0,
        }
    }
}

impl World {
    pub(crate) fn run(mut self) -> Heard {
        let mut arrivals = self.arrivals();
        let mut player = AudioPlayer::default();
        let mut decoder: VecDeque<(u64, u64)> = VecDeque::new();
        let mut device = Device {
            resting: true,
            ..Device::default()
        };
        let end = self.seconds * 1_000_000;
        for now in (0..end).step_by(TICK_US as usize) {
            let mut wake = device.advance(now);
            while arrivals.front().is_some_and(|(at, _)| *at <= now) {
                let (_, frame) = arrivals.pop_front().expect("it is there");
                player.insert(frame, at_receiver(now));
                wake = true;
            }
            while decoder.front().is_some_and(|(at, _)| *at <= now) {
                let (_, sequence) = decoder.pop_front().expect("it is there");
                player.decoded(voice(sequence));
                wake = true;
            }
            if !wake {
                continue;
            }
            while let Some(step) = player.poll(device.queue(), at_receiver(now)) {
                match step {
                    PlayerStep::Decode(frame) => {
                        decoder.push_back((now + DECODING_US, sequence_of(&frame.payload)));
                    }
                    PlayerStep::Play(sound) => device.push(&sound),
                    PlayerStep::Rest => device.resting = true,
                }
            }
        }
        let mut heard = device.heard;
        heard.stats = player.stats();
        heard
    }

    /// All packets in the order of their arrival.
    fn arrivals(&mut self) -> VecDeque<(u64, Frame)> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut arrivals = Vec::new();
        let mut sequence = 0;
        for slot in 0..self.seconds * 1_000_000 / FRAME_US {
            let captured = slot * FRAME_US;
            if self.muted_ms.contains(&(captured / 1000)) {
                continue;
            }
            // The sender's clock shows `captured`; it is another time here.
            let drift = captured as i64 / 1000 * self.drift_ppm / 1000;
            let sent = captured + FRAME_US - drift.max(0) as u64 + drift.min(0).unsigned_abs();
            if let Some(delay) = (self.path)(sent, &mut random) {
                arrivals.push((sent + SHORTEST_US + delay, self.packet(sequence, captured)));
            }
            sequence += 1;
        }
        arrivals.sort_by_key(|(at, frame)| (*at, frame.header.sequence));
        arrivals.into()
    }

    fn packet(&self, sequence: u64, captured: u64) -> Frame {
        let distances = self
            .redundancy
            .iter()
            .filter(|&&distance| u64::from(distance) <= sequence);
        let redundancy = distances.map(|&distance| RedundantFrame {
            sequence_distance: distance,
            capture_time_distance_us: distance * FRAME_US as u32,
            duration_us: FRAME_US as u32,
            payload: payload(sequence - u64::from(distance)),
        });
        Frame {
            header: FrameHeader {
                sequence,
                capture_time_us: captured,
                duration_us: FRAME_US as u32,
                audio_level: Some(if speaks(sequence * FRAME_SAMPLES) { 20 } else { 80 }),
                ..FrameHeader::first(
                    SessionId::new(1).expect("not zero"),
                    TrackId(1),
                    TrackKind::Microphone,
                )
            },
            decoder: None,
            redundancy: redundancy.collect(),
            payload: payload(sequence),
        }
    }
}

/// The receiver's clock has another epoch.
fn at_receiver(now: u64) -> Timestamp {
    Timestamp::from_micros(1_000_000_000 + now)
}

fn payload(sequence: u64) -> Bytes {
    sequence.to_be_bytes().to_vec().into()
}

fn sequence_of(payload: &[u8]) -> u64 {
    u64::from_be_bytes(payload.try_into().expect("a payload of ours"))
}

/// 1.5 s of speech, then half a second of pause.
fn speaks(sample: u64) -> bool {
    sample % 96_000 < 72_000
}

/// A voice of changing pitch with some harmonics, in four syllables a second.
fn voice(sequence: u64) -> Vec<f32> {
    let first = sequence * FRAME_SAMPLES;
    let sample = |n: u64| {
        if !speaks(n) {
            return 0.0;
        }
        let time = n as f32 % 96_000.0 / 48_000.0;
        // The integral of 140 + 30 cos(2 pi t) hertz.
        let phase = TAU * (140.0 * time + 30.0 * (TAU * time).sin() / TAU);
        let loudness = 0.2 + 0.15 * (TAU * 4.0 * time).sin();
        let harmonics = (1..=6).map(|k| (phase * k as f32).sin() / k as f32);
        loudness * harmonics.sum::<f32>() * 0.6
    };
    (first..first + FRAME_SAMPLES).map(sample).collect()
}

/// What the loudspeaker's side does: like `audio-worklet.js`.
#[derive(Default)]
struct Device {
    ring: VecDeque<(f32, Option<u64>)>,
    quanta: u64,
    missed: u64,
    resting: bool,
    started: bool,
    gap: Option<(u64, usize)>,
    heard: Heard,
}

impl Device {
    /// Plays until now; whether it says what it has.
    fn advance(&mut self, now: u64) -> bool {
        let mut reports = false;
        while self.quanta * QUANTUM as u64 * 1_000_000 / 48_000 <= now {
            self.play(now);
            self.quanta += 1;
            reports |= self.quanta.is_multiple_of(REPORT_QUANTA);
        }
        reports
    }

    fn play(&mut self, now: u64) {
        for index in 0..QUANTUM {
            let next = self.ring.pop_front();
            self.heard.samples.push(next.map_or(0.0, |(sample, _)| sample));
            if next.is_none() && !self.resting {
                self.missed += 1;
            }
            match next.and_then(|(_, captured)| captured) {
                Some(captured) => self.real(captured, now, index == 0),
                None if self.started => {
                    self.gap.get_or_insert((now / 1000, 0)).1 += 1;
                }
                None => {}
            }
        }
    }

    fn real(&mut self, captured: u64, now: u64, first: bool) {
        self.started = true;
        if let Some((since, samples)) = self.gap.take() {
            self.heard.gaps.push((since, samples as f64 / 48.0));
        }
        if first {
            let delay = now as f64 - (captured + FRAME_US + SHORTEST_US) as f64;
            self.heard.delays.push((now / 1000, delay / 1000.0));
        }
    }

    fn push(&mut self, sound: &Sound) {
        self.resting = false;
        for (index, &sample) in sound.samples.iter().enumerate() {
            let captured = sound.capture_time_us.map(|at| at + index as u64 * 1_000 / 48);
            self.ring.push_back((sample, captured));
        }
    }

    fn queue(&self) -> DeviceQueue {
        DeviceQueue {
            queued: self.ring.len() as u64,
            missed: self.missed,
        }
    }
}
