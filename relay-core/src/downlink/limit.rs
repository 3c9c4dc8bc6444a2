//! How many bits a second of pictures a receiver's path carries, once it has shown that it does not carry all of them.
//!
//! Senders are told, where nobody else needs more, and make as much as fits. The limit goes down to a part of what has
//! left lately when pictures wait, and up in trials after a calm time, which doubles with each that fails: what a sender's
//! additive increase and multiplicative decrease would do, with few and plain steps, as encoders and relays in between
//! are told of each.

use std::time::Duration;

use videocall_types::Timestamp;

use super::SEVERE;

/// What is left of the rate at which pictures have left, percent: the rest lets the queue drain, and is for keyframes. The first time,
/// when some of them left before the path became short, and where far too many wait, it is less.
const KEPT_PERCENT: u64 = 85;
const KEPT_AT_FIRST_PERCENT: u64 = 70;

/// The lowest limit, bits per second: the smallest picture at its coarsest.
const LEAST_BPS: u64 = 60_000;

/// Between two steps down: the sender hears of one, its encoder obeys, and what was queued leaves.
const STEP_DOWN_INTERVAL: Duration = Duration::from_millis(600);

/// A step up, percent: as much as was taken away, and a little more, so that a path with a fixed rate fails slowly.
const TRIAL_PERCENT: u64 = 120;

/// A step up beyond what has failed before, percent, and by how much it has to be beyond: the path has become better.
const BETTER_PERCENT: u64 = 150;
const BEYOND_PERCENT: u64 = 130;

/// The calm time before a first step up, which doubles with each that fails up to the longest, and the times before
/// those that follow it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(16);
const NEXT_WAIT: Duration = Duration::from_millis(800);
const NEXT_WAIT_BEYOND: Duration = Duration::from_millis(300);

/// What waits within this time after a step up is its fault.
const TRIAL: Duration = Duration::from_secs(3);

/// A limit of which less is used has not been tried, and one of which much more is used does not hold, percent. One that is used
/// to so much has been tried soon.
const USED_PERCENT: u64 = 60;
const USED_UP_PERCENT: u64 = 80;
const HELD_PERCENT: u64 = 130;

/// What has left is counted in so many spans of this length; fewer than these are not enough to go by.
const SPANS: usize = 11;
const SPAN: Duration = Duration::from_millis(100);
const LEAST_SPANS: u64 = 3;
const WINDOW: Duration = Duration::from_secs(1);

/// The limit of one receiver's pictures.
#[derive(Debug)]
pub(super) struct Limit {
    left: Left,
    bits_per_second: Option<u64>,
    changed_at: Timestamp,
    /// The last change was a step up.
    raised: bool,
    wait: Duration,
    /// The rate at which pictures left when too many waited last.
    failed_at: u64,
}

