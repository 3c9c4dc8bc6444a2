//! How long an encoder really works, seen from outside: from a picture's way in to its way out.

use std::collections::VecDeque;
use std::time::Duration;

use videocall_types::Timestamp;

/// Pictures in an encoder that are kept in mind. No encoder for calls holds more; of more, the oldest were dropped.
const MAX_PICTURES: usize = 16;

/// Pictures after which an encoder is known, and how long each may take then: what software needs in bad luck.
const TRIAL: u32 = 10;
const SLOW: Duration = Duration::from_millis(25);

/// When the first has not come out by then, none will. Hardware takes a while to start.
const NO_START: Duration = Duration::from_secs(1);

/// The time in which an encoder had something to do.
#[derive(Debug, Default)]
pub struct Work {
    /// Stamp of the capture, and when it went in.
    inside: VecDeque<(i64, Timestamp)>,
    last_out: Timestamp,
    worked: Duration,
    /// Pictures that have come out, and what they took; of the first [`TRIAL`].
    tried: u32,
    took: Duration,
}

impl Work {
    /// A picture with this stamp goes in.
    pub fn began(&mut self, stamp_us: i64, now: Timestamp) {
        if self.inside.len() >= MAX_PICTURES {
            self.inside.pop_front();
        }
        self.inside.push_back((stamp_us, now));
    }

    /// Pictures that are inside.
    pub fn pictures(&self) -> usize {
        self.inside.len()
    }

    /// It has come out. Those before it come no more: encoders may leave out pictures to keep their bitrate.
    pub fn ended(&mut self, stamp_us: i64, now: Timestamp) {
        while let Some(&(stamp, began)) = self.inside.front() {
            if stamp > stamp_us {
                break;
            }
            self.inside.pop_front();
            if stamp == stamp_us {
                // It has waited for the one before.
                let took = now.since(began.max(self.last_out));
                self.worked += took;
                if self.tried < TRIAL {
                    self.tried += 1;
                    // The first one waits for the encoder to start.
                    self.took += if self.tried > 1 { took } else { Duration::ZERO };
                }
            }
        }
        self.last_out = now;
    }

    /// Its first pictures take longer than they should.
    pub fn is_slow(&self, now: Timestamp) -> bool {
        let oldest = self.inside.front();
        match self.tried {
            0 => oldest.is_some_and(|&(_, began)| now.since(began) > NO_START),
            TRIAL => self.took > SLOW * (TRIAL - 1),
            _ => false,
        }
    }

    /// How long it has worked since it was asked last.
    pub fn take(&mut self) -> Duration {
        std::mem::take(&mut self.worked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_millis(milliseconds)
    }

    #[test]
    fn waiting_for_the_picture_before_is_no_work() {
        let mut work = Work::default();
        work.began(1, at(100));
        work.began(2, at(103));
        work.ended(1, at(110));
        work.ended(2, at(118));
        assert_eq!(work.take(), Duration::from_millis(18));
        assert_eq!(work.take(), Duration::ZERO);
    }

    #[test]
    fn an_encoder_that_is_slow_is_known_after_some_pictures() {
        let encoder = |each_ms: u64| {
            let mut work = Work::default();
            for stamp in 0..20_u64 {
                let begin = at(1000 + stamp * 33);
                work.began(stamp as i64, begin);
                let start = if stamp == 0 { 300 } else { 0 };
                work.ended(stamp as i64, begin + Duration::from_millis(each_ms + start));
            }
            work.is_slow(at(2000))
        };
        assert!(!encoder(6));
        assert!(encoder(31));
        let mut stuck = Work::default();
        stuck.began(1, at(100));
        assert!(!stuck.is_slow(at(500)));
        assert!(stuck.is_slow(at(1200)));
    }

    #[test]
    fn pictures_that_are_left_out_do_not_count() {
        let mut work = Work::default();
        work.began(1, at(100));
        work.began(2, at(133));
        work.ended(2, at(140));
        assert_eq!(work.take(), Duration::from_millis(7));
        for stamp in 10..1000 {
            work.began(stamp, at(200));
        }
        assert_eq!(work.inside.len(), MAX_PICTURES);
    }
}
