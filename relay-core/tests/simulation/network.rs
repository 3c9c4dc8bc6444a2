//! The bus between the simulated relays: delay, loss, and partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use relay_core::{Meeting, subject};
use videocall_types::{FrameHeader, LayerId, Timestamp, is_frame};

/// From one relay to the other.
const DELAY: Duration = Duration::from_millis(3);

pub(crate) struct Bus {
    loss: f64,
    partitioned: Vec<bool>,
    /// In flight, by arrival and order of sending.
    in_flight: BTreeMap<(Timestamp, u64), Flight>,
    sent: u64,
    /// Every media packet that a relay has published since it started.
    published: BTreeSet<(usize, LayerId, u64)>,
    /// Frames of each layer that crossed to each relay since this was last cleared.
    pub(crate) crossings: BTreeMap<(usize, LayerId), u64>,
}

struct Flight {
    from: usize,
    subject: String,
    packet: Bytes,
}

impl Bus {
    pub(crate) fn new(relays: usize, loss: f64) -> Self {
        Self {
            loss,
            partitioned: vec![false; relays],
            in_flight: BTreeMap::new(),
            sent: 0,
            published: BTreeSet::new(),
            crossings: BTreeMap::new(),
        }
    }

    /// Cuts a relay off, or lets it back.
    pub(crate) fn set_partitioned(&mut self, relay: usize, cut: bool) {
        self.partitioned[relay] = cut;
    }

    /// A relay that starts again knows nothing of what it has published.
    pub(crate) fn forget(&mut self, relay: usize) {
        self.published.retain(|(from, ..)| *from != relay);
    }

    pub(crate) fn heal(&mut self) {
        self.loss = 0.0;
    }

    /// Takes what the relays publish and delivers what has arrived.
    pub(crate) fn turn(&mut self, relays: &[Option<Arc<Meeting>>], rng: &mut StdRng, now: Timestamp) {
        for (from, meeting) in running(relays) {
            self.collect(from, meeting, rng, now);
        }
        while let Some(entry) = self.in_flight.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let flight = entry.remove();
            for (to, meeting) in running(relays) {
                if to != flight.from && !self.partitioned[to] && subscribes(meeting, &flight.subject) {
                    self.count(to, &flight.packet);
                    meeting.from_bus(&flight.packet, now);
                }
            }
        }
    }

    fn collect(&mut self, from: usize, meeting: &Meeting, rng: &mut StdRng, now: Timestamp) {
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(message)) = meeting.poll_bus(now, &mut context) {
            let (id, _) = subject::parse(&message.subject).expect("a subject of the grammar");
            assert_eq!(&id, meeting.id());
            if is_frame(&message.packet) {
                let header = FrameHeader::peek(&message.packet).expect("a frame");
                let new = self.published.insert((from, header.layer(), header.sequence));
                assert!(new, "{header:?} is published twice");
            }
            if self.partitioned[from] || rng.random_bool(self.loss) {
                continue;
            }
            // One connection to the server keeps the order of what it carries.
            self.sent += 1;
            let flight = Flight {
                from,
                subject: message.subject,
                packet: message.packet,
            };
            self.in_flight.insert((now + DELAY, self.sent), flight);
        }
    }

    fn count(&mut self, to: usize, packet: &Bytes) {
        if is_frame(packet) {
            let layer = FrameHeader::peek(packet).expect("a frame").layer();
            *self.crossings.entry((to, layer)).or_default() += 1;
        }
    }
}

/// Relays that live, with their numbers.
pub(crate) fn running(relays: &[Option<Arc<Meeting>>]) -> impl Iterator<Item = (usize, &Arc<Meeting>)> {
    let numbered = relays.iter().enumerate();
    numbered.filter_map(|(number, meeting)| Some((number, meeting.as_ref()?)))
}

fn subscribes(meeting: &Meeting, subject: &str) -> bool {
    let media = meeting.bus_subjects();
    subject == meeting.subjects().control() || media.iter().any(|pattern| subject::matches(pattern, subject))
}

/// A biased coin for things that happen about once in `ticks`.
pub(crate) fn once_in(rng: &mut impl Rng, ticks: u32) -> bool {
    rng.random_ratio(1, ticks)
}