impl Limit {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            left: Left::new(now),
            bits_per_second: None,
            changed_at: now,
            raised: false,
            wait: FIRST_WAIT,
            failed_at: 0,
        }
    }

    /// Bits per second; `None` as long as the path has carried everything.
    pub(super) const fn bits_per_second(&self) -> Option<u64> {
        self.bits_per_second
    }

    /// A picture of so many bytes left.
    pub(super) fn left(&mut self, bytes: usize, now: Timestamp) {
        self.left.note(bytes, now);
    }

    /// Whether a step up is to blame for what waits now.
    pub(super) fn is_tried(&self, now: Timestamp) -> bool {
        self.raised && now.since(self.changed_at) < TRIAL
    }

    /// Pictures have waited for so long, which is too long. A step up that is to blame is taken back. Returns whether the
    /// limit is another one now.
    pub(super) fn wait_is_long(&mut self, waited: Duration, now: Timestamp) -> bool {
        // What left while they waited is what the path carries.
        let Some(rate) = self.left.bits_per_second(waited, now) else {
            return false;
        };
        let lowered = self.bits_per_second.is_some() && !self.raised;
        if lowered && now.since(self.changed_at) < STEP_DOWN_INTERVAL {
            return false;
        }
        if self.is_tried(now) {
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        }
        let percent = if waited > SEVERE || self.bits_per_second.is_none() {
            KEPT_AT_FIRST_PERCENT
        } else {
            KEPT_PERCENT
        };
        let kept = rate * percent / 100;
        let limit = self.bits_per_second.map_or(kept, |limit| limit.min(kept));
        self.bits_per_second = Some(limit.max(LEAST_BPS));
        self.failed_at = rate;
        self.changed_at = now;
        self.raised = false;
        true
    }

    /// Nothing has waited long for this time.
    pub(super) fn calm_for(&mut self, calm: Duration, now: Timestamp) {
        let Some(limit) = self.bits_per_second else {
            return;
        };
        if calm < NEXT_WAIT_BEYOND {
            return;
        }
        let Some(rate) = self.left.bits_per_second(WINDOW, now) else {
            return;
        };
        let beyond = limit > self.failed_at * BEYOND_PERCENT / 100;
        let wait = match self.raised {
            false => self.wait,
            true if beyond && rate >= limit * USED_UP_PERCENT / 100 => NEXT_WAIT_BEYOND,
            true => NEXT_WAIT,
        };
        if calm < wait || now.since(self.changed_at) < wait {
            return;
        }
        if rate < limit * USED_PERCENT / 100 || rate > limit * HELD_PERCENT / 100 {
            return;
        }
        let step = if beyond {
            self.wait = FIRST_WAIT;
            BETTER_PERCENT
        } else {
            TRIAL_PERCENT
        };
        self.bits_per_second = Some(limit.saturating_mul(step) / 100);
        self.changed_at = now;
        self.raised = true;
    }
}

/// What has left within the last second, in spans of a tenth.
#[derive(Debug)]
struct Left {
    bits: [u64; SPANS],
    /// The number of the newest span since the beginning of time, and of the first.
    newest: u64,
    first: u64,
}

impl Left {
    const fn new(now: Timestamp) -> Self {
        let span = span_of(now);
        Self {
            bits: [0; SPANS],
            newest: span,
            first: span,
        }
    }

    fn note(&mut self, bytes: usize, now: Timestamp) {
        self.advance(now);
        if self.bits.iter().all(|&bits| bits == 0) {
            self.first = self.newest;
        }
        self.bits[index_of(self.newest)] += bytes as u64 * 8;
    }

    /// The rate over about this time, without the newest span, which is not over.
    fn bits_per_second(&mut self, time: Duration, now: Timestamp) -> Option<u64> {
        self.advance(now);
        let known = (self.newest - self.first).min(SPANS as u64 - 1);
        let spans = (time.as_millis() as u64).div_ceil(SPAN.as_millis() as u64);
        let spans = spans.max(LEAST_SPANS).min(known);
        let bits: u64 = (1..=spans)
            .map(|back| self.bits[index_of(self.newest - back)])
            .sum();
        (spans >= LEAST_SPANS).then(|| bits * 1000 / (spans * SPAN.as_millis() as u64))
    }

    fn advance(&mut self, now: Timestamp) {
        let span = span_of(now);
        while self.newest < span {
            self.newest += 1;
            self.bits[index_of(self.newest)] = 0;
            // After a pause, all of them are empty, whatever their number.
            self.newest = self.newest.max(span.saturating_sub(SPANS as u64));
        }
    }
}

const fn span_of(now: Timestamp) -> u64 {
    now.as_millis() / SPAN.as_millis() as u64
}

