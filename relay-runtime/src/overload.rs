//! Whether a relay still manages, and what it gives up when it does not.
//!
//! Four things are watched: how late the event loops are (the processor is short), the bits per
//! second in and out, and the bytes that wait for receivers. What counts is the one nearest its limit.
//! While it is above, the relay goes up a stage every [`CLIMB`]; once it is well below, down a stage
//! every [`REST`]:
//!
//! | Stage | New sessions | Left out for everybody |
//! |---|---|---|
//! | 0 | welcome | nothing |
//! | 1 | refused as busy | nothing |
//! | 2 | refused as busy | frames above the base temporal layer |
//! | 3 | refused as busy | all but the smallest spatial layer |
//! | 4 | refused as busy | all video |
//!
//! Late event loops never lead to the last stage: whoever makes a relay busy must not take everybody's
//! picture. Sound is never left out, and whoever resumes a session is let in. Publishers are told which layers
//! are wanted, so that what is left out is not sent either. Bits per second are not counted against a
//! bucket that every packet would have to share: each thread counts by itself, and the sum is looked
//! at a few times a second.
//!
//! What leaving out means for a receiver is relay-core's.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use relay_core::{Pressure, QueueBudget};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::connections::Connections;
use crate::meters::{Limit, LimitMeters, Strain, record_event_loop_delay};

/// How often an event loop is asked whether it is on time.
const BEAT: Duration = Duration::from_millis(50);

/// The share of a new measurement in the average of an event loop's delay: one second's worth counts.
const WEIGHT: f64 = 0.05;

/// How often the relay looks at itself.
const LOOK: Duration = Duration::from_millis(250);

/// Looks over which bits per second are averaged.
const WINDOW: usize = 4;

/// Above a limit for this long: one stage up. Longer than the burst of everybody's keyframes after a
/// speaker changed, shorter than people's patience.
const CLIMB: Duration = Duration::from_secs(2);

/// Below [`RELIEF`] for this long: one stage down. Longer than it takes until publishers have begun to
/// send what is wanted again, so that the effect of one step is known before the next.
const REST: Duration = Duration::from_secs(5);

/// The part of a limit below which there is room again.
const RELIEF: f64 = 0.7;

/// The highest stage: that of a relay which has no room for video in its memory or its network.
const TOP: u8 = 1 + Pressure::MAX;

/// The highest stage of a relay that is short of processor time.
const TOP_OF_LOOP_DELAY: u8 = TOP - 1;

/// What a relay as a whole may be burdened with; 0 stands for no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OverloadLimits {
    pub(crate) loop_delay: Duration,
    pub(crate) upload_bps: u64,
    pub(crate) download_bps: u64,
}

/// The measurements of one relay, and what follows from them.
#[derive(Debug)]
pub struct Overload {
    limits: OverloadLimits,
    traffic: Arc<Traffic>,
    /// Those that still run.
    loops: Mutex<Vec<Weak<EventLoop>>>,
    queues: Arc<QueueBudget>,
    pressure: Arc<Pressure>,
    stage: AtomicU8,
    meters: LimitMeters,
}

impl Overload {
    pub(crate) fn new(
        limits: OverloadLimits,
        queues: Arc<QueueBudget>,
        pressure: Arc<Pressure>,
    ) -> Arc<Self> {
        Arc::new(Self {
            limits,
            traffic: Arc::default(),
            loops: Mutex::default(),
            queues,
            pressure,
            stage: AtomicU8::new(0),
            meters: LimitMeters::new(),
        })
    }

