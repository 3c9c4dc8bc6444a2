//! The window.

mod quinn;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ack_delay::{AckDelay, Sample};
use crate::competition::Competition;
use crate::delay::Delay;
use crate::delivery::Delivery;
use crate::loss::LossMeter;

/// The standing queue that is aimed at. It keeps the line busy from one acknowledgement to the next
/// and leaves room below what a conversation notices.
const AIM: Duration = Duration::from_millis(35);

/// A queue that is so many times as long in spite of sending less is not this sender's alone.
const CROWDED: u32 = 2;

/// By how much the window grows within a round trip on an empty path: from 0.5 to 3 Mbit/s in half a
/// second.
const GROWTH: f64 = 0.25;

/// Near the window that was last found right it grows by this part of that at least, and by all of it
/// from a distance of a quarter on (the inflection point of draft-johansson-ccwg-rfc8298bis-screamv2
/// §4.2.2.1).
const CAUTION: f64 = 0.2;
const CAUTIOUS_DISTANCE: f64 = 0.25;

/// And by how many packets in any case, so that flows that share a path come to share it evenly.
const STEADY_GROWTH_PACKETS: f64 = 0.125;

/// Of an explicit mark by the network (RFC 8298 §4.1.2.1, `BETA_ECN`).
const AFTER_MARK: f64 = 0.8;

/// Of loss among competitors that fill the queue (RFC 8298 §4.1.2.1, `BETA_LOSS`), and by how many
/// packets the window grows within a round trip there. Together they get what is measured in
/// `tests/goals.rs` beside CUBIC.
const AFTER_LOSS: f64 = 0.8;
const COMPETING_GROWTH_PACKETS: f64 = 2.0;

/// More than this part being lost is congestion, whatever the delay says. Below it the window grows
/// the less the more is lost.
const MAX_LOSS: f64 = 0.15;

/// Nothing is concluded of the loss of fewer packets.
const LOSS_EVIDENCE_PACKETS: u64 = 20;

/// The least window: quinn sends while less than the window would be on its way, so that this is one
/// full packet.
const MIN_PACKETS: u64 = 2;

/// After so many acknowledgements in a row of a packet that was alone on its way, what is above the base may be what the
/// packet itself takes on a line that has become slow, longer than any queue should be.
const ALONE: u32 = 4;

/// RFC 9002 §7.2.
const INITIAL_PACKETS: u64 = 10;

/// The window is at most this many times what has really been on its way lately, for a burst of
/// pictures to pass without inviting more than the path has been seen to carry (RFC 7661 §4.4).
const HEADROOM: f64 = 2.0;

/// How long that is remembered, half of it at least.
const USE_SPAN: Duration = Duration::from_secs(10);

/// The queue is let run empty when it has not been for as long as this.
const DRAIN_INTERVAL: Duration = Duration::from_secs(5);

/// More rarely beside competitors, who take what is left to them.
const COMPETING_DRAIN_INTERVAL: Duration = Duration::from_secs(8);

/// Of what the path itself holds, this remains on its way meanwhile.
const DRAINED: f64 = 0.5;

/// And no longer than this.
const LONGEST_DRAIN: Duration = Duration::from_secs(2);

/// Settings of [`Media`], and what quinn makes one from for each path.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    max_window: u64,
}

impl MediaConfig {
    /// The largest window in bytes.
    pub fn max_window(&mut self, bytes: u64) -> &mut Self {
        self.max_window = bytes;
        self
    }
}

impl Default for MediaConfig {
    /// 8 MiB: 300 Mbit/s at 200 ms.
    fn default() -> Self {
        Self {
            max_window: 8 * 1024 * 1024,
        }
    }
}

/// A congestion controller that keeps the queue short; see the crate's documentation.
#[derive(Clone, Debug)]
pub struct Media {
    config: Arc<MediaConfig>,
    mtu: u64,
    /// Bytes; between [`Media::min_window`] and the largest.
    window: f64,
    /// Doubling each round trip, until the path shows a queue.
    starting: bool,
    /// The window that was right when there last was too long a queue.
    settled: f64,
    delay: Delay,
    ack_delay: AckDelay,
    delivery: Delivery,
    loss: LossMeter,
    competition: Competition,
    drain: Option<Drain>,
    usage: Usage,
    smoothed: Duration,
    batch: Option<Batch>,
    /// When the newest acknowledged packet was sent.
    newest: Option<Instant>,
    /// Acknowledgements in a row, while the window was the least, of a packet that was alone.
    alone: u32,
    /// What the line carried when there last was far too long a queue, bytes per second, until that has been used.
    saturated: Option<f64>,
    /// A packet that is sent later ends the round trip.
    round_began: Instant,
    /// Losses and marks of packets that were sent before are answered already.
    answered_at: Instant,
}