const fn index_of(span: u64) -> usize {
    (span % SPANS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000_000);
    const LONG: Duration = Duration::from_millis(150);

    fn ms(millis: u64) -> Timestamp {
        START + Duration::from_millis(millis)
    }

    /// Pieces of 100 bytes from one time to another, at this rate.
    fn leave(limit: &mut Limit, from: u64, to: u64, bits_per_second: u64) {
        let every = 800_000_000 / bits_per_second;
        let mut at = from * 1000;
        while at < to * 1000 {
            limit.left(100, Timestamp::from_micros(START.as_micros() + at));
            at += every;
        }
    }

    fn near(limit: &Limit, expected: u64) {
        let found = limit.bits_per_second().expect("there is a limit");
        assert!(found.abs_diff(expected) * 20 < expected, "{found} for {expected}");
    }

    #[test]
    fn there_is_none_before_anything_waits_nor_before_anything_is_known() {
        let mut limit = Limit::new(START);
        limit.calm_for(Duration::from_secs(9), ms(9000));
        assert_eq!(limit.bits_per_second(), None);
        leave(&mut limit, 9000, 9100, 400_000);
        let mut young = Limit::new(START);
        leave(&mut young, 0, 200, 400_000);
        young.wait_is_long(LONG, ms(200));
        assert_eq!(young.bits_per_second(), None);
    }

    #[test]
    fn it_is_a_part_of_what_has_left() {
        let mut limit = Limit::new(START);
        leave(&mut limit, 0, 1500, 400_000);
        limit.wait_is_long(LONG, ms(1500));
        near(&limit, 280_000);
        limit.wait_is_long(LONG, ms(1700));
        near(&limit, 280_000);
        leave(&mut limit, 1500, 3000, 100_000);
        limit.wait_is_long(LONG, ms(3000));
        near(&limit, 85_000);
    }

    #[test]
    fn it_never_grows_because_of_a_wait() {
        let mut limit = Limit::new(START);
        leave(&mut limit, 0, 1500, 400_000);
        limit.wait_is_long(LONG, ms(1500));
        leave(&mut limit, 1500, 3000, 2_000_000);
        limit.wait_is_long(LONG, ms(3000));
        near(&limit, 280_000);
    }

    #[test]
    fn trials_come_after_calm_times_that_double_when_they_fail() {
        let mut limit = Limit::new(START);
        leave(&mut limit, 0, 1500, 400_000);
        limit.wait_is_long(LONG, ms(1500));
        let mut now = 1500;
        for wait in [1000, 2000, 4000, 8000, 16_000, 16_000] {
            leave(&mut limit, now, now + wait, 280_000);
            now += wait;
            limit.calm_for(Duration::from_millis(wait - 1), ms(now));
            near(&limit, 280_000);
            limit.calm_for(Duration::from_millis(wait), ms(now));
            near(&limit, 336_000);
            leave(&mut limit, now, now + 1500, 330_000);
            now += 1500;
            assert!(limit.is_tried(ms(now)));
            limit.wait_is_long(LONG, ms(now));
            near(&limit, 280_000);
        }
    }

    #[test]
    fn a_path_that_has_become_better_is_used_within_seconds() {
        let mut limit = Limit::new(START);
        leave(&mut limit, 0, 1500, 500_000);
        limit.wait_is_long(LONG, ms(1500));
        let mut now = 1500;
        while limit.bits_per_second() < Some(1_500_000) {
            let used = limit.bits_per_second().expect("there is one").min(2_000_000);
            leave(&mut limit, now, now + 50, used);
            now += 50;
            limit.calm_for(Duration::from_millis(now - 1500), ms(now));
            assert!(now <= 6000, "{limit:?}");
        }
    }

    #[test]
    fn what_is_not_used_or_does_not_hold_is_not_tried() {
        for rate in [100_000, 600_000] {
            let mut limit = Limit::new(START);
            leave(&mut limit, 0, 1500, 400_000);
            limit.wait_is_long(LONG, ms(1500));
            leave(&mut limit, 1500, 9000, rate);
            limit.calm_for(Duration::from_secs(7), ms(9000));
            near(&limit, 280_000);
        }
    }

    #[test]
    fn a_pause_is_not_counted() {
        let mut limit = Limit::new(START);
        leave(&mut limit, 0, 1500, 400_000);
        leave(&mut limit, 60_000, 60_500, 400_000);
        limit.wait_is_long(LONG, ms(60_600));
        let found = limit.bits_per_second().expect("there is a limit");
        assert!(found >= 100_000, "{found}");
    }
}
