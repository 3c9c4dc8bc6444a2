//! One direction of the path: a queue before a line of a certain rate, then a delay.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// What IPv4 and UDP add to each packet.
const OVERHEAD_BYTES: u64 = 28;

/// Packets that are lost behind the queue, as on a radio link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    None,
    /// Each packet by itself.
    Random(f64),
    /// In runs of this mean length (a Gilbert model), this part of all packets.
    Bursts {
        part: f64,
        length: f64,
    },
}

/// How one direction behaves. Times are since the beginning.
#[derive(Clone, Debug)]
pub(crate) struct LinkSettings {
    /// Bits per second from each time on; at a rate of 0 everything is lost.
    pub(crate) rate: Vec<(Duration, u64)>,
    /// What waits for longer is dropped at its arrival.
    pub(crate) queue: Duration,
    pub(crate) delay: Duration,
    /// Up to so much more delay for each packet; order is kept.
    pub(crate) jitter: Duration,
    pub(crate) loss: Loss,
}

impl LinkSettings {
    pub(crate) fn new(bits_per_second: u64, delay: Duration) -> Self {
        Self {
            rate: vec![(Duration::ZERO, bits_per_second)],
            queue: Duration::from_millis(500),
            delay,
            jitter: Duration::ZERO,
            loss: Loss::None,
        }
    }

    pub(crate) fn rate_at(&self, at: Duration) -> u64 {
        let passed = self.rate.iter().take_while(|(from, _)| *from <= at);
        passed.last().map_or(0, |(_, rate)| *rate)
    }

    /// Bits that the line can carry between two times.
    pub(crate) fn capacity_bits(&self, from: Duration, to: Duration) -> f64 {
        let changes = self
            .rate
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| *at > from && *at < to);
        let mut edges: Vec<Duration> = changes.collect();
        edges.insert(0, from);
        edges.push(to);
        let parts = edges.windows(2);
        parts
            .map(|part| self.rate_at(part[0]) as f64 * (part[1] - part[0]).as_secs_f64())
            .sum()
    }
}

/// A packet on its way.
#[derive(Debug)]
pub(crate) struct Packet<T> {
    pub(crate) flow: usize,
    pub(crate) bytes: usize,
    pub(crate) content: T,
}

/// What became of a packet at the end of the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) at: Duration,
    pub(crate) flow: usize,
    /// With what IP adds.
    pub(crate) bytes: u64,
    /// Time in the queue.
    pub(crate) waited: Duration,
}

/// One direction of the path.
pub(crate) struct Link<T> {
    settings: LinkSettings,
    rng: StdRng,
    queue: VecDeque<(Duration, Packet<T>)>,
    queued_bytes: u64,
    /// When the packet that is on the line has left it.
    serving: Option<(Duration, Packet<T>)>,
    in_burst: bool,
    last_arrival: Duration,
    arriving: VecDeque<(Duration, Packet<T>)>,
    pub(crate) passed: Vec<Passed>,
}

impl<T> Link<T> {
    pub(crate) fn new(settings: LinkSettings, seed: u64) -> Self {
        Self {
            settings,
            rng: StdRng::seed_from_u64(seed),
            queue: VecDeque::new(),
            queued_bytes: 0,
            serving: None,
            in_burst: false,
            last_arrival: Duration::ZERO,
            arriving: VecDeque::new(),
            passed: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, packet: Packet<T>, now: Duration) {
        let rate = self.settings.rate_at(now);
        if rate == 0 {
            return;
        }
        let depth = (rate as f64 / 8.0 * self.settings.queue.as_secs_f64()) as u64;
        let bytes = packet.bytes as u64 + OVERHEAD_BYTES;
        if self.queued_bytes + bytes > depth.max(2 * bytes) {
            return;
        }
        self.queued_bytes += bytes;
        self.queue.push_back((now, packet));
        self.serve(now);
    }

    fn serve(&mut self, now: Duration) {
        if self.serving.is_some() {
            return;
        }
        let rate = self.settings.rate_at(now);
        if rate == 0 {
            self.queue.clear();
            self.queued_bytes = 0;
        }
        if let Some((arrived, packet)) = self.queue.pop_front() {
            let bytes = packet.bytes as u64 + OVERHEAD_BYTES;
            self.queued_bytes -= bytes;
            self.passed.push(Passed {
                at: now,
                flow: packet.flow,
                bytes,
                waited: now - arrived,
            });
            let busy = Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64);
            self.serving = Some((now + busy, packet));
        }
    }

    /// When [`Link::advance`] has something to do.
    pub(crate) fn next(&self) -> Option<Duration> {
        let served = self.serving.as_ref().map(|(at, _)| *at);
        let arrives = self.arriving.front().map(|(at, _)| *at);
        [served, arrives].into_iter().flatten().min()
    }

    /// The next packet that arrives until now.
    pub(crate) fn advance(&mut self, now: Duration) -> Option<Packet<T>> {
        while let Some((done, _)) = &self.serving {
            if *done > now {
                break;
            }
            let done = *done;
            if let Some((_, packet)) = self.serving.take()
                && !self.loses()
            {
                let jitter = self.settings.jitter.mul_f64(self.rng.random::<f64>());
                let arrival = (done + self.settings.delay + jitter).max(self.last_arrival);
                self.last_arrival = arrival;
                self.arriving.push_back((arrival, packet));
            }
            self.serve(done);
        }
        self.serve(now);
        match self.arriving.front() {
            Some((at, _)) if *at <= now => self.arriving.pop_front().map(|(_, packet)| packet),
            _ => None,
        }
    }

    fn loses(&mut self) -> bool {
        match self.settings.loss {
            Loss::None => false,
            Loss::Random(part) => self.rng.random_bool(part),
            Loss::Bursts { part, length } => {
                let leave = 1.0 / length;
                let enter = leave * part / (1.0 - part);
                let change = if self.in_burst { leave } else { enter };
                self.in_burst ^= self.rng.random_bool(change.min(1.0));
                self.in_burst
            }
        }
    }
}
