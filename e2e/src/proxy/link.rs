//! One direction of a path, packet by packet: a queue before a line, then delay, jitter and loss. Times are since the
//! conditions began and come from the caller, so that a seed and the times of the packets decide everything.
//!
//! Where packets come from and go to is left to the proxies.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::conditions::{Direction, Loss};
use super::report::Tally;

/// Packets on their way behind the line at most: a second of 500 Mbit/s. What comes beyond that is dropped.
const MAX_UNDER_WAY: usize = 50_000;

/// One direction of a path.
#[derive(Debug)]
pub(super) struct Link<T> {
    direction: Direction,
    rng: StdRng,
    in_burst: bool,
    /// When each came, its bytes on the wire, and what it is.
    queue: VecDeque<(Duration, u64, T)>,
    queued_bytes: u64,
    /// The packet on the line, and when it has left it.
    serving: Option<(Duration, T)>,
    /// When the line was free for the last time.
    free_at: Duration,
    /// By arrival; packets of one time in the order in which they left.
    under_way: BTreeMap<(Duration, u64), T>,
    sent: u64,
    last_arrival: Duration,
    tally: Tally,
}

impl<T> Link<T> {
    pub(super) fn new(direction: Direction, seed: u64) -> Self {
        Self {
            direction,
            rng: StdRng::seed_from_u64(seed),
            in_burst: false,
            queue: VecDeque::new(),
            queued_bytes: 0,
            serving: None,
            free_at: Duration::ZERO,
            under_way: BTreeMap::new(),
            sent: 0,
            last_arrival: Duration::ZERO,
            tally: Tally::default(),
        }
    }

