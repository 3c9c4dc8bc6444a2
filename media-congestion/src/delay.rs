//! How much of the round-trip time is queueing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ack_delay::Sample;

/// The base is the least of this time: routes change, and with them what an empty path takes.
const BASE_SPANS: usize = 5;
const BASE_SPAN: Duration = Duration::from_secs(2);

/// At most so many samples are kept.
const RECENT: usize = 64;

/// Jitter only ever adds, so the least of several samples is what queues; so many at least.
const FEWEST: usize = 4;

/// Within this distance of the base the path counts as empty.
const EMPTY_MARGIN: Duration = Duration::from_millis(8);

/// The least round-trip time in the long and the short run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delay {
    /// The least within each span of time.
    spans: VecDeque<(Instant, Duration)>,
    recent: VecDeque<(Instant, Duration)>,
    /// When the path was last seen about empty.
    empty_at: Option<Instant>,
    /// When a packet of full size was last acknowledged.
    full_at: Option<Instant>,
    /// Whether the base is kept for the time being.
    held: bool,
}

impl Delay {
    /// Takes a round-trip time. Small packets count while there are no full ones: these take longer on
    /// a slow line, and the difference is no queue.
    pub(crate) fn sample(&mut self, sample: Sample) {
        let Sample { rtt, at: now, full } = sample;
        if full {
            if self.full_at.is_none() {
                self.spans.clear();
                self.recent.clear();
            }
            self.full_at = Some(now);
        } else if self
            .full_at
            .is_some_and(|at| now.saturating_duration_since(at) < BASE_SPAN)
        {
            return;
        }
        match self.spans.back_mut() {
            Some((began, least)) if self.held || now.saturating_duration_since(*began) < BASE_SPAN => {
                *least = rtt.min(*least);
            }
            _ => {
                self.spans.push_back((now, rtt));
                if self.spans.len() > BASE_SPANS {
                    self.spans.pop_front();
                }
            }
        }
        if self.empty_at.is_none() || rtt <= self.base() + EMPTY_MARGIN {
            self.empty_at = Some(now);
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((now, rtt));
    }

    /// The round-trip time of the empty path.
    pub(crate) fn base(&self) -> Duration {
        self.spans
            .iter()
            .map(|(_, least)| *least)
            .min()
            .unwrap_or_default()
    }

    /// The standing queue (Copa, NSDI 2018 §2.2): the least of the samples of a round trip, over the
    /// base. Copa takes half of one; jitter in which packets overtake nobody comes in runs, which need
    /// longer.
    pub(crate) fn queue(&self, smoothed: Duration, now: Instant) -> Duration {
        let recent = self.recent.iter().rev().enumerate();
        let standing = recent
            .take_while(|(index, (at, _))| *index < FEWEST || now.saturating_duration_since(*at) <= smoothed)
            .map(|(_, (_, rtt))| *rtt)
            .min();
        standing.unwrap_or_default().saturating_sub(self.base())
    }

    /// The queue that the last two samples show, for when jitter matters less than time.
    pub(crate) fn latest(&self) -> Duration {
        let latest = self.recent.iter().rev().take(2).map(|(_, rtt)| *rtt);
        latest.min().unwrap_or_default().saturating_sub(self.base())
    }

    /// How long ago the path was last seen about empty.
    pub(crate) fn since_empty(&self, now: Instant) -> Duration {
        self.empty_at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    /// The path was looked at while it was empty, as far as that goes.
    pub(crate) fn emptied(&mut self, now: Instant) {
        self.empty_at = Some(now);
    }

    /// Whether the base is to stay although the path is never empty.
    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// The path takes longer than what was measured.
    pub(crate) fn lengthen(&mut self, by: Duration) {
        for (_, least) in &mut self.spans {
            *least += by;
        }
    }

    /// What was measured lately no longer says anything.
    pub(crate) fn forget_recent(&mut self) {
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn full(rtt: Duration, at: Instant) -> Sample {
        Sample { rtt, at, full: true }
    }

    #[test]
    fn jitter_is_no_queue() {
        let (mut delay, begin) = (Delay::default(), Instant::now());
        let mut now = begin;
        for round in 0..100 {
            now += 10 * MS;
            delay.sample(full(50 * MS + (round * 7 % 5) * 10 * MS, now));
        }
        assert_eq!(delay.base(), 50 * MS);
        assert!(delay.queue(100 * MS, now) <= 10 * MS);
    }

    #[test]
    fn a_queue_is_seen_within_a_round_trip() {
        let (mut delay, begin) = (Delay::default(), Instant::now());
        for round in 0..10 {
            delay.sample(full(50 * MS, begin + round * 10 * MS));
        }
        for round in 10..22 {
            delay.sample(full(110 * MS, begin + round * 10 * MS));
        }
        assert_eq!(delay.queue(100 * MS, begin + 210 * MS), 60 * MS);
        assert_eq!(delay.since_empty(begin + 210 * MS), 120 * MS);
    }

    #[test]
    fn a_longer_route_becomes_the_base_in_time() {
        let (mut delay, begin) = (Delay::default(), Instant::now());
        delay.sample(full(50 * MS, begin));
        for round in 1..120 {
            delay.sample(full(150 * MS, begin + round * 100 * MS));
        }
        assert_eq!(delay.base(), 150 * MS);
    }
}
