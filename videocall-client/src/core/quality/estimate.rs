//! How much the path to the relay carries, from what the relay says has arrived.
//!
//! Delay is the signal: a queue that grows says that more is sent than the path carries, long before
//! anything is lost. Loss is none, because carriers send again what was lost and slow down by
//! themselves; what they hold back shows as delay, too.
//!
//! - While a queue stands, what arrives is what the path carries. The rate is that, less what the queue has
//!   above its aim, so that it gets there within half a second or so (SCReAM, RFC 8298 §4.1.2, follows a
//!   target of the queueing delay in proportion, too; draft-ietf-rmcat-gcc-02 §5.5 also cuts relative to what
//!   arrives). The short queue that remains is the probe: when it vanishes, the path has become faster.
//! - No queue at all lets the rate grow by so much that, should it be too much, no more than a bounded
//!   queue comes of it before the sender hears of it (NADA's accelerated ramp-up, RFC 8698 §4.3, equation 5).
//! - Silence of the relay while frames are being sent is an outage: the rate halves and halves again. Afterwards
//!   it begins where it was, less some: the path was away, not slow.
//!
//! Not every delay is a queue of ours: what our own machine is late by is known (`own_delay`), and what does not
//! shrink when less is sent is the way's (`standing`). Nor is every queue seen: the shortest delay may be that of a
//! queue which was never empty, so a path that is full is drained now and then.

use std::time::Duration;

use videocall_types::{FrameHeader, Timestamp};

use super::arrivals::{Arrivals, RATE_WINDOW};
use super::own_delay::OwnDelay;
use super::standing::Standing;

/// Before anything is known. Enough for a small picture of good quality; a second later it is known.
const FIRST_BPS: f64 = 500_000.0;

/// A voice of the least quality and nothing else.
const LEAST_BPS: f64 = 50_000.0;

/// No path that this matters to is faster.
const MOST_BPS: f64 = 50_000_000.0;

/// Queueing delays, seconds. Below the first, the path is idle; the second is aimed at while it is not;
/// above the third for two reports or above the fourth, something has to happen at once: a lost part of a
/// stream holds the rest up for a moment. Noise is added.
const CLEAR: f64 = 0.007;
const AIMED_AT: f64 = 0.014;
const LONG: f64 = 0.060;
const VERY_LONG: f64 = 0.150;

/// Noise of the delay that is accepted as such, seconds.
const MOST_NOISE: f64 = 0.012;

/// Frames that wait this long in our own queue are a long queue, too, seconds. Less is the length of a large frame.
const BACKLOG: f64 = 0.080;

/// What the queue has above its aim is drained within this, seconds. With 0.4 s from cause to effect (the
/// way, a report, filters, encoders that follow) the loop has a phase margin of 50 degrees.
const DRAIN: f64 = 0.6;

/// The rate against what arrives: the least while a queue drains, the most while it is shorter than its aim.
const DEEPEST_CUT: f64 = 0.35;
const HIGHEST_REACH: f64 = 1.04;

/// How far ahead the queue is looked at, seconds: by when a new rate shows in it.
const FORESIGHT: f64 = 0.3;

/// How much of the way to a new rate one report goes, where there is no hurry.
const SMOOTHING: f64 = 0.6;

/// How old news of what has arrived is besides the way, seconds.
const NEWS: f64 = 0.1;

/// Share of what the path was seen to carry that is gone back to at once when the queue has gone.
const KNOWN: f64 = 0.96;

/// When so much more arrives, twice in a row, the path has become faster. A probe for that goes a little beyond.
const FASTER: f64 = 1.045;
const PROBE: f64 = 1.08;
/// So has it when there would be this much of a queue otherwise, seconds, and noise.
const UNSEEN: f64 = 0.020;
/// A probe that has shown nothing after so many reports, and two round trips, goes further with each.
const PROBE_REPORTS: u32 = 6;
const PROBE_GROWTH: f64 = 0.01;

