//! What the path to one receiver carries.
//!
//! The path shows how it fares by how long pictures wait in the receiver's outbox before they
//! leave. When they wait too long, quality goes step by step in the order of [`Restriction`]:
//! pictures a second, picture size, whole tracks, at last all pictures. Sound is never restricted. Down is quick,
//! since the queue grows with every moment of too much; up is a trial after a calm time, which doubles
//! when the trial fails, so that a path with a fixed rate is tried ever more seldom. The scheme is the
//! additive probing with backoff of WebRTC's and LiveKit's downlink allocation, with the queue itself as
//! the signal, because TCP and QUIC already control the rate below it.
//!
//! Who is wanted in which size, keyframes, and switching between layers are left to subscriptions;
//! queues to the outbox.

use std::time::Duration;

use videocall_types::Timestamp;
use videocall_types::limits::{MAX_SPATIAL_LAYERS, MAX_TEMPORAL_LAYERS};

/// Waiting for longer than this is too much: with two networks, encoding and playing it is what
/// still feels prompt, and several frames of any frame rate in use.
const LIMIT: Duration = Duration::from_millis(100);

/// Waiting for longer than this says that far too much is sent, and several steps are taken at
/// once. Enhancement frames are dropped as too old soon after.
const SEVERE: Duration = Duration::from_millis(200);

/// Waiting for less than this is calm.
const CALM: Duration = Duration::from_millis(50);

/// Between two steps down: until a step shows, what was queued before has to leave.
const STEP_DOWN_INTERVAL: Duration = Duration::from_millis(200);

/// By how much the wait must have shrunk since the last step for it to be seen to work.
const DRAINED: Duration = Duration::from_millis(10);

/// For how long after a step up its keyframe may make others wait, up to [`SEVERE`].
const KEYFRAME_GRACE: Duration = Duration::from_secs(1);

/// A step up has failed when pictures wait too long within this time. A rate that is 3 % too high
/// shows by then.
const TRIAL: Duration = Duration::from_secs(4);

/// The calm time before a step up, first and at most. At most: a viewer sees a failed trial as a
/// short change of the picture, and a path that has become better is noticed this late.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// After so much calm what failed before no longer counts.
const FORGIVE_AFTER: Duration = Duration::from_secs(60);

/// An estimate of the path's rate that is so much above the one at which a trial failed, in
/// percent, ends the wait.
const BETTER_PERCENT: u64 = 130;

/// What is left out for a receiver. Ordered: the greater leaves out more.
///
/// First every picture size goes through its temporal layers, as half the pictures of a size cost
/// more than all of the next smaller one: all, base and next, base alone, then the next smaller
/// layer with all. Below the smallest size tracks are left out, first a quarter of
/// the ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Restriction {
    step: u8,
}

/// The highest temporal layer within a picture size, step by step. Layers are absolute: who has
/// fewer is not affected by the first of these.
const TEMPORAL: [u8; 3] = [MAX_TEMPORAL_LAYERS - 1, 1, 0];
const TEMPORAL_STEPS: u8 = TEMPORAL.len() as u8;

/// The least rank that is kept, step by step; ranks go from 0 to 255.
const LEAST_RANK: [u16; 7] = [64, 128, 192, 224, 240, 255, 256];

const LAYER_STEPS: u8 = TEMPORAL_STEPS * MAX_SPATIAL_LAYERS;
const LAST_STEP: u8 = LAYER_STEPS - 1 + LEAST_RANK.len() as u8;

impl Restriction {
    /// Everything goes.
    pub(crate) const NONE: Self = Self { step: 0 };
    /// Base temporal layers only.
    pub(crate) const BASE_TEMPORAL: Self = Self {
        step: TEMPORAL_STEPS - 1,
    };
    /// Base temporal layers of the smallest pictures only.
    pub(crate) const SMALLEST: Self = Self {
        step: LAYER_STEPS - 1,
    };
    /// No pictures.
    pub(crate) const NO_VIDEO: Self = Self { step: LAST_STEP };

    /// For keeping it in an atomic.
    pub(crate) const fn to_bits(self) -> u8 {
        self.step
    }

