//! A meeting while this relay holds it: relay-core's rules, driven by one background task for
//! timers and for the bus. The media path between two people on this relay does not pass it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use relay_core::Meeting;
use tokio::sync::Notify;
use tokio::time::sleep_until;

use crate::{Bus, Relay};

/// Without a timer of its own a room looks at itself this often; a mistake about who has to wake it
/// then costs a second and not a meeting.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Packets handed from or to the bus before the room looks at anything else.
const BATCH: usize = 64;

pub(crate) struct Room {
    meeting: Arc<Meeting>,
    poked: Notify,
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
        let subjects = self.meeting.subjects();
        let mut reachable = bus.reachable();
        self.meeting
            .set_bus_reachable(*reachable.borrow_and_update(), clock.now());
        let mut control = bus.subscribe(subjects.control());
        let mut media: Option<BoxStream<'static, Bytes>> = None;
        while !relay.close_room_if_empty(self) {
            let next = self.look(relay);
            match (self.meeting.wants_bus_media(), &media) {
                (true, None) => media = Some(bus.subscribe(subjects.media_all())),
                (false, Some(_)) => media = None,
                _ => {}
            }
            tokio::select! {
                // The subscriptions come first, so that they are there before the question whose
                // answer they are to receive is published.
                biased;
                packet = control.next() => match packet {
                    Some(packet) => self.take_from_bus(&mut control, &packet, relay),
                    None => control = bus.subscribe(subjects.control()),
                },
                () = self.poked.notified() => {}
                () = sleep_until(next) => {}
                changed = reachable.changed() => {
                    let is = changed.is_ok() && *reachable.borrow_and_update();
                    self.meeting.set_bus_reachable(is, clock.now());
                }
                () = self.carry(&mut media, relay, bus) => media = None,
            }
        }
        self.say_goodbye(relay, bus);
    }

    /// Passes packets between the meeting and the bus, without a look at anything else: media comes by
    /// the thousand a second. Ends when the media subscription does.
    async fn carry(&self, media: &mut Option<BoxStream<'static, Bytes>>, relay: &Relay, bus: &dyn Bus) {
        loop {
            // A bus that always has something must not keep the room from anything else.
            tokio::task::coop::consume_budget().await;
            tokio::select! {
                biased;
                packet = next_of(media) => match (packet, &mut *media) {
                    (Some(packet), Some(media)) => self.take_from_bus(media, &packet, relay),
                    _ => return,
                },
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
    fn take_from_bus(&self, stream: &mut BoxStream<'static, Bytes>, first: &Bytes, relay: &Relay) {
        let now = relay.clock().now();
        self.meeting.from_bus(first, now);
        relay.meters().bus_received(first.len());
        for _ in 1..BATCH {
            let Some(Some(packet)) = futures::FutureExt::now_or_never(stream.next()) else {
                return;
            };
            self.meeting.from_bus(&packet, now);
            relay.meters().bus_received(packet.len());
        }
    }

    /// Waits for a packet for the bus and gives it, with those that wait behind it. The bus takes
    /// or drops each at once, so nothing here ever waits for another server.
    async fn give_to_bus(&self, relay: &Relay, bus: &dyn Bus) {
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

async fn next_of(stream: &mut Option<BoxStream<'static, Bytes>>) -> Option<Bytes> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}
