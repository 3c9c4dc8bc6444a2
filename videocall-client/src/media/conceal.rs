//! Makes up sound for frames that did not arrive, from what was played before: it goes on with the last
//! pitch period, ever quieter, and blends into the next real frame (the idea of ITU-T G.711
//! Appendix I).

use super::pitch::most_alike;

/// Sound that is remembered: 30 ms at 48 kHz, two periods of the deepest voice.
const HISTORY: usize = 1440;

/// Pitch periods that are tried: 48 kHz divided by 500 Hz to 67 Hz.
const SHORTEST_PERIOD: usize = 96;
const LONGEST_PERIOD: usize = 720;

/// The end of the sound that has to look the same one period earlier: 5 ms.
const TEMPLATE: usize = 240;

/// After so much made-up sound there is silence: 60 ms, beyond which repetition sounds metallic.
const FADE_LENGTH: usize = 2880;

/// Real sound takes over within 2.5 ms, so that no click is heard.
const BLEND: usize = 120;

/// The concealment of one track.
#[derive(Clone, Debug, Default)]
pub struct Concealer {
    history: Vec<f32>,
    /// The period that is being repeated, and where in it the next sample is.
    period: Vec<f32>,
    position: usize,
    made_up: usize,
}

impl Concealer {
    /// Takes note of real sound that is about to be played; its beginning is blended with what was made
    /// up before.
    pub fn follow(&mut self, samples: &mut [f32]) {
        if self.made_up > 0 {
            for (index, sample) in samples.iter_mut().take(BLEND).enumerate() {
                let weight = index as f32 / BLEND as f32;
                *sample = *sample * weight + self.next_sample() * (1.0 - weight);
            }
            self.period.clear();
            self.made_up = 0;
        }
        self.remember(samples);
    }

    /// Makes up so many samples.
    pub fn conceal(&mut self, count: usize) -> Vec<f32> {
        if self.made_up == 0 {
            self.begin();
        }
        (0..count).map(|_| self.next_sample()).collect()
    }

    fn begin(&mut self) {
        let length = pitch_period(&self.history);
        self.period = self.history[self.history.len() - length..].to_vec();
        self.position = 0;
    }

    fn next_sample(&mut self) -> f32 {
        self.made_up += 1;
        let Some(&sample) = self.period.get(self.position) else {
            return 0.0;
        };
        self.position = (self.position + 1) % self.period.len();
        let faded = self.made_up.min(FADE_LENGTH) as f32 / FADE_LENGTH as f32;
        sample * (1.0 - faded)
    }

    fn remember(&mut self, samples: &[f32]) {
        self.history.extend_from_slice(samples);
        let excess = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..excess);
    }
}

/// The distance at which the end of the sound resembles what was before it most; all of the sound when it
/// is too short to tell.
fn pitch_period(history: &[f32]) -> usize {
    if history.len() < LONGEST_PERIOD + TEMPLATE {
        return history.len();
    }
    let start = history.len() - TEMPLATE;
    let earlier = |period: usize| &history[start - period..history.len() - period];
    most_alike(&history[start..], earlier, SHORTEST_PERIOD..=LONGEST_PERIOD)
        .map_or(LONGEST_PERIOD, |(period, _)| period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(from: usize, count: usize) -> Vec<f32> {
        (from..from + count)
            .map(|n| 0.5 * (n as f32 * std::f32::consts::TAU * 200.0 / 48_000.0).sin())
            .collect()
    }

    /// The largest step between neighbouring samples; a click is a large one.
    fn steepest(samples: &[f32]) -> f32 {
        samples
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn a_gap_in_a_tone_is_filled_without_clicks() {
        let mut concealer = Concealer::default();
        let mut played = tone(0, 1920);
        concealer.follow(&mut played);
        played.extend(concealer.conceal(960));
        let mut next = tone(2880, 960);
        concealer.follow(&mut next);
        played.extend(next);
        assert!(steepest(&played) < 0.03, "{}", steepest(&played));
        let filled: f32 = played[1920..2880].iter().map(|s| s * s).sum();
        assert!(filled > 30.0, "a tone of this level goes on, fading: {filled}");
    }

    #[test]
    fn long_gaps_become_silent() {
        let mut concealer = Concealer::default();
        concealer.follow(&mut tone(0, 1920));
        let made_up = concealer.conceal(FADE_LENGTH + 960);
        assert!(made_up[FADE_LENGTH..].iter().all(|&sample| sample == 0.0));
    }

    #[test]
    fn without_a_past_there_is_silence() {
        assert_eq!(Concealer::default().conceal(3), [0.0; 3]);
        let mut concealer = Concealer::default();
        concealer.follow(&mut [0.25; 5]);
        assert_eq!(concealer.conceal(2).len(), 2);
    }
}