/// The queue that a ramp may cause, seconds (QBOUND), and the time from cause to effect without the path
/// (one report and the filters).
const RAMP_QUEUE: f64 = 0.080;
const RAMP_LATENCY: f64 = 0.2;
const STEEPEST_RAMP: f64 = 0.35;
/// Clear reports before a ramp.
const CLEAR_REPORTS: u32 = 3;
/// Of the rate that must arrive for more to be learnt from it: encoders do not always have
/// something to say.
const USED: f64 = 0.75;
/// Where less arrives, because pictures are easy, the rate grows by this with each report all the same, until everything
/// fits: nothing else would ever show that a larger picture does.
/// More slowly where the path has been full, and beyond what is believed of an unknown path only after so many such
/// reports: encoders that begin are behind for a moment.
const UNUSED_GROWTH: f64 = 1.04;
const UNUSED_CAREFULLY: f64 = 1.01;
const UNUSED_REPORTS: u32 = 8;
const UNUSED_REPORTS_FULL: u32 = 50;

/// Silence of the relay that is an outage, besides a round trip, and how long each step down waits.
const SILENCE: Duration = Duration::from_millis(400);
const SILENCE_STEP: Duration = Duration::from_millis(300);

/// Who looks at the time this much less often than ten times a second sleeps, and hears nothing meanwhile.
const ASLEEP: Duration = Duration::from_millis(250);

/// Who sends nothing for so long hears nothing of the path either: no report comes, whatever came before. From then
/// on the rate grows by the factor with each step, until a small picture has room and tells how things are.
const IDLE: Duration = Duration::from_secs(1);
const IDLE_STEP: Duration = Duration::from_millis(250);
const IDLE_GROWTH: f64 = 1.25;

/// What an outage leaves of the rate.
const AFTER_OUTAGE: f64 = 0.7;

/// The shortest delay is not known to be that of an empty queue on a path that was full from the beginning: now and
/// then, where the queue seems to be empty, this share of what the path carries is sent until less arrives than it
/// carries (BBR's ProbeRTT, draft-ietf-ccwg-bbr-03 §5.3.4, does so for the same reason), or for so long.
const DRAIN_AGAIN: Duration = Duration::from_secs(10);
const DRAINING: f64 = 0.82;
const DRAINED: f64 = 0.93;
/// Reports of a queue before that: less is jitter.
const FULL_REPORTS: u32 = 8;
const LONGEST_DRAIN: Duration = Duration::from_millis(1500);

/// Weight of a report in the loss: an average over some two seconds.
const LOSS_WEIGHT: f64 = 0.05;

/// What the relay has told of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) struct Arrival {
    pub(in crate::core) interval: Duration,
    pub(in crate::core) bytes: u64,
    pub(in crate::core) frames: u32,
    pub(in crate::core) missing: u32,
    /// Growth of the queueing delay, microseconds.
    pub(in crate::core) growth_us: i32,
    /// Round trip to the relay.
    pub(in crate::core) rtt: Duration,
}

/// The estimate. Rates are bits of packets per second, times are seconds.
#[derive(Debug)]
pub(super) struct Estimate {
    rate: f64,
    /// What the relay's reports add up to, and what of it our own machine does not explain.
    reported_queue: f64,
    queue: f64,
    queue_before: f64,
    own_delay: OwnDelay,
    own_before: f64,
    noise: f64,
    backlog: f64,
    arrivals: Arrivals,
    /// What the path carried when it last was full.
    capacity: Option<f64>,
    /// What encoders were asked for, and whether they could do with more.
    asked: f64,
    wants_more: bool,
    /// Reports in a row without a queue, and with one.
    clear_reports: u32,
    full_reports: u32,
    /// Those without one of less than was asked for, and of more than the path was seen to carry.
    unused_reports: u32,
    faster_reports: u32,
    /// The queue that there would be if the path carried no more than it was seen to, seconds.
    unseen_queue: f64,
    /// Growth of the queue, seconds per second, over two reports.
    growth: f64,
    rtt: Duration,
    loss: f64,
    own_drops: u64,
    /// When something was first given to the connection since the last report.
    unheard: Option<Timestamp>,
    /// When something was last sent, or the rate last grew because nothing was.
    sent_at: Option<Timestamp>,
    /// When we last looked whether the relay is silent.
    looked_at: Option<Timestamp>,
    idle: bool,
    reported_at: Option<Timestamp>,
    /// The rate after the last report.
    reported_rate: f64,
    outage: Option<Outage>,
    standing: Option<Standing>,
    drain: Drain,
    /// What arrives is still what was sent at another rate, for so long, seconds.
    unsettled: f64,
    /// How long a long queue has stood, seconds.
    unproven: f64,
}

#[derive(Debug)]
struct Outage {
    rate_before: f64,
    next_step: Timestamp,
    /// A report has come.
    over: bool,
}