/// Packets that are being acknowledged together.
#[derive(Clone, Copy, Debug)]
struct Batch {
    acknowledged: u64,
    /// The one that was sent last: when, and its bytes.
    sent: Instant,
    bytes: u64,
}

/// A time in which less is sent, so that the queue runs empty.
#[derive(Clone, Copy, Debug)]
struct Drain {
    began: Instant,
    window: f64,
    /// How long the queue was then.
    queue: Duration,
}

/// How much has been on its way at most.
#[derive(Clone, Copy, Debug)]
struct Usage {
    in_flight: u64,
    this_round: u64,
    last_round: u64,
    this_span: u64,
    last_span: u64,
    span_began: Instant,
}

impl Usage {
    const fn new(now: Instant) -> Self {
        Self {
            in_flight: 0,
            this_round: 0,
            last_round: 0,
            this_span: 0,
            last_span: 0,
            span_began: now,
        }
    }

    fn set(&mut self, in_flight: u64) {
        self.in_flight = in_flight;
        self.this_round = self.this_round.max(in_flight);
        self.this_span = self.this_span.max(in_flight);
    }

    fn round(&mut self, now: Instant) {
        self.last_round = self.this_round;
        self.this_round = self.in_flight;
        if now.saturating_duration_since(self.span_began) >= USE_SPAN {
            self.last_span = self.this_span;
            self.this_span = self.last_round;
            self.span_began = now;
        }
    }

    /// The most within this round trip and the last.
    const fn lately(&self) -> u64 {
        if self.this_round > self.last_round {
            self.this_round
        } else {
            self.last_round
        }
    }

    const fn in_span(&self) -> u64 {
        if self.this_span > self.last_span {
            self.this_span
        } else {
            self.last_span
        }
    }
}

/// What one acknowledgement says.
struct Signal {
    now: Instant,
    acknowledged: u64,
    /// The standing queue.
    queue: Duration,
    /// Bytes, within the packet's round trip, and how long that was.
    delivered: u64,
    round_trip: Duration,
}

impl Signal {
    /// From 1 for an empty queue to 0 for one that is as long as it should be.
    fn missing(&self) -> f64 {
        (1.0 - self.queue.as_secs_f64() / AIM.as_secs_f64()).max(0.0)
    }

    fn too_long(&self) -> bool {
        self.queue > AIM
    }

    fn crowded(&self) -> bool {
        self.queue > AIM * CROWDED
    }
}

impl Media {
    /// A controller of a path of which nothing is known.
    pub fn new(config: Arc<MediaConfig>, now: Instant, current_mtu: u16) -> Self {
        let mut media = Self {
            config,
            mtu: u64::from(current_mtu).max(1),
            window: 0.0,
            starting: true,
            settled: 0.0,
            delay: Delay::default(),
            ack_delay: AckDelay::default(),
            delivery: Delivery::default(),
            loss: LossMeter::default(),
            competition: Competition::default(),
            drain: None,
            usage: Usage::new(now),
            smoothed: Duration::ZERO,
            batch: None,
            newest: None,
            alone: 0,
            saturated: None,
            round_began: now,
            answered_at: now,
        };
        media.set_window(media.initial_bytes() as f64);
        media
    }

    /// A controller of a path of which it is known how long it takes while it is empty, and how many bytes per second
    /// it carries at most.
    pub(crate) fn on_known_path(
        config: Arc<MediaConfig>,
        now: Instant,
        mtu: u16,
        base: Duration,
        rate: f64,
    ) -> Self {
        let mut media = Self::new(config, now, mtu);
        media.starting = false;
        media.settled = rate * (base + AIM).as_secs_f64();
        media.set_window(media.settled);
        media.delay.sample(Sample {
            rtt: base,
            at: now,
            full: true,
        });
        media
    }

    /// The path's rate as far as it is known, bytes per second: the window for a round trip. A path
    /// that is not used to the full has a higher one.
    pub fn path_rate(&self) -> Option<u64> {
        let rate = self.window / self.smoothed.as_secs_f64();
        (!self.smoothed.is_zero()).then_some(rate as u64)
    }

    fn acknowledged(&mut self, now: Instant, sent: Instant, bytes: u64, smoothed: Duration) {
        if self.batch.is_none() {
            self.smoothed = smoothed;
            if let Some(sample) = self.ack_delay.on_ack(self.smoothed) {
                self.delay.sample(sample);
            }
        }
        let first = Batch {
            acknowledged: 0,
            sent,
            bytes,
        };
        let batch = self.batch.get_or_insert(first);
        batch.acknowledged = batch.acknowledged.saturating_add(bytes);
        if sent >= batch.sent {
            batch.sent = sent.min(now);
            batch.bytes = bytes;
        }
        self.delivery.delivered(bytes);
        self.loss.acknowledged(bytes);
    }

