//! What a proxy has seen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::conditions::Direction;

/// Packets of which the time in the queue is remembered: half an hour of 500 packets a second. Later ones are counted
/// only.
const MAX_NOTES: usize = 1_000_000;

/// A point of the course for each of this many milliseconds.
const COURSE_STEP_MS: u64 = 100;

/// What has happened in one direction since a time.
#[derive(Debug, Default)]
pub(super) struct Tally {
    since: Duration,
    /// When each came onto the line, its bytes, and how long it had waited.
    notes: Vec<(Duration, u64, Duration)>,
    packets: u64,
    bytes: u64,
    /// Lost behind the line.
    pub(super) lost: u64,
    /// The queue was full.
    pub(super) dropped: u64,
    /// In an outage.
    pub(super) cut_off: u64,
}

/// Both directions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it is about: since the conditions began, or what was seen before was forgotten.
    pub seconds: f64,
    /// From the client.
    pub up: DirectionReport,
    /// To the client.
    pub down: DirectionReport,
}

/// One direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectionReport {
    /// That came onto the line.
    pub packets: u64,
    /// Of these, with all headers.
    pub bytes: u64,
    /// Packets lost behind the line.
    pub lost: u64,
    /// Packets that found the queue full.
    pub dropped: u64,
    /// Packets of an outage.
    pub cut_off: u64,
    /// How long packets waited in the queue.
    pub queueing_ms: Percentiles,
    /// Which part of what the line could carry it did carry; `None` where it has no limit.
    pub utilisation_pct: Option<f64>,
    /// Over time.
    pub course: Vec<Point>,
}

/// Of the values, in the order of the names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

/// A tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When it began, since the beginning of the report.
    pub at_ms: u64,
    /// Kilobits per second that came onto the line.
    pub kbps: f64,
    /// The longest time that one of its packets had waited.
    pub queueing_ms: f64,
    /// What the line could carry; `None` without a limit.
    pub line_kbps: Option<f64>,
}

impl Tally {
    /// Of what comes from this time on.
    pub(super) fn since(since: Duration) -> Self {
        Self {
            since,
            ..Self::default()
        }
    }

    /// A packet has come onto the line.
    pub(super) fn passed(&mut self, at: Duration, bytes: u64, waited: Duration) {
        self.packets += 1;
        self.bytes += bytes;
        if self.notes.len() < MAX_NOTES {
            self.notes.push((at, bytes, waited));
        }
    }

    /// What there is to say at this time.
    pub(super) fn report(&self, direction: &Direction, now: Duration) -> DirectionReport {
        let mut waits: Vec<f64> = self
            .notes
            .iter()
            .map(|(_, _, waited)| milliseconds(*waited))
            .collect();
        waits.sort_by(f64::total_cmp);
        let used = |capacity: f64| 100.0 * self.bytes as f64 * 8.0 / capacity.max(1.0);
        DirectionReport {
            packets: self.packets,
            bytes: self.bytes,
            lost: self.lost,
            dropped: self.dropped,
            cut_off: self.cut_off,
            queueing_ms: Percentiles::of(&waits),
            utilisation_pct: direction.capacity_bits(self.since, now).map(used),
            course: self.course(direction, now),
        }
    }

    fn course(&self, direction: &Direction, now: Duration) -> Vec<Point> {
        let step = Duration::from_millis(COURSE_STEP_MS);
        let steps = now.saturating_sub(self.since).as_millis() as u64 / COURSE_STEP_MS;
        let point = |number| {
            let at_ms = number * COURSE_STEP_MS;
            let at = self.since + Duration::from_millis(at_ms);
            let capacity = direction.capacity_bits(at, at + step);
            Point {
                at_ms,
                line_kbps: capacity.map(|bits| bits / COURSE_STEP_MS as f64),
                ..Point::default()
            }
        };
        let mut course: Vec<Point> = (0..steps).map(point).collect();
        let index =
            |at: Duration| (at.saturating_sub(self.since).as_millis() as u64 / COURSE_STEP_MS) as usize;
        for (at, bytes, waited) in &self.notes {
            if let Some(point) = course.get_mut(index(*at)) {
                point.kbps += *bytes as f64 * 8.0 / COURSE_STEP_MS as f64;
                point.queueing_ms = point.queueing_ms.max(milliseconds(*waited));
            }
        }
        course
    }
}

impl Percentiles {
    /// Nearest rank; 0 of nothing.
    fn of(sorted: &[f64]) -> Self {
        let at = |part: f64| {
            let rank = (part * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
        };
        Self {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