/// Whether the queue has been empty.
#[derive(Clone, Copy, Debug)]
enum Drain {
    /// Not lately.
    Due,
    /// Less is sent, until it is.
    Since(Timestamp),
    /// Last then.
    Done(Timestamp),
}

impl Estimate {
    pub(super) fn new() -> Self {
        Self {
            rate: FIRST_BPS,
            reported_queue: 0.0,
            queue: 0.0,
            queue_before: 0.0,
            own_delay: OwnDelay::new(),
            own_before: 0.0,
            noise: 0.0,
            backlog: 0.0,
            arrivals: Arrivals::default(),
            capacity: None,
            asked: FIRST_BPS,
            wants_more: true,
            clear_reports: 0,
            full_reports: 0,
            unused_reports: 0,
            faster_reports: 0,
            unseen_queue: 0.0,
            growth: 0.0,
            rtt: Duration::ZERO,
            loss: 0.0,
            own_drops: 0,
            unheard: None,
            sent_at: None,
            looked_at: None,
            idle: false,
            reported_at: None,
            reported_rate: FIRST_BPS,
            outage: None,
            standing: None,
            drain: Drain::Due,
            unsettled: 0.0,
            unproven: 0.0,
        }
    }

    /// For another path.
    pub(super) fn restart(&mut self) {
        let before = self.reported_rate;
        *self = Self {
            rate: (before * AFTER_OUTAGE).max(FIRST_BPS),
            reported_rate: before,
            loss: self.loss,
            ..Self::new()
        };
    }

    pub(super) fn bits_per_second(&self) -> f64 {
        self.rate
    }

    /// What encoders are asked for with everything around it, and whether they could do with more.
    pub(super) fn asked(&mut self, bits_per_second: f64, wants_more: bool) {
        self.asked = bits_per_second;
        self.wants_more = wants_more;
    }

    /// While a long queue stands or the relay is silent: bytes of pictures that may be on their way, what the path
    /// carries until news of it comes back.
    pub(super) fn allowance(&self) -> Option<usize> {
        let known = self.reported_at.is_some();
        let congested = self.outage.is_some() || self.queue > LONG + 2.0 * self.noise;
        let seconds = self.rtt.as_secs_f64() + NEWS + AIMED_AT;
        (known && congested).then(|| (self.arrivals.arriving().max(LEAST_BPS) * seconds / 8.0) as usize)
    }

    /// Whether the path has shown that it carries no more; until then the rate is only not known to be higher.
    pub(super) fn is_limited(&self) -> bool {
        self.capacity.is_some() || self.outage.is_some()
    }

    /// Share of the frames that get lost on the way, 0 to 1.
    pub(super) fn loss(&self) -> f64 {
        self.loss
    }

    /// A frame has come into the sending queue.
    pub(super) fn captured(&mut self, header: &FrameHeader, bytes: usize, now: Timestamp) {
        self.own_delay
            .note(header.kind.is_audio(), header.capture_time_us, now);
        self.arrivals.encoded(bytes);
    }

    pub(super) fn sent(&mut self, bytes: usize, now: Timestamp) {
        self.unheard.get_or_insert(now);
        self.sent_at = Some(now);
        self.idle = false;
        self.arrivals.sent(bytes);
    }

    /// How long frames wait before they are given to the connection, and how many more were dropped.
    pub(super) fn waited(&mut self, delay: Duration, dropped: u64, now: Timestamp) {
        self.backlog = delay.as_secs_f64();
        self.own_drops = self.own_drops.saturating_add(dropped);
        if self.backlog > BACKLOG && self.outage.is_none() && self.unsettled <= 0.0 {
            self.follow(self.backlog);
        }
        if !self.is_idle(now) {
            self.notice_silence(now);
        }
    }