    const fn min_window(&self) -> u64 {
        MIN_PACKETS * self.mtu
    }

    fn set_window(&mut self, bytes: f64) {
        let most = self.config.max_window as f64;
        self.window = bytes.min(most).max(self.min_window() as f64);
    }

    /// Whether the window is what limits the sender.
    fn used(&self) -> bool {
        self.usage.lately() as f64 * HEADROOM >= self.window
    }

    fn signal(&mut self, batch: Batch, now: Instant) -> Signal {
        let Batch {
            acknowledged,
            sent,
            bytes,
        } = batch;
        if self.newest.is_none_or(|newest| sent >= newest) {
            self.newest = Some(sent);
            self.ack_delay.sampled(Sample {
                rtt: now.saturating_duration_since(sent),
                at: now,
                full: bytes >= self.mtu / 2,
            });
        }
        Signal {
            now,
            acknowledged,
            queue: self.delay.queue(self.smoothed, now),
            delivered: self.delivery.since(sent),
            round_trip: now.saturating_duration_since(sent),
        }
    }

    /// Notices a line that has become so slow that a packet alone looks like a queue: the base is that of before. No
    /// more is believed than what a packet takes at the rate that was measured, as the queue may be another's.
    fn note_alone(&mut self, signal: &Signal) {
        if signal.crowded() && signal.delivered > 2 * self.mtu {
            self.saturated = Some(signal.delivered as f64 / signal.round_trip.as_secs_f64().max(0.001));
        }
        let alone = self.window <= self.min_window() as f64 && signal.delivered <= self.mtu;
        self.alone = if alone { self.alone + 1 } else { 0 };
        if self.alone < ALONE {
            return;
        }
        self.alone = 0;
        if let Some(rate) = self.saturated.take() {
            let packet = Duration::try_from_secs_f64(self.mtu as f64 / rate).unwrap_or(Duration::MAX);
            self.delay.lengthen(packet.min(signal.queue));
        }
    }

    fn react(&mut self, signal: &Signal) {
        if self.starting {
            if self.delay.latest() > AIM / 2 {
                self.starting = false;
                self.settled = self.window_for(signal);
            } else if self.used() {
                self.set_window(self.window + signal.acknowledged as f64);
            }
        }
        let crowded = signal.crowded();
        let before = self
            .competition
            .observe(crowded, self.window, self.smoothed, signal.now);
        if let Some(before) = before {
            self.set_window(before * AFTER_LOSS);
        }
        self.delay.hold(self.competition.competing());
        if self.competition.competing() {
            self.grow(signal.acknowledged, 0.0, COMPETING_GROWTH_PACKETS);
        } else if signal.too_long() {
            self.settled = self.window_for(signal);
            self.set_window(self.window.min(self.settled));
        } else if !self.starting {
            let part = GROWTH * signal.missing() * self.caution() * self.tolerance();
            self.grow(signal.acknowledged, part, STEADY_GROWTH_PACKETS);
        }
    }

    /// So much is delivered, at the rate of the last round trip, in one with the queue that is aimed
    /// at.
    fn window_for(&self, signal: &Signal) -> f64 {
        let aimed = self.delay.base() + self.ack_delay.average() + AIM;
        let taken = signal.round_trip.max(Duration::from_micros(1));
        let part = aimed.as_secs_f64() / taken.as_secs_f64();
        signal.delivered as f64 * part + STEADY_GROWTH_PACKETS * self.mtu as f64
    }

    /// Within a round trip by this part and so many packets.
    fn grow(&mut self, acknowledged: u64, part: f64, packets: f64) {
        if self.used() {
            let packets = packets * self.mtu as f64 / self.window;
            self.set_window(self.window + acknowledged as f64 * (part + packets));
        }
    }

    /// From 1 far from the window that was right, to less near it.
    fn caution(&self) -> f64 {
        let distance = (self.window - self.settled).abs() / self.settled.max(self.mtu as f64);
        (distance / CAUTIOUS_DISTANCE).powi(2).clamp(CAUTION, 1.0)
    }

    /// From 1 without loss to 0 with as much as is borne.
    fn tolerance(&self) -> f64 {
        (1.0 - self.loss.part(self.loss_evidence()) / MAX_LOSS).max(0.0)
    }

    const fn loss_evidence(&self) -> u64 {
        LOSS_EVIDENCE_PACKETS * self.mtu
    }

