//! Finds where sound repeats itself: the pitch period of a voice.

use std::ops::RangeInclusive;

/// First every so many samples and every so many distances are looked at, then all of them around the best:
/// a hundredth of the work, and voices have little above the 6 kHz that this resolves.
const STRIDE: usize = 4;

/// The distance in the range at which another piece of the sound is most like `template`, and how much: 1 when
/// equal up to loudness, 0 when unrelated. `piece` gives the piece at a distance, as long as the template.
pub(super) fn most_alike<'a>(
    template: &[f32],
    piece: impl Fn(usize) -> &'a [f32],
    range: RangeInclusive<usize>,
) -> Option<(usize, f32)> {
    let (first, last) = (*range.start(), *range.end());
    let rate = |stride: usize| {
        let piece = &piece;
        move |distance: usize| (distance, correlation(template, piece(distance), stride))
    };
    let best =
        |candidates: &mut dyn Iterator<Item = (usize, f32)>| candidates.max_by(|a, b| a.1.total_cmp(&b.1));
    let (coarse, _) = best(&mut range.step_by(STRIDE).map(rate(STRIDE)))?;
    let around = coarse.saturating_sub(STRIDE - 1).max(first)..=(coarse + STRIDE - 1).min(last);
    best(&mut around.map(rate(1)))
}

fn correlation(a: &[f32], b: &[f32], stride: usize) -> f32 {
    let (mut product, mut energy_a, mut energy_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b).step_by(stride) {
        product += a * b;
        energy_a += a * a;
        energy_b += b * b;
    }
    product / ((energy_a * energy_b).sqrt() + 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_of_a_tone_is_found_exactly() {
        let tone: Vec<f32> = (0..960)
            .map(|n| (n as f32 * std::f32::consts::TAU / 157.0).sin())
            .collect();
        let found = most_alike(&tone[..240], |distance| &tone[distance..distance + 240], 96..=300);
        let (period, alike) = found.expect("the range is not empty");
        assert_eq!(period, 157);
        assert!(alike > 0.99);
    }

    #[test]
    fn an_empty_range_has_none() {
        let empty = RangeInclusive::new(5, 4);
        assert_eq!(most_alike(&[0.0; 4], |_| &[0.0; 4], empty), None);
    }
}
