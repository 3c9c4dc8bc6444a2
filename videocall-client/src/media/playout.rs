//! When the pictures of a track are drawn.
//!
//! At once, where they come evenly. Where a network holds them up again and again, every picture waits a little, so
//! that what is held up leaves no hole that looks like a freeze; the delay is what that takes and no more. Pictures
//! that come together after they were held up are all shown, one shortly after the other, instead of the last alone:
//! a quick movement instead of a jump.

use std::collections::VecDeque;
use std::time::Duration;

use videocall_types::{Timestamp, TrackKind};

use super::lateness::Lateness;

/// A hole of this length beyond the usual interval is taken for what it is worth not to wait: three pictures of 30 per
/// second that stand a little longer. Shorter ones cost no delay.
const STUTTER: Duration = Duration::from_millis(100);

/// Holes are prevented but for this share of the pictures. One event among those that [`FORGET`] remembers is below
/// it, several are not.
const HELD_UP: f64 = 0.012;

/// How much of the past counts with each picture: half of it is forgotten in 6 s of 30 pictures per second.
const FORGET: f64 = 0.996;

/// No picture waits longer than this for others: people want to talk with each other.
const MAX_DELAY: Duration = Duration::from_millis(150);

/// Pictures that come together are shown in this share of the time in which they were captured, ...
const CATCH_UP: f64 = 0.6;
/// ... and in no more than this from one to the next, ...
const MAX_CATCH_UP_STEP: Duration = Duration::from_millis(30);
/// ... as long as none comes later than this because of that. Those before it are left out then.
const MAX_BEHIND: Duration = Duration::from_millis(60);

/// A picture that follows the one before it within this share of the time between their captures was held up with
/// it: the hole is counted once.
const BUNCHED: f64 = 0.5;

/// Pictures that wait for their time; then the oldest goes. Decoders stop when too many are out.
const MAX_WAITING: usize = 8;

/// The pictures of one track that wait for their time.
#[derive(Debug)]
pub struct PicturePlayout<P> {
    lateness: Lateness,
    /// How long pictures wait beyond the fastest, because others are held up.
    delay: Duration,
    smooth: bool,
    waiting: VecDeque<Waiting<P>>,
    /// Of the last picture that came.
    last: Option<Last>,
}

#[derive(Debug)]
struct Waiting<P> {
    due: Timestamp,
    picture: P,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    captured_us: u64,
    came: Timestamp,
    due: Timestamp,
}

impl<P> PicturePlayout<P> {
    /// Nothing has come yet. Only cameras are smoothed: of a screen the newest picture is the right one.
    pub fn new(kind: TrackKind) -> Self {
        Self {
            lateness: Lateness::forgetting(FORGET),
            delay: Duration::ZERO,
            smooth: kind == TrackKind::Camera,
            waiting: VecDeque::new(),
            last: None,
        }
    }

    /// A picture is ready that is not to be drawn before `earliest`.
    pub fn push(&mut self, picture: P, captured_us: u64, earliest: Timestamp, now: Timestamp) {
        let wanted = if self.smooth {
            self.observe(captured_us, now);
            earliest.max(self.on_time(captured_us, now))
        } else {
            earliest.max(now)
        };
        let mut due = wanted;
        if let Some(last) = self.last.filter(|_| self.smooth) {
            let step = Duration::from_micros(captured_us.saturating_sub(last.captured_us)).mul_f64(CATCH_UP);
            due = due.max(last.due + step.min(MAX_CATCH_UP_STEP));
        } else if wanted <= now {
            self.waiting.clear();
        }
        while due.since(wanted) > MAX_BEHIND || self.waiting.len() >= MAX_WAITING {
            let Some(free) = self.leave_out_the_oldest() else {
                due = wanted;
                break;
            };
            due = free.max(wanted);
        }
        self.last = Some(Last {
            captured_us,
            came: now,
            due,
        });
        self.waiting.push_back(Waiting { due, picture });
    }

    /// The picture for a refresh of the display at this time: the newest whose time has come or is nearer to
    /// this refresh than to the next one. Those before it are dropped.
    pub fn take(&mut self, refresh: Timestamp, interval: Duration) -> Option<P> {
        let mut newest = None;
        while self
            .waiting
            .front()
            .is_some_and(|waiting| waiting.due <= refresh + interval / 2)
        {
            newest = self.waiting.pop_front();
        }
        newest.map(|waiting| waiting.picture)
    }

