//! Makes up sound for frames that did not arrive, from what was played before: it goes on with the last
//! pitch periods, ever quieter, and blends into the next real frame (the idea of ITU-T G.711
//! Appendix I).

use super::pitch::most_alike;

/// Sound that is remembered: 50 ms at 48 kHz, three periods of the deepest voice.
const HISTORY: usize = 2400;

/// Pitch periods that are tried: 48 kHz divided by 500 Hz to 67 Hz.
const SHORTEST_PERIOD: usize = 96;
const LONGEST_PERIOD: usize = 720;

/// The end of the sound that has to look the same one period earlier: 5 ms.
const TEMPLATE: usize = 240;

/// Sound that is less like itself one period earlier has no pitch: a consonant, or noise.
const VOICED: f32 = 0.5;

/// Made-up sound is as loud as the real one for 10 ms. After 60 ms there is silence: beyond that,
/// repetition sounds metallic.
const FULL_LENGTH: usize = 480;
const FADE_LENGTH: usize = 2880;

/// One period alone buzzes when it is repeated for long: after each further 10 ms there is one more, up
/// to this many.
const MOST_PERIODS: usize = 3;

/// What has no pitch goes on with pieces of itself in random order, of 5 to 10 ms, so that it gets none.
const SHORTEST_PIECE: usize = 240;
const LONGEST_PIECE: usize = 480;

/// From one piece to the next within 2.5 ms.
const SEAM: usize = 120;

/// Real sound takes over within 5 ms, so that no click is heard.
const BLEND: usize = 240;

/// The concealment of one track.
#[derive(Clone, Debug, Default)]
pub struct Concealer {
    history: Vec<f32>,
    source: Source,
    made_up: usize,
    random: u32,
}

/// Where in the history made-up sound comes from.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    /// 0: the sound has no pitch.
    period: usize,
    at: usize,
    /// Here it goes on elsewhere.
    end: usize,
    next: usize,
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
        let length = self.history.len();
        let (period, alike) = pitch_period(&self.history);
        self.source = Source {
            period: if alike > VOICED { period } else { 0 },
            at: length - period,
            end: length,
            next: length - period,
        };
        if self.source.period == 0 {
            self.choose_next();
        }
    }

    fn next_sample(&mut self) -> f32 {
        self.made_up += 1;
        if self.made_up > FADE_LENGTH || self.history.is_empty() {
            return 0.0;
        }
        let Source { at, end, next, .. } = self.source;
        let left = end - at;
        let mut sample = self.history[at];
        if left <= SEAM && left <= next {
            let weight = (SEAM - left) as f32 / SEAM as f32;
            sample = sample * (1.0 - weight) + self.history[next - left] * weight;
        }
        self.source.at += 1;
        if self.source.at == end {
            self.source.at = next;
            self.choose_next();
        }
        let faded = self.made_up.saturating_sub(FULL_LENGTH) as f32 / (FADE_LENGTH - FULL_LENGTH) as f32;
        sample * (1.0 - faded)
    }

    /// Where the sound goes on after the present piece.
    fn choose_next(&mut self) {
        let length = self.history.len();
        let source = self.source;
        if let Some(periods_there) = length.checked_div(source.period) {
            let periods = (1 + self.made_up / FULL_LENGTH).min(MOST_PERIODS);
            let fitting = periods_there.clamp(1, periods);
            self.source.end = length;
            self.source.next = length - fitting * source.period;
            return;
        }
        let piece = SHORTEST_PIECE + self.random_below(LONGEST_PIECE - SHORTEST_PIECE);
        self.source.end = (source.at + piece).min(length);
        self.source.next = self.random_below(length.saturating_sub(LONGEST_PIECE));
    }

    /// A linear congruential generator (Numerical Recipes, 2nd ed., §7.1); the low bits are the poor ones.
    fn random_below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 16) as usize % bound.max(1)
    }

    fn remember(&mut self, samples: &[f32]) {
        self.history.extend_from_slice(samples);
        let excess = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..excess);
    }
}

/// The distance at which the end of the sound resembles what was before it most, and how much; all of
/// the sound when it is too short to tell.
fn pitch_period(history: &[f32]) -> (usize, f32) {
    if history.len() < LONGEST_PERIOD + TEMPLATE {
        return (history.len(), 1.0);
    }
    let start = history.len() - TEMPLATE;
    let earlier = |period: usize| &history[start - period..history.len() - period];
    most_alike(&history[start..], earlier, SHORTEST_PERIOD..=LONGEST_PERIOD).unwrap_or((LONGEST_PERIOD, 0.0))
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

    /// How alike the sound is to itself so much later, at most.
    fn repetition(samples: &[f32]) -> f32 {
        let (from, to) = (SHORTEST_PIECE, samples.len() - LONGEST_PIECE);
        let piece = |distance: usize| &samples[distance..distance + LONGEST_PIECE];
        most_alike(piece(0), piece, from..=to).map_or(0.0, |(_, alike)| alike)
    }

    #[test]
    fn noise_does_not_begin_to_buzz() {
        let mut state = 1_u32;
        let mut noise: Vec<f32> = (0..4800)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state as f32 / u32::MAX as f32 - 0.5
            })
            .collect();
        let mut concealer = Concealer::default();
        concealer.follow(&mut noise);
        let made_up = concealer.conceal(1920);
        assert!(repetition(&made_up) < 0.7, "{}", repetition(&made_up));
        let loud: f32 = made_up[..480].iter().map(|s| s * s).sum();
        assert!(loud > 20.0, "it goes on: {loud}");
    }

    #[test]
    fn short_pasts_are_repeated() {
        for length in [1, 7, 100, 119, 121, 700, 1000] {
            let mut concealer = Concealer::default();
            concealer.follow(&mut tone(0, length));
            let made_up = concealer.conceal(3000);
            assert!(made_up.iter().all(|sample| sample.abs() <= 0.5));
        }
    }

    #[test]
    fn without_a_past_there_is_silence() {
        assert_eq!(Concealer::default().conceal(3), [0.0; 3]);
        let mut concealer = Concealer::default();
        concealer.follow(&mut [0.25; 5]);
        assert_eq!(concealer.conceal(2).len(), 2);
    }
}
