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
//! Beside that there is a [limit](limit) on the bits of pictures: where a sender's pictures go to such paths alone, it makes
//! no more than they carry, and nothing has to be left out.
//!
//! Who is wanted in which size, keyframes, and switching between layers are left to subscriptions;
//! queues to the outbox.

mod limit;

use std::time::Duration;

use videocall_types::Timestamp;
use videocall_types::limits::{MAX_SPATIAL_LAYERS, MAX_TEMPORAL_LAYERS};

use limit::Limit;

/// Waiting for longer than this is too much: with two networks, encoding and playing it is what
/// still feels prompt, and several frames of any frame rate in use.
const LIMIT: Duration = Duration::from_millis(100);

/// Waiting for longer than this says that far too much is sent, and several steps are taken at
/// once. Enhancement frames are dropped as too old soon after.
const SEVERE: Duration = Duration::from_millis(200);

/// Waiting for less than this is calm.
const CALM: Duration = Duration::from_millis(50);

/// Waiting for less than this leaves room for more: the limit rises in small steps, and a queue that begins to grow has to be
/// seen before the next one.
const QUIET: Duration = Duration::from_millis(30);

/// Between two steps down: until a step shows, what was queued before has to leave.
const STEP_DOWN_INTERVAL: Duration = Duration::from_millis(200);

/// By how much the wait has to shrink in that time for the last step to be seen to work, at least,
/// and as a part of the wait.
const DRAINED: Duration = Duration::from_millis(10);
const DRAINED_PART: u32 = 16;

/// Waiting for longer than this counts whenever it was queued.
const PATIENCE: Duration = Duration::from_secs(2);

/// For how long after a step up keyframes may make other frames wait, up to [`SEVERE`], or without
/// end after the step back.
const KEYFRAME_GRACE: Duration = Duration::from_secs(1);

/// A step up has failed when pictures wait too long within this time: a rate that is 1 % too high
/// shows by then.
const TRIAL: Duration = Duration::from_secs(10);

/// When it has not been calm for so long, a limit to which senders keep is lowered: a machine that stood still is over
/// sooner.
const LASTS: Duration = Duration::from_millis(60);

/// After the limit was lowered its sender has to hear of it, and what was queued has to leave, before more is done about it.
const LIMIT_ACTS: Duration = Duration::from_millis(900);

/// A step up that once failed has succeeded when it was calm for this long after it.
const SETTLED: Duration = Duration::from_secs(4);

/// The calm time before a step up; before one that failed it doubles up to the longest: a viewer
/// sees a failed trial as a short change of the picture, and a path that has become better is
/// noticed this late.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Between the steps up that follow a first one while none has failed: what made pictures wait was a
/// moment's trouble, such as a machine that stood still, and there is no reason to be slow.
const NEXT_WAIT: Duration = Duration::from_millis(250);

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
        if drop < MAX_SPATIAL_LAYERS {
            drop
        } else {
            MAX_SPATIAL_LAYERS - 1
        }
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

    /// The same picture size with its base temporal layer alone; what leaves out more stays.
    fn base_of_size(self) -> Self {
        if self.step >= LAYER_STEPS {
            self
        } else {
            Self::from_bits(self.step / TEMPORAL_STEPS * TEMPORAL_STEPS + TEMPORAL_STEPS - 1)
        }
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
    /// When that last became less, if since then it has not become more.
    raised_at: Option<Timestamp>,
    changed_at: Timestamp,
    /// When it was last asked whether too much waits, and how long pictures waited then.
    judged_at: Timestamp,
    waited: Duration,
    /// Pictures that were queued before do not count.
    counts_from: Timestamp,
    /// A trial was taken back, and it has not been calm since.
    reverted: bool,
    /// Nothing has waited for long since.
    calm_since: Timestamp,
    /// Nothing has waited for longer than [`QUIET`] since.
    quiet_since: Timestamp,
    /// The last step up that failed, and the calm time that it takes now.
    failed: Option<Restriction>,
    wait: Duration,
    /// The path's rate as far as it is known, bits per second, now and when a trial last failed.
    rate: Option<u64>,
    rate_at_failure: Option<u64>,
    limit: Limit,
    /// Every picture has waited for longer than [`CALM`] since then.
    long_since: Option<Timestamp>,
}

