//! What waits for one receiver.
//!
//! Three queues: control, audio, video. Control must arrive, so a receiver that lets too much of it
//! wait is closed. Audio is dropped from its old end. Video leaves in the order it came; when the
//! receiver does not keep up, enhancement frames go first, then the oldest frames. Whatever was
//! dropped, only frames that can be decoded from those that left before ever leave: the rest is
//! discarded on its way out and a keyframe is asked for.
//!
//! Sockets, streams and the writing tasks are left to the relays' adapters.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use videocall_types::{
    CloseCode, Closing, DependencyTracker, FrameHeader, LayerId, MediaClass, ServerMessage, Timestamp,
    TrackRef,
};

use crate::budget::Share;
use crate::downlink::{Downlink, Restriction};
use crate::rate::RateLimiter;
use crate::settings::MeetingSettings;
use crate::{ClassSet, OutboxLimits};

const CONTROL: usize = 0;
const AUDIO: usize = 1;
const VIDEO: usize = 2;
const QUEUES: usize = 3;

/// Of pictures, when there is none.
const NO_LIMIT: u64 = u64::MAX;

/// A packet on its way out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The bytes, shared by all receivers.
    pub packet: Bytes,
    /// How urgent it is.
    pub class: MediaClass,
    /// Which layer it belongs to; `None` for control.
    pub layer: Option<LayerId>,
    /// Its temporal layer; 0 for everything but video.
    pub temporal: u8,
    /// A decoder can start here.
    pub keyframe: bool,
    /// When it was put into the outbox.
    pub queued_at: Timestamp,
}

/// Why a packet did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropCause {
    /// Too much was waiting.
    Overflow,
    /// It had waited too long.
    Stale,
    /// A frame it refers to has not left before it.
    Undecodable,
    /// A later frame of its layer has left before it.
    Late,
    /// The receiver is sent as many bits per second as one may be.
    Rate,
    /// All receivers of the relay together have as much waiting as they may.
    Memory,
}

impl DropCause {
    /// Every cause.
    pub const ALL: [Self; 6] = [
        Self::Overflow,
        Self::Stale,
        Self::Undecodable,
        Self::Late,
        Self::Rate,
        Self::Memory,
    ];

    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Stale => "stale",
            Self::Undecodable => "undecodable",
            Self::Late => "late",
            Self::Rate => "rate",
            Self::Memory => "memory",
        }
    }
}

/// What went through an outbox; indices are [`MediaClass::index`] and the position in
/// [`DropCause::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxStats {
    /// Packets that left.
    pub sent_packets: [u64; 4],
    /// Bytes that left.
    pub sent_bytes: [u64; 4],
    /// Packets dropped, by class and cause.
    pub dropped: [[u64; 6]; 4],
}

impl OutboxStats {
    /// Adds another outbox's figures.
    pub fn add(&mut self, other: &Self) {
        for class in 0..4 {
            self.sent_packets[class] += other.sent_packets[class];
            self.sent_bytes[class] += other.sent_bytes[class];
            for cause in 0..DropCause::ALL.len() {
                self.dropped[class][cause] += other.dropped[class][cause];
            }
        }
    }
}

/// What became of a packet that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits.
    Queued,
    /// The outbox is closed; nothing is taken any more.
    Closed,
    /// The receiver has not taken anything for too long, or has too much control waiting.
    Stalled,
}

#[derive(Debug)]
struct Item {
    outgoing: Outgoing,
    sequence: u64,
    reference_distance: u32,
}

impl Item {
    fn control(packet: Bytes, now: Timestamp) -> Self {
        Self {
            outgoing: Outgoing {
                packet,
                class: MediaClass::Control,
                layer: None,
                temporal: 0,
                keyframe: false,
                queued_at: now,
            },
            sequence: 0,
            reference_distance: 0,
        }
    }
}

