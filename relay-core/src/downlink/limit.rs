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

/// The lowest limit, bits per second: the smallest picture at its coarsest. Beyond the highest there is none.
const LEAST_BPS: u64 = 60_000;
const MOST_BPS: u64 = 50_000_000;

/// Between two steps down: the sender hears of one, its encoder obeys, and what was queued leaves.
const STEP_DOWN_INTERVAL: Duration = Duration::from_millis(600);

/// A step up, percent, and one that would come near to what has failed before: that fails slowly, and is soon noticed.
const STEP_PERCENT: u64 = 120;
const CAREFUL_STEP_PERCENT: u64 = 110;

/// A step up beyond what has failed before, percent, and by how much it has to be beyond: the path has become better.
const BETTER_PERCENT: u64 = 150;
const BEYOND_PERCENT: u64 = 130;

/// The calm time before a first step up, which doubles with each that fails up to the longest, and the times before
/// those that follow it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(16);
const NEXT_WAIT: Duration = Duration::from_millis(600);
const NEXT_WAIT_BEYOND: Duration = Duration::from_millis(300);

/// What waits within this time after a step up is its fault; what does not has succeeded.
const TRIAL: Duration = Duration::from_secs(3);

/// A limit of which less is used is not tried by that, percent: it rises this slowly, as it may hold back one of several
/// senders while others use nothing of theirs. One that is used to so much has been tried soon.
const USED_PERCENT: u64 = 60;
const USED_UP_PERCENT: u64 = 80;
const UNUSED_WAIT: Duration = Duration::from_secs(3);

/// Senders of which much more comes do not keep to the limit: somebody else needs more, percent.
const HELD_PERCENT: u64 = 130;

/// The limit of one receiver's pictures.
#[derive(Debug)]
pub(super) struct Limit {
    came: Meter,
    left: Meter,
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
            came: Meter::new(now),
            left: Meter::new(now),
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

    /// A picture of so many bytes came, and is to leave.
    pub(super) fn came(&mut self, bytes: usize, now: Timestamp) {
        if self.bits_per_second.is_some() {
            self.came.note(bytes, now);
        }
    }

    /// A picture of so many bytes left, which had to wait a little or did not.
    pub(super) fn left(&mut self, bytes: usize, had_to_wait: bool, now: Timestamp) {
        // What leaves as it comes says nothing of the path, and is most of what there is.
        if had_to_wait || self.bits_per_second.is_some() {
            self.left.note(bytes, now);
        }
    }

    /// Whether what comes keeps to the limit.
    pub(super) fn is_held(&mut self, now: Timestamp) -> bool {
        let comes = self.came.bits_per_second(WINDOW, now);
        let most = self.bits_per_second.map(|limit| limit * HELD_PERCENT / 100);
        comes.zip(most).is_some_and(|(comes, most)| comes <= most)
    }

    /// Whether the last change was a step down, within this time.
    pub(super) fn was_lowered_within(&self, time: Duration, now: Timestamp) -> bool {
        self.bits_per_second.is_some() && !self.raised && now.since(self.changed_at) < time
    }

    /// Pictures have waited for so long, which is too long. A step up that is to blame is taken back. Returns whether the
    /// limit is lower now.
    pub(super) fn wait_is_long(&mut self, waited: Duration, now: Timestamp) -> bool {
        // What left while they waited is what the path carries, but for a moment in which nothing did, or one large one.
        let lately = self.left.bits_per_second(waited, now);
        let usually = self.left.bits_per_second(WINDOW, now);
        let Some(rate) = lately.max(usually) else {
            return false;
        };
        if self.was_lowered_within(STEP_DOWN_INTERVAL, now) {
            return false;
        }
        if self.raised && now.since(self.changed_at) < TRIAL {
            self.wait = (self.wait * 2).min(LONGEST_WAIT);
        }
        let percent = if waited > SEVERE || self.bits_per_second.is_none() {
            KEPT_AT_FIRST_PERCENT
        } else {
            KEPT_PERCENT
        };
        let before = self.bits_per_second.unwrap_or(u64::MAX);
        let least = LEAST_BPS.max(self.bits_per_second.map_or(0, |limit| limit / 2));
        let limit = (rate * percent / 100).max(least).min(before);
        self.bits_per_second = Some(limit);
        self.failed_at = rate;
        self.changed_at = now;
        self.raised = false;
        limit < before
    }

    /// Nothing has waited long for this time, and nothing is left out.
    pub(super) fn calm_for(&mut self, calm: Duration, now: Timestamp) {
        let Some(limit) = self.bits_per_second else {
            return;
        };
        if calm < NEXT_WAIT_BEYOND {
            return;
        }
        let used = self.left.bits_per_second(WINDOW, now).unwrap_or_default();
        let beyond = limit > self.failed_at * BEYOND_PERCENT / 100;
        let is_used = used >= limit * USED_PERCENT / 100;
        let wait = match self.raised {
            _ if !is_used => self.wait.max(UNUSED_WAIT),
            false => self.wait,
            true if beyond && used >= limit * USED_UP_PERCENT / 100 => NEXT_WAIT_BEYOND,
            true => NEXT_WAIT,
        };
        let since = now.since(self.changed_at);
        if calm < wait || since < wait {
            return;
        }
        if self.raised && is_used && since >= TRIAL {
            self.wait = (self.wait / 2).max(FIRST_WAIT);
        }
        let percent = if beyond && is_used {
            self.wait = FIRST_WAIT;
            BETTER_PERCENT
        } else if is_used && limit * STEP_PERCENT / 100 > self.failed_at {
            CAREFUL_STEP_PERCENT
        } else {
            STEP_PERCENT
        };
        self.bits_per_second = Some(limit * percent / 100).filter(|&limit| limit <= MOST_BPS);
        self.changed_at = now;
        self.raised = true;
    }
}

