//! How much to give to a byte stream whose own congestion control fills the queue of a slow path.
//!
//! TCP's default, CUBIC (RFC 9438), sends until packets are lost, and what a socket has taken can no longer be
//! dropped or overtaken. Who writes live media can only give it less. What has arrived is known from marks in the
//! stream that the peer sends back, as a WebSocket's pings (RFC 6455 §5.5.2), which browsers answer without asking
//! the page; they pass through whatever stands between, so that the queue at a proxy counts as well.
//!
//! As long as marks come back about as quickly as ever, there are few of them and nothing is limited. When for a second
//! none was in time, [`Media`] takes over: the bytes between the last mark that came back and the last that was
//! given are what is on its way, and their bound is its window. A packet that is lost holds up everything behind it
//! until it was sent once more, which looks like a queue, but is over sooner.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::controller::{Media, MediaConfig};

/// What is taken for a packet where a window counts in packets: half of what is given at a time, since one that has
/// begun to leave is counted whole.
const PACKET_BYTES: u16 = 500;
const PIECE_BYTES: usize = 2 * PACKET_BYTES as usize;

/// A mark that takes so much longer than the quickest is late: as much as [`Media`] calls a queue that does not go
/// by sending a little less.
const LATE: Duration = Duration::from_millis(70);

/// Between two marks when all is well; otherwise, and in the beginning, when nothing is known of the path.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
const SUSPICIOUS_INTERVAL: Duration = Duration::from_millis(100);
const FIRST_WATCH: Duration = Duration::from_secs(2);

/// While there is a bound, marks are this part of it apart.
const MARKS_PER_ROUND: u64 = 4;

/// Those that precede what is given are no closer than this.
const BOUND_INTERVAL: Duration = Duration::from_millis(20);

/// A bound is taken when no mark has been in time for so long, of so many that came back.
const LATE_FOR: Duration = Duration::from_secs(1);
const LATE_MARKS: u32 = 3;

/// A mark that takes no more than this longer than the quickest has met no queue. While there is a bound that is
/// reached, and for so many round trips no other mark came back, the bound is much too low.
const PROMPT: Duration = Duration::from_millis(10);
const PROMPT_ROUNDS: u32 = 2;

/// The bound is given up when it has not been reached for so long, or when no mark has met a queue for so long.
const UNREACHED_FOR: Duration = Duration::from_secs(10);
const PROMPT_FOR: Duration = Duration::from_secs(2);

/// Marks on their way at most; more would say nothing more.
const MOST_MARKS: usize = 64;

/// The quickest mark is the least of this time and of as much before it: routes change.
const BASE_SPAN: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub struct Stream {
    began: Instant,
    /// Bytes that were ever given, and those of them that have arrived.
    given: u64,
    arrived: u64,
    marks: VecDeque<Mark>,
    next: u64,
    /// When there last was a mark, and how much had been given before.
    marked: Option<(Instant, u64)>,
    base: Base,
    /// When the last mark came back.
    returned: Option<Instant>,
    /// Marks that have come back late since the last that was in time, and when the first of them did.
    late: u32,
    late_since: Instant,
    /// Few paths have one.
    bound: Option<Box<Bound>>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    number: u64,
    at: Instant,
    given: u64,
}

/// The quickest round trip of the span before, and of this one.
#[derive(Debug)]
struct Base {
    began: Instant,
    before: Duration,
    this: Duration,
}

#[derive(Debug)]
struct Bound {
    media: Media,
    smoothed: Duration,
    reached_at: Instant,
    /// No mark has met a queue since.
    prompt_since: Option<Instant>,
}

impl Stream {
    /// A stream to which nothing has been given.
    pub const fn new(now: Instant) -> Self {
        Self {
            began: now,
            given: 0,
            arrived: 0,
            marks: VecDeque::new(),
            next: 0,
            marked: None,
            base: Base::new(now),
            returned: None,
            late: 0,
            late_since: now,
            bound: None,
        }
    }

    /// Whether more may be given. Once it may not, only a mark that comes back changes that.
    pub fn has_room(&mut self, now: Instant) -> bool {
        let on_its_way = self.on_its_way();
        self.bound.as_mut().is_none_or(|bound| {
            let room = on_its_way < bound.media.bytes();
            if !room {
                bound.reached_at = now;
            }
            room
        })
    }

    /// Bytes to be given at a time at most, for marks to come between.
    pub const fn piece(&self) -> usize {
        match self.bound {
            Some(_) => PIECE_BYTES,
            None => usize::MAX,
        }
    }

    /// Nobody says any more what comes back: everything that is left may go.
    pub fn unbind(&mut self) {
        self.bound = None;
    }

    /// So many bytes were given.
    pub fn give(&mut self, bytes: u64) {
        self.given += bytes;
        if let Some(bound) = &mut self.bound {
            bound.media.sending(bytes);
        }
    }

    /// The number of the mark to be given before what is given next, if it is time for one or one is `wanted`. There it
    /// meets the queue that stands, and not the one that a picture is to itself.
    pub fn mark_before(&mut self, now: Instant, wanted: bool) -> Option<u64> {
        let interval = self.interval(now);
        let long = |(at, _)| now.saturating_duration_since(at) >= interval;
        let due = wanted || self.unmarked() > 0 && self.marked.is_none_or(long);
        due.then(|| self.mark(now))?
    }

