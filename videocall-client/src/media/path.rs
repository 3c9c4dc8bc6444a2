//! How the frames of one track came: what is missing, and how unevenly the rest arrives.

use std::collections::VecDeque;
use std::time::Duration;

use super::transit::transit_us;
use videocall_types::Timestamp;

/// The time over which losses are told.
const WINDOW: Duration = Duration::from_secs(10);

/// The window moves in steps of this.
const STEP: Duration = Duration::from_secs(1);

/// A track that sends nothing for longer has paused (muted, silent and so not passed on, a layer that
/// nobody received): what the sender numbered meanwhile is not lost.
const PAUSE_US: u64 = 2_000_000;

/// A late frame is taken off the losses while it is so many numbers behind; older ones are forgotten.
const REMEMBERED: u32 = u64::BITS;

/// Measures one track, or one spatial layer of it: whatever shares a sequence of numbers.
#[derive(Clone, Debug, Default)]
pub struct PathMeter {
    newest: Option<Newest>,
    /// Bit n: the frame with the number `newest - n` has come.
    arrived: u64,
    steps: VecDeque<Step>,
    last_transit_us: Option<i64>,
    jitter_us: f64,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    sequence: u64,
    capture_time_us: u64,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    since: Timestamp,
    numbered: u64,
    arrived: u64,
}

impl PathMeter {
    /// A frame has arrived.
    pub fn arrived(&mut self, sequence: u64, capture_time_us: u64, now: Timestamp) {
        if self.note_number(sequence, capture_time_us, now) {
            self.note_transit(capture_time_us, now);
        }
    }

    /// What comes next is numbered anew: the track goes on in another layer.
    pub fn renumber(&mut self) {
        self.newest = None;
    }

    /// Frames that the sender numbered and that did not come, of a hundred, in the last ten seconds.
    pub fn loss_percent(&self, now: Timestamp) -> Option<f64> {
        let recent = self.steps.iter().filter(|step| now.since(step.since) <= WINDOW);
        let (numbered, arrived) = recent.fold((0, 0), |(numbered, arrived), step| {
            (numbered + step.numbered, arrived + step.arrived)
        });
        (numbered > 0).then(|| 100.0 * numbered.saturating_sub(arrived) as f64 / numbered as f64)
    }

    /// The interarrival jitter of RFC 3550 §6.4.1, milliseconds.
    pub fn jitter_ms(&self) -> f64 {
        self.jitter_us / 1000.0
    }

    /// False: it has come before, or is older than what is remembered.
    fn note_number(&mut self, sequence: u64, capture_time_us: u64, now: Timestamp) -> bool {
        let newest = self
            .newest
            .filter(|newest| capture_time_us.abs_diff(newest.capture_time_us) <= PAUSE_US);
        let Some(newest) = newest else {
            // The first one, or the first one after a pause.
            self.newest = Some(Newest {
                sequence,
                capture_time_us,
            });
            self.arrived = 1;
            self.last_transit_us = None;
            self.count(1, 1, now);
            return true;
        };
        if let Some(behind) = newest.sequence.checked_sub(sequence) {
            let behind = u32::try_from(behind).unwrap_or(u32::MAX);
            if behind >= REMEMBERED || self.arrived & (1 << behind) != 0 {
                return false;
            }
            self.arrived |= 1 << behind;
            self.count(0, 1, now);
            return true;
        }
        let ahead = sequence - newest.sequence;
        let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
        self.arrived = self.arrived.checked_shl(shift).unwrap_or(0) | 1;
        self.newest = Some(Newest {
            sequence,
            capture_time_us,
        });
        self.count(ahead, 1, now);
        true
    }

    fn count(&mut self, numbered: u64, arrived: u64, now: Timestamp) {
        while self
            .steps
            .front()
            .is_some_and(|step| now.since(step.since) > WINDOW)
        {
            self.steps.pop_front();
        }
        match self.steps.back_mut().filter(|step| now.since(step.since) < STEP) {
            Some(step) => {
                step.numbered = step.numbered.saturating_add(numbered);
                step.arrived += arrived;
            }
            None => self.steps.push_back(Step {
                since: now,
                numbered,
                arrived,
            }),
        }
    }

