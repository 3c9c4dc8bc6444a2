//! What leaves on one connection, as its carrier sees it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use relay_core::{ClassSet, Member, Outgoing};
use videocall_types::{Closing, MediaClass, ServerMessage, Timestamp};

use crate::clock::Clock;
use crate::meters::CarrierMeters;
use crate::overload::Traffic;
use crate::room::Room;
use crate::traces::Entry;

/// What waits for one connection: the outbox of its member, and at the end a last message.
///
/// The queue itself, its bounds and its drop rule are relay-core's outbox. A carrier that sends
/// classes over different channels asks for those whose channel is free.
pub struct Egress {
    clock: Clock,
    meters: Arc<CarrierMeters>,
    traffic: Arc<Traffic>,
    seat: OnceLock<(Arc<Room>, Arc<Member>)>,
    /// Whether there is an entry.
    entering: AtomicBool,
    /// The way into the meeting, as long as it is traced.
    entry: Mutex<Option<Entry>>,
    /// Set once the driver has something last to say; the outbox is not asked any more.
    ending: AtomicBool,
    end: Mutex<End>,
}

#[derive(Default)]
struct End {
    last: Option<Outgoing>,
    waiting: Vec<Waker>,
}

/// Wakers kept at most: one per queue that a writer can wait for.
const MAX_WAITING: usize = 4;

impl Egress {
    pub(crate) fn new(clock: Clock, meters: Arc<CarrierMeters>, traffic: Arc<Traffic>) -> Self {
        Self {
            clock,
            meters,
            traffic,
            seat: OnceLock::new(),
            entering: AtomicBool::new(false),
            entry: Mutex::default(),
            ending: AtomicBool::new(false),
            end: Mutex::default(),
        }
    }

    pub(crate) fn seat(&self, room: Arc<Room>, member: Arc<Member>, entry: Option<Entry>) {
        self.entering.store(entry.is_some(), Ordering::Relaxed);
        *self.entry.lock() = entry;
        let seated = self.seat.set((room, member));
        debug_assert!(seated.is_ok(), "a connection is seated once");
    }

    /// Says this last and ends.
    pub(crate) fn finish(&self, closing: Closing) {
        let last = Outgoing {
            packet: ServerMessage::Closing(closing).encode(),
            class: MediaClass::Control,
            layer: None,
            temporal: 0,
            keyframe: false,
            queued_at: self.clock.now(),
        };
        let waiting = {
            let mut end = self.end.lock();
            end.last = Some(last);
            self.ending.store(true, Ordering::Release);
            std::mem::take(&mut end.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The next packet of these classes, most urgent first. `None`: there will be no more of them.
    pub fn next(&self, classes: ClassSet) -> impl Future<Output = Option<Outgoing>> + Send + '_ {
        std::future::poll_fn(move |cx| self.poll_next(classes, cx))
    }

    /// As [`Egress::next`]. One task at a time may wait for a class.
    pub fn poll_next(&self, classes: ClassSet, cx: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        if self.ending.load(Ordering::Acquire) {
            return Poll::Ready(self.take_last(classes));
        }
        if let Some((room, member)) = self.seat.get() {
            let now = self.clock.now();
            let next = room.meeting().poll_outgoing(member, classes, now, cx);
            if let Poll::Ready(next) = next {
                if let Some(outgoing) = &next {
                    self.traffic.sent(outgoing.packet.len());
                    let waited = now.since(outgoing.queued_at);
                    self.meters.taken(outgoing.class, outgoing.packet.len(), waited);
                }
                return Poll::Ready(next);
            }
        }
        self.wait(classes, cx)
    }

    /// To be called with a packet's class and [`Outgoing::queued_at`] once it is with the socket: for a
    /// WebSocket in the bytes that the connection writes next, for WebTransport in QUIC's buffers. For
    /// metrics.
    pub fn handed_over(&self, packets: impl IntoIterator<Item = (MediaClass, Timestamp)>) {
        let now = self.clock.now();
        for (class, queued_at) in packets {
            self.meters.handed_over(class, now.since(queued_at));
            if self.entering.load(Ordering::Relaxed) {
                self.trace(class, now);
            }
        }
    }

    /// To be called when the peer turns out to read nothing of what the carrier's own buffers take for it: it is
    /// closed like one whose outbox nothing leaves.
    pub fn unread(&self) {
        if let Some((room, member)) = self.seat.get() {
            room.meeting().unread(member, self.clock.now());
        }
    }

    fn trace(&self, class: MediaClass, now: Timestamp) {
        let mut entry = self.entry.lock();
        let traced = entry.as_mut().is_none_or(|entry| entry.handed_over(class, now));
        if traced {
            *entry = None;
            self.entering.store(false, Ordering::Relaxed);
        }
    }

    fn wait(&self, classes: ClassSet, cx: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        let mut end = self.end.lock();
        if self.ending.load(Ordering::Acquire) {
            drop(end);
            return Poll::Ready(self.take_last(classes));
        }
        if !end.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            if end.waiting.len() == MAX_WAITING {
                end.waiting.remove(0);
            }
            end.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn take_last(&self, classes: ClassSet) -> Option<Outgoing> {
        if !classes.contains(MediaClass::Control) {
            return None;
        }
        self.end.lock().last.take()
    }
}
