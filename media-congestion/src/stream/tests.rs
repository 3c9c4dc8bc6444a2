//! Streams over a line with an endless queue, as TCP makes one of any line.

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// One way, without the queue.
const DELAY: Duration = Duration::from_millis(25);

/// What travels: bytes that were given together, and the mark behind them.
struct Chunk {
    bytes: u64,
    mark: Option<u64>,
    given_at: Instant,
}

/// A sender of pictures and what a line does to them.
struct Simulation {
    now: Instant,
    stream: Stream,
    /// What waits for room, bytes.
    outbox: u64,
    line: VecDeque<Chunk>,
    /// Bits that the line may carry now.
    credit: f64,
    answers: VecDeque<(Instant, u64)>,
    marks: u64,
    refused: u64,
    carried: u64,
    /// How long chunks waited for the line.
    waits: Vec<Duration>,
    /// What is lost, and until when everything behind it is held up.
    loss: f64,
    held_until: Instant,
    random: StdRng,
}

impl Simulation {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            now,
            stream: Stream::new(now),
            outbox: 0,
            line: VecDeque::new(),
            credit: 0.0,
            answers: VecDeque::new(),
            marks: 0,
            refused: 0,
            carried: 0,
            waits: Vec::new(),
            loss: 0.0,
            held_until: now,
            random: StdRng::seed_from_u64(1),
        }
    }

    /// Runs for so many seconds over a line of so many bits per second, with so many pictures of so many bytes a
    /// second. Whatever waits in the outbox for longer than a fifth of a second is dropped there.
    fn run(&mut self, seconds: u64, line_bps: f64, pictures: u64, bytes: u64) {
        self.waits.clear();
        (self.marks, self.refused, self.carried) = (0, 0, 0);
        let began = self.now;
        let mut shown = 0;
        while self.now < began + Duration::from_secs(seconds) {
            self.now += MS;
            let due = (self.now - began).as_millis() as u64 * pictures / 1000;
            self.outbox += (due - shown) * bytes;
            shown = due;
            self.outbox = self.outbox.min(bytes * pictures / 5 + bytes);
            self.write(bytes.min(1200));
            self.carry(line_bps);
            while self.answers.front().is_some_and(|(at, _)| *at <= self.now) {
                let answer = self.answers.pop_front();
                let number = answer.map_or(u64::MAX, |(_, number)| number);
                self.stream.returned(number, self.now);
            }
        }
    }

    fn write(&mut self, message: u64) {
        if self.outbox > 0 {
            let number = self.stream.mark_before(self.now, false);
            self.mark(number);
        }
        while self.outbox > 0 {
            if !self.stream.has_room(self.now) {
                self.refused += 1;
                break;
            }
            let bytes = self.outbox.min(message);
            self.outbox -= bytes;
            self.stream.give(bytes);
            self.line.push_back(Chunk {
                bytes,
                mark: None,
                given_at: self.now,
            });
            let number = self.stream.mark_behind(self.now);
            self.mark(number);
        }
        let number = self.stream.mark_behind(self.now);
        self.mark(number);
    }

    fn mark(&mut self, number: Option<u64>) {
        if let Some(number) = number {
            self.marks += 1;
            self.line.push_back(Chunk {
                bytes: 10,
                mark: Some(number),
                given_at: self.now,
            });
        }
    }

    fn carry(&mut self, bps: f64) {
        self.credit = (self.credit + bps / 1000.0).min(bps / 1000.0 + 12_000.0);
        while let Some(chunk) = self.line.front() {
            let bits = chunk.bytes as f64 * 8.0;
            if bits > self.credit {
                return;
            }
            self.credit -= bits;
            self.carried += chunk.bytes;
            self.waits.push(self.now - chunk.given_at);
            if self.random.random::<f64>() < self.loss {
                // Noticed after a round trip and a little, arrives after half a one.
                self.held_until = self.now + 3 * DELAY + 5 * MS;
            }
            if let Some(number) = chunk.mark {
                let arrival = (self.now + DELAY).max(self.held_until);
                self.answers.push_back((arrival + DELAY, number));
            }
            self.line.pop_front();
        }
        self.credit = self.credit.min(bps / 1000.0);
    }

    fn wait_p95(&mut self) -> Duration {
        self.waits.sort();
        self.waits[self.waits.len() * 95 / 100]
    }

    fn used(&self, seconds: u64, bps: f64) -> f64 {
        self.carried as f64 * 8.0 / (bps * seconds as f64)
    }
}

