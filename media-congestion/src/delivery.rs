//! How much the path delivers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Points of the past that are kept: four round trips at the distance below.
const POINTS: usize = 128;

/// Points are at least this part of a round trip apart.
const DISTANCE: u32 = 32;

/// How much had been delivered when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    total: u64,
    points: VecDeque<(Instant, u64)>,
}

impl Delivery {
    /// The peer has got so many bytes more.
    pub(crate) fn delivered(&mut self, bytes: u64) {
        self.total = self.total.saturating_add(bytes);
    }

    /// Bytes that were delivered since a packet was sent that is acknowledged now: what was on its way
    /// when it left, whose delivery rate draft-cheng-iccrg-delivery-rate-estimation takes for the path's.
    pub(crate) fn since(&self, sent: Instant) -> u64 {
        let before = self.points.partition_point(|(at, _)| *at <= sent);
        let point = before.checked_sub(1).and_then(|index| self.points.get(index));
        self.total.saturating_sub(point.map_or(0, |(_, total)| *total))
    }

    /// Notes where things stand.
    pub(crate) fn note(&mut self, smoothed: Duration, now: Instant) {
        let last = self.points.back();
        if last.is_some_and(|(at, _)| now.saturating_duration_since(*at) < smoothed / DISTANCE) {
            return;
        }
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back((now, self.total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_the_packets_own_round_trip() {
        let (mut delivery, begin) = (Delivery::default(), Instant::now());
        let ms = |ms: u64| begin + Duration::from_millis(ms);
        for step in 1..=100 {
            delivery.delivered(if step <= 50 { 1000 } else { 100 });
            delivery.note(Duration::from_millis(100), ms(step * 10));
            if step == 50 {
                assert_eq!(delivery.since(ms(400)), 10_000);
            }
        }
        assert_eq!(delivery.since(ms(900)), 1_000);
        assert_eq!(delivery.since(ms(1000)), 0);
    }
}
