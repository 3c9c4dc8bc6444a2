//! Brings the time stamps of captures onto the page's clock, which all tracks of a session share.

use videocall_types::Timestamp;

/// How fast the offset may follow a source clock that runs slower than the page's, in millionths:
/// crystals differ by less than 100.
const DRIFT_PPM: i64 = 200;

/// Maps the time stamps of one source.
///
/// Sources count from an epoch of their own, and what they deliver arrives late by a varying time. The
/// smallest difference seen between arrival and stamp is the best estimate of the distance of the
/// two epochs.
#[derive(Clone, Debug, Default)]
pub struct CaptureClock {
    offset_us: Option<i64>,
    updated_at_us: i64,
}

impl CaptureClock {
    /// The time at which something was captured that carries this stamp and arrived now.
    pub fn captured_at(&mut self, stamp_us: i64, now: Timestamp) -> Timestamp {
        let now_us = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        let seen = now_us.saturating_sub(stamp_us);
        let drift = now_us.saturating_sub(self.updated_at_us) / (1_000_000 / DRIFT_PPM);
        let offset = match self.offset_us {
            // A stamp that jumps is a new epoch: a capture that was restarted.
            Some(offset) if seen.saturating_sub(offset).abs() < 2_000_000 => {
                seen.min(offset.saturating_add(drift))
            }
            _ => seen,
        };
        self.offset_us = Some(offset);
        self.updated_at_us = now_us;
        self.place(stamp_us)
    }

    /// The time for a stamp of the same source, from what is known by now.
    pub fn place(&self, stamp_us: i64) -> Timestamp {
        let micros = stamp_us.saturating_add(self.offset_us.unwrap_or(0));
        Timestamp::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_of_arrival_does_not_reach_the_capture_times() {
        let mut clock = CaptureClock::default();
        let mut captured = Vec::new();
        for (index, late_us) in [3000, 0, 9000, 4000, 0, 20_000].into_iter().enumerate() {
            let stamp = index as i64 * 33_333;
            let arrival = Timestamp::from_micros((5_000_000 + stamp + late_us) as u64);
            captured.push(clock.captured_at(stamp, arrival).as_micros() as i64);
        }
        for pair in captured[1..].windows(2) {
            assert!((pair[1] - pair[0] - 33_333).abs() < 50, "{captured:?}");
        }
    }

    #[test]
    fn a_new_epoch_is_noticed() {
        let mut clock = CaptureClock::default();
        clock.captured_at(90_000_000, Timestamp::from_millis(1000));
        let restarted = clock.captured_at(0, Timestamp::from_millis(2000));
        assert_eq!(restarted, Timestamp::from_millis(2000));
    }

    #[test]
    fn times_before_the_epoch_are_the_epoch() {
        assert_eq!(CaptureClock::default().place(-5), Timestamp::ZERO);
    }
}