#[test]
fn nothing_is_limited_while_marks_come_back_quickly() {
    let mut simulation = Simulation::new();
    simulation.run(3, 20e6, 30, 2_000);
    simulation.run(20, 20e6, 30, 2_000);
    assert_eq!(simulation.refused, 0);
    // 60 kB a second.
    assert!(simulation.marks <= 22, "{} marks in 20 s", simulation.marks);
    assert_eq!(simulation.stream.path_rate(), None);
}

#[test]
fn a_line_that_becomes_narrow_is_used_without_a_queue() {
    for rate in [150e3, 300e3, 1e6, 3e6] {
        let mut simulation = Simulation::new();
        let picture = (rate * 1.5 / 30.0 / 8.0) as u64;
        simulation.run(10, 20e6, 30, picture);
        simulation.run(6, rate, 30, picture);
        simulation.run(20, rate, 30, picture);
        let (wait, used) = (simulation.wait_p95(), simulation.used(20, rate));
        assert!(wait < 110 * MS, "{rate}: {wait:?}");
        assert!(used > 0.85, "{rate}: {used}");
    }
}

#[test]
fn a_line_that_becomes_wide_again_is_used_again() {
    let mut simulation = Simulation::new();
    simulation.run(5, 20e6, 30, 5_000);
    simulation.run(10, 300e3, 30, 5_000);
    assert!(simulation.refused > 0);
    simulation.run(3, 20e6, 30, 5_000);
    simulation.run(12, 20e6, 30, 5_000);
    assert_eq!(simulation.refused, 0);
    assert!(simulation.used(12, 30.0 * 5_000.0 * 8.0) > 0.99);
    simulation.run(1, 20e6, 30, 5_000);
    assert_eq!(simulation.stream.path_rate(), None, "no bound is left");
}

#[test]
fn what_loss_holds_up_is_no_queue() {
    for loss in [0.02, 0.05] {
        let mut simulation = Simulation::new();
        simulation.run(5, 20e6, 30, 2_000);
        simulation.loss = loss;
        simulation.run(30, 20e6, 30, 2_000);
        let refused = simulation.refused;
        assert!(refused < 300, "no room for {refused} ms of 30 s at {loss}");
    }
}

#[test]
fn a_bound_that_was_taken_in_vain_is_soon_given_up() {
    let mut simulation = Simulation::new();
    simulation.run(5, 20e6, 30, 2_000);
    simulation.run(4, 200e3, 30, 2_000);
    assert!(simulation.stream.path_rate().is_some());
    simulation.run(4, 20e6, 30, 2_000);
    assert_eq!(simulation.stream.path_rate(), None);
}

#[test]
fn one_late_mark_is_no_queue() {
    let now = Instant::now();
    let mut stream = Stream::new(now);
    let mut at = now;
    for round in 0..20 {
        stream.give(1000);
        at += SUSPICIOUS_INTERVAL;
        let number = stream.mark_before(at, false).unwrap_or_default();
        // A packet that was lost and sent once more.
        let trip = if round % 2 == 0 { 50 * MS } else { 220 * MS };
        stream.returned(number, at + trip);
        at += WATCH_INTERVAL;
    }
    assert!(stream.bound.is_none());
}

proptest! {
    /// Whatever comes back, and whenever: who is not given room has a mark on its way, for else there never
    /// would be room again.
    #[test]
    fn room_comes_back(steps in prop::collection::vec((0_u64..300, 0_u64..20_000, prop::option::of(0_u64..40)), 1..300)) {
        let mut now = Instant::now();
        let mut stream = Stream::new(now);
        for (milliseconds, bytes, answer) in steps {
            now += Duration::from_millis(milliseconds);
            if let Some(number) = answer {
                stream.returned(number, now);
            }
            stream.mark_before(now, false);
            if stream.has_room(now) {
                stream.give(bytes);
            }
            stream.mark_behind(now);
            prop_assert!(stream.has_room(now) || !stream.marks.is_empty());
            prop_assert!(stream.marks.len() <= MOST_MARKS);
        }
    }
}