    /// When the picture that is drawn next is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.waiting.front().map(|waiting| waiting.due)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Drops all of them.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.last = None;
    }

    fn observe(&mut self, captured_us: u64, now: Timestamp) {
        let bunched = self.last.is_some_and(|last| {
            let captured_apart = Duration::from_micros(captured_us.saturating_sub(last.captured_us));
            now.since(last.came) < captured_apart.mul_f64(BUNCHED)
        });
        if bunched {
            return;
        }
        self.lateness.observe(captured_us, now);
        let enough = self.lateness.delay_of_all_but(HELD_UP).saturating_sub(STUTTER);
        self.delay = enough.min(MAX_DELAY);
    }

    fn on_time(&self, captured_us: u64, now: Timestamp) -> Timestamp {
        let late = self.lateness.delay_of(captured_us, now);
        let late = Duration::from_micros(u64::try_from(late).unwrap_or(0));
        now + self.delay.saturating_sub(late)
    }

    /// Those behind the oldest take the time of the one before them. Returns the time that is free then.
    fn leave_out_the_oldest(&mut self) -> Option<Timestamp> {
        let oldest = self.waiting.pop_front()?;
        let mut free = oldest.due;
        for waiting in &mut self.waiting {
            std::mem::swap(&mut waiting.due, &mut free);
        }
        Some(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH: Duration = Duration::from_micros(16_667);
    const INTERVAL_US: u64 = 33_333;
    const FREEZE: Duration = Duration::from_millis(33 + 150);

    const fn ms(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// What becomes of pictures, 30 a second, that are ready so many milliseconds after their capture, in order.
    #[derive(Debug)]
    struct Shown {
        /// Of all pictures.
        percent: f64,
        /// From capture to being drawn.
        delays_ms: Vec<u64>,
        longest_hole_ms: u64,
        /// Times between two pictures that are freezes (W3C webrtc-stats, `freezeCount`).
        freezes: usize,
    }

    impl Shown {
        fn of(kind: TrackKind, delays_ms: impl Iterator<Item = u64>, skip: usize) -> Self {
            let mut ready: Vec<u64> = Vec::new();
            for (index, delay) in delays_ms.enumerate() {
                let at = index as u64 * INTERVAL_US + delay * 1000;
                // One stream: nothing overtakes.
                ready.push(ready.last().map_or(at, |&before: &u64| before.max(at)));
            }
            let mut playout = PicturePlayout::new(kind);
            let (mut drawn, mut came) = (Vec::new(), 0);
            let end = ready.last().copied().unwrap_or_default() + 500_000;
            for now in (0..end).step_by(1000).map(Timestamp::from_micros) {
                while came < ready.len() && ready[came] <= now.as_micros() {
                    playout.push(came, came as u64 * INTERVAL_US, now, now);
                    came += 1;
                }
                if playout.next_due().is_some_and(|due| due <= now)
                    && let Some(picture) = playout.take(now, REFRESH)
                {
                    drawn.push((picture, now));
                }
            }
            drawn.retain(|&(picture, _)| picture >= skip);
            let holes = drawn.windows(2).map(|pair| pair[1].1.since(pair[0].1));
            let freezes = holes.clone().filter(|hole| *hole > FREEZE).count();
            let delay =
                |&(picture, at): &(usize, Timestamp)| (at.as_micros() - picture as u64 * INTERVAL_US) / 1000;
            let mut delays_ms: Vec<u64> = drawn.iter().map(delay).collect();
            delays_ms.sort_unstable();
            Self {
                percent: 100.0 * drawn.len() as f64 / (ready.len() - skip) as f64,
                freezes,
                longest_hole_ms: holes.max().unwrap_or_default().as_millis() as u64,
                delays_ms,
            }
        }

        fn camera(delays_ms: impl Iterator<Item = u64>) -> Self {
            Self::of(TrackKind::Camera, delays_ms, 150)
        }

        fn percentile(&self, percent: usize) -> u64 {
            self.delays_ms[(self.delays_ms.len() - 1) * percent / 100]
        }
    }

    /// So many pictures of a hundred are held up by `late` milliseconds; a picture is that with 20 ms otherwise.
    fn held_up(percent: u64, late: u64) -> impl Iterator<Item = u64> {
        // A linear congruential generator (D. Knuth, TAOCP volume 2, section 3.3.4): the same each time.
        let mut seed = 1_u64;
        (0..3000).map(move |_| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            20 + if (seed >> 33) % 1000 < percent * 10 {
                late
            } else {
                0
            }
        })
    }

    #[test]
    fn pictures_that_come_evenly_wait_for_nothing() {
        let shown = Shown::camera((0..900).map(|index| 20 + index % 7));
        assert_eq!(shown.percent, 100.0);
        assert!(shown.percentile(95) <= 27, "{:?}", shown.percentile(95));
    }

    #[test]
    fn what_comes_together_is_shown_one_after_the_other() {
        let shown = Shown::camera(held_up(9, 75));
        assert!(shown.percent >= 98.5, "{shown:?}");
        assert!(shown.longest_hole_ms <= 110, "{}", shown.longest_hole_ms);
        // Without a delay for all: most are not held up.
        assert!(shown.percentile(50) <= 45, "{}", shown.percentile(50));
        assert!(shown.percentile(95) <= 110, "{}", shown.percentile(95));
    }

    #[test]
    fn holes_that_come_again_and_again_are_filled_by_a_delay_that_is_no_longer_than_they_need() {
        let shown = Shown::camera(held_up(3, 190));
        let undelayed = Shown::of(TrackKind::Screen, held_up(3, 190), 150);
        let (freezes, before) = (shown.freezes, undelayed.freezes);
        assert!(before >= 60 && freezes * 8 <= before, "{freezes} of {before}");
        assert!(shown.percent >= 97.0, "{}", shown.percent);
        let median = shown.percentile(50);
        assert!((100..=130).contains(&median), "{median}");
    }

    #[test]
    fn one_hole_delays_nobody() {
        let once = (0..900).map(|index| if index == 300 { 400 } else { 20 });
        let shown = Shown::camera(once);
        assert!(shown.percentile(90) <= 30, "{}", shown.percentile(90));
        // Those of its end are shown, with the last 60 ms behind.
        assert!(shown.percentile(100) <= 400 + 20, "{}", shown.percentile(100));
        let shown = Shown::of(
            TrackKind::Camera,
            (0..900).map(|index| if index == 300 { 400 } else { 20 }),
            320,
        );
        assert!(
            shown.percentile(100) <= 30,
            "caught up: {}",
            shown.percentile(100)
        );
    }

    #[test]
    fn a_delay_goes_when_its_cause_has_gone() {
        let then_even = held_up(3, 190).take(1500).chain((0..1500).map(|_| 20));
        let shown = Shown::of(TrackKind::Camera, then_even, 2400);
        assert!(shown.percentile(50) <= 30, "{}", shown.percentile(50));
    }

    #[test]
    fn of_a_screen_the_newest_is_drawn() {
        let mut playout = PicturePlayout::new(TrackKind::Screen);
        for index in 0..4 {
            playout.push(index, index * 66_667, ms(1000), ms(1000));
        }
        assert_eq!(playout.take(ms(1000), REFRESH), Some(3));
        assert!(playout.is_empty());
        let shown = Shown::of(TrackKind::Screen, held_up(3, 190), 150);
        assert!(shown.percentile(50) <= 25, "{}", shown.percentile(50));
    }

    #[test]
    fn a_picture_waits_for_what_it_is_told_to_wait_for() {
        let mut playout = PicturePlayout::new(TrackKind::Camera);
        playout.push('a', 0, ms(100), ms(80));
        playout.push('b', 10_000, ms(110), ms(80));
        playout.push('c', 30_000, ms(130), ms(80));
        assert_eq!(playout.take(ms(90), Duration::from_millis(16)), None);
        assert_eq!(playout.take(ms(106), Duration::from_millis(16)), Some('b'));
        assert_eq!(playout.take(ms(121), Duration::from_millis(16)), None);
        assert_eq!(playout.next_due(), Some(ms(130)));
        assert!(!playout.is_empty());
        assert_eq!(playout.take(ms(122), Duration::from_millis(16)), Some('c'));
        assert!(playout.is_empty());
    }

    #[test]
    fn what_waits_is_bounded_whatever_the_times_say() {
        for kind in [TrackKind::Camera, TrackKind::Screen] {
            let mut playout = PicturePlayout::new(kind);
            for index in 0..100 {
                playout.push(index, index * 33_333, ms(100_000), ms(1));
                assert!(playout.waiting.len() <= MAX_WAITING);
            }
            assert_eq!(playout.take(ms(200_000), REFRESH), Some(99));
            for captured_us in [u64::MAX, 0, 1, u64::MAX / 2, 5] {
                playout.push(0, captured_us, Timestamp::ZERO, ms(1));
                playout.push(0, captured_us, Timestamp::ZERO, Timestamp::from_micros(u64::MAX));
                assert!(playout.waiting.len() <= MAX_WAITING);
            }
        }
    }
}
