//! A path with a bottleneck: a queue that is filled, a rate, a delay, jitter, loss; and above it what a
//! transport does: datagrams that get lost, streams in order whose parts are sent again, or one stream for all.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use videocall_client::{Lane, OutgoingPacket};
use videocall_types::Timestamp;

/// Payload of a QUIC packet, and what is around it on the wire.
const SEGMENT: usize = 1200;
const OVERHEAD: usize = 60;

/// What the queue of the bottleneck holds, of time.
const QUEUE: Duration = Duration::from_millis(500);

/// What a transport takes of one lane before it is not ready any more (see `driver::Connection`).
const LANE_BYTES: usize = 64 * 1024;

/// The congestion window at first and at least (RFC 9002 §7.2), and what an overflow leaves of it. As with
/// controllers for media, loss alone does not shrink it.
const FIRST_WINDOW: usize = 10 * SEGMENT;
const LEAST_WINDOW: usize = 4 * SEGMENT;
const AFTER_OVERFLOW: f64 = 0.7;

/// What a browser's WebSocket holds before no more pictures, and no more at all, are given to it, besides
/// what the system's socket holds: twice the window, as systems tune it.
const SOCKET_BYTES_FOR_PICTURES: usize = 32 * 1024;
const SOCKET_BYTES: usize = 128 * 1024;

/// What carries packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Datagrams for sound, a stream for each other lane.
    WebTransport,
    /// One stream: what is lost holds up everything behind it, and is taken for congestion (RFC 5681 §3.2).
    WebSocket,
}

/// How a path is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) bits_per_second: f64,
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    /// Share of the packets that get lost.
    pub(crate) loss: f64,
    /// Packets that get lost in a row on average (Gilbert's model); 1 where losses know nothing of each other.
    pub(crate) burst: f64,
    pub(crate) up: bool,
}

impl Path {
    pub(crate) const fn of(bits_per_second: f64) -> Self {
        Self {
            bits_per_second,
            delay: Duration::from_millis(25),
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: 1.0,
            up: true,
        }
    }
}

/// A QUIC packet.
#[derive(Clone, Debug)]
struct Segment {
    lane: Lane,
    /// Counts the segments of a lane's stream; datagrams have none.
    number: Option<u64>,
    bytes: usize,
    queued_at: Timestamp,
    /// The packet that is complete with it.
    completes: Option<Bytes>,
}

#[derive(Debug, Default)]
struct Stream {
    next_number: u64,
    next_expected: u64,
    unacknowledged: usize,
    waiting: BTreeMap<u64, Segment>,
}

/// The path and the transport on it.
pub(crate) struct Link {
    pub(crate) path: Path,
    carrier: Carrier,
    rng: StdRng,
    /// The packet before was lost.
    losing: bool,
    streams: BTreeMap<Lane, Stream>,
    queue: VecDeque<Segment>,
    queued_bytes: usize,
    /// What the transport holds back: the window is used up.
    held: VecDeque<Segment>,
    in_flight: usize,
    window: usize,
    slow_start: bool,
    shrunk_at: Timestamp,
    /// When the bottleneck has sent what it sends now.
    free_at: Timestamp,
    /// On their way behind the bottleneck, and what is sent again and when.
    arriving: BTreeMap<(Timestamp, u64), Segment>,
    again: BTreeMap<(Timestamp, u64), Segment>,
    count: u64,
    /// How long each packet waited in the bottleneck, and how much it has carried.
    pub(crate) waits: Vec<Duration>,
    pub(crate) carried_bytes: usize,
}

impl Link {
    pub(crate) fn new(path: Path, carrier: Carrier, seed: u64, now: Timestamp) -> Self {
        Self {
            path,
            carrier,
            rng: StdRng::seed_from_u64(seed),
            losing: false,
            streams: BTreeMap::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            held: VecDeque::new(),
            in_flight: 0,
            window: FIRST_WINDOW,
            slow_start: true,
            shrunk_at: now,
            free_at: now,
            arriving: BTreeMap::new(),
            again: BTreeMap::new(),
            count: 0,
            waits: Vec::new(),
            carried_bytes: 0,
        }
    }

