//! Viewers on two relays who show cameras in ever other sizes: every one of them gets what it shows,
//! senders encode what somebody shows, and that crosses the bus once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;
use videocall_types::{LayerId, SessionId};

use crate::client::{Client, ReadRate, Shown, camera_of};
use crate::world::World;

const TICK: Duration = Duration::from_millis(5);
const RELAYS: usize = 2;
const SENDERS: usize = 4;
const VIEWERS: usize = 6;
/// Pictures are sent every so many ticks: 25 a second.
const PICTURE_TICKS: u64 = 8;
/// A keyframe may have been asked for just before: 500 ms; then it has to be made and to arrive.
const KEYFRAME_WITHIN: Duration = Duration::from_millis(600);
/// What nobody shows any more is no longer encoded.
const STOP_WITHIN: Duration = Duration::from_secs(1);

pub(crate) struct Wishes {
    world: World,
    tick: u64,
}

impl Wishes {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = World::new(seed, RELAYS, 0.0, Duration::from_secs(10));
        for number in 0..SENDERS + VIEWERS {
            let client = Client::new(format!("someone-{number}"), number % RELAYS, ReadRate::FAST);
            let client = if number < SENDERS {
                client.with_camera()
            } else {
                client
            };
            world.clients.push(client);
            world.connect(number);
            world.show(number, Some(Shown::new()));
        }
        Self { world, tick: 0 }
    }

    pub(crate) fn run(mut self) {
        self.pass(Duration::from_secs(2));
        for _ in 0..12 {
            self.wish();
            self.pass(KEYFRAME_WITHIN);
            self.world.check_pictures();
            self.pass(STOP_WITHIN.saturating_sub(KEYFRAME_WITHIN));
            self.world.check_wanted_layers();
            self.world.bus.crossings.clear();
            self.pass(Duration::from_secs(1));
            self.check_crossings();
        }
    }

    /// Some of the viewers change what they show.
    fn wish(&mut self) {
        let senders = self.sessions();
        for index in SENDERS..SENDERS + VIEWERS {
            if self.world.rng.random_bool(0.4) {
                continue;
            }
            let mut shown = Shown::new();
            for session in senders.keys() {
                if self.world.rng.random_bool(0.5) {
                    shown.insert(*session, self.world.rng.random_range(0..3));
                }
            }
            self.world.show(index, Some(shown));
        }
    }

    /// The cameras, and the relays that they are on.
    fn sessions(&self) -> BTreeMap<SessionId, usize> {
        let senders = &self.world.clients[..SENDERS];
        senders
            .iter()
            .filter_map(|client| Some((client.session?, client.relay)))
            .collect()
    }

    fn pass(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end {
            for index in 0..SENDERS {
                if (self.tick + index as u64).is_multiple_of(PICTURE_TICKS) {
                    self.world.picture(index, false);
                }
            }
            self.tick += 1;
            self.world.turn(TICK);
        }
    }

    /// In the last second 25 frames of each layer that somebody shows crossed to each relay with
    /// viewers of it, however many these are, and nothing else did.
    fn check_crossings(&self) {
        let mut expected = BTreeSet::new();
        for viewer in self.world.connected() {
            for (session, home) in self.sessions() {
                if let Some(spatial) = viewer.shows(session).filter(|_| viewer.relay != home) {
                    let track = camera_of(session);
                    expected.insert((viewer.relay, LayerId { track, spatial }));
                }
            }
        }
        let crossed: BTreeSet<_> = self.world.bus.crossings.keys().copied().collect();
        assert_eq!(crossed, expected);
        for (layer, count) in &self.world.bus.crossings {
            assert!((24..=26).contains(count), "{count} frames of {layer:?} crossed");
        }
    }
}
