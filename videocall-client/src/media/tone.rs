//! Which tone is loudest in the sound that was played last: with it, tests and support can tell
//! that the sound that arrives is the sound that was sent.

use std::collections::VecDeque;

/// How much of the last sound is looked at, milliseconds: enough for a resolution of some hertz,
/// little enough to follow.
const WINDOW_MS: u32 = 200;

/// Frequencies are searched for in this range, hertz: voices and test tones.
const LOWEST_HZ: f64 = 60.0;
const HIGHEST_HZ: f64 = 3500.0;

/// Samples are averaged in groups of so many: 8 kHz is enough for the highest frequency, and less work.
const DECIMATION: usize = 6;

/// Steps of the coarse search, hertz. It looks at the newer half of the sound, where the main lobe of a Hann
/// window is 40 Hz wide, so no tone hides between two steps.
const COARSE_STEP_HZ: f64 = 10.0;

/// Quieter sound has no tone worth naming: -60 dBov.
const SILENCE: f32 = 0.001;

/// Keeps the last samples of a track, and finds the loudest tone in them when asked.
#[derive(Clone, Debug)]
pub struct ToneRing {
    samples: VecDeque<f32>,
    capacity: usize,
    sample_rate: f64,
}

impl ToneRing {
    /// For sound at this rate, in hertz.
    pub fn new(sample_rate: u32) -> Self {
        let capacity = (sample_rate / 1000 * WINDOW_MS) as usize;
        Self {
            samples: VecDeque::with_capacity(capacity),
            capacity,
            sample_rate: f64::from(sample_rate),
        }
    }

    /// Adds samples; the oldest make room.
    pub fn push(&mut self, samples: &[f32]) {
        let samples = &samples[samples.len().saturating_sub(self.capacity)..];
        let overflow = (self.samples.len() + samples.len()).saturating_sub(self.capacity);
        self.samples.drain(..overflow);
        self.samples.extend(samples);
    }

    /// Root of the mean square of what is kept, 0 to 1.
    pub fn level(&self) -> f32 {
        let mut meter = super::level::LevelMeter::default();
        let (older, newer) = self.samples.as_slices();
        meter.add(older);
        meter.add(newer);
        meter.root_mean_square()
    }

    /// The frequency with the most power, hertz; `None` in silence or when too little is known.
    pub fn dominant_frequency_hz(&self) -> Option<f64> {
        if self.samples.len() < self.capacity / 2 || self.level() < SILENCE {
            return None;
        }
        let (decimated, rate) = self.decimated();
        let newer = hann(decimated[decimated.len() / 2..].to_vec());
        let steps = ((HIGHEST_HZ - LOWEST_HZ) / COARSE_STEP_HZ) as u32;
        let coarse = (0..=steps)
            .map(|step| LOWEST_HZ + f64::from(step) * COARSE_STEP_HZ)
            .map(|frequency| (frequency, goertzel(&newer, frequency / rate)))
            .max_by(|a, b| a.1.total_cmp(&b.1))?
            .0;
        let all = hann(decimated);
        Some(refine(coarse, |frequency| goertzel(&all, frequency / rate)))
    }

    fn decimated(&self) -> (Vec<f64>, f64) {
        let samples: Vec<f64> = self.samples.iter().copied().map(f64::from).collect();
        let means = samples
            .chunks_exact(DECIMATION)
            .map(|chunk| chunk.iter().sum::<f64>() / DECIMATION as f64)
            .collect();
        (means, self.sample_rate / DECIMATION as f64)
    }
}

/// Walks up to the peak around `frequency` in ever smaller steps.
fn refine(mut frequency: f64, power: impl Fn(f64) -> f64) -> f64 {
    let mut step = COARSE_STEP_HZ / 2.0;
    while step > 0.2 {
        frequency = [frequency - step, frequency, frequency + step]
            .into_iter()
            .map(|candidate| (candidate, power(candidate)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(frequency, |best| best.0);
        step /= 2.0;
    }
    frequency
}

/// Tapers the ends, so that a loud tone does not leak over the whole range.
fn hann(mut samples: Vec<f64>) -> Vec<f64> {
    let turns = std::f64::consts::TAU / samples.len().max(1) as f64;
    for (index, sample) in samples.iter_mut().enumerate() {
        *sample *= 0.5 - 0.5 * (turns * index as f64).cos();
    }
    samples
}

/// Power of one frequency, given in turns per sample (G. Goertzel 1958, the recurrence for a single
/// term of the discrete Fourier transform).
fn goertzel(samples: &[f64], turns_per_sample: f64) -> f64 {
    let coefficient = 2.0 * (std::f64::consts::TAU * turns_per_sample).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        (last, before) = (sample + coefficient * last - before, last);
    }
    last * last + before * before - coefficient * last * before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency: f64, amplitude: f64, samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|n| (amplitude * (std::f64::consts::TAU * frequency * n as f64 / 48_000.0).sin()) as f32)
            .collect()
    }

    fn found(samples: &[f32]) -> Option<f64> {
        let mut ring = ToneRing::new(48_000);
        // In pieces, as decoders deliver them.
        for piece in samples.chunks(960) {
            ring.push(piece);
        }
        ring.dominant_frequency_hz()
    }

    #[test]
    fn a_tone_is_found_within_a_hertz() {
        for frequency in [100.0, 440.0, 523.25, 1000.0, 3100.0] {
            let found = found(&tone(frequency, 0.3, 48_000)).expect("a tone is there");
            assert!((found - frequency).abs() < 1.0, "{frequency}: {found}");
        }
    }

    #[test]
    fn the_louder_of_two_tones_wins() {
        let mixed: Vec<f32> = tone(440.0, 0.1, 9600)
            .iter()
            .zip(tone(880.0, 0.3, 9600))
            .map(|(a, b)| a + b)
            .collect();
        assert!((found(&mixed).expect("tones are there") - 880.0).abs() < 1.0);
    }

    #[test]
    fn silence_and_too_little_have_none() {
        assert_eq!(found(&[0.0; 9600]), None);
        assert_eq!(found(&tone(440.0, 0.5, 960)), None);
        assert_eq!(ToneRing::new(48_000).level(), 0.0);
    }

    #[test]
    fn only_the_last_sound_counts() {
        let mut samples = tone(440.0, 0.5, 48_000);
        samples.extend(tone(880.0, 0.2, 9600));
        assert!((found(&samples).expect("a tone is there") - 880.0).abs() < 1.0);
    }
}
