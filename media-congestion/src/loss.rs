//! How much is lost.

/// How much of the past remains after a round trip: about eight of them count.
const KEPT: f64 = 0.875;

/// The part of bytes that is lost, over the last round trips.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LossMeter {
    acknowledged: f64,
    lost: f64,
}

impl LossMeter {
    pub(crate) fn acknowledged(&mut self, bytes: u64) {
        self.acknowledged += bytes as f64;
    }

    pub(crate) fn lost(&mut self, bytes: u64) {
        self.lost += bytes as f64;
    }

    /// A round trip is over.
    pub(crate) fn round(&mut self) {
        self.acknowledged *= KEPT;
        self.lost *= KEPT;
    }

    /// From 0 to 1; 0 while fewer bytes than these are known of.
    pub(crate) fn part(&self, enough: u64) -> f64 {
        let all = self.acknowledged + self.lost;
        if all > enough as f64 && all > 0.0 {
            self.lost / all
        } else {
            0.0
        }
    }
}