    fn note_transit(&mut self, capture_time_us: u64, now: Timestamp) {
        let transit = transit_us(capture_time_us, now);
        if let Some(last) = self.last_transit_us.replace(transit) {
            let difference = transit.abs_diff(last) as f64;
            self.jitter_us += (difference - self.jitter_us) / 16.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_US: u64 = 20_000;

    /// Frames that arrive with the delays in milliseconds, or do not.
    fn measured(delays_ms: impl IntoIterator<Item = Option<u64>>) -> (PathMeter, Timestamp) {
        let mut arrivals: Vec<(u64, u64)> = delays_ms
            .into_iter()
            .enumerate()
            .filter_map(|(index, delay)| Some((index as u64 * FRAME_US + delay? * 1000, index as u64)))
            .collect();
        arrivals.sort_unstable();
        let mut meter = PathMeter::default();
        let mut now = Timestamp::ZERO;
        for (at, sequence) in arrivals {
            now = Timestamp::from_micros(5_000_000 + at);
            meter.arrived(sequence, sequence * FRAME_US, now);
        }
        (meter, now)
    }

    #[test]
    fn what_does_not_come_is_lost_and_what_is_late_is_not() {
        let (even, now) = measured((0..1000).map(|_| Some(30)));
        assert_eq!((even.loss_percent(now), even.jitter_ms()), (Some(0.0), 0.0));
        let (lossy, now) = measured((0..1000).map(|index| (index % 20 != 7).then_some(30)));
        let loss = lossy.loss_percent(now).expect("frames have come");
        assert!((loss - 5.0).abs() < 0.5, "{loss}");
        let (late, now) = measured((0..1000).map(|index| Some(if index % 20 == 7 { 100 } else { 30 })));
        assert!(late.loss_percent(now).is_some_and(|loss| loss < 0.5));
    }

    #[test]
    fn losses_are_forgotten_after_the_window() {
        let (meter, now) = measured((0..2000).map(|index| (index % 2 == 0 || index > 1000).then_some(30)));
        assert_eq!(meter.loss_percent(now), Some(0.0));
        assert_eq!(meter.loss_percent(now + WINDOW * 2), None);
    }

    #[test]
    fn jitter_is_that_of_the_rfc() {
        // Every difference is 8 ms, so that the average becomes that.
        let (meter, _) = measured((0..500).map(|index| Some(20 + index % 2 * 8)));
        assert!((meter.jitter_ms() - 8.0).abs() < 0.1, "{}", meter.jitter_ms());
        let mut first = PathMeter::default();
        first.arrived(0, 0, Timestamp::from_millis(1000));
        first.arrived(1, FRAME_US, Timestamp::from_millis(1036));
        assert_eq!(first.jitter_ms(), 1.0, "a sixteenth of 16 ms");
    }

    #[test]
    fn pauses_lose_nothing_and_double_frames_count_once() {
        let mut meter = PathMeter::default();
        let mut now = Timestamp::from_millis(1000);
        meter.arrived(0, 0, now);
        meter.arrived(0, 0, now);
        now += Duration::from_secs(5);
        meter.arrived(250, 5_000_000, now);
        assert_eq!((meter.loss_percent(now), meter.jitter_ms()), (Some(0.0), 0.0));
    }

    #[test]
    fn absurd_numbers_do_no_harm() {
        let mut meter = PathMeter::default();
        let now = Timestamp::from_millis(1);
        for number in [0, u64::MAX, 5, u64::MAX / 2, u64::MAX, 1] {
            meter.arrived(number, number.wrapping_mul(3), now);
            meter.arrived(number, 0, now);
        }
        assert!(
            meter
                .loss_percent(now)
                .is_some_and(|loss| (0.0..=100.0).contains(&loss))
        );
        assert!(meter.jitter_ms().is_finite());
    }
}