    /// From [`Restriction::to_bits`]; what is beyond the last step is the last.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self {
            step: if bits > LAST_STEP { LAST_STEP } else { bits },
        }
    }

    /// By how many spatial layers the receiver gets less than it wants.
    pub(crate) const fn spatial_drop(self) -> u8 {
        let drop = self.step / TEMPORAL_STEPS;
        if drop < MAX_SPATIAL_LAYERS { drop } else { MAX_SPATIAL_LAYERS - 1 }
    }

    /// The highest temporal layer that passes of frames in `spatial` when the receiver wants the
    /// layer `wanted`. Where there is no smaller picture to go to, or as long as the larger one is
    /// still sent for want of a keyframe, that is the base alone.
    pub(crate) fn max_temporal(self, wanted: u8, spatial: u8) -> u8 {
        let drop = self.spatial_drop();
        let unmet = drop > wanted || spatial > wanted - drop;
        if self.step >= LAYER_STEPS || unmet {
            0
        } else {
            TEMPORAL[usize::from(self.step % TEMPORAL_STEPS)]
        }
    }

    /// Whether a track of this rank among the receiver's passes; 0 is left out first.
    pub(crate) fn admits_rank(self, rank: u8) -> bool {
        self.step < LAYER_STEPS || u16::from(rank) >= LEAST_RANK[usize::from(self.step - LAYER_STEPS)]
    }

    fn less(self) -> Self {
        Self {
            step: self.step.saturating_sub(1),
        }
    }

    fn more(self) -> Self {
        Self::from_bits(self.step + 1)
    }

    /// Straight to the next smaller picture, when temporal layers are no longer the point.
    fn much_more(self) -> Self {
        if self.step >= LAYER_STEPS {
            self.more()
        } else {
            Self::from_bits((self.step / TEMPORAL_STEPS + 1) * TEMPORAL_STEPS)
        }
    }
}

/// Watches how one receiver's pictures fare and says what to leave out.
#[derive(Debug)]
pub(crate) struct Downlink {
    restriction: Restriction,
    /// When the restriction last changed, and whether upwards in quality.
    changed_at: Timestamp,
    raised: bool,
    /// How long pictures waited at the last step down.
    wait_at_step: Duration,
    /// Nothing has waited for long since.
    calm_since: Timestamp,
    /// The calm time that a step up takes at present.
    wait: Duration,
    /// The path's rate as far as it is known, bits per second, now and when a trial last failed.
    rate: Option<u64>,
    rate_at_failure: Option<u64>,
}

impl Downlink {
    /// A path of which nothing is known: everything goes.
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            restriction: Restriction::NONE,
            changed_at: now,
            raised: false,
            wait_at_step: Duration::ZERO,
            calm_since: now,
            wait: FIRST_WAIT,
            rate: None,
            rate_at_failure: None,
        }
    }

    /// What is left out at present.
    pub(crate) const fn restriction(&self) -> Restriction {
        self.restriction
    }

    /// A frame of video left that was queued at this time; or it is the oldest of those that wait.
    pub(crate) fn video(&mut self, queued_at: Timestamp, now: Timestamp) {
        let waited = now.since(queued_at);
        if waited > CALM {
            self.calm_since = now;
        }
        let limit = match self.raised && now.since(self.changed_at) < KEYFRAME_GRACE {
            true => SEVERE,
            false => LIMIT,
        };
        let stepped = !self.raised && self.changed_at > Timestamp::ZERO;
        let drains = stepped && waited + DRAINED <= self.wait_at_step;
        if waited > limit && !(drains && waited <= 2 * SEVERE) {
            self.too_much(waited, now);
        }
        self.moved(now);
    }

    /// A frame of video was dropped that was queued at this time, since too much waited or it had
    /// become too old.
    pub(crate) fn dropped(&mut self, queued_at: Timestamp, now: Timestamp) {
        self.calm_since = now;
        // What was queued before the last step says nothing about it.
        if queued_at >= self.changed_at {
            self.too_much(SEVERE.max(now.since(queued_at)), now);
        }
    }

    /// Something left; the path moves. A step up needs that, so that nobody who reads nothing is
    /// sent more.
    pub(crate) fn moved(&mut self, now: Timestamp) {
        let calm = now.since(self.calm_since);
        if calm >= FORGIVE_AFTER {
            self.wait = FIRST_WAIT;
        }
        if self.restriction != Restriction::NONE && calm.min(now.since(self.changed_at)) >= self.wait {
            self.restriction = self.restriction.less();
            self.changed_at = now;
            self.raised = true;
        }
    }

    /// Takes an estimate of what the path carries, bits per second. Estimates of a path that is not
    /// used to the full are too low, so only a rise counts.
    pub(crate) fn set_rate(&mut self, bits_per_second: u64) {
        self.rate = Some(bits_per_second);
        let better = |failed: u64| bits_per_second >= failed.saturating_mul(BETTER_PERCENT) / 100;
        if self.rate_at_failure.is_some_and(better) {
            self.rate_at_failure = None;
            self.wait = FIRST_WAIT;
        }
    }

    fn too_much(&mut self, waited: Duration, now: Timestamp) {
        let since_change = now.since(self.changed_at);
        let first = !self.raised && self.restriction == Restriction::NONE;
        if since_change < STEP_DOWN_INTERVAL && !first {
            return;
        }
        if self.raised && since_change < TRIAL {
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
            self.rate_at_failure = self.rate;
        }
        self.restriction = match waited > SEVERE {
            true => self.restriction.much_more(),
            false => self.restriction.more(),
        };
        self.wait_at_step = waited;
        self.changed_at = now;
        self.raised = false;
        self.calm_since = now;
    }
}

#[cfg(test)]
mod tests;