/// What waits for one receiver. Pushed by many, popped by the receiver's writers.
#[derive(Debug)]
pub struct Outbox {
    inner: Mutex<Inner>,
    /// What the path does not carry, for the media path to read without the lock.
    restriction: AtomicU8,
    /// The limit of its pictures, bits per second, or [`NO_LIMIT`].
    limit: AtomicU64,
    /// Whether a layer is stuck, for writers to read without the lock.
    is_stuck: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    limits: OutboxLimits,
    queues: [VecDeque<Item>; QUEUES],
    bytes: [usize; QUEUES],
    /// Who waits for each queue.
    wakers: [Option<Waker>; QUEUES],
    // Sessions are random and given by relays, so nobody can choose keys that collide.
    trackers: FxHashMap<LayerId, DependencyTracker>,
    /// The layer of each track that left last; `None` where all layers leave side by side.
    shown: Option<FxHashMap<TrackRef, u8>>,
    /// Layers of which a frame was discarded for want of a reference; few, so a list.
    stuck: Vec<LayerId>,
    downlink: Downlink,
    /// What the receiver may be sent; `None` for no bound.
    rate: Option<RateLimiter>,
    share: Share,
    /// When something last left, or nothing was waiting.
    moved_at: Timestamp,
    closed: bool,
    stats: OutboxStats,
}

impl Outbox {
    /// What waits for a member.
    pub(crate) fn new(settings: &MeetingSettings, now: Timestamp) -> Self {
        let rate = settings.max_download_bps;
        let rate = (rate > 0).then(|| RateLimiter::new(rate, now));
        Self::with_limits(settings.outbox, rate, settings, now)
    }

    /// What waits for the bus: room for many members' worth, and no bound on the rate.
    pub(crate) fn for_bus(settings: &MeetingSettings, now: Timestamp) -> Self {
        let limits = OutboxLimits {
            audio_bytes: settings.outbox.audio_bytes * 8,
            video_bytes: settings.outbox.video_bytes * 8,
            // A stalled bus is reported, never closed.
            stall: std::time::Duration::MAX,
            ..settings.outbox
        };
        let outbox = Self::with_limits(limits, None, settings, now);
        outbox.inner.lock().shown = None;
        outbox
    }