    pub(super) fn arrived(&mut self, arrival: Arrival, now: Timestamp) {
        let seconds = arrival.interval.as_secs_f64().max(0.001);
        let growth = f64::from(arrival.growth_us) / 1e6;
        self.rtt = arrival.rtt;
        self.queue_before = self.queue;
        self.reported_queue = (self.reported_queue + growth).max(0.0);
        let own = self.own_delay.take().as_secs_f64();
        let growth = growth - (own - std::mem::replace(&mut self.own_before, own));
        self.queue = (self.reported_queue - own).max(0.0);
        self.growth = (self.growth + growth / seconds.max(0.05)) / 2.0;
        self.arrivals.reported(seconds, arrival.bytes);
        self.unsettled -= seconds;
        self.unproven = if self.queue > LONG {
            self.unproven + seconds
        } else {
            0.0
        };
        self.note_loss(&arrival);
        self.reported_at = Some(now);
        self.unheard = None;
        let queue = self.queue;
        if queue < LONG {
            // Half of the change is the noise of the report before.
            self.noise += (growth.abs() / 2.0 - self.noise) * 0.1;
            self.noise = self.noise.min(MOST_NOISE);
        }
        let clear = queue.min(self.queue_before) < CLEAR + 2.0 * self.noise;
        if clear {
            self.clear_reports += 1;
        } else {
            (self.clear_reports, self.unseen_queue) = (0, 0.0);
        }
        if let Some(outage) = &mut self.outage {
            outage.over = true;
            self.leave_outage();
        } else if clear {
            self.reach(seconds);
        } else {
            self.follow(queue);
        }
        self.drain(clear, now);
        self.notice_longer_path(now);
        self.rate = self.rate.clamp(LEAST_BPS, MOST_BPS);
        tracing::trace!(
            rate = self.rate as u64,
            asked = self.asked as u64,
            arriving = self.arrivals.arriving() as u64,
            capacity = self.capacity.map(|capacity| capacity as u64),
            queue_ms = (self.queue * 1e3) as u64,
            own_ms = (self.own_before * 1e3) as u64,
            noise_ms = (self.noise * 1e3) as u64,
            outage = self.outage.is_some(),
            "the path"
        );
        if self.outage.is_none() {
            self.reported_rate = self.rate;
        }
    }

    /// What we dropped ourselves has a number and is missing, too, but not lost.
    fn note_loss(&mut self, arrival: &Arrival) {
        let own = u64::from(arrival.missing).min(self.own_drops);
        self.own_drops -= own;
        let lost = f64::from(arrival.missing) - own as f64;
        let share = lost / (lost + f64::from(arrival.frames)).max(1.0);
        self.loss += (share - self.loss) * LOSS_WEIGHT;
    }

    /// Enough of the rate is used for the delay to say something about it.
    fn is_used(&self) -> bool {
        self.arrivals.arriving() >= self.rate.min(self.asked) * USED
    }

    /// Encoders give as much as was asked for.
    fn is_filled(&self) -> bool {
        self.arrivals.encoding() >= self.rate.min(self.asked) * USED
    }

    /// A queue stands.
    fn follow(&mut self, queue: f64) {
        let lasting = queue.min(self.queue_before);
        let urgent = lasting > LONG + 2.0 * self.noise || queue > VERY_LONG;
        if urgent && !self.is_filled() && self.unproven < self.settling_time() {
            // Encoders with little to say send less than they may. A moment without network is not their fault; a
            // queue that lasts is.
            return;
        }
        if !urgent && (!self.is_used() || self.unsettled > 0.0) {
            return;
        }
        let arriving = self.arrivals.arriving();
        let known = self.capacity.unwrap_or(arriving);
        // Upwards slowly: what was held up by a lost part arrives all at once.
        let weight = if arriving < known { SMOOTHING } else { 0.1 };
        self.capacity = Some(known + (arriving - known) * weight);
        let ahead = (lasting + self.growth * FORESIGHT).max(0.0);
        let above = ahead - AIMED_AT - self.noise;
        let wanted = arriving * (1.0 - above / DRAIN).clamp(DEEPEST_CUT, HIGHEST_REACH);
        if urgent {
            self.rate = self.rate.min(wanted);
        } else {
            self.rate += (wanted - self.rate) * SMOOTHING;
        }
    }