    pub(crate) fn is_ready(&self, lane: Lane) -> bool {
        let unacknowledged = |lane| self.streams.get(&lane).map_or(0, |stream| stream.unacknowledged);
        match (self.carrier, lane) {
            (Carrier::WebTransport, lane) => unacknowledged(lane) < LANE_BYTES,
            (Carrier::WebSocket, Lane::Video(..)) => {
                unacknowledged(Lane::Control) < self.window * 2 + SOCKET_BYTES_FOR_PICTURES
            }
            (Carrier::WebSocket, _) => unacknowledged(Lane::Control) < self.window * 2 + SOCKET_BYTES,
        }
    }

    pub(crate) fn send(&mut self, packet: OutgoingPacket, now: Timestamp) {
        let total = packet.packet.len().max(1);
        let lane = match self.carrier {
            Carrier::WebTransport => packet.lane,
            Carrier::WebSocket => Lane::Control,
        };
        if packet.supersedes && self.carrier == Carrier::WebTransport {
            // The stream is reset.
            self.streams.remove(&lane);
            for waiting in [&mut self.queue, &mut self.held] {
                waiting.retain(|segment| segment.lane != lane);
            }
            self.again.retain(|_, segment| segment.lane != lane);
            self.arriving.retain(|_, segment| segment.lane != lane);
            self.count_in_flight();
        }
        let parts = total.div_ceil(SEGMENT);
        for part in 0..parts {
            let bytes = (total - part * SEGMENT).min(SEGMENT) + OVERHEAD;
            let number = (lane != Lane::Audio).then(|| {
                let stream = self.streams.entry(lane).or_default();
                stream.next_number += 1;
                stream.unacknowledged += bytes;
                stream.next_number - 1
            });
            let segment = Segment {
                lane,
                number,
                bytes,
                queued_at: now,
                completes: (part + 1 == parts).then(|| packet.packet.clone()),
            };
            if lane == Lane::Audio {
                // Datagrams leave before streams.
                let first = self
                    .held
                    .iter()
                    .take_while(|held| held.lane == Lane::Audio)
                    .count();
                self.held.insert(first, segment);
            } else {
                self.held.push_back(segment);
            }
        }
        self.pump(now);
    }

    /// How long what comes now has to wait in the bottleneck.
    pub(crate) fn queue(&self) -> Duration {
        Duration::from_secs_f64(self.queued_bytes as f64 * 8.0 / self.path.bits_per_second)
    }

    fn pump(&mut self, now: Timestamp) {
        while self.in_flight < self.window
            && let Some(segment) = self.held.pop_front()
        {
            self.in_flight += segment.bytes;
            self.enqueue(segment, now);
        }
    }

    /// RFC 9002 §7.3, as far as the window is used.
    fn grow(&mut self, bytes: usize) {
        if self.in_flight * 2 >= self.window {
            self.window += if self.slow_start {
                bytes
            } else {
                SEGMENT * bytes / self.window
            };
        }
    }

    fn shrink(&mut self, now: Timestamp) {
        // Once for each window (RFC 5681 §3.2).
        if now.since(self.shrunk_at) > self.path.delay * 2 + self.queue() {
            self.shrunk_at = now;
            self.slow_start = false;
            self.window = ((self.window as f64 * AFTER_OVERFLOW) as usize).max(LEAST_WINDOW);
        }
    }

    /// Another connection: nothing of the one before is on its way any more.
    pub(crate) fn reset(&mut self) {
        self.streams.clear();
        self.queue.clear();
        self.held.clear();
        self.again.clear();
        self.arriving.clear();
        self.window = FIRST_WINDOW;
        self.slow_start = true;
        self.count_in_flight();
    }

