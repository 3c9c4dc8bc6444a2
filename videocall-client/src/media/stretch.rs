//! Makes sound shorter or longer without changing its pitch: one pitch period is left out or put in
//! twice, and the seam is blended (pitch-synchronous overlap-add, E. Moulines and F. Charpentier 1990;
//! found by similarity as in WSOLA, W. Verhelst and M. Roelands 1993).

use super::pitch::most_alike;

/// Pitch periods that are tried: 48 kHz divided by 500 Hz to 100 Hz, 2 to 10 ms.
const SHORTEST_PERIOD: usize = 96;
const LONGEST_PERIOD: usize = 480;

/// What has to look alike on both sides of the seam, and is blended: 5 ms.
const BLEND: usize = 240;

/// Sound that has room for the longest period: 15 ms.
const ENOUGH: usize = LONGEST_PERIOD + BLEND;

/// Correlation below which the two sides are not alike, so that the seam would be heard; and when there
/// is no time to be choosy.
const ALIKE: f32 = 0.6;
const ALIKE_ENOUGH: f32 = 0.3;

/// Quieter sound hides any seam: a mean square of -60 dBov.
const QUIET: f32 = 1e-6;

/// Samples between two seams of the gentle kind: 100 ms, in which voices have 5 to 10 ms more or less.
const GENTLE_INTERVAL: usize = 4800;

/// How the length is to change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    #[default]
    None,
    /// Shorter, with a seam in every piece of sound where `fast`, else one in 100 ms.
    Shorten {
        /// As much as can be understood.
        fast: bool,
    },
    /// Longer, likewise.
    Lengthen {
        /// As much as can be understood.
        fast: bool,
    },
}

/// The stretching of one track's sound, which comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct Stretcher {
    /// A piece that was too short to be changed, and waits for the next one.
    kept: Vec<f32>,
    since_seam: usize,
}

impl Stretcher {
    /// The sound at its new length. What is changed may wait for the next piece.
    pub fn process(&mut self, piece: Vec<f32>, change: Change) -> Vec<f32> {
        let mut sound = std::mem::take(&mut self.kept);
        sound.extend_from_slice(&piece);
        self.since_seam = self.since_seam.saturating_add(piece.len());
        let fast = match change {
            Change::None => return sound,
            Change::Shorten { fast } | Change::Lengthen { fast } => fast,
        };
        if !fast && self.since_seam < GENTLE_INTERVAL {
            return sound;
        }
        let alike = if fast { ALIKE_ENOUGH } else { ALIKE };
        let changed = match change {
            Change::Shorten { .. } if sound.len() < ENOUGH => {
                // Too much is waiting, so that there is a next piece already.
                self.kept = sound;
                return Vec::new();
            }
            Change::Shorten { .. } => shortened(&sound, alike),
            _ => lengthened(&sound, alike),
        };
        let Some(changed) = changed else { return sound };
        self.since_seam = 0;
        changed
    }

    /// What waits; to be played before anything that does not come through here.
    pub fn take_kept(&mut self) -> Vec<f32> {
        std::mem::take(&mut self.kept)
    }
}

/// The sound without one of its pitch periods; `None` when that would be heard.
fn shortened(samples: &[f32], alike: f32) -> Option<Vec<f32>> {
    let period = period(samples, alike)?;
    let mut shorter = Vec::with_capacity(samples.len() - period);
    shorter.extend(blended(samples, &samples[period..]));
    shorter.extend_from_slice(&samples[period + BLEND..]);
    Some(shorter)
}

/// The sound with one of its pitch periods twice; `None` when that would be heard.
fn lengthened(samples: &[f32], alike: f32) -> Option<Vec<f32>> {
    let period = period(samples, alike)?;
    let mut longer = Vec::with_capacity(samples.len() + period);
    longer.extend_from_slice(&samples[..period]);
    longer.extend(blended(&samples[period..], samples));
    longer.extend_from_slice(&samples[BLEND..]);
    Some(longer)
}

