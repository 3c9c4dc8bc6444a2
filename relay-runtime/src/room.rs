//! A meeting while this relay holds it: relay-core's rules, driven by one background task for
//! timers and for the bus. The media path between two people on this relay does not pass it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _};
use relay_core::Meeting;
use tokio::sync::Notify;
use tokio::time::sleep_until;
use videocall_types::fragment::{Reassembler, is_fragment};
use videocall_types::{Timestamp, is_frame};

use crate::bus::Subscriptions;
use crate::{Bus, Relay, fan_out};

/// Without a timer of its own a room looks at itself this often; a mistake about who has to wake it
/// then costs a second and not a meeting.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Packets handed from or to the bus before the room looks at anything else.
const BATCH: usize = 64;

pub(crate) struct Room {
    meeting: Arc<Meeting>,
    poked: Notify,
}

/// What comes from other relays.
struct Incoming {
    media: Subscriptions,
    /// Packets that were too large for one message of the bus.
    fragments: Reassembler,
}

impl Room {
    pub(crate) fn new(meeting: Arc<Meeting>) -> Arc<Self> {
        Arc::new(Self {
            meeting,
            poked: Notify::new(),
        })
    }

    pub(crate) fn meeting(&self) -> &Arc<Meeting> {
        &self.meeting
    }

    /// Something has changed that may move a timer, end the meeting or change what is subscribed to.
    pub(crate) fn poke(&self) {
        self.poked.notify_one();
    }

    /// Keeps the room until nobody is in it any more.
    pub(crate) async fn run(self: Arc<Self>, relay: Arc<Relay>) {
        match relay.bus().cloned() {
            Some(bus) => self.run_with_bus(&relay, &*bus).await,
            None => self.run_alone(&relay).await,
        }
    }

    async fn run_alone(&self, relay: &Relay) {
        while !relay.close_room_if_empty(self) {
            let next = self.look(relay);
            tokio::select! {
                () = self.poked.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    async fn run_with_bus(&self, relay: &Relay, bus: &dyn Bus) {
        let clock = relay.clock();
        let subject = self.meeting.subjects().control();
        let (mut reachable, mut pressure) = (bus.reachable(), bus.pressure());
        self.meeting
            .set_bus_reachable(*reachable.borrow_and_update(), clock.now());
        self.meeting
            .set_bus_pressure(*pressure.borrow_and_update(), clock.now());
        let mut control = bus.subscribe(subject.clone());
        let mut incoming = Incoming {
            media: Subscriptions::new(),
            fragments: Reassembler::default(),
        };
        while !relay.close_room_if_empty(self) {
            let next = self.look(relay);
            incoming.media.follow(self.meeting.bus_subjects(), bus);
            tokio::select! {
                // The subscription comes first, so that it is there before the question whose answer
                // it is to receive is published.
                biased;
                packet = control.next() => match packet {
                    Some(packet) => self.take_from_bus(&mut control, packet, &mut incoming.fragments, relay),
                    None => control = bus.subscribe(subject.clone()),
                },
                () = self.poked.notified() => {}
                () = sleep_until(next) => {}
                Ok(()) = reachable.changed() => {
                    let is = *reachable.borrow_and_update();
                    self.meeting.set_bus_reachable(is, clock.now());
                }
                Ok(()) = pressure.changed() => {
                    let level = *pressure.borrow_and_update();
                    self.meeting.set_bus_pressure(level, clock.now());
                }
                () = self.carry(&mut incoming, relay, bus) => {}
            }
        }
        self.say_goodbye(relay, bus);
    }

    /// Passes packets between the meeting and the bus, without a look at anything else: media comes by
    /// the thousand a second. Never ends.
    async fn carry(&self, incoming: &mut Incoming, relay: &Relay, bus: &dyn Bus) {
        let Incoming { media, fragments } = incoming;
        loop {
            // A bus that always has something must not keep the room from anything else.
            tokio::task::coop::consume_budget().await;
            tokio::select! {
                Some(packet) = media.next() => self.take_from_bus(media, packet, fragments, relay),
                () = self.give_to_bus(relay, bus) => {}
            }
        }
    }

    /// Does what is due and tells when to look again.
    fn look(&self, relay: &Relay) -> tokio::time::Instant {
        let clock = relay.clock();
        let now = clock.now();
        let latest = now + LOOK_INTERVAL;
        let next = self.meeting.on_timer(now).unwrap_or(latest);
        clock.instant(next.min(latest))
    }

    /// Takes this packet and those that wait behind it.
    fn take_from_bus<S>(&self, stream: &mut S, first: Bytes, fragments: &mut Reassembler, relay: &Relay)
    where
        S: Stream<Item = Bytes> + Unpin,
    {
        self.take_packet(&first, fragments, relay);
        for _ in 1..BATCH {
            let Some(Some(packet)) = stream.next().now_or_never() else {
                return;
            };
            self.take_packet(&packet, fragments, relay);
        }
    }

    fn take_packet(&self, packet: &Bytes, fragments: &mut Reassembler, relay: &Relay) {
        let now = relay.clock().now();
        relay.meters().bus_received(packet.len());
        if !is_fragment(packet) {
            return self.give(packet, now);
        }
        match fragments.push(packet) {
            Ok(Some(whole)) => self.give(&whole, now),
            Ok(None) => {}
            Err(error) => tracing::debug!(meeting = %self.meeting.id(), %error, "unusable fragment"),
        }
    }

    fn give(&self, packet: &Bytes, now: Timestamp) {
        if is_frame(packet) {
            fan_out::run(|| self.meeting.from_bus(packet, now));
        } else {
            self.meeting.from_bus(packet, now);
        }
    }

    /// Waits until the meeting has packets for the bus and the bus has room for them, and gives it what
    /// there is. What it has no room for stays in the meeting's outbox, which knows what to leave out;
    /// people on this relay do not wait for it.
    async fn give_to_bus(&self, relay: &Relay, bus: &dyn Bus) {
        if !bus.has_room() {
            bus.room().await;
        }
        let clock = relay.clock();
        let first = std::future::poll_fn(|cx| self.meeting.poll_bus(clock.now(), cx)).await;
        let Some(first) = first else {
            return std::future::pending().await;
        };
        relay.meters().bus_sent(first.packet.len(), bus.publish(first));
        self.give_waiting(relay, bus);
    }

    fn give_waiting(&self, relay: &Relay, bus: &dyn Bus) {
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 1..BATCH {
            if !bus.has_room() {
                return;
            }
            let next = self.meeting.poll_bus(relay.clock().now(), &mut nobody);
            let std::task::Poll::Ready(Some(message)) = next else {
                return;
            };
            relay
                .meters()
                .bus_sent(message.packet.len(), bus.publish(message));
        }
    }

    /// The others need not wait until this relay is silent for long enough.
    fn say_goodbye(&self, relay: &Relay, bus: &dyn Bus) {
        self.meeting.say_goodbye(relay.clock().now());
        self.give_waiting(relay, bus);
    }
}