    fn with_limits(
        limits: OutboxLimits,
        rate: Option<RateLimiter>,
        settings: &MeetingSettings,
        now: Timestamp,
    ) -> Self {
        Self {
            restriction: AtomicU8::new(Restriction::NONE.to_bits()),
            limit: AtomicU64::new(NO_LIMIT),
            is_stuck: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                downlink: Downlink::new(now),
                rate,
                share: Share::new(settings.queues.clone()),
                limits,
                queues: Default::default(),
                bytes: [0; QUEUES],
                wakers: Default::default(),
                trackers: FxHashMap::default(),
                shown: Some(FxHashMap::default()),
                stuck: Vec::new(),
                moved_at: now,
                closed: false,
                stats: OutboxStats::default(),
            }),
        }
    }

    /// Queues a control message.
    pub(crate) fn push_control(&self, packet: Bytes, now: Timestamp) -> Pushed {
        self.push(Item::control(packet, now), now)
    }

    /// Queues a frame.
    pub(crate) fn push_frame(&self, packet: &Bytes, header: &FrameHeader, now: Timestamp) -> Pushed {
        let item = Item {
            outgoing: Outgoing {
                packet: packet.clone(),
                class: header.class(),
                layer: Some(header.layer()),
                temporal: header.temporal,
                keyframe: header.keyframe,
                queued_at: now,
            },
            sequence: header.sequence,
            reference_distance: header.reference_distance,
        };
        self.push(item, now)
    }

    fn push(&self, item: Item, now: Timestamp) -> Pushed {
        let queue = ClassSet::queue_of(item.outgoing.class);
        let (pushed, waiting) = {
            let mut inner = self.inner.lock();
            let pushed = inner.push(queue, item, now);
            self.note_restriction(&inner);
            (pushed, inner.wakers[queue].take_if(|_| pushed == Pushed::Queued))
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
        pushed
    }

    /// Takes nothing more; what is left is control, and this last message.
    pub(crate) fn close(&self, closing: Closing, now: Timestamp) {
        // Whoever did not take what waits must not have to take it before the reason.
        let waits = closing.code != CloseCode::SlowReceiver;
        let last = Item::control(ServerMessage::Closing(closing).encode(), now);
        let waiting = {
            let mut inner = self.inner.lock();
            if inner.closed {
                return;
            }
            inner.closed = true;
            inner.clear(AUDIO);
            inner.clear(VIDEO);
            if !waits {
                inner.clear(CONTROL);
            }
            inner.enqueue(CONTROL, last);
            std::mem::take(&mut inner.wakers)
        };
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    /// Takes and gives nothing more.
    pub(crate) fn shut(&self) {
        let waiting = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            (0..QUEUES).for_each(|queue| inner.clear(queue));
            std::mem::take(&mut inner.wakers)
        };
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    /// The next packet of these queues, most urgent first; `None` when the outbox is closed and
    /// nothing of them is left. One task at a time may wait for a queue.
    pub(crate) fn poll_next(
        &self,
        classes: ClassSet,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Outgoing>> {
        let mut inner = self.inner.lock();
        let popped = inner.pop(classes, now);
        if popped.is_pending() {
            inner.wait(classes, cx.waker());
        }
        self.note_restriction(&inner);
        if !inner.stuck.is_empty() {
            self.is_stuck.store(true, Ordering::Relaxed);
        }
        popped
    }

    fn note_restriction(&self, inner: &Inner) {
        let bits = inner.downlink.restriction().to_bits();
        if self.restriction.load(Ordering::Relaxed) != bits {
            self.restriction.store(bits, Ordering::Relaxed);
        }
        let limit = inner.downlink.limit().unwrap_or(NO_LIMIT);
        if self.limit.load(Ordering::Relaxed) != limit {
            self.limit.store(limit, Ordering::Relaxed);
        }
    }

    /// Takes an estimate of what the path to the receiver carries, bits per second.
    pub fn set_path_rate(&self, bits_per_second: u64) {
        self.inner.lock().downlink.set_rate(bits_per_second);
    }

    /// The bits of pictures a second that the path carries, where it has not carried all that was sent.
    pub(crate) fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|&limit| limit != NO_LIMIT)
    }

    /// What the receiver's path does not carry at present.
    pub(crate) fn restriction(&self) -> Restriction {
        Restriction::from_bits(self.restriction.load(Ordering::Relaxed))
    }

    /// Layers that cannot go on without a keyframe, since this was last asked.
    pub(crate) fn take_stuck(&self) -> Vec<LayerId> {
        if !self.is_stuck.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut inner = self.inner.lock();
        self.is_stuck.store(false, Ordering::Relaxed);
        std::mem::take(&mut inner.stuck)
    }

    /// Forgets a track that has ended or is not wanted any more: nothing of it leaves, and memory does
    /// not grow with the tracks ever seen. Should it be wanted again it begins anew, as its receiver
    /// has given up its decoder by then.
    pub(crate) fn forget(&self, track: TrackRef) {
        let mut inner = self.inner.lock();
        inner.trackers.retain(|layer, _| layer.track != track);
        if let Some(shown) = &mut inner.shown {
            shown.remove(&track);
        }
        for queue in [AUDIO, VIDEO] {
            let ended = |item: &Item| item.outgoing.layer.is_some_and(|layer| layer.track == track);
            inner.queues[queue].retain(|item| !ended(item));
            inner.bytes[queue] = inner.queues[queue]
                .iter()
                .map(|item| item.outgoing.packet.len())
                .sum();
        }
        inner.settle_share();
    }

    /// What went through so far.
    pub fn stats(&self) -> OutboxStats {
        self.inner.lock().stats
    }

    /// Bytes waiting in all queues.
    pub fn queued_bytes(&self) -> usize {
        self.inner.lock().bytes.iter().sum()
    }
}