/// From the first sound to the second.
fn blended<'a>(from: &'a [f32], to: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
    from.iter()
        .zip(to)
        .take(BLEND)
        .enumerate()
        .map(|(index, (from, to))| {
            let weight = index as f32 / BLEND as f32;
            from * (1.0 - weight) + to * weight
        })
}

/// The distance at which the sound resembles its own beginning most.
fn period(samples: &[f32], alike: f32) -> Option<usize> {
    let longest = samples.len().checked_sub(BLEND)?.min(LONGEST_PERIOD);
    if longest < SHORTEST_PERIOD {
        return None;
    }
    let beginning = &samples[..BLEND];
    let energy: f32 = beginning.iter().map(|sample| sample * sample).sum();
    let later = |period: usize| &samples[period..period + BLEND];
    let (period, correlation) = most_alike(beginning, later, SHORTEST_PERIOD..=longest)?;
    let quiet = energy < QUIET * BLEND as f32;
    (quiet || correlation > alike).then_some(period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tone::ToneRing;

    fn tone(samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|n| 0.5 * (n as f32 * std::f32::consts::TAU * 250.0 / 48_000.0).sin())
            .collect()
    }

    fn noise(samples: usize) -> Vec<f32> {
        let mut state = 1_u32;
        let sample = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as f32 / u32::MAX as f32 - 0.5
        };
        (0..samples).map(sample).collect()
    }

    fn steepest(samples: &[f32]) -> f32 {
        samples
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).abs())
            .fold(0.0, f32::max)
    }

    /// Two seconds of a tone in pieces.
    fn stretched(piece: usize, change: Change) -> Vec<f32> {
        let mut stretcher = Stretcher::default();
        let pieces = tone(96_000);
        let pieces = pieces.chunks(piece);
        let mut sound: Vec<f32> = pieces
            .flat_map(|piece| stretcher.process(piece.to_vec(), change))
            .collect();
        sound.extend(stretcher.take_kept());
        sound
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_has_no_click() {
        for piece in [480, 960, 1920] {
            for change in [
                Change::Shorten { fast: false },
                Change::Shorten { fast: true },
                Change::Lengthen { fast: false },
                Change::Lengthen { fast: true },
            ] {
                let sound = stretched(piece, change);
                assert!(steepest(&sound) < 0.03, "{}", steepest(&sound));
                let mut ring = ToneRing::new(48_000);
                ring.push(&sound);
                let found = ring.dominant_frequency_hz().expect("a tone is there");
                assert!((found - 250.0).abs() < 5.0, "{found} {piece} {change:?}");
            }
        }
    }

    #[test]
    fn gently_it_changes_by_a_few_percent_and_fast_by_much() {
        let share = |change| stretched(960, change).len() as f64 / 96_000.0;
        let gentle = share(Change::Shorten { fast: false });
        assert!((0.90..0.98).contains(&gentle), "{gentle}");
        let gentle = share(Change::Lengthen { fast: false });
        assert!((1.02..1.10).contains(&gentle), "{gentle}");
        assert!(share(Change::Shorten { fast: true }) < 0.85);
        assert!(share(Change::Lengthen { fast: true }) > 1.15);
        assert_eq!(stretched(960, Change::None), tone(96_000));
    }

    #[test]
    fn noise_is_left_alone_and_silence_is_not() {
        let mut stretcher = Stretcher::default();
        let change = Change::Shorten { fast: true };
        assert_eq!(stretcher.process(noise(960), change), noise(960));
        assert!(stretcher.process(vec![0.0; 960], change).len() < 960);
    }

    #[test]
    fn nothing_is_lost_of_pieces_that_are_too_short() {
        let mut stretcher = Stretcher::default();
        let change = Change::Shorten { fast: true };
        assert!(stretcher.process(vec![0.5; 120], change).is_empty());
        assert_eq!(stretcher.process(vec![0.5; 120], Change::None), [0.5; 240]);
        assert_eq!(
            stretcher.process(vec![0.5; 120], Change::Lengthen { fast: true }),
            [0.5; 120]
        );
    }
}