    /// No queue stands.
    fn reach(&mut self, seconds: f64) {
        if let Some(capacity) = self.capacity {
            self.rate = self.rate.max(capacity * KNOWN);
        }
        let above = self
            .capacity
            .map_or(0.0, |capacity| self.arrivals.arriving() / capacity - 1.0);
        self.unseen_queue = (self.unseen_queue + above * seconds).max(0.0);
        if self.clear_reports < CLEAR_REPORTS || !self.wants_more {
            return;
        }
        if !self.is_used() {
            self.unused_reports += 1;
            let (growth, patience) = match self.capacity {
                None => (UNUSED_GROWTH, UNUSED_REPORTS),
                Some(_) => (UNUSED_CAREFULLY, UNUSED_REPORTS_FULL),
            };
            if self.rate < FIRST_BPS || self.unused_reports > patience {
                self.rate *= growth;
            }
            return;
        }
        self.unused_reports = 0;
        let faster = self
            .capacity
            .is_some_and(|capacity| self.arrivals.arriving() > capacity * FASTER);
        self.faster_reports = if faster { self.faster_reports + 1 } else { 0 };
        if self.faster_reports >= 2 || self.unseen_queue > UNSEEN + self.noise {
            self.capacity = None;
        }
        let latency = self.rtt.as_secs_f64() + RAMP_LATENCY;
        let step = (RAMP_QUEUE / latency).min(STEEPEST_RAMP);
        let wanted = match self.capacity {
            Some(capacity) => {
                // Encoders that fall short of their targets must not keep a probe from reaching anything.
                let heard = f64::from(PROBE_REPORTS) + 2.0 * self.rtt.as_secs_f64() / NEWS;
                let patient = (f64::from(self.clear_reports) - heard).max(0.0);
                capacity * (PROBE + PROBE_GROWTH * patient)
            }
            None => self.arrivals.arriving() * (1.0 + step),
        };
        self.rate = self.rate.max(wanted);
        if self.asked < self.rate * USED {
            // Nothing between what is asked for and the next better thing: what it takes is found
            // out by asking for it.
            self.rate *= 1.0
                + if self.capacity.is_some() {
                    step / 60.0
                } else {
                    step / 3.0
                };
        }
    }

    /// Nothing is being sent. What was known of the path is forgotten step by step.
    fn is_idle(&mut self, now: Timestamp) -> bool {
        let patience = if self.idle { IDLE_STEP } else { IDLE };
        let Some(since) = self.sent_at else { return false };
        if now.since(since) < patience {
            return self.idle;
        }
        self.idle = true;
        self.sent_at = Some(now);
        self.unheard = None;
        self.outage = None;
        self.standing = None;
        self.arrivals.clear();
        self.reported_queue = 0.0;
        (self.queue, self.queue_before, self.growth) = (0.0, 0.0, 0.0);
        if self.rate < FIRST_BPS {
            self.rate = (self.rate * IDLE_GROWTH).min(FIRST_BPS);
        }
        true
    }

    fn notice_silence(&mut self, now: Timestamp) {
        let looked_at = self.looked_at.replace(now);
        if looked_at.is_some_and(|looked_at| now.since(looked_at) > ASLEEP) {
            // What was told meanwhile is read next.
            self.unheard = self.unheard.map(|_| now);
        }
        let Some((unheard, _)) = self.unheard.zip(self.reported_at) else {
            return;
        };
        let patience = SILENCE + self.rtt;
        let silent = now.since(unheard) >= patience;
        match &mut self.outage {
            Some(outage) if now >= outage.next_step && (silent || !outage.over) => {
                outage.next_step = now + SILENCE_STEP;
                outage.over = false;
                self.rate = (self.rate / 2.0).max(LEAST_BPS);
            }
            Some(_) => {}
            None if silent => {
                self.outage = Some(Outage {
                    rate_before: self.reported_rate,
                    next_step: now + SILENCE_STEP,
                    over: false,
                });
                self.rate = (self.rate / 2.0).max(LEAST_BPS);
            }
            None => {}
        }
    }

    /// What was held up has arrived.
    fn leave_outage(&mut self) {
        if self.queue > AIMED_AT + self.noise || self.backlog > BACKLOG {
            return;
        }
        if let Some(outage) = self.outage.take() {
            self.rate = self.rate.max(outage.rate_before * AFTER_OUTAGE);
        }
    }

    /// Sends less than the path carries while it is not known what its delay is without a queue.
    fn drain(&mut self, clear: bool, now: Timestamp) {
        let full_reports = self.full_reports;
        self.full_reports = if clear { 0 } else { full_reports + 1 };
        let Some(capacity) = self.capacity.filter(|_| self.outage.is_none()) else {
            self.drain = Drain::Due;
            return;
        };
        match self.drain {
            Drain::Done(at) if now.since(at) >= DRAIN_AGAIN => self.drain = Drain::Due,
            Drain::Due if clear && self.wants_more && full_reports >= FULL_REPORTS => {
                self.drain = Drain::Since(now)
            }
            _ => {}
        }
        if let Drain::Since(since) = self.drain {
            if !clear || now.since(since) >= LONGEST_DRAIN || self.arrivals.arriving() < capacity * DRAINED {
                self.drain = Drain::Done(now);
                self.clear_reports = 0;
                self.unsettled = self.settling_time();
            } else {
                self.rate = self.rate.min(capacity * DRAINING);
            }
        }
    }