    /// Whether new sessions are better off elsewhere.
    pub fn is_busy(&self) -> bool {
        self.stage.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn meters(&self) -> &LimitMeters {
        &self.meters
    }

    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Measures how late the event loop is that this runs on, as long as it runs. To be spawned once
    /// on each loop that serves connections.
    pub async fn watch_event_loop(self: Arc<Self>) {
        let watched = Arc::new(EventLoop::new());
        self.loops.lock().push(Arc::downgrade(&watched));
        loop {
            let due = Instant::now() + BEAT;
            sleep_until(due).await;
            let late = due.elapsed();
            watched.note(late);
            record_event_loop_delay(late);
        }
    }

    /// Looks at the measurements as long as it runs.
    pub(crate) async fn run(self: Arc<Self>, connections: Arc<Connections>) {
        let mut ladder = Ladder::new(Instant::now());
        let mut rates = Rates::new(Instant::now());
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let now = Instant::now();
            let bps = rates.take(self.traffic.totals(), now);
            let loop_delay = self.loop_delay();
            let (load, limit) = self.load(loop_delay, bps);
            let top = if limit == Limit::LoopDelay {
                TOP_OF_LOOP_DELAY
            } else {
                TOP
            };
            self.set_stage(ladder.climb(load, top, now), limit);
            self.meters.show(Strain {
                loop_delay_s: loop_delay.as_secs_f64(),
                queued_bytes: self.queues.taken(),
                connections: connections.count(),
                stage: self.stage.load(Ordering::Relaxed),
            });
        }
    }

    /// The delay of the latest loop.
    fn loop_delay(&self) -> Duration {
        let mut latest = Duration::ZERO;
        self.loops.lock().retain(|watched| {
            let running = watched.upgrade();
            latest = latest.max(
                running
                    .as_ref()
                    .map(|watched| watched.delay())
                    .unwrap_or_default(),
            );
            running.is_some()
        });
        latest
    }

    /// How much of the limit that is nearest is used, and which that is.
    fn load(&self, loop_delay: Duration, bps: [f64; 2]) -> (f64, Limit) {
        let part = |used: f64, limit: f64| if limit > 0.0 { used / limit } else { 0.0 };
        let limits = &self.limits;
        let loads = [
            (
                part(loop_delay.as_secs_f64(), limits.loop_delay.as_secs_f64()),
                Limit::LoopDelay,
            ),
            (part(bps[0], limits.upload_bps as f64), Limit::RelayUpload),
            (part(bps[1], limits.download_bps as f64), Limit::RelayDownload),
            // What waits never exceeds its limit: it counts as met when little is left.
            (
                part(self.queues.taken() as f64, 0.9 * self.queues.limit() as f64),
                Limit::QueuedBytes,
            ),
        ];
        loads.into_iter().fold(
            (0.0, Limit::LoopDelay),
            |most, load| if load.0 > most.0 { load } else { most },
        )
    }

    fn set_stage(&self, stage: u8, limit: Limit) {
        let before = self.stage.swap(stage, Ordering::Relaxed);
        self.pressure.set(stage.saturating_sub(1));
        if stage > before {
            self.meters.exceeded(limit);
            tracing::warn!(stage, ?limit, "the relay is overloaded");
        } else if stage < before {
            tracing::info!(stage, "the relay recovers");
        }
    }
}

/// One thread's event loop.
#[derive(Debug)]
struct EventLoop {
    began: Instant,
    /// The average delay, microseconds.
    delay_us: AtomicU64,
    /// When it was last on the move, microseconds after `began`.
    beat_us: AtomicU64,
}