    fn count_in_flight(&mut self) {
        let waiting = self
            .queue
            .iter()
            .chain(self.again.values())
            .chain(self.arriving.values());
        self.in_flight = waiting.map(|segment| segment.bytes).sum();
        self.queued_bytes = self.queue.iter().map(|segment| segment.bytes).sum();
    }

    fn enqueue(&mut self, segment: Segment, now: Timestamp) {
        let room = self.path.bits_per_second / 8.0 * QUEUE.as_secs_f64();
        if (self.queued_bytes + segment.bytes) as f64 > room.max(3000.0) {
            self.shrink(now);
            self.lost(segment, now);
            return;
        }
        self.queued_bytes += segment.bytes;
        self.queue.push_back(Segment {
            queued_at: now,
            ..segment
        });
    }

    /// A datagram is gone, a part of a stream is sent again after a round trip and a little.
    fn lost(&mut self, segment: Segment, now: Timestamp) {
        if segment.number.is_none() {
            self.in_flight -= segment.bytes;
            return;
        }
        let at = now + self.path.delay * 2 + Duration::from_millis(10);
        self.count += 1;
        self.again.insert((at, self.count), segment);
    }

    /// What arrives up to now, in order within a stream.
    pub(crate) fn advance(&mut self, now: Timestamp) -> Vec<Bytes> {
        while let Some(entry) = self.again.first_entry().filter(|entry| entry.key().0 <= now) {
            let segment = entry.remove();
            self.enqueue(segment, now);
        }
        if self.path.up {
            self.drain(now);
        } else {
            self.free_at = now;
        }
        let mut complete = Vec::new();
        while let Some(entry) = self.arriving.first_entry().filter(|entry| entry.key().0 <= now) {
            let segment = entry.remove();
            self.in_flight -= segment.bytes;
            self.grow(segment.bytes);
            self.deliver(segment, &mut complete);
        }
        self.pump(now);
        complete
    }

    fn drain(&mut self, now: Timestamp) {
        while self.free_at <= now
            && let Some(segment) = self.queue.pop_front()
        {
            self.queued_bytes -= segment.bytes;
            let begins = self.free_at.max(segment.queued_at);
            self.waits.push(begins.since(segment.queued_at));
            self.carried_bytes += segment.bytes;
            let takes = segment.bytes as f64 * 8.0 / self.path.bits_per_second;
            self.free_at = begins + Duration::from_secs_f64(takes);
            if self.loses() {
                if self.carrier == Carrier::WebSocket {
                    self.shrink(now);
                }
                self.lost(segment, begins);
                continue;
            }
            let jitter = self.path.jitter.mul_f64(self.rng.random::<f64>());
            self.count += 1;
            let at = self.free_at + self.path.delay + jitter;
            self.arriving.insert((at, self.count), segment);
        }
    }

    /// Gilbert's model of a channel with bursts of errors (1960), with everything lost in its bad state.
    fn loses(&mut self) -> bool {
        let Path { loss, burst, .. } = self.path;
        let chance = match self.losing {
            _ if burst <= 1.0 => loss,
            true => 1.0 - 1.0 / burst,
            false => loss / (burst * (1.0 - loss)),
        };
        self.losing = self.rng.random_bool(chance);
        self.losing
    }

    fn deliver(&mut self, segment: Segment, complete: &mut Vec<Bytes>) {
        let Some(number) = segment.number else {
            complete.extend(segment.completes);
            return;
        };
        let Some(stream) = self.streams.get_mut(&segment.lane) else {
            return;
        };
        stream.unacknowledged = stream.unacknowledged.saturating_sub(segment.bytes);
        stream.waiting.insert(number, segment);
        while let Some(next) = stream.waiting.remove(&stream.next_expected) {
            stream.next_expected += 1;
            complete.extend(next.completes);
        }
    }

    /// Evenly from 0 up to, but not including, 1.
    pub(crate) fn chance(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / 4_294_967_296.0
    }
}
