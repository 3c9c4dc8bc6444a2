//! Makes sound shorter or longer without changing its pitch: one pitch period is left out of a frame or
//! put in twice, and the seam is blended (the idea of WSOLA, W. Verhelst and M. Roelands 1993).

use super::pitch::most_alike;

/// Pitch periods that are tried: 48 kHz divided by 500 Hz to 100 Hz, 2 to 10 ms.
const SHORTEST_PERIOD: usize = 96;
const LONGEST_PERIOD: usize = 480;

/// What has to look alike on both sides of the seam, and is blended: 5 ms.
const BLEND: usize = 240;

/// Correlation below which the two sides are not alike, so that the seam would be heard.
const ALIKE: f32 = 0.6;

/// Quieter sound hides any seam: a mean square of -60 dBov.
const QUIET: f32 = 1e-6;

/// The sound without one of its pitch periods; `None` when that would be heard.
pub fn shortened(samples: &[f32]) -> Option<Vec<f32>> {
    let period = period(samples)?;
    let mut shorter = Vec::with_capacity(samples.len() - period);
    shorter.extend(blended(samples, &samples[period..]));
    shorter.extend_from_slice(&samples[period + BLEND..]);
    Some(shorter)
}

/// The sound with one of its pitch periods twice; `None` when that would be heard.
pub fn lengthened(samples: &[f32]) -> Option<Vec<f32>> {
    let period = period(samples)?;
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
fn period(samples: &[f32]) -> Option<usize> {
    let longest = samples.len().checked_sub(BLEND)?.min(LONGEST_PERIOD);
    if longest < SHORTEST_PERIOD {
        return None;
    }
    let beginning = &samples[..BLEND];
    let energy: f32 = beginning.iter().map(|sample| sample * sample).sum();
    let later = |period: usize| &samples[period..period + BLEND];
    let (period, correlation) = most_alike(beginning, later, SHORTEST_PERIOD..=longest)?;
    let quiet = energy < QUIET * BLEND as f32;
    (quiet || correlation > ALIKE).then_some(period)
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

    fn steepest(samples: &[f32]) -> f32 {
        samples
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_has_no_click() {
        let shorter = shortened(&tone(960)).expect("a tone has a period");
        let longer = lengthened(&tone(960)).expect("a tone has a period");
        assert_eq!((960 - shorter.len()) % 192, 0, "whole periods of 250 Hz");
        assert_eq!((longer.len() - 960) % 192, 0, "whole periods of 250 Hz");
        for changed in [shorter, longer] {
            assert!(steepest(&changed) < 0.03, "{}", steepest(&changed));
            let mut ring = ToneRing::new(48_000);
            for _ in 0..10 {
                ring.push(&changed);
            }
            let found = ring.dominant_frequency_hz().expect("a tone is there");
            assert!((found - 250.0).abs() < 5.0, "{found}");
        }
    }

    #[test]
    fn noise_is_left_alone_and_silence_is_not() {
        let mut state = 1_u32;
        let noise: Vec<f32> = (0..960)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state as f32 / u32::MAX as f32 - 0.5
            })
            .collect();
        assert_eq!(shortened(&noise), None);
        assert!(shortened(&[0.0; 960]).is_some_and(|shorter| shorter.len() < 960));
    }

    #[test]
    fn pieces_that_are_too_short_stay() {
        assert_eq!(shortened(&[0.5; 120]), None);
        assert_eq!(lengthened(&[]), None);
    }
}