impl EventLoop {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            delay_us: AtomicU64::new(0),
            beat_us: AtomicU64::new(0),
        }
    }

    fn note(&self, late: Duration) {
        let before = self.delay_us.load(Ordering::Relaxed) as f64;
        let after = before + WEIGHT * (late.as_micros() as f64 - before);
        self.delay_us.store(after as u64, Ordering::Relaxed);
        self.beat_us
            .store(micros(self.began.elapsed()), Ordering::Relaxed);
    }

    /// The average, or how long it has stood still if that is more.
    fn delay(&self) -> Duration {
        let average = Duration::from_micros(self.delay_us.load(Ordering::Relaxed));
        let beat = Duration::from_micros(self.beat_us.load(Ordering::Relaxed));
        let still = self.began.elapsed().saturating_sub(beat + BEAT);
        // A loop that stands still notes it when it moves again; until then a second is a second.
        if still >= Duration::from_secs(1) {
            average.max(still)
        } else {
            average
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Bytes from and to all clients.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: Striped,
    sent: Striped,
}

impl Traffic {
    pub(crate) fn received(&self, bytes: usize) {
        self.received.add(bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.add(bytes as u64);
    }

    fn totals(&self) -> [u64; 2] {
        [self.received.sum(), self.sent.sum()]
    }
}

/// Places that threads count in: more than most machines have cores, so that each has its own.
const STRIPES: usize = 64;

/// A counter that many threads add to without meeting.
#[derive(Debug)]
struct Striped([Stripe; STRIPES]);

/// Alone in what caches move together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

impl Default for Striped {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Stripe::default()))
    }
}

impl Striped {
    fn add(&self, amount: u64) {
        self.0[stripe()].0.fetch_add(amount, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        let parts = self.0.iter().map(|stripe| stripe.0.load(Ordering::Relaxed));
        parts.fold(0, u64::wrapping_add)
    }
}

/// The place of this thread.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES));
    OWN.get()
}

/// Turns totals into bits per second.
struct Rates {
    looks: [(Instant, [u64; 2]); WINDOW],
    next: usize,
}

impl Rates {
    fn new(now: Instant) -> Self {
        Self {
            looks: [(now, [0; 2]); WINDOW],
            next: 0,
        }
    }

    /// Bits per second since the oldest look that is remembered.
    fn take(&mut self, totals: [u64; 2], now: Instant) -> [f64; 2] {
        let (then, before) = std::mem::replace(&mut self.looks[self.next], (now, totals));
        self.next = (self.next + 1) % WINDOW;
        let seconds = now.saturating_duration_since(then).as_secs_f64();
        if seconds <= 0.0 {
            return [0.0; 2];
        }
        std::array::from_fn(|way| totals[way].wrapping_sub(before[way]) as f64 * 8.0 / seconds)
    }
}

/// Goes up while there is too much and down once there is room.
struct Ladder {
    stage: u8,
    /// Since when it is as it is: too much, room, or neither.
    trend: Trend,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trend {
    Above,
    Between,
    Below,
}

impl Ladder {
    fn new(now: Instant) -> Self {
        Self {
            stage: 0,
            trend: Trend::Below,
            since: now,
        }
    }