    pub(super) fn direction(&self) -> &Direction {
        &self.direction
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Forgets what was counted up to now.
    pub(super) fn forget(&mut self, now: Duration) {
        self.advance(now);
        self.tally = Tally::since(now);
    }

    /// A packet comes, of so many bytes with all headers.
    pub(super) fn send(&mut self, now: Duration, bytes: u64, packet: T) {
        self.advance(now);
        match self.direction.rate_at(now) {
            Some(0) => self.tally.cut_off += 1,
            rate if self.queued_bytes + bytes > self.depth(rate).max(2 * bytes) => self.tally.dropped += 1,
            _ => {
                self.queued_bytes += bytes;
                self.queue.push_back((now, bytes, packet));
                self.advance(now);
            }
        }
    }

    /// The next packet that has arrived by now.
    pub(super) fn receive(&mut self, now: Duration) -> Option<T> {
        self.advance(now);
        let first = self.under_way.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When something is to be done: a packet leaves the line or arrives.
    pub(super) fn next(&self) -> Option<Duration> {
        let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
        let serving = self.serving.as_ref().map(|(end, _)| *end);
        [arrival, serving].into_iter().flatten().min()
    }

    /// Bytes that may wait.
    fn depth(&self, rate: Option<u64>) -> u64 {
        let by_time = rate.map_or(u64::MAX, |rate| {
            rate.saturating_mul(self.direction.queue_ms) / 8000
        });
        by_time.min(self.direction.queue_bytes)
    }

    /// Does what was due up to now, at the times at which it was due: the caller may be late.
    fn advance(&mut self, now: Duration) {
        loop {
            match self.serving.take_if(|(end, _)| *end <= now) {
                Some((end, packet)) => {
                    self.free_at = end;
                    self.leave(end, packet);
                }
                None if self.serving.is_some() => return,
                None => {}
            }
            let Some((came, bytes, packet)) = self.queue.pop_front() else {
                return;
            };
            self.queued_bytes -= bytes;
            self.begin(came.max(self.free_at), came, bytes, packet);
        }
    }

    /// A packet comes to the head of the queue and onto the line.
    fn begin(&mut self, at: Duration, came: Duration, bytes: u64, packet: T) {
        let takes = match self.direction.rate_at(at) {
            // The line has broken meanwhile, and what waited is lost.
            Some(0) => {
                self.tally.cut_off += 1;
                return;
            }
            Some(rate) => Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64),
            None => Duration::ZERO,
        };
        self.tally.passed(at, bytes, at - came);
        self.serving = Some((at + takes, packet));
    }

    /// A packet has left the line.
    fn leave(&mut self, at: Duration, packet: T) {
        if self.is_lost() {
            self.tally.lost += 1;
            return;
        }
        if self.under_way.len() >= MAX_UNDER_WAY {
            self.tally.dropped += 1;
            return;
        }
        let jitter = Duration::from_millis(self.direction.jitter_ms).mul_f64(self.rng.random());
        let mut arrival = at + Duration::from_millis(self.direction.delay_ms) + jitter;
        if !self.direction.reordering {
            arrival = arrival.max(self.last_arrival);
            self.last_arrival = arrival;
        }
        self.sent += 1;
        self.under_way.insert((arrival, self.sent), packet);
    }

    fn is_lost(&mut self) -> bool {
        match self.direction.loss {
            Loss::None => false,
            Loss::Random(part) => self.rng.random::<f64>() < part,
            Loss::Bursts { part, length } => {
                let change = if self.in_burst {
                    1.0 / length
                } else {
                    part / (length * (1.0 - part))
                };
                self.in_burst ^= self.rng.random::<f64>() < change;
                self.in_burst
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conditions::Rate;
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Sends packets of 1250 bytes at this distance, looks every so often, and gives the numbers and arrivals.
    fn run(
        direction: Direction,
        packets: u64,
        every: Duration,
        look: Duration,
    ) -> (Vec<(u64, Duration)>, Link<u64>) {
        let mut link = Link::new(direction, 7);
        let mut arrived = Vec::new();
        let (mut number, mut now) = (0, Duration::ZERO);
        let end = every * u32::try_from(packets).expect("few packets") + ms(5_000);
        while now < end {
            while number < packets && every * u32::try_from(number).expect("few packets") <= now {
                link.send(every * u32::try_from(number).expect("few packets"), 1250, number);
                number += 1;
            }
            while let Some(packet) = link.receive(now) {
                arrived.push((packet, now));
            }
            now += look;
        }
        (arrived, link)
    }

    #[test]
    fn a_line_spaces_packets_and_a_full_queue_drops_the_last() {
        // 10 ms for each packet, ten packets wait at most, twice as many come.
        let direction = Direction {
            queue_ms: 100,
            ..Direction::line(1_000_000, 20)
        };
        let (arrived, link) = run(direction, 200, ms(5), ms(1));
        assert_eq!(arrived[0], (0, ms(30)));
        assert_eq!(arrived[1], (1, ms(40)));
        let tally = link.tally();
        assert!((80..=90).contains(&tally.dropped), "{}", tally.dropped);
        assert_eq!(arrived.len() as u64 + tally.dropped, 200);
        let report = tally.report(link.direction(), ms(1000));
        assert!((90.0..=101.0).contains(&report.queueing_ms.p95), "{report:?}");
        assert!(
            report.utilisation_pct.is_some_and(|used| used > 98.0),
            "{report:?}"
        );
    }

    #[test]
    fn looking_seldom_changes_nothing_but_when_it_is_seen() {
        let direction = Direction {
            jitter_ms: 30,
            loss: Loss::Random(0.1),
            ..Direction::line(1_000_000, 20)
        };
        let (often, _) = run(direction.clone(), 300, ms(12), ms(1));
        let (seldom, _) = run(direction, 300, ms(12), ms(7));
        let numbers =
            |arrived: &[(u64, Duration)]| arrived.iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!(numbers(&often), numbers(&seldom));
        for ((_, exact), (_, late)) in often.iter().zip(&seldom) {
            assert!(late >= exact && *late - *exact < ms(7));
        }
    }

    #[test]
    fn as_much_is_lost_as_was_asked_for() {
        for (loss, runs) in [
            (Loss::Random(0.05), 1.0..1.2),
            (
                Loss::Bursts {
                    part: 0.05,
                    length: 5.0,
                },
                4.3..5.7,
            ),
        ] {
            let direction = Direction {
                loss,
                ..Direction::default()
            };
            let (arrived, link) = run(direction, 20_000, ms(1), ms(10));
            let lost = link.tally().lost;
            assert!((800..1_200).contains(&lost), "{loss:?}: {lost}");
            let gaps = arrived
                .windows(2)
                .filter(|pair| pair[1].0 > pair[0].0 + 1)
                .count();
            let length = lost as f64 / gaps as f64;
            assert!(runs.contains(&length), "{loss:?}: {length}");
        }
    }

    #[test]
    fn jitter_keeps_the_order_unless_told_otherwise() {
        let jitter = |reordering| Direction {
            delay_ms: 20,
            jitter_ms: 40,
            reordering,
            ..Direction::default()
        };
        let (kept, _) = run(jitter(false), 500, ms(5), ms(1));
        assert!(kept.is_sorted());
        let (mixed, _) = run(jitter(true), 500, ms(5), ms(1));
        assert_eq!(mixed.len(), 500);
        assert!(!mixed.iter().map(|(number, _)| number).is_sorted());
    }

    #[test]
    fn in_an_outage_all_is_lost_and_then_the_rate_is_as_before() {
        let direction = Direction::line(1_000_000, 0).with_outage(1_000, 2_000);
        let (arrived, link) = run(direction, 300, ms(10), ms(1));
        assert!(
            arrived.iter().all(|(number, _)| !(101..200).contains(number)),
            "{arrived:?}"
        );
        assert!(link.tally().cut_off >= 99);
        assert_eq!(arrived.last().map(|(number, _)| *number), Some(299));
        let capacity = link.direction().capacity_bits(ms(500), ms(3_000));
        assert_eq!(capacity, Some(1_500_000.0));
    }

    #[test]
    fn a_rate_that_changes_is_followed() {
        let direction = Direction {
            rates: vec![
                Rate {
                    at_ms: 0,
                    bps: 3_000_000,
                },
                Rate {
                    at_ms: 1_000,
                    bps: 500_000,
                },
            ],
            ..Direction::default()
        };
        let (arrived, _) = run(direction, 1_000, ms(3), ms(1));
        let count = |from, to| {
            arrived
                .iter()
                .filter(|(_, at)| (ms(from)..ms(to)).contains(at))
                .count()
        };
        assert!((290..=300).contains(&count(0, 1_000)), "{}", count(0, 1_000));
        assert!(
            (48..=51).contains(&count(2_000, 3_000)),
            "{}",
            count(2_000, 3_000)
        );
    }
}
