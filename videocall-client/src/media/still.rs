//! When a picture that stands still is encoded as well as it can be, so that small print is legible.
//!
//! Encoders that keep to a bitrate do not come back to what they once made coarse: a page that was scrolled stays blurred for
//! as long as it stands. So a picture that is not captured again is encoded again, a few times a second, and once of these
//! without regard to the bitrate. That one is to be a base picture, because later ones refer to those alone.

use std::time::Duration;

use videocall_types::Timestamp;

/// A picture that is not captured again is encoded again this often, which also answers requests for keyframes.
const REPEAT_AFTER: Duration = Duration::from_millis(250);

/// After this long without another capture a picture stands still: what moves is captured twice as often at least.
const STANDS_AFTER: Duration = Duration::from_millis(150);

/// Until the next picture is a base picture, this often, and no more than so many: there are three others between two.
const RUN_UP_AFTER: Duration = Duration::from_millis(33);
const LONGEST_RUN_UP: u32 = 3;

/// The least share of its usual bitrate for which the wait is prolonged no further: on a slow path a picture that is
/// followed by others is better not made large.
const LEAST_SHARE: f64 = 0.1;

/// The next such picture comes no sooner than the path takes for the last one, as something that blinks must not fill it; but
/// after this long in any case.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// One source of pictures.
#[derive(Debug, Default)]
pub(crate) struct Still {
    stands_since: Timestamp,
    /// The picture was encoded at its best.
    sharp: bool,
    run_up: u32,
    /// Of the usual bitrate, what there was for it.
    share: f64,
    /// The stamp of the last that was, microseconds of the capture's clock.
    stamp_us: Option<i64>,
    /// It was of no use, and is made again at once; a second time it is not.
    missed: bool,
    not_before: Timestamp,
}

impl Still {
    /// Another picture was captured.
    pub(crate) fn moved(&mut self, now: Timestamp) {
        self.stands_since = now;
        self.sharp = false;
        self.missed = false;
        self.run_up = 0;
    }

    /// The picture that stands was encoded anew, and is no better than any.
    pub(crate) const fn coarsened(&mut self) {
        self.sharp = false;
    }

    /// The last picture is encoded again when none is captured for so long.
    pub(crate) const fn repeat_after(&self) -> Duration {
        match self.run_up {
            0 if self.sharp => REPEAT_AFTER,
            0 => STANDS_AFTER,
            _ => RUN_UP_AFTER,
        }
    }

    /// Whether this time, with this stamp, it is encoded at its best. `is_base`: it will be a base picture. `share`: of its usual
    /// bitrate, what the layer has.
    pub(crate) fn repeats(&mut self, stamp_us: i64, is_base: bool, share: f64, now: Timestamp) -> bool {
        self.share = share.clamp(LEAST_SHARE, 1.0);
        let patience = STANDS_AFTER.mul_f64(1.0 / self.share);
        // Timers are not exact.
        let stands = now.since(self.stands_since) + RUN_UP_AFTER >= patience;
        if self.sharp || !stands || now < self.not_before {
            self.run_up = 0;
            return false;
        }
        if !is_base && self.run_up < LONGEST_RUN_UP {
            self.run_up += 1;
            return false;
        }
        self.run_up = 0;
        self.sharp = true;
        self.stamp_us = Some(stamp_us);
        true
    }

    /// A picture with this stamp has come out of the encoder. It takes so many
    /// seconds of the usual bitrate.
    pub(crate) fn encoded(&mut self, stamp_us: i64, is_base: bool, seconds: f64, now: Timestamp) {
        if self.stamp_us != Some(stamp_us) {
            return;
        }
        // Encoders that leave pictures out are hard to predict. What no other refers to is of no use.
        self.sharp &= is_base;
        if !is_base && !std::mem::replace(&mut self.missed, true) {
            return;
        }
        let pause = Duration::try_from_secs_f64(seconds / self.share).unwrap_or(LONGEST_PAUSE);
        self.not_before = now + pause.min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture that is repeated from a second on; when, in milliseconds after it stood still, it was at its best.
    fn sharp_after(
        still: &mut Still,
        from: Timestamp,
        seconds: u64,
        share: f64,
        base: impl Fn(u32) -> bool,
    ) -> Vec<u64> {
        let mut now = from;
        still.moved(now);
        let mut found = Vec::new();
        for number in 0.. {
            now += still.repeat_after();
            if now.since(from) > Duration::from_secs(seconds) {
                break;
            }
            let stamp_us = now.as_micros() as i64;
            if still.repeats(stamp_us, base(number), share, now) {
                found.push(now.since(from).as_millis() as u64);
                still.encoded(stamp_us, true, 1.0, now);
            }
        }
        found
    }

    #[test]
    fn a_picture_that_stands_is_sharp_once_and_soon() {
        let at = Timestamp::from_millis(1_000);
        assert_eq!(sharp_after(&mut Still::default(), at, 60, 1.0, |_| true), [150]);
    }

    #[test]
    fn the_next_base_picture_is_awaited_quickly() {
        let at = Timestamp::from_millis(1_000);
        let every_fourth = |number| number % 4 == 2;
        assert_eq!(
            sharp_after(&mut Still::default(), at, 60, 1.0, every_fourth),
            [216]
        );
        assert_eq!(
            sharp_after(&mut Still::default(), at, 60, 1.0, |_| false),
            [249],
            "not for ever"
        );
    }

    #[test]
    fn what_no_picture_refers_to_is_done_again() {
        let at = Timestamp::from_millis(1_000);
        let mut still = Still::default();
        assert!(still.repeats(1, true, 1.0, at));
        still.encoded(1, false, 0.5, at);
        let at = at + Duration::from_millis(150);
        assert!(still.repeats(2, true, 1.0, at), "the first time at once");
        still.encoded(2, false, 0.5, at);
        assert!(!still.repeats(3, true, 1.0, at + Duration::from_millis(400)));
        assert!(still.repeats(4, true, 1.0, at + Duration::from_millis(500)));
    }

    #[test]
    fn a_keyframe_that_is_asked_for_is_sharp_as_soon_as_the_path_has_room() {
        let at = Timestamp::from_millis(1_000);
        let mut still = Still::default();
        assert_eq!(sharp_after(&mut still, at, 1, 1.0, |_| true), [150]);
        still.coarsened();
        assert!(!still.repeats(0, true, 1.0, at + Duration::from_millis(1_100)));
        assert!(still.repeats(0, true, 1.0, at + Duration::from_millis(1_200)));
    }

    #[test]
    fn a_slow_path_has_it_later() {
        let at = Timestamp::from_millis(1_000);
        assert_eq!(sharp_after(&mut Still::default(), at, 60, 0.25, |_| true), [600]);
        assert_eq!(sharp_after(&mut Still::default(), at, 60, 0.0, |_| true), [1_500]);
    }

    #[test]
    fn what_blinks_does_not_fill_the_path() {
        let mut still = Still::default();
        let mut times = 0;
        for blink in 0..60 {
            let at = Timestamp::from_millis(1_000 + 500 * blink);
            times += sharp_after(&mut still, at, 0, 1.0, |_| true).len();
            let now = at + Duration::from_millis(250);
            if still.repeats(now.as_micros() as i64, true, 1.0, now) {
                still.encoded(now.as_micros() as i64, true, 1.0, now);
                times += 1;
            }
        }
        assert!(
            (28..=31).contains(&times),
            "{times} of a second each, in 30 seconds"
        );
    }
}
