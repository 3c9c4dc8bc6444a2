//! What a run showed.

use std::time::Duration;

use quinn_proto::ConnectionStats;

use super::endpoint::{Host, Picture, Received};
use super::link::{LinkSettings, Passed};

/// How a sender and its receiver fared.
pub(crate) struct FlowReport {
    received: Received,
    pictures: Vec<Picture>,
    pub(crate) statistics: ConnectionStats,
}

impl FlowReport {
    pub(super) fn new(sender: &mut Host, receiver: Host) -> Self {
        Self {
            pictures: sender.pictures(),
            statistics: sender.statistics(),
            received: receiver.into_received(),
        }
    }

    /// From when each picture was taken until it had arrived, in milliseconds; those that had not by
    /// the end are left out.
    pub(crate) fn picture_delays_ms(&self, keyframes: bool) -> Vec<f64> {
        let mut pictures = self.pictures.iter().peekable();
        let mut total = 0;
        let mut delays = Vec::new();
        for (at, bytes) in &self.received.bytes {
            total += bytes;
            while let Some(picture) = pictures.next_if(|picture| picture.end <= total) {
                if picture.keyframe == keyframes {
                    delays.push((*at - picture.taken).as_secs_f64() * 1000.0);
                }
            }
        }
        delays
    }
}

/// What was seen.
pub(crate) struct Report {
    pub(super) settings: LinkSettings,
    pub(super) length: Duration,
    pub(super) passed: Vec<Passed>,
    /// The first flow's congestion window over time.
    pub(crate) windows: Vec<(Duration, u64)>,
    pub(crate) flows: Vec<FlowReport>,
}

impl Report {
    /// How long packets of the first flow waited in the queue, in milliseconds.
    pub(crate) fn queueing_ms(&self, percentile: f64) -> f64 {
        self.queueing_between_ms(0, u64::MAX, percentile)
    }

    /// The same for packets that left the queue between these seconds.
    pub(crate) fn queueing_between_ms(&self, from: u64, to: u64, percentile: f64) -> f64 {
        let own = self.passed.iter().filter(|passed| passed.flow == 0);
        let within = own.filter(|passed| (from..to).contains(&passed.at.as_secs()));
        let waits = within
            .map(|passed| passed.waited.as_secs_f64() * 1000.0)
            .collect();
        percentile_of(waits, percentile)
    }

    /// Which part of the line all flows used, in percent.
    pub(crate) fn utilisation_pct(&self, from: Duration, to: Duration) -> f64 {
        100.0 * self.bits(None, from, to) / self.settings.capacity_bits(from, to)
    }

    /// Which part of all that passed belonged to this flow, in percent.
    pub(crate) fn share_pct(&self, flow: usize, from: Duration, to: Duration) -> f64 {
        100.0 * self.bits(Some(flow), from, to) / self.bits(None, from, to)
    }

    fn bits(&self, flow: Option<usize>, from: Duration, to: Duration) -> f64 {
        let within = self
            .passed
            .iter()
            .filter(|passed| (from..to).contains(&passed.at));
        let own = within.filter(|passed| flow.is_none_or(|flow| passed.flow == flow));
        own.map(|passed| passed.bytes as f64 * 8.0).sum()
    }

    /// How long after this time half a second came in which the line was used to this part.
    pub(crate) fn recovery_ms(&self, after: Duration, part: f64) -> Option<f64> {
        const SPAN: Duration = Duration::from_millis(500);
        const STEP: Duration = Duration::from_millis(20);
        let starts = (0..).map(|step| after + STEP * step);
        let mut starts = starts.take_while(|start| *start + SPAN <= self.length);
        let found = starts.find(|start| self.utilisation_pct(*start, *start + SPAN) >= part * 100.0);
        found.map(|start| (start - after).as_secs_f64() * 1000.0)
    }

    /// The first flow's largest congestion window, bytes.
    pub(crate) fn largest_window(&self) -> u64 {
        self.windows.iter().map(|(_, window)| *window).max().unwrap_or(0)
    }
}

/// Nearest rank; 0 of nothing.
pub(crate) fn percentile_of(mut values: Vec<f64>, percentile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (percentile / 100.0 * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}