impl Downlink {
    /// A path of which nothing is known: everything goes.
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self {
            restriction: Restriction::NONE,
            raised_at: None,
            changed_at: now,
            judged_at: Timestamp::ZERO,
            waited: Duration::ZERO,
            counts_from: Timestamp::ZERO,
            reverted: false,
            calm_since: now,
            quiet_since: now,
            failed: None,
            wait: FIRST_WAIT,
            rate: None,
            rate_at_failure: None,
            limit: Limit::new(now),
            long_since: None,
        }
    }

    /// What is left out at present.
    pub(crate) const fn restriction(&self) -> Restriction {
        self.restriction
    }

    /// The bits of pictures a second that the path carries, where it has not carried all that was sent.
    pub(crate) const fn limit(&self) -> Option<u64> {
        self.limit.bits_per_second()
    }

    /// A frame of video of so many bytes came and is to leave.
    pub(crate) fn came(&mut self, bytes: usize, now: Timestamp) {
        self.limit.came(bytes, now);
    }

    /// A frame of video of so many bytes left that was queued at this time.
    pub(crate) fn video(&mut self, bytes: usize, queued_at: Timestamp, now: Timestamp) {
        self.limit.left(bytes, now.since(queued_at) > QUIET, now);
        self.waiting(queued_at, now);
        self.moved(now);
    }

    /// The oldest frame of video that waits was queued at this time. To be said when another comes:
    /// the less a path carries, the less leaves that would tell.
    pub(crate) fn waiting(&mut self, queued_at: Timestamp, now: Timestamp) {
        let waited = now.since(queued_at);
        if waited > QUIET {
            self.quiet_since = now;
        }
        if waited <= CALM {
            self.long_since = None;
            self.waited = Duration::ZERO;
            self.reverted &= queued_at < self.counts_from;
            return;
        }
        self.calm_since = now;
        self.long_since.get_or_insert(now);
        if self.is_for_the_limit(waited, now) {
            return;
        }
        let fresh = self.raised_at.is_some_and(|at| now.since(at) < KEYFRAME_GRACE);
        let limit = if fresh { SEVERE } else { LIMIT };
        let counts = queued_at >= self.counts_from || waited > PATIENCE;
        if waited > limit && counts && now.since(self.judged_at) >= STEP_DOWN_INTERVAL {
            let enough = self.waited - DRAINED.max(self.waited / DRAINED_PART).min(self.waited);
            self.judge(waited, waited <= enough, now);
        }
    }

    /// A frame of video was dropped that was queued at this time, since too much waited or it had
    /// become too old.
    pub(crate) fn dropped(&mut self, queued_at: Timestamp, now: Timestamp) {
        self.calm_since = now;
        // What was queued before the last step says nothing about it.
        let counts = queued_at >= self.changed_at.max(self.counts_from);
        if counts && now.since(self.judged_at) >= STEP_DOWN_INTERVAL {
            self.judge(now.since(queued_at).max(SEVERE), false, now);
        }
    }

    /// Something left: the path moves. A step up needs that, so that nobody is sent more who reads
    /// nothing.
    pub(crate) fn moved(&mut self, now: Timestamp) {
        if self.restriction == Restriction::NONE && self.limit().is_none() && self.failed.is_none() {
            return;
        }
        let calm = now.since(self.calm_since).min(now.since(self.changed_at));
        if calm >= SETTLED && self.failed.is_some_and(|failed| self.restriction <= failed) {
            // What lies above was not tried; should it fail, this wait was for good reason.
            self.failed = None;
            self.wait = (self.wait / 2).max(FIRST_WAIT);
        }
        let next = self.restriction.less();
        let wait = match self.failed {
            Some(failed) if next <= failed => self.wait,
            None if self.raised_at.is_some() => NEXT_WAIT,
            _ => FIRST_WAIT,
        };
        if self.restriction != Restriction::NONE && calm >= wait {
            self.restriction = next;
            self.changed_at = now;
            self.raised_at = Some(now);
        }
        // As long as something is left out, that is what is tried.
        if self.restriction == Restriction::NONE {
            self.limit
                .calm_for(now.since(self.quiet_since.max(self.changed_at)), now);
        }
    }

    /// Takes an estimate of what the path carries, bits per second. That of a path which is not used
    /// to the full is too low, so that only a rise counts.
    pub(crate) fn set_rate(&mut self, bits_per_second: u64) {
        self.rate = Some(bits_per_second);
        let better = |failed: u64| bits_per_second >= failed.saturating_mul(BETTER_PERCENT) / 100;
        if self.rate_at_failure.is_some_and(better) {
            self.failed = None;
            self.rate_at_failure = None;
            self.wait = FIRST_WAIT;
        }
    }

    /// Whether what waits is for the limit to mend, which is lowered then: nothing is left out, senders keep to it, and it is
    /// no moment's trouble.
    fn is_for_the_limit(&mut self, waited: Duration, now: Timestamp) -> bool {
        if self.restriction != Restriction::NONE {
            return false;
        }
        let mends = waited <= SEVERE && self.wait_lasts(now) && self.limit.is_held(now);
        if mends && self.limit.wait_is_long(waited, now) {
            // The last step up is not to blame for what waits meanwhile.
            self.raised_at = None;
        }
        waited <= SEVERE * 2 && self.limit.was_lowered_within(LIMIT_ACTS, now)
    }

    /// What waits is no moment's trouble: after one everything leaves at once.
    fn wait_lasts(&self, now: Timestamp) -> bool {
        self.long_since.is_some_and(|since| now.since(since) >= LASTS)
    }

    fn judge(&mut self, waited: Duration, drains: bool, now: Timestamp) {
        self.judged_at = now;
        self.waited = waited;
        if drains {
            return;
        }
        // What is left out already is no longer for the limit to mend.
        let first = self.limit().is_none();
        if self.wait_lasts(now) && (first || self.restriction == Restriction::NONE) {
            self.limit.wait_is_long(waited, now);
        }
        let trial = self.raised_at.is_some_and(|at| now.since(at) < TRIAL);
        if trial {
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
            self.failed = Some(self.restriction);
            self.rate_at_failure = self.rate;
        }
        self.reverted |= trial;
        let mild = self.reverted || waited <= SEVERE;
        let next = match mild {
            true => self.restriction.more(),
            false => self.restriction.much_more(),
        };
        // A smaller picture begins with a keyframe, which is more of what is too much already: where the sender is about to
        // make less, that is awaited without the higher temporal layers.
        self.restriction = match self.limit.was_lowered_within(LIMIT_ACTS, now) {
            true => next.min(self.restriction.base_of_size()),
            false => next,
        };
        if self.reverted {
            // What has worked before will again, once the keyframes and the queue are through.
            self.counts_from = now + KEYFRAME_GRACE;
            self.waited = Duration::MAX;
        } else if self.restriction >= Restriction::SMALLEST {
            // No track is left out for a queue that is about to be gone.
            self.counts_from = now;
            self.waited = Duration::MAX;
        }
        self.raised_at = None;
        self.changed_at = now;
        self.calm_since = now;
    }
}

#[cfg(test)]
mod tests;
