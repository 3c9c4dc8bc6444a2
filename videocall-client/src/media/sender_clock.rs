//! An estimate of another participant's clock, without which no delay from one to the other can be told.
//!
//! Nothing on the way tells how long a packet took. What is known is how much longer than the fastest one
//! each took, and how long our own way to the relay and back takes. The estimate supposes that the fastest
//! frame of the last seconds took just that: our half of it, and as much on the sender's side.

use std::time::Duration;

use videocall_types::Timestamp;

use super::transit::{FastestTransit, transit_us};

/// The fastest frame is looked for in this time, in which clocks drift apart by a millisecond or two.
const WINDOW: Duration = Duration::from_secs(10);

/// One sender's clock; fed with the frames of all its tracks.
#[derive(Clone, Debug)]
pub struct SenderClock {
    fastest: FastestTransit,
}

impl Default for SenderClock {
    fn default() -> Self {
        Self {
            fastest: FastestTransit::within(WINDOW),
        }
    }
}

impl SenderClock {
    /// A frame has arrived whose last part was captured at this time, on the sender's clock.
    pub fn arrived(&mut self, captured_until_us: u64, now: Timestamp) {
        self.fastest.observe(transit_us(captured_until_us, now), now);
    }

    /// What is estimated to lie between two times, the first of which is on the sender's clock, when that is
    /// so many microseconds by the two clocks. Milliseconds.
    pub fn elapsed_ms(&self, by_the_clocks_us: i64, round_trip: Duration) -> Option<f64> {
        let fastest = self.fastest.get()?;
        let longer = by_the_clocks_us.saturating_sub(fastest) as f64;
        Some((longer / 1000.0 + round_trip.as_secs_f64() * 1000.0).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sender's clock is ahead of ours by this.
    const AHEAD_US: u64 = 77_000_000;

    fn arrived(clock: &mut SenderClock, captured_ms: u64, took_ms: u64) {
        clock.arrived(
            captured_ms * 1000 + AHEAD_US,
            Timestamp::from_millis(captured_ms + took_ms),
        );
    }

    #[test]
    fn clocks_need_not_agree() {
        let mut clock = SenderClock::default();
        assert_eq!(clock.elapsed_ms(5, Duration::ZERO), None);
        for index in 0..100 {
            arrived(&mut clock, 1000 + index * 33, 40 + index % 7 * 10);
        }
        let drawn = Timestamp::from_millis(5_090);
        let between = transit_us(5_000_000 + AHEAD_US, drawn);
        assert_eq!(clock.elapsed_ms(between, Duration::from_millis(40)), Some(90.0));
    }

    #[test]
    fn the_fastest_is_forgotten_in_time() {
        let mut clock = SenderClock::default();
        arrived(&mut clock, 1000, 10);
        for index in 0..1000 {
            arrived(&mut clock, 2000 + index * 33, 50);
        }
        let between = transit_us(40_000_000 + AHEAD_US, Timestamp::from_millis(40_060));
        assert_eq!(clock.elapsed_ms(between, Duration::from_millis(50)), Some(60.0));
    }

    #[test]
    fn absurd_times_do_no_harm() {
        let mut clock = SenderClock::default();
        for captured in [0, u64::MAX, 7] {
            clock.arrived(captured, Timestamp::from_millis(1));
        }
        assert!(
            clock
                .elapsed_ms(i64::MIN, Duration::ZERO)
                .is_some_and(f64::is_finite)
        );
    }
}