    /// The stage at this load, which leads to no stage above `top`.
    fn climb(&mut self, load: f64, top: u8, now: Instant) -> u8 {
        let trend = match load {
            load if load > 1.0 => Trend::Above,
            load if load < RELIEF => Trend::Below,
            _ => Trend::Between,
        };
        if trend != self.trend {
            (self.trend, self.since) = (trend, now);
        }
        let lasted = now.saturating_duration_since(self.since);
        let stage = match trend {
            Trend::Above if lasted >= CLIMB && self.stage < top => self.stage + 1,
            Trend::Below if lasted >= REST => self.stage.saturating_sub(1),
            _ => self.stage,
        };
        if stage != self.stage {
            (self.stage, self.since) = (stage, now);
        }
        self.stage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overload(limits: OverloadLimits) -> Arc<Overload> {
        Overload::new(limits, QueueBudget::new(1000), Arc::default())
    }

    const LIMITS: OverloadLimits = OverloadLimits {
        loop_delay: Duration::from_millis(100),
        upload_bps: 1_000_000,
        download_bps: 0,
    };

    #[test]
    fn a_ladder_is_climbed_step_by_step_and_left_more_slowly() {
        let start = Instant::now();
        let mut ladder = Ladder::new(start);
        let mut now = start;
        let mut stages = |load: f64, top: u8, lasting: Duration| {
            let end = now + lasting;
            let mut seen = vec![ladder.stage];
            while now < end {
                now += LOOK;
                let stage = ladder.climb(load, top, now);
                if seen.last() != Some(&stage) {
                    seen.push(stage);
                }
            }
            seen
        };
        assert_eq!(stages(0.99, TOP, 10 * CLIMB), [0]);
        assert_eq!(stages(1.5, TOP, CLIMB / 2), [0], "a burst is no overload");
        assert_eq!(stages(0.5, TOP, LOOK), [0]);
        assert_eq!(stages(1.5, TOP, 20 * CLIMB), [0, 1, 2, 3, 4]);
        assert_eq!(stages(0.8, TOP, 10 * REST), [4], "no room yet");
        assert_eq!(stages(0.6, TOP, REST + 2 * LOOK), [4, 3]);
        assert_eq!(stages(1.1, TOP, CLIMB + 2 * LOOK), [3, 4]);
        assert_eq!(stages(0.1, TOP, 10 * REST), [4, 3, 2, 1, 0]);
        assert_eq!(stages(5.0, TOP_OF_LOOP_DELAY, 20 * CLIMB), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_nearest_its_limit_counts() {
        let overload = overload(LIMITS);
        let load = |delay_ms, bps| overload.load(Duration::from_millis(delay_ms), bps);
        assert_eq!(load(50, [0.0, 1e12]), (0.5, Limit::LoopDelay));
        assert_eq!(load(50, [2e6, 1e12]), (2.0, Limit::RelayUpload));
        assert_eq!(load(0, [0.0; 2]).0, 0.0);
    }

    #[test]
    fn rates_are_those_of_the_last_second() {
        let start = Instant::now();
        let mut rates = Rates::new(start);
        let mut last = [0.0; 2];
        for look in 1..=40_u32 {
            let bytes = u64::from(look) * 25_000;
            last = rates.take([bytes, 2 * bytes], start + look * LOOK);
        }
        assert_eq!(last, [800_000.0, 1_600_000.0]);
    }

    #[test]
    fn threads_count_into_one_sum() {
        let traffic = Traffic::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| traffic.received(3)));
            }
        });
        traffic.sent(5);
        assert_eq!(traffic.totals(), [24_000, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_above_its_limit_refuses_and_then_leaves_out_until_there_is_room() {
        let overload = overload(LIMITS);
        let connections = Connections::new(crate::connections::tests::limits(10, 0));
        tokio::spawn(overload.clone().run(connections));
        let mut seen = vec![(false, 0)];
        for look in 0..200 {
            if look < 60 {
                overload.traffic.received(60_000);
            }
            tokio::time::sleep(LOOK).await;
            let now = (overload.is_busy(), overload.pressure.level());
            if seen.last() != Some(&now) {
                seen.push(now);
            }
        }
        let up = [(false, 0), (true, 0), (true, 1), (true, 2), (true, 3)];
        let down = [(true, 2), (true, 1), (true, 0), (false, 0)];
        assert_eq!(seen, [&up[..], &down[..]].concat());
    }

    #[tokio::test]
    async fn a_loop_that_is_blocked_is_late() {
        let overload = overload(LIMITS);
        let task = tokio::spawn(overload.clone().watch_event_loop());
        while overload.loop_delay() < LIMITS.loop_delay {
            // What a relay must never do.
            std::thread::sleep(Duration::from_millis(400));
            tokio::task::yield_now().await;
        }
        task.abort();
    }

    #[tokio::test]
    async fn a_loop_that_stands_still_is_late_before_it_moves_again() {
        let overload = overload(LIMITS);
        let watched = Arc::new(EventLoop::new());
        overload.loops.lock().push(Arc::downgrade(&watched));
        while overload.loop_delay() < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(watched);
        assert_eq!(
            overload.loop_delay(),
            Duration::ZERO,
            "a loop that has ended is not late"
        );
    }
}
