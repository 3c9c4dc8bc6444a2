//! Brings the time stamps of captures onto the page's clock, which all tracks of a session share.

use videocall_types::Timestamp;

/// How fast the offset may follow a source clock that runs slower than the page's, in millionths:
/// crystals differ by less than 100.
const DRIFT_PPM: i64 = 200;

/// When everything arrives later than it should for so long, by so much, then it is the source's clock that is
/// behind: the clock of an audio graph stands still while a busy computer does not get around to it.
const STALL_WINDOW_US: i64 = 1_000_000;
const STALL_US: i64 = 20_000;

/// Maps the time stamps of one source.
///
/// Sources count from an epoch of their own, and what they deliver arrives late by a varying time. The
/// smallest difference seen between arrival and stamp is the best estimate of the distance of the
/// two epochs.
#[derive(Clone, Debug, Default)]
pub struct CaptureClock {
    offset_us: Option<i64>,
    updated_at_us: i64,
    window: Window,
}

/// The smallest difference since a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    since_us: i64,
    smallest_us: i64,
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
            _ => {
                self.window = Window::new(now_us, seen);
                seen
            }
        };
        self.offset_us = Some(
            self.behind(seen, now_us)
                .map_or(offset, |behind| behind.max(offset)),
        );
        self.updated_at_us = now_us;
        self.place(stamp_us)
    }

    /// The new offset if the source has turned out to be behind.
    fn behind(&mut self, seen: i64, now_us: i64) -> Option<i64> {
        self.window.smallest_us = self.window.smallest_us.min(seen);
        if now_us.saturating_sub(self.window.since_us) < STALL_WINDOW_US {
            return None;
        }
        let smallest = self.window.smallest_us;
        self.window = Window::new(now_us, seen);
        let late = smallest.saturating_sub(self.offset_us?);
        (late > STALL_US).then_some(smallest)
    }

    /// The time for a stamp of the same source, from what is known by now.
    pub fn place(&self, stamp_us: i64) -> Timestamp {
        let micros = stamp_us.saturating_add(self.offset_us.unwrap_or(0));
        Timestamp::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

impl Window {
    const fn new(since_us: i64, smallest_us: i64) -> Self {
        Self {
            since_us,
            smallest_us,
        }
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

    /// Takes pieces of 10 ms that arrive so much late, from this one on; how late the last one is taken to be.
    fn lateness_after(clock: &mut CaptureClock, from: i64, late_us: impl IntoIterator<Item = i64>) -> i64 {
        let mut error = 0;
        for (index, late_us) in (from..).zip(late_us) {
            let stamp = index * 10_000;
            let arrival = Timestamp::from_micros((5_000_000 + stamp + late_us) as u64);
            error = clock.captured_at(stamp, arrival).as_micros() as i64 - (5_000_000 + stamp);
        }
        error
    }

    #[test]
    fn a_source_that_stood_still_is_followed_within_two_seconds() {
        let mut clock = CaptureClock::default();
        assert_eq!(lateness_after(&mut clock, 0, [0; 300]), 0);
        let stood_still = lateness_after(&mut clock, 300, [400_000; 200]);
        assert_eq!(stood_still, 400_000);
    }

    #[test]
    fn a_second_in_which_most_is_late_changes_nothing() {
        let mut clock = CaptureClock::default();
        let late = (0..300).map(|index| if index % 50 == 0 { 0 } else { 400_000 });
        assert!(lateness_after(&mut clock, 0, late) < 200, "more than the drift");
    }

    #[test]
    fn times_before_the_epoch_are_the_epoch() {
        assert_eq!(CaptureClock::default().place(-5), Timestamp::ZERO);
    }
}