    /// Until what arrives is what the rate now lets be sent.
    fn settling_time(&self) -> f64 {
        RATE_WINDOW + NEWS + self.rtt.as_secs_f64()
    }

    fn notice_longer_path(&mut self, now: Timestamp) {
        if self.queue <= AIMED_AT + 2.0 * self.noise {
            self.standing = None;
            return;
        }
        let (queue, rate, recent) = (self.queue, self.reported_rate, self.arrivals.recent());
        let standing = self
            .standing
            .get_or_insert_with(|| Standing::new(queue, rate, now));
        if let Some(rate) = standing.note(queue, recent, now) {
            self.standing = None;
            self.reported_queue = 0.0;
            self.queue = 0.0;
            self.capacity = None;
            self.rate = self.rate.max(rate);
            self.unsettled = self.settling_time();
        }
    }
}

#[cfg(test)]
mod tests {
    use videocall_types::{SessionId, TrackId, TrackKind};

    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    /// A program without sound that was stopped for a while: its last frames are never reported, because reports go
    /// with later frames.
    #[test]
    fn who_sends_nothing_does_not_hold_the_path_to_be_bad_for_ever() {
        let mut estimate = Estimate::new();
        let mut now = Timestamp::from_micros(1_000_000);
        let arrival = Arrival {
            interval: TICK,
            bytes: 6_000,
            frames: 3,
            missing: 0,
            growth_us: 0,
            rtt: Duration::from_millis(2),
        };
        for _ in 0..10 {
            estimate.sent(6_000, now);
            now += TICK;
            estimate.arrived(arrival, now);
            estimate.waited(Duration::ZERO, 0, now);
        }
        for _ in 0..20 {
            estimate.sent(1_000, now);
            now += TICK;
            estimate.waited(Duration::ZERO, 0, now);
        }
        assert!(estimate.bits_per_second() < 2.0 * LEAST_BPS, "an outage");
        let silent_since = now;
        while estimate.bits_per_second() < FIRST_BPS {
            now += TICK;
            estimate.waited(Duration::ZERO, 0, now);
            assert!(now.since(silent_since) < Duration::from_secs(5), "{estimate:?}");
        }
        assert_eq!(estimate.allowance(), None);
    }

    fn header(captured: Timestamp) -> FrameHeader {
        FrameHeader {
            capture_time_us: captured.as_micros(),
            duration_us: 20_000,
            ..FrameHeader::first(
                SessionId::new(1).expect("not zero"),
                TrackId(1),
                TrackKind::Microphone,
            )
        }
    }

    /// A tenth of a second in which so many bytes come from encoders, are sent and arrive.
    fn report(estimate: &mut Estimate, now: &mut Timestamp, bytes: usize, growth_us: i32) {
        estimate.captured(&header(*now), bytes, *now);
        estimate.sent(bytes, *now);
        *now += TICK;
        let arrival = Arrival {
            interval: TICK,
            bytes: bytes as u64,
            frames: 5,
            missing: 0,
            growth_us,
            rtt: Duration::from_millis(20),
        };
        estimate.arrived(arrival, *now);
    }

    #[test]
    fn a_moment_without_network_costs_nothing_where_little_is_sent() {
        let mut estimate = Estimate::new();
        estimate.asked(400_000.0, true);
        let mut now = Timestamp::from_micros(1_000_000);
        for _ in 0..20 {
            report(&mut estimate, &mut now, 1_000, 0);
        }
        let before = estimate.bits_per_second();
        report(&mut estimate, &mut now, 1_000, 240_000);
        report(&mut estimate, &mut now, 1_000, -100_000);
        report(&mut estimate, &mut now, 1_000, -140_000);
        assert!(estimate.bits_per_second() >= before);
        for _ in 0..10 {
            report(&mut estimate, &mut now, 1_000, 60_000);
        }
        assert!(
            estimate.bits_per_second() <= 80_000.0,
            "a queue that grows is one"
        );
    }
}