    fn round(&mut self, signal: &Signal) {
        let lost = self.loss.part(self.loss_evidence());
        if lost > MAX_LOSS {
            self.starting = false;
            self.set_window(self.window * (1.0 - lost / 2.0));
        }
        self.loss.round();
        self.usage.round(signal.now);
        let most = (self.usage.in_span() as f64 * HEADROOM).max(self.initial_bytes() as f64);
        self.set_window(self.window.min(most));
        self.round_began = signal.now;
        self.drain_round(signal);
    }

    /// Part of what the path holds without a queue.
    fn drained(&self, signal: &Signal) -> f64 {
        let taken = signal.round_trip.max(Duration::from_micros(1)).as_secs_f64();
        signal.delivered as f64 * (self.delay.base().as_secs_f64() / taken).min(1.0) * DRAINED
    }

    const fn drain_interval(&self) -> Duration {
        if self.competition.competing() {
            COMPETING_DRAIN_INTERVAL
        } else {
            DRAIN_INTERVAL
        }
    }

    fn drain_round(&mut self, signal: &Signal) {
        match self.drain {
            Some(drain) => {
                let emptied =
                    self.delay.since_empty(signal.now) < signal.now.saturating_duration_since(drain.began);
                let in_vain = signal.queue > drain.queue / 2;
                let long = signal.now.saturating_duration_since(drain.began) > LONGEST_DRAIN;
                if emptied || in_vain || long {
                    self.drain = None;
                    self.delay.emptied(signal.now);
                }
            }
            None if self.delay.since_empty(signal.now) >= self.drain_interval() && self.used() => {
                let window = self.drained(signal);
                self.drain = Some(Drain {
                    began: signal.now,
                    window: window.min(self.window).max(self.min_window() as f64),
                    queue: signal.queue,
                });
            }
            None => {}
        }
    }

    /// The path has given nothing back for long: what was known of it no longer holds. The first time
    /// it is treated as a new one; then less is sent each time, to the least (RFC 9002 §7.6.2 goes
    /// there at once, where quinn's pacing with a round trip of seconds would let a call wait as long
    /// again).
    fn collapse(&mut self) {
        let new = self.initial_bytes() as f64;
        let again = self.starting && self.window <= new;
        self.set_window(if again {
            self.window / 2.0
        } else {
            self.window.min(new)
        });
        self.starting = true;
        self.drain = None;
        self.competition = Competition::default();
        self.loss = LossMeter::default();
        self.delay.forget_recent();
    }
}

/// What happens to what is sent, in the words of quinn or of [`crate::Stream`].
impl Media {
    /// Bytes that may be on their way.
    pub(crate) fn bytes(&self) -> u64 {
        let window = self
            .drain
            .map_or(self.window, |drain| drain.window.min(self.window));
        (window as u64).max(self.min_window())
    }

    fn initial_bytes(&self) -> u64 {
        (INITIAL_PACKETS * self.mtu)
            .min(self.config.max_window)
            .max(self.min_window())
    }

    /// The path is far from what it could carry: finds out how far.
    pub(crate) fn start_again(&mut self) {
        self.starting = self.drain.is_none();
    }

    /// So many bytes leave.
    pub(crate) fn sending(&mut self, bytes: u64) {
        self.usage.set(self.usage.in_flight.saturating_add(bytes));
    }

    /// So many bytes have arrived, the last of which left at this time; `in_flight` are still on their way.
    pub(crate) fn arrived(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        in_flight: u64,
        smoothed: Duration,
    ) {
        self.acknowledged(now, sent, bytes, smoothed);
        self.end_acknowledged(now, in_flight);
    }

    fn end_acknowledged(&mut self, now: Instant, in_flight: u64) {
        let Some(batch) = self.batch.take() else {
            return;
        };
        self.usage.set(in_flight.saturating_add(batch.acknowledged));
        self.usage.in_flight = in_flight;
        let signal = self.signal(batch, now);
        self.note_alone(&signal);
        if self.drain.is_none() {
            self.react(&signal);
        }
        if batch.sent >= self.round_began {
            self.round(&signal);
        }
        self.delivery.note(self.smoothed, now);
    }

    /// So many bytes of a packet that left at this time were lost, or it was marked, if none were. Congestion persists
    /// when nothing has arrived for long.
    fn lost(&mut self, now: Instant, sent: Instant, persists: bool, lost_bytes: u64) {
        self.usage.in_flight = self.usage.in_flight.saturating_sub(lost_bytes);
        self.loss.lost(lost_bytes);
        let marked = lost_bytes == 0;
        let answers = marked || persists || self.competition.competing();
        if !answers || sent <= self.answered_at {
            return;
        }
        self.answered_at = now;
        if persists {
            self.collapse();
            return;
        }
        self.starting = false;
        self.set_window(self.window * if marked { AFTER_MARK } else { AFTER_LOSS });
    }
}

#[cfg(test)]
mod tests;
