//! How loud each audio frame is (RFC 6464), measured before encoding and looked up after it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use gstreamer::ClockTime;

use super::audio::{CHANNELS, FRAME, SAMPLE_RATE};

/// Samples of all channels in one frame.
const SAMPLES_PER_FRAME: usize = SAMPLE_RATE as usize * CHANNELS as usize / 1000 * FRAME.mseconds() as usize;

/// Measured frames that the encoder has not returned yet. It holds back two at most; the oldest
/// goes first.
const REMEMBERED: usize = 16;

/// Levels of the latest frames, shared by the two sides of the encoder.
#[derive(Default)]
pub(super) struct LevelMeter(Mutex<State>);

#[derive(Default)]
struct State {
    /// Start and level of complete frames, oldest first.
    levels: VecDeque<(ClockTime, u8)>,
    /// Start of the frame that is being filled.
    start: ClockTime,
    /// Its samples so far, and the sum of their squares relative to full scale.
    samples: usize,
    energy: f64,
}

impl LevelMeter {
    /// Takes interleaved samples of 16 bits, the first of which is from `time`.
    pub(super) fn measure(&self, time: ClockTime, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = bytes.chunks_exact(2);
        for (index, sample) in samples.enumerate() {
            if state.samples == 0 {
                let frames = index as u64 / u64::from(CHANNELS);
                state.start = time + ClockTime::SECOND * frames / u64::from(SAMPLE_RATE);
            }
            let value = f64::from(i16::from_ne_bytes([sample[0], sample[1]])) / 32_768.0;
            state.energy += value * value;
            state.samples += 1;
            if state.samples == SAMPLES_PER_FRAME {
                state.finish();
            }
        }
    }

    /// The level of the frame that starts nearest to `time`, at most one frame away.
    pub(super) fn at(&self, time: ClockTime) -> Option<u8> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let distance = |start: ClockTime| start.nseconds().abs_diff(time.nseconds());
        state
            .levels
            .iter()
            .map(|&(start, level)| (distance(start), level))
            .min()
            .filter(|&(distance, _)| distance <= FRAME.nseconds())
            .map(|(_, level)| level)
    }
}

impl State {
    fn finish(&mut self) {
        let mean = self.energy / SAMPLES_PER_FRAME as f64;
        // RFC 6464 §3: -dBov, 0 is the loudest and 127 is silence. The logarithm of zero is minus
        // infinity, which clamps to silence.
        let level = (-10.0 * mean.log10()).clamp(0.0, 127.0).round() as u8;
        if self.levels.len() == REMEMBERED {
            self.levels.pop_front();
        }
        self.levels.push_back((self.start, level));
        self.samples = 0;
        self.energy = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(amplitude: i16, frames: usize) -> Vec<u8> {
        amplitude.to_ne_bytes().repeat(frames * SAMPLES_PER_FRAME)
    }

    #[test]
    fn levels_are_those_of_the_frame() {
        let meter = LevelMeter::default();
        let start = ClockTime::from_mseconds(7);
        let mut sound = frames(i16::MIN, 1);
        sound.extend(frames(0, 1));
        sound.extend(frames(3277, 1));
        // In pieces that have nothing to do with frames.
        for (index, piece) in sound.chunks(1000).enumerate() {
            let before = ClockTime::SECOND * (index as u64 * 250) / u64::from(SAMPLE_RATE);
            meter.measure(start + before, piece);
        }
        assert_eq!(meter.at(start), Some(0));
        assert_eq!(meter.at(start + FRAME), Some(127));
        assert_eq!(meter.at(start + FRAME * 2 + ClockTime::MSECOND), Some(20));
        assert_eq!(meter.at(start + FRAME * 4), None);
    }

    #[test]
    fn memory_is_bounded() {
        let meter = LevelMeter::default();
        meter.measure(ClockTime::ZERO, &frames(100, 3 * REMEMBERED));
        let state = meter.0.lock().expect("nobody panicked");
        assert_eq!(state.levels.len(), REMEMBERED);
    }
}
