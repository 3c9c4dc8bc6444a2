//! What the machine manages: encoders that fall behind get less to do.
//!
//! A machine that is too slow shows in captures that had to be dropped and in encoders that are busy
//! nearly all the time. First every other picture is left out, then the largest layer, then both.

use std::time::Duration;

use videocall_types::Timestamp;

use crate::core::types::EncoderLoad;

/// Shares of the captures that were dropped, and of the time that an encoder was busy, above which it is
/// too much, and below which there is room.
const TOO_MANY_DROPPED: f64 = 0.10;
const FEW_DROPPED: f64 = 0.02;
const TOO_BUSY: f64 = 0.9;
const IDLE: f64 = 0.5;

/// How long it has to be too much: a machine that starts a program is slow for a moment.
const DOWN_AFTER: Duration = Duration::from_secs(2);

/// How long there has to be room, at first. Each step up that did not last doubles it.
const UP_AFTER: Duration = Duration::from_secs(10);
const UP_LONGEST: Duration = Duration::from_secs(160);

/// A step up that did not last so long was a failed one.
const TRIAL: Duration = Duration::from_secs(20);

/// Half of the frames, and then a layer less for each two steps.
const MOST_STEPS: u8 = 7;

/// What is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Restriction {
    steps: u8,
}

/// How the machine gets on.
#[derive(Debug)]
pub(super) struct MachineLoad {
    restriction: Restriction,
    /// Since when it is too much, or there is room.
    too_much_since: Option<Timestamp>,
    room_since: Option<Timestamp>,
    relaxed_at: Option<Timestamp>,
    patience: Duration,
    changed_at: Timestamp,
}

impl Restriction {
    #[cfg(test)]
    pub(super) const fn of_steps(steps: u8) -> Self {
        Self { steps }
    }

    /// How many of the largest layers; one is always left.
    pub(super) fn layers(self, of: usize) -> usize {
        usize::from(self.steps / 2).min(of.saturating_sub(1))
    }

    pub(super) fn frame_divisor(self, screen: bool) -> u32 {
        // A screen keeps its size, so it has nothing else to give.
        match (screen, self.steps) {
            (_, 0) => 1,
            (true, steps) => 1 << u32::from(steps.min(2)),
            (false, steps) => 1 + u32::from(steps % 2),
        }
    }
}

impl MachineLoad {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            restriction: Restriction::default(),
            too_much_since: None,
            room_since: None,
            relaxed_at: None,
            patience: UP_AFTER,
            changed_at: now,
        }
    }

    pub(super) fn restriction(&self) -> Restriction {
        self.restriction
    }

    /// Takes note of what a program has told. Returns whether something else is left out now.
    pub(super) fn note(&mut self, load: &EncoderLoad, now: Timestamp) -> bool {
        let captured = f64::from(load.captured.max(1));
        let dropped = f64::from(load.dropped) / captured;
        let too_much = dropped > TOO_MANY_DROPPED || f64::from(load.busy) > TOO_BUSY;
        let room = dropped < FEW_DROPPED && f64::from(load.busy) < IDLE;
        let since = |known: &mut Option<Timestamp>, holds: bool| {
            *known = holds.then(|| known.unwrap_or(now));
            known.map_or(Duration::ZERO, |since| now.since(since))
        };
        let overloaded = since(&mut self.too_much_since, too_much);
        let idle = since(&mut self.room_since, room);
        let steps = self.restriction.steps;
        if overloaded >= DOWN_AFTER && now.since(self.changed_at) >= DOWN_AFTER && steps < MOST_STEPS {
            let failed = self.relaxed_at.take().is_some_and(|at| now.since(at) < TRIAL);
            self.patience = if failed {
                (self.patience * 2).min(UP_LONGEST)
            } else {
                UP_AFTER
            };
            self.step(steps + 1, now);
        } else if idle >= self.patience && steps > 0 {
            self.relaxed_at = Some(now);
            self.step(steps - 1, now);
        }
        steps != self.restriction.steps
    }

    fn step(&mut self, steps: u8, now: Timestamp) {
        self.restriction = Restriction { steps };
        self.changed_at = now;
        self.too_much_since = None;
        self.room_since = None;
    }
}
