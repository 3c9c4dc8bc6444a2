//! Small meetings in which everything happens: people come, go, lose their connection, read slowly or
//! not at all, show others in changing sizes and speak in turns; relays are cut off, die and start
//! again; the bus loses messages. In the end everything has to be in order again.

use std::time::Duration;

use rand::RngExt;
use rand::seq::IndexedRandom;
use relay_core::{Departure, OutboxLimits};

use crate::client::{Client, ReadRate, Shown};
use crate::encoder::SILENCE;
use crate::network::once_in;
use crate::world::World;

const TICK: Duration = Duration::from_millis(5);
/// Six seconds of turmoil.
const TURMOIL_TICKS: u64 = 1200;
/// Longer than every grace and liveness time together.
const QUIET_TICKS: u64 = 2200;
/// Enough for orders, layers and speakers to settle.
const SETTLE_TICKS: u64 = 500;
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

pub(crate) struct Turmoil {
    world: World,
    came: u64,
    /// Frames received by those who have left.
    frames: u64,
}

impl Turmoil {
    pub(crate) fn new(seed: u64, scenario: Scenario) -> Self {
        let stall = OutboxLimits::default().stall;
        Self {
            world: World::new(seed, scenario.relays, scenario.bus_loss, stall),
            came: 0,
            frames: 0,
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        for tick in 0..TURMOIL_TICKS {
            self.people_come_and_go();
            self.voices_change();
            self.wishes_change();
            self.relays_fail();
            self.media(tick, 0.02);
            self.world.turn(TICK);
        }
        self.calm_down();
        for _ in 0..QUIET_TICKS {
            self.world.turn(TICK);
        }
        for index in 0..self.world.clients.len() {
            self.choose(index);
        }
        self.speak_in_order();
        for tick in 0..SETTLE_TICKS {
            self.media(tick, 0.0);
            self.world.turn(TICK);
        }
        self.check_end()
    }

    fn people_come_and_go(&mut self) {
        if self.world.clients.len() < MAX_CLIENTS && once_in(&mut self.world.rng, 40) {
            self.somebody_new();
        }
        for index in (0..self.world.clients.len()).rev() {
            if !self.world.clients[index].is_connected() {
                if once_in(&mut self.world.rng, 30) {
                    self.connect(index);
                }
            } else if once_in(&mut self.world.rng, 400) {
                self.world.disconnect(index, Departure::Lost);
            } else if once_in(&mut self.world.rng, 700) {
                self.world.disconnect(index, Departure::Left);
                self.frames += self.world.clients.remove(index).received.frames;
            }
        }
    }

    fn somebody_new(&mut self) {
        let world = &mut self.world;
        let rates = [
            ReadRate::FAST,
            ReadRate::FAST,
            ReadRate(2000),
            ReadRate(200),
            ReadRate::NOTHING,
        ];
        let rate = *rates.choose(&mut world.rng).expect("some");
        let relay = world.rng.random_range(0..world.relays.len());
        self.came += 1;
        let client = Client::new(format!("someone-{}", self.came), relay, rate);
        let camera = world.rng.random_bool(0.8);
        world
            .clients
            .push(if camera { client.with_camera() } else { client });
    }

    fn voices_change(&mut self) {
        let world = &mut self.world;
        for client in &mut world.clients {
            if once_in(&mut world.rng, 300) {
                client.voice = match world.rng.random_range(0..5) {
                    0 => None,
                    1 | 2 => Some(SILENCE),
                    _ => Some(world.rng.random_range(10..60)),
                };
            }
        }
    }

    /// Half of those who come back do so elsewhere, and all whose relay is gone.
    fn connect(&mut self, index: usize) {
        let world = &mut self.world;
        let live = world.live_relays();
        let moves = world.clients[index].session.is_some() && world.rng.random_bool(0.5);
        if moves || !live.contains(&world.clients[index].relay) {
            let Some(relay) = live.choose(&mut world.rng) else {
                return;
            };
            world.clients[index].relay = *relay;
        }
        world.connect(index);
    }

    fn wishes_change(&mut self) {
        for index in 0..self.world.clients.len() {
            if self.world.clients[index].is_connected() && once_in(&mut self.world.rng, 150) {
                self.choose(index);
            }
        }
    }

    /// Somebody shows some of the others, or everybody.
    fn choose(&mut self, index: usize) {
        let world = &mut self.world;
        let shown = world.rng.random_bool(0.8).then(|| {
            let mut shown = Shown::new();
            for (&session, camera) in &world.clients[index].roster {
                if *camera && world.rng.random_bool(0.6) {
                    shown.insert(session, world.rng.random_range(0..3));
                }
            }
            shown
        });
        world.show(index, shown);
    }

    fn relays_fail(&mut self) {
        let world = &mut self.world;
        if world.relays.len() == 1 {
            return;
        }
        let relay = world.rng.random_range(0..world.relays.len());
        if once_in(&mut world.rng, 400) {
            let reachable = world.rng.random_bool(0.5);
            world.reach(relay, reachable);
        } else if world.relays[relay].is_none() {
            if once_in(&mut world.rng, 200) {
                world.start_relay(relay);
            }
        } else if once_in(&mut world.rng, 800) {
            world.kill_relay(relay);
        }
    }

    fn calm_down(&mut self) {
        let world = &mut self.world;
        world.bus.heal();
        for relay in 0..world.relays.len() {
            if world.relays[relay].is_none() {
                world.start_relay(relay);
            }
            world.reach(relay, true);
        }
        // Whoever has a bad network finds a better one.
        for index in 0..world.clients.len() {
            if world.clients[index].rate != ReadRate::FAST && world.clients[index].is_connected() {
                world.clients[index].rate = ReadRate::FAST;
                world.disconnect(index, Departure::Lost);
                world.connect(index);
            }
        }
    }

    /// Of those who are there, the first few speak, each less loud than the one before.
    fn speak_in_order(&mut self) {
        let connected = self
            .world
            .clients
            .iter_mut()
            .filter(|client| client.is_connected());
        for (number, client) in (0..).zip(connected) {
            client.voice = Some(if number < 4 { 15 + 10 * number } else { SILENCE });
        }
    }

    /// 25 pictures and 50 sounds a second, some of them lost on the way.
    fn media(&mut self, tick: u64, loss: f64) {
        for index in 0..self.world.clients.len() {
            let lost = self.world.rng.random_bool(loss);
            if (tick + index as u64).is_multiple_of(8) {
                self.world.picture(index, lost);
            }
            if (tick + index as u64).is_multiple_of(4) {
                self.world.sound(index, lost);
            }
        }
    }

    fn check_end(self) -> Outcome {
        let world = self.world;
        world.check_rosters();
        world.check_pictures();
        world.check_wanted_layers();
        let speaking: Vec<_> = world
            .connected()
            .take(4)
            .filter_map(|client| client.session)
            .collect();
        assert_eq!(world.check_speakers(), speaking, "the louder come first");
        let roster = world.connected().map(|client| client.name.clone()).collect();
        let frames = world
            .clients
            .iter()
            .map(|client| client.received.frames)
            .sum::<u64>();
        Outcome {
            joins: world.joins,
            frames: self.frames + frames,
            roster,
        }
    }
}