impl Inner {
    fn push(&mut self, queue: usize, item: Item, now: Timestamp) -> Pushed {
        if self.closed {
            return Pushed::Closed;
        }
        if self.queues.iter().all(VecDeque::is_empty) {
            self.moved_at = now;
        } else if now.since(self.moved_at) > self.limits.stall {
            return Pushed::Stalled;
        }
        let length = item.outgoing.packet.len();
        if queue == CONTROL && self.bytes[CONTROL] + length > self.limits.control_bytes {
            self.count_drop(&item, DropCause::Overflow);
            return Pushed::Stalled;
        }
        if !self.affords(&item, length, now) {
            self.count_drop(&item, DropCause::Rate);
            self.downlink.dropped(now, now);
            return Pushed::Queued;
        }
        self.enqueue(queue, item);
        if queue == VIDEO {
            self.downlink.came(length, now);
        }
        match queue {
            AUDIO => self.shrink_audio(),
            VIDEO => {
                self.shrink_video(self.limits.video_bytes, DropCause::Overflow, now);
                // Nobody may be reading; then nothing else says how long it waits.
                if let Some(oldest) = self.queues[VIDEO].front() {
                    self.downlink.waiting(oldest.outgoing.queued_at, now);
                }
            }
            _ => {}
        }
        if !self.settle_share() {
            let others = self.bytes[CONTROL] + self.bytes[AUDIO];
            let allowed = self.share.allowed().saturating_sub(others);
            self.shrink_video(allowed, DropCause::Memory, now);
        }
        Pushed::Queued
    }

    /// Whether the receiver may be sent this now. Pictures are left out when not; everything else
    /// goes in any case, and counts: pictures get what it leaves.
    fn affords(&mut self, item: &Item, length: usize, now: Timestamp) -> bool {
        let Some(rate) = &mut self.rate else {
            return true;
        };
        match item.outgoing.class {
            MediaClass::VideoBase | MediaClass::VideoEnhancement => rate.take(length, now),
            MediaClass::Control | MediaClass::Audio => {
                rate.charge(length, now);
                true
            }
        }
    }

    /// Brings this outbox's share of the relay's memory in line with what waits.
    fn settle_share(&mut self) -> bool {
        self.share.hold(self.bytes.iter().sum())
    }

    fn enqueue(&mut self, queue: usize, item: Item) {
        self.bytes[queue] += item.outgoing.packet.len();
        self.queues[queue].push_back(item);
    }

    fn clear(&mut self, queue: usize) {
        self.queues[queue].clear();
        self.bytes[queue] = 0;
        self.settle_share();
    }

    fn shrink_audio(&mut self) {
        while self.bytes[AUDIO] > self.limits.audio_bytes {
            self.drop_at(AUDIO, 0, DropCause::Overflow);
        }
    }

    /// Enhancement first, the highest temporal layer of the largest picture before all; then from
    /// the old end. The newest frame stays in any case.
    fn shrink_video(&mut self, most: usize, cause: DropCause, now: Timestamp) {
        while self.bytes[VIDEO] > most && self.queues[VIDEO].len() > 1 {
            let older = self.queues[VIDEO].len() - 1;
            let least = self.queues[VIDEO]
                .iter()
                .take(older)
                .enumerate()
                .filter(|(_, item)| item.outgoing.temporal > 0)
                .max_by_key(|(_, item)| {
                    (
                        item.outgoing.layer.map_or(0, |layer| layer.spatial),
                        item.outgoing.temporal,
                    )
                })
                .map_or(0, |(index, _)| index);
            let queued_at = self.queues[VIDEO].get(least).map(|item| item.outgoing.queued_at);
            self.downlink.dropped(queued_at.unwrap_or(now), now);
            self.drop_at(VIDEO, least, cause);
        }
    }

