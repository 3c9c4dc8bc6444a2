//! The bus between the simulated relays: delay, loss, and partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use relay_core::{Meeting, subject};
use videocall_types::Timestamp;

pub(crate) struct Bus {
    loss: f64,
    partitioned: Vec<bool>,
    /// In flight, by arrival and order of sending.
    in_flight: BTreeMap<(Timestamp, u64), (usize, String, Bytes)>,
    sent: u64,
}

impl Bus {
    pub(crate) fn new(relays: usize, loss: f64) -> Self {
        Self {
            loss,
            partitioned: vec![false; relays],
            in_flight: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Cuts a relay off, or lets it back.
    pub(crate) fn set_partitioned(&mut self, relay: usize, cut: bool) {
        self.partitioned[relay] = cut;
    }

    pub(crate) fn heal(&mut self) {
        self.loss = 0.0;
    }

    /// Takes what the relays publish and delivers what has arrived.
    pub(crate) fn turn(&mut self, meetings: &[Arc<Meeting>], rng: &mut StdRng, now: Timestamp) {
        let mut context = Context::from_waker(Waker::noop());
        for (relay, meeting) in meetings.iter().enumerate() {
            while let Poll::Ready(Some(message)) = meeting.poll_bus(now, &mut context) {
                let (id, _) = subject::parse(&message.subject).expect("a subject of the grammar");
                assert_eq!(&id, meeting.id());
                if self.partitioned[relay] || rng.random_bool(self.loss) {
                    continue;
                }
                // One connection to the server keeps the order of what it carries.
                let arrival = now + std::time::Duration::from_millis(3);
                self.sent += 1;
                self.in_flight
                    .insert((arrival, self.sent), (relay, message.subject, message.packet));
            }
        }
        while let Some(entry) = self.in_flight.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let (from, topic, packet) = entry.remove();
            for (relay, meeting) in meetings.iter().enumerate() {
                let subscribed = topic == meeting.subjects().control()
                    || meeting
                        .bus_subjects()
                        .iter()
                        .any(|pattern| subject::matches(pattern, &topic));
                if relay != from && !self.partitioned[relay] && subscribed {
                    meeting.from_bus(&packet, now);
                }
            }
        }
    }
}

/// A biased coin for things that happen about once in `ticks`.
pub(crate) fn once_in(rng: &mut impl Rng, ticks: u32) -> bool {
    rng.random_ratio(1, ticks)
}
