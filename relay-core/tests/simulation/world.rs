//! The run: what happens when, and what must hold in the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use relay_core::{Departure, Meeting, MeetingSettings};
use videocall_types::{CloseCode, SessionId, Timestamp};

use crate::client::{Client, ReadRate};
use crate::network::{Bus, once_in};

const TICK: Duration = Duration::from_millis(5);
/// Six seconds of turmoil.
const TURMOIL_TICKS: u64 = 1200;
/// Longer than every grace and liveness time together.
const SETTLE_TICKS: u64 = 2600;
const MAX_CLIENTS: usize = 10;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) relays: usize,
    pub(crate) bus_loss: f64,
}

/// What a run amounts to; equal for equal seeds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) joins: u64,
    pub(crate) frames: u64,
    pub(crate) roster: Vec<String>,
}

pub(crate) struct World {
    rng: StdRng,
    now: Timestamp,
    meetings: Vec<Arc<Meeting>>,
    timers: Vec<Option<Timestamp>>,
    bus: Bus,
    clients: Vec<Client>,
    joins: u64,
    frames: u64,
}

impl World {
    pub(crate) fn new(seed: u64, scenario: Scenario) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let now = Timestamp::from_millis(1_000_000);
        let meetings = (0..scenario.relays).map(|index| {
            let relay = format!("relay-{index}").parse().expect("an id");
            let mut settings = MeetingSettings::new(relay);
            settings.bus = scenario.relays > 1;
            let id = "simulated".parse().expect("an id");
            Meeting::new(id, Arc::new(settings), rng.random(), now)
        });
        let meetings: Vec<_> = meetings.collect();
        Self {
            timers: vec![Some(now); meetings.len()],
            bus: Bus::new(meetings.len(), scenario.bus_loss),
            meetings,
            rng,
            now,
            clients: Vec::new(),
            joins: 0,
            frames: 0,
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        for tick in 0..TURMOIL_TICKS {
            self.turmoil();
            self.media(tick);
            self.turn();
        }
        self.bus.heal();
        for relay in 0..self.meetings.len() {
            self.reach(relay, true);
        }
        for client in &mut self.clients {
            client.rate = ReadRate(100_000);
        }
        for tick in 0..SETTLE_TICKS {
            // Only the last second and a half is looked at.
            if tick + 300 > SETTLE_TICKS {
                self.media(tick);
            }
            self.turn();
        }
        self.check_end()
    }

    /// Something happens now and then.
    fn turmoil(&mut self) {
        if self.clients.len() < MAX_CLIENTS && once_in(&mut self.rng, 40) {
            let rates = [
                ReadRate(100_000),
                ReadRate(100_000),
                ReadRate(2000),
                ReadRate(200),
                ReadRate(0),
            ];
            let rate = *rates.choose(&mut self.rng).expect("some");
            let relay = self.rng.random_range(0..self.meetings.len());
            let name = format!("someone-{}", self.joins);
            self.clients.push(Client::new(name, relay, rate));
        }
        for index in (0..self.clients.len()).rev() {
            if self.clients[index].connection.is_none() {
                if once_in(&mut self.rng, 30) {
                    self.connect(index);
                }
            } else if once_in(&mut self.rng, 400) {
                self.disconnect(index, Departure::Lost);
            } else if once_in(&mut self.rng, 700) {
                self.disconnect(index, Departure::Left);
                self.frames += self.clients.remove(index).frames;
            }
        }
        if self.meetings.len() > 1 && once_in(&mut self.rng, 400) {
            let relay = self.rng.random_range(0..self.meetings.len());
            let reachable = self.rng.random_bool(0.5);
            self.reach(relay, reachable);
        }
    }

    fn reach(&mut self, relay: usize, reachable: bool) {
        self.bus.set_partitioned(relay, !reachable);
        self.meetings[relay].set_bus_reachable(reachable, self.now);
    }

    fn connect(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if client.session.is_some() && self.rng.random_bool(0.5) {
            client.relay = self.rng.random_range(0..self.meetings.len());
        }
        client
            .join(&self.meetings[client.relay], self.now)
            .expect("there is room");
        self.joins += 1;
    }

    fn disconnect(&mut self, index: usize, how: Departure) {
        let client = &mut self.clients[index];
        if let Some(member) = client.connection.take() {
            self.meetings[client.relay].depart(&member, how, self.now);
        }
    }

    /// 25 pictures and 50 sounds a second, one in fifty lost on the way.
    fn media(&mut self, tick: u64) {
        for index in 0..self.clients.len() {
            let lost = self.rng.random_bool(0.02);
            let client = &mut self.clients[index];
            let meeting = &self.meetings[client.relay];
            if (tick + index as u64).is_multiple_of(8) {
                client.send_picture(meeting, lost, self.now);
            }
            if (tick + index as u64).is_multiple_of(4) {
                client.send_sound(meeting, lost, self.now);
            }
        }
    }

    fn turn(&mut self) {
        self.now += TICK;
        for (meeting, timer) in self.meetings.iter().zip(&mut self.timers) {
            // What other calls make due may come earlier than what the timer said last.
            *timer = meeting.on_timer(self.now);
        }
        self.bus.turn(&self.meetings, &mut self.rng, self.now);
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            let Some(closing) = client.read(&self.meetings[client.relay], self.now) else {
                continue;
            };
            let expected = [CloseCode::SlowReceiver, CloseCode::SessionReplaced];
            assert!(expected.contains(&closing.code), "closed by {closing:?}");
            self.disconnect(index, Departure::Lost);
        }
    }

    fn check_end(&mut self) -> Outcome {
        let present: BTreeMap<SessionId, String> = self
            .clients
            .iter()
            .filter(|client| client.connection.is_some())
            .filter_map(|client| Some((client.session?, client.name.clone())))
            .collect();
        for client in self.clients.iter().filter(|client| client.connection.is_some()) {
            let mut others = present.clone();
            others.remove(&client.session.expect("connected"));
            assert_eq!(
                client.roster, others,
                "{} sees everybody and no ghost",
                client.name
            );
            for session in others.keys() {
                let last = client.pictures_of.get(session).expect("a picture of everybody");
                assert!(
                    self.now.since(*last) < Duration::from_secs(1),
                    "a picture stands still"
                );
            }
        }
        let frames = self.clients.iter().map(|client| client.frames).sum::<u64>();
        Outcome {
            joins: self.joins,
            frames: self.frames + frames,
            roster: present.into_values().collect(),
        }
    }
}