    fn drop_at(&mut self, queue: usize, index: usize, cause: DropCause) {
        if let Some(item) = self.queues[queue].remove(index) {
            self.bytes[queue] -= item.outgoing.packet.len();
            self.count_drop(&item, cause);
        }
    }

    fn count_drop(&mut self, item: &Item, cause: DropCause) {
        self.stats.dropped[item.outgoing.class.index()][cause as usize] += 1;
    }

    fn pop(&mut self, classes: ClassSet, now: Timestamp) -> Poll<Option<Outgoing>> {
        for queue in 0..QUEUES {
            if !classes.has_queue(queue) {
                continue;
            }
            while let Some(item) = self.queues[queue].pop_front() {
                self.bytes[queue] -= item.outgoing.packet.len();
                self.moved_at = now;
                match self.refuse(&item, now) {
                    Some(cause) => {
                        if cause == DropCause::Stale && queue == VIDEO {
                            self.downlink.dropped(item.outgoing.queued_at, now);
                        }
                        self.count_drop(&item, cause);
                    }
                    None => {
                        match queue {
                            VIDEO => {
                                let bytes = item.outgoing.packet.len();
                                self.downlink.video(bytes, item.outgoing.queued_at, now);
                            }
                            _ => self.downlink.moved(now),
                        }
                        self.settle_share();
                        let class = item.outgoing.class.index();
                        self.stats.sent_packets[class] += 1;
                        self.stats.sent_bytes[class] += item.outgoing.packet.len() as u64;
                        return Poll::Ready(Some(item.outgoing));
                    }
                }
            }
        }
        if self.closed {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }

    /// Remembers whom to wake when something is pushed to one of these queues.
    fn wait(&mut self, classes: ClassSet, waker: &Waker) {
        for (queue, waiting) in self.wakers.iter_mut().enumerate() {
            let known =
                |waiting: &Option<Waker>| waiting.as_ref().is_some_and(|known| known.will_wake(waker));
            if classes.has_queue(queue) && !known(waiting) {
                *waiting = Some(waker.clone());
            }
        }
    }

    /// Why the packet must not leave; takes note of it otherwise.
    fn refuse(&mut self, item: &Item, now: Timestamp) -> Option<DropCause> {
        let age = now.since(item.outgoing.queued_at);
        let layer = item.outgoing.layer?;
        if item.outgoing.class == MediaClass::Audio {
            return (age > self.limits.audio_age).then_some(DropCause::Stale);
        }
        let tracker = self.trackers.entry(layer).or_default();
        if tracker.newest().is_some_and(|newest| item.sequence <= newest) {
            return Some(DropCause::Late);
        }
        // A decoder that has gone over to another picture size has given up what it had of this one.
        let other =
            |shown: &FxHashMap<_, _>| shown.get(&layer.track).is_some_and(|last| *last != layer.spatial);
        let switches = self.shown.as_ref().is_some_and(other);
        let decodable = tracker.is_decodable(item.sequence, item.outgoing.keyframe, item.reference_distance);
        if !decodable || switches && !item.outgoing.keyframe {
            // What is left out of the higher temporal layers heals by itself with the next base frame.
            if item.outgoing.temporal == 0 && !self.stuck.contains(&layer) {
                self.stuck.push(layer);
            }
            return Some(DropCause::Undecodable);
        }
        let allowed = if item.outgoing.temporal > 0 {
            self.limits.enhancement_age
        } else {
            self.limits.video_age
        };
        // A late keyframe is still the quickest way to a picture.
        if age > allowed && !item.outgoing.keyframe {
            return Some(DropCause::Stale);
        }
        tracker.pass(item.sequence, item.outgoing.keyframe);
        if let Some(shown) = &mut self.shown {
            shown.insert(layer.track, layer.spatial);
        }
        None
    }
}

#[cfg(test)]
mod tests;