/// What has come or left is counted in so many spans of this length; fewer than these are not enough to go by.
const SPANS: usize = 11;
const SPAN: Duration = Duration::from_millis(100);
const LEAST_SPANS: u64 = 3;
const WINDOW: Duration = Duration::from_secs(1);

/// The bits of the last second, in spans of a tenth.
#[derive(Debug)]
struct Meter {
    bits: [u64; SPANS],
    /// The number of the newest span since the beginning of time, and of the first.
    newest: u64,
    first: u64,
}

impl Meter {
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
        if span > self.newest + SPANS as u64 {
            // After a pause it begins anew.
            (self.bits, self.newest, self.first) = ([0; SPANS], span, span);
        }
        while self.newest < span {
            self.newest += 1;
            self.bits[index_of(self.newest)] = 0;
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
            limit.left(100, true, Timestamp::from_micros(START.as_micros() + at));
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
        leave(&mut limit, 1500, 3000, 200_000);
        limit.wait_is_long(LONG, ms(3000));
        near(&limit, 170_000);
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
            // Carefully near to what has failed.
            near(&limit, if wait == 1000 { 336_000 } else { 308_000 });
            leave(&mut limit, now, now + 1500, 330_000);
            now += 1500;
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
            assert!(now <= 7000, "{limit:?}");
        }
    }

    #[test]
    fn what_is_not_used_rises_slowly_and_is_gone_in_the_end() {
        let mut limit = Limit::new(START);
        leave(&mut limit, 0, 1500, 400_000);
        limit.wait_is_long(LONG, ms(1500));
        let mut now = 1500;
        while limit.bits_per_second().is_some() {
            let before = limit.bits_per_second();
            leave(&mut limit, now, now + 3000, 50_000);
            now += 3000;
            limit.calm_for(Duration::from_millis(2999), ms(now));
            assert_eq!(limit.bits_per_second(), before);
            limit.calm_for(Duration::from_millis(now - 1500), ms(now));
            assert!(limit.bits_per_second().is_none_or(|now| Some(now) > before));
            assert!(now < 120_000, "{limit:?}");
        }
    }

    #[test]
    fn it_is_held_while_little_more_comes() {
        let mut limit = Limit::new(START);
        leave(&mut limit, 0, 1500, 400_000);
        assert!(!limit.is_held(ms(1500)), "there is none");
        limit.wait_is_long(LONG, ms(1500));
        for (from, rate, held) in [(1500, 300_000, true), (3000, 500_000, false)] {
            for at in 0..150 {
                limit.came(rate / 8 / 100, ms(from + at * 10));
            }
            assert_eq!(limit.is_held(ms(from + 1500)), held, "{rate}");
        }
    }

    #[test]
    fn a_trial_that_lasts_makes_the_next_one_come_sooner() {
        let mut limit = Limit::new(START);
        leave(&mut limit, 0, 1500, 400_000);
        limit.wait_is_long(LONG, ms(1500));
        let mut now = 1500;
        for _ in 0..2 {
            leave(&mut limit, now, now + 4000, 280_000);
            now += 4000;
            limit.calm_for(Duration::from_secs(4), ms(now));
            leave(&mut limit, now, now + 1000, 330_000);
            now += 1000;
            limit.wait_is_long(LONG, ms(now));
        }
        assert_eq!(limit.wait, FIRST_WAIT * 4);
        leave(&mut limit, now, now + 4000, 280_000);
        now += 4000;
        limit.calm_for(Duration::from_secs(4), ms(now));
        leave(&mut limit, now, now + 4000, 330_000);
        now += 4000;
        limit.calm_for(Duration::from_secs(4), ms(now));
        assert_eq!(limit.wait, FIRST_WAIT * 2);
    }

    #[test]
    fn a_pause_is_not_counted() {
        let mut limit = Limit::new(START);
        leave(&mut limit, 0, 1500, 400_000);
        leave(&mut limit, 60_000, 60_250, 400_000);
        limit.wait_is_long(Duration::from_secs(1), ms(60_250));
        assert_eq!(limit.bits_per_second(), None, "too little to go by");
        leave(&mut limit, 60_250, 60_500, 400_000);
        limit.wait_is_long(Duration::from_secs(1), ms(60_500));
        near(&limit, 280_000);
    }

    #[test]
    fn a_moment_in_which_nothing_leaves_is_no_slower_path() {
        let mut limit = Limit::new(START);
        leave(&mut limit, 0, 1500, 400_000);
        limit.wait_is_long(LONG, ms(1500));
        leave(&mut limit, 1500, 3000, 280_000);
        leave(&mut limit, 3100, 3101, 280_000 * 100);
        limit.wait_is_long(Duration::from_millis(80), ms(3110));
        let found = limit.bits_per_second().expect("there is a limit");
        assert!(found >= 200_000, "{found}");
    }
}
