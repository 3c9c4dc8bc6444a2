//! How loud sound is.

/// Sums up samples between two readings.
#[derive(Clone, Copy, Debug, Default)]
pub struct LevelMeter {
    sum_of_squares: f64,
    samples: u32,
}

impl LevelMeter {
    /// Adds samples between -1 and 1.
    pub fn add(&mut self, samples: &[f32]) {
        self.sum_of_squares += samples
            .iter()
            .map(|&sample| f64::from(sample) * f64::from(sample))
            .filter(|square| square.is_finite())
            .sum::<f64>();
        self.samples = self
            .samples
            .saturating_add(u32::try_from(samples.len()).unwrap_or(u32::MAX));
    }

    /// Adds what another meter has seen.
    pub fn merge(&mut self, other: Self) {
        self.sum_of_squares += other.sum_of_squares;
        self.samples = self.samples.saturating_add(other.samples);
    }

    /// Root of the mean square, 0 to 1; 0 when nothing was added.
    pub fn root_mean_square(&self) -> f32 {
        if self.samples == 0 {
            return 0.0;
        }
        (self.sum_of_squares / f64::from(self.samples)).sqrt().min(1.0) as f32
    }

    /// The level after RFC 6464 §3: -dBov, 0 is the loudest and 127 is silence. 0 dBov is a full-scale
    /// square wave, whose root of the mean square is 1.
    pub fn dbov(&self) -> u8 {
        dbov(self.root_mean_square())
    }
}

/// -dBov of a root of the mean square.
pub fn dbov(root_mean_square: f32) -> u8 {
    if root_mean_square <= 0.0 {
        return 127;
    }
    let decibel = -20.0 * root_mean_square.log10();
    decibel.round().clamp(0.0, 127.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_of(samples: &[f32]) -> LevelMeter {
        let mut meter = LevelMeter::default();
        meter.add(samples);
        meter
    }

    #[test]
    fn known_signals_have_their_known_levels() {
        let sine: Vec<f32> = (0..480)
            .map(|n| (n as f32 * std::f32::consts::TAU / 48.0).sin())
            .collect();
        assert_eq!(level_of(&sine).dbov(), 3);
        assert_eq!(level_of(&[1.0, -1.0]).dbov(), 0);
        assert_eq!(level_of(&[0.1, -0.1]).dbov(), 20);
        assert_eq!(level_of(&[0.0; 9]).dbov(), 127);
        assert_eq!(level_of(&[]).dbov(), 127);
        assert_eq!(level_of(&[1e-9]).dbov(), 127);
    }

    #[test]
    fn nonsense_is_not_loud() {
        assert_eq!(level_of(&[f32::NAN, f32::INFINITY, 0.0]).dbov(), 127);
        assert_eq!(level_of(&[5.0]).dbov(), 0);
    }

    #[test]
    fn merging_is_adding() {
        let mut both = level_of(&[1.0, -1.0]);
        both.merge(level_of(&[0.0, 0.0]));
        assert!((both.root_mean_square() - 0.5_f32.sqrt()).abs() < 1e-6);
    }
}