    /// The number of the mark to be given behind what was given last, if there has to be one: where there is a bound,
    /// nothing but a mark that comes back makes room, and rarer ones would let the line run empty meanwhile.
    pub fn mark_behind(&mut self, now: Instant) -> Option<u64> {
        let bound = self.bound.as_ref()?.media.bytes();
        let unmarked = self.unmarked();
        let enough =
            unmarked >= (bound / MARKS_PER_ROUND).max(1) || unmarked > 0 && self.on_its_way() >= bound;
        enough.then(|| self.mark(now))?
    }

    fn mark(&mut self, now: Instant) -> Option<u64> {
        (self.marks.len() < MOST_MARKS).then(|| {
            let number = self.next;
            self.next += 1;
            self.marked = Some((now, self.given));
            self.marks.push_back(Mark {
                number,
                at: now,
                given: self.given,
            });
            number
        })
    }

    /// The mark of this number came back. Numbers that were never given, or came back before, are ignored; one may
    /// stand for those before it.
    pub fn returned(&mut self, number: u64, now: Instant) {
        let Ok(index) = self.marks.binary_search_by_key(&number, |mark| mark.number) else {
            return;
        };
        let Some(mark) = self.marks.drain(..=index).next_back() else {
            return;
        };
        let round_trip = now.saturating_duration_since(mark.at);
        let arrived = mark.given - self.arrived;
        self.arrived = mark.given;
        self.base.sample(round_trip, now);
        let (least, rest) = (self.base.least(), self.on_its_way());
        if let Some(bound) = &mut self.bound {
            bound.returned(mark, arrived, rest, least, now);
            if bound.is_needless(now) {
                self.bound = None;
            }
        }
        if round_trip <= least + LATE {
            self.late = 0;
        } else {
            if self.late == 0 {
                self.late_since = now;
            }
            self.late += 1;
            let long = now.saturating_duration_since(self.late_since) >= LATE_FOR;
            if self.bound.is_none() && long && self.late >= LATE_MARKS {
                self.bound = Some(Box::new(self.first_bound(arrived, round_trip, now)));
            }
        }
        self.returned = Some(now);
    }

    /// Whether there is a bound, so that a mark that comes back may make room.
    pub const fn is_bounded(&self) -> bool {
        self.bound.is_some()
    }

    /// The rate that the path is thought to take, bytes per second; `None` while nothing limits it.
    pub fn path_rate(&self) -> Option<u64> {
        self.bound.as_ref().and_then(|bound| bound.media.path_rate())
    }

    const fn on_its_way(&self) -> u64 {
        self.given - self.arrived
    }

    /// Bytes behind the last mark.
    fn unmarked(&self) -> u64 {
        self.given - self.marked.map_or(0, |(_, given)| given)
    }

    fn interval(&self, now: Instant) -> Duration {
        match &self.bound {
            Some(_) => BOUND_INTERVAL,
            None if self.is_suspicious(now) => SUSPICIOUS_INTERVAL,
            None => WATCH_INTERVAL,
        }
    }

    /// Whether marks are late, or one is so overdue that it will be, or the path is new.
    fn is_suspicious(&self, now: Instant) -> bool {
        let since = |at| now.saturating_duration_since(at);
        let overdue = |mark: &Mark| since(mark.at) > self.base.least().saturating_add(LATE);
        self.late > 0 || since(self.began) < FIRST_WATCH || self.marks.front().is_some_and(overdue)
    }

    /// What has arrived between the last two marks, at the rate at which it did.
    fn first_bound(&self, arrived: u64, round_trip: Duration, now: Instant) -> Bound {
        let since = self
            .returned
            .map_or(round_trip, |at| now.saturating_duration_since(at));
        let rate = arrived as f64 / since.as_secs_f64().max(0.001);
        Bound {
            media: Media::on_known_path(
                Arc::new(MediaConfig::default()),
                now,
                PACKET_BYTES,
                self.base.least(),
                rate,
            ),
            smoothed: round_trip,
            reached_at: now,
            prompt_since: None,
        }
    }
}

impl Bound {
    /// A mark came back, and with it so many bytes; `rest` are still on their way. The quickest took `least`.
    fn returned(&mut self, mark: Mark, arrived: u64, rest: u64, least: Duration, now: Instant) {
        let round_trip = now.saturating_duration_since(mark.at);
        self.media.arrived(now, mark.at, arrived, rest, self.smoothed);
        // RFC 9002 §5.3.
        self.smoothed = (self.smoothed * 7 + round_trip) / 8;
        if round_trip > least + PROMPT {
            self.prompt_since = None;
            return;
        }
        let since = *self.prompt_since.get_or_insert(now);
        let rounds = round_trip * PROMPT_ROUNDS;
        let reached = now.saturating_duration_since(self.reached_at) <= rounds;
        if reached && now.saturating_duration_since(since) >= rounds {
            self.media.start_again();
        }
    }

    fn is_needless(&self, now: Instant) -> bool {
        let for_so_long = |since: Instant, long: Duration| now.saturating_duration_since(since) > long;
        for_so_long(self.reached_at, UNREACHED_FOR)
            || self
                .prompt_since
                .is_some_and(|since| for_so_long(since, PROMPT_FOR))
    }
}

impl Base {
    const fn new(now: Instant) -> Self {
        Self {
            began: now,
            before: Duration::MAX,
            this: Duration::MAX,
        }
    }

    fn sample(&mut self, round_trip: Duration, now: Instant) {
        if now.saturating_duration_since(self.began) > BASE_SPAN {
            *self = Self {
                began: now,
                before: self.this,
                this: Duration::MAX,
            };
        }
        self.this = self.this.min(round_trip);
    }

    fn least(&self) -> Duration {
        self.this.min(self.before)
    }
}

#[cfg(test)]
mod tests;
