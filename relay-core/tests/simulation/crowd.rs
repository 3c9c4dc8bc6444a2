//! A thousand people in one meeting on four relays. One relay joins late, one dies; people leave, are
//! lost, read slowly or not at all; they show ever other cameras and speak in turns. Those who read
//! hear the same all the time, and in the end everybody knows of everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;
use relay_core::Departure;
use videocall_types::{CloseCode, SessionId};

use crate::client::{Client, ReadRate, Shown};
use crate::encoder::SILENCE;
use crate::world::World;

const TICK: Duration = Duration::from_millis(20);
const TICKS_PER_SECOND: usize = 50;
const PEOPLE: usize = 1000;
const RELAYS: usize = 4;
/// It starts when the meeting has begun.
const LATE_RELAY: usize = 3;
/// It dies.
const DOOMED_RELAY: usize = 1;
const CAMERAS: usize = 16;
/// A receiver that takes nothing is closed after this.
const STALL: Duration = Duration::from_secs(4);
/// Longer than every grace and liveness time together.
const QUIET_SECONDS: usize = 11;

/// Speakers send 25 sounds a second, the others what is left of silence (DTX); cameras send 17
/// pictures a second.
const SOUND_TICKS: usize = 2;
const SILENCE_TICKS: usize = 20;
const PICTURE_TICKS: usize = 3;

pub(crate) struct Crowd {
    world: World,
    tick: usize,
    /// People change what they show, now and then.
    restless: bool,
    slow: BTreeSet<usize>,
}

impl Crowd {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = World::new(seed, RELAYS, 0.0, STALL);
        world.kill_relay(LATE_RELAY);
        for number in 0..PEOPLE {
            let client = Client::new(format!("someone-{number}"), number % RELAYS, ReadRate::FAST);
            let mut client = if number < CAMERAS {
                client.with_camera()
            } else {
                client
            };
            // A few show everything there is.
            client.shown = (number % 100 != 7).then(Shown::new);
            world.clients.push(client);
        }
        let slow: BTreeSet<usize> = (CAMERAS..PEOPLE).filter(|number| number % 40 == 21).collect();
        for &index in &slow {
            world.clients[index].rate = ReadRate(world.rng.random_range(300..3000));
        }
        Self {
            world,
            tick: 0,
            restless: true,
            slow,
        }
    }

    pub(crate) fn run(mut self) {
        let (late, early): (Vec<_>, Vec<_>) = (0..PEOPLE).partition(|number| number % RELAYS == LATE_RELAY);
        self.join(&early);
        self.world.start_relay(LATE_RELAY);
        self.join(&late);

        let vanished = self.stop_reading();
        self.speak_in_turns(4);
        self.check_sound();
        self.world.kill_relay(DOOMED_RELAY);
        self.some_come_back();
        self.some_go();
        self.speak_in_turns(2);
        self.end_stalled(&vanished);

        self.settle();
        self.world.check_rosters();
        self.world.check_pictures();
        self.world.check_wanted_layers();
        let speaking: Vec<_> = self.speakers().map(|index| self.session(index)).collect();
        assert_eq!(self.world.check_speakers(), speaking);
    }

    /// A few at a time.
    fn join(&mut self, people: &[usize]) {
        for group in people.chunks(10) {
            group.iter().for_each(|&index| self.world.connect(index));
            self.pass(1);
        }
        self.pass(TICKS_PER_SECOND / 2);
    }

    /// Some of the slow ones read nothing from now on.
    fn stop_reading(&mut self) -> Vec<usize> {
        let vanished: Vec<_> = self.slow.iter().copied().step_by(2).collect();
        for &index in &vanished {
            self.world.clients[index].rate = ReadRate::NOTHING;
        }
        vanished
    }

    /// They were closed, and since they do not read that their connections have ended.
    fn end_stalled(&mut self, vanished: &[usize]) {
        for &index in vanished {
            let client = &self.world.clients[index];
            let Some(member) = &client.connection else {
                assert_eq!(client.relay, DOOMED_RELAY);
                continue;
            };
            let closing = member.closing().expect("who reads nothing is closed");
            assert_eq!(closing.code, CloseCode::SlowReceiver);
            self.world.disconnect(index, Departure::Lost);
        }
        assert!(self.world.closed.is_empty(), "{:?}", self.world.closed);
    }

    /// Two speak at a time, for a second.
    fn speak_in_turns(&mut self, turns: usize) {
        for _ in 0..turns {
            let mut candidates: Vec<_> = self.reading().collect();
            candidates.shuffle(&mut self.world.rng);
            for client in &mut self.world.clients {
                client.voice = Some(SILENCE);
            }
            for (loud, &index) in [20, 32].into_iter().zip(&candidates) {
                self.world.clients[index].voice = Some(loud);
            }
            for client in &mut self.world.clients {
                client.received.clear_counts();
            }
            self.pass(TICKS_PER_SECOND);
        }
    }

    /// Connected people who read as fast as they are sent.
    fn reading(&self) -> impl Iterator<Item = usize> {
        let connected = |index: &usize| self.world.clients[*index].is_connected();
        (0..PEOPLE)
            .filter(connected)
            .filter(|index| !self.slow.contains(index))
    }

    /// In the order of their loudness.
    fn speakers(&self) -> impl Iterator<Item = usize> {
        let mut speakers: Vec<_> = self.reading().collect();
        speakers.retain(|&index| self.world.clients[index].voice != Some(SILENCE));
        speakers.sort_by_key(|&index| self.world.clients[index].voice);
        speakers.into_iter()
    }

    fn session(&self, index: usize) -> SessionId {
        self.world.clients[index].session.expect("has been there")
    }

    /// Whoever reads has heard every sound of those who speak since the beginning of their turn,
    /// wherever they are and whoever else reads slowly.
    fn check_sound(&self) {
        let speakers: Vec<_> = self.speakers().map(|index| self.session(index)).collect();
        let sent = (TICKS_PER_SECOND / SOUND_TICKS) as u64;
        for index in self.reading() {
            let client = &self.world.clients[index];
            for session in speakers
                .iter()
                .filter(|session| Some(**session) != client.session)
            {
                let heard = client.received.sound.get(session).copied().unwrap_or(0);
                assert!(heard + 1 >= sent, "{} heard {heard} of {sent}", client.name);
            }
        }
    }

    /// Most of those whose relay is gone come back on others.
    fn some_come_back(&mut self) {
        let gone: Vec<_> = (0..PEOPLE)
            .filter(|&index| self.world.clients[index].relay == DOOMED_RELAY)
            .collect();
        for group in gone.chunks(10) {
            for &index in group.iter().filter(|index| !self.slow.contains(index)) {
                if self.world.rng.random_bool(0.8) {
                    self.world.clients[index].relay = [0, 2, LATE_RELAY][index / RELAYS % 3];
                    self.world.connect(index);
                }
            }
            self.pass(1);
        }
    }

    fn some_go(&mut self) {
        for index in 0..PEOPLE {
            match self.world.rng.random_range(0..40) {
                0 => self.world.disconnect(index, Departure::Left),
                1 => self.world.disconnect(index, Departure::Lost),
                _ => {}
            }
        }
    }

    /// All that went wrong is over; those who read slowly leave; half of the cameras are shown.
    fn settle(&mut self) {
        let slow: Vec<_> = self.slow.iter().copied().collect();
        slow.into_iter()
            .for_each(|index| self.world.disconnect(index, Departure::Left));
        self.restless = false;
        for client in &mut self.world.clients {
            client.voice = None;
        }
        for _ in 0..QUIET_SECONDS * TICKS_PER_SECOND {
            self.world.turn(TICK);
        }
        let shown: Vec<_> = (0..CAMERAS / 2).map(|index| self.session(index)).collect();
        let everybody: Vec<_> = self.reading().collect();
        for &index in &everybody {
            self.choose(index, |session| shown.contains(&session));
        }
        for client in &mut self.world.clients {
            client.voice = Some(SILENCE);
        }
        for (loud, &index) in [20, 32, 44].into_iter().zip(&everybody) {
            self.world.clients[index].voice = Some(loud);
        }
        self.pass(2 * TICKS_PER_SECOND);
    }

    /// Somebody shows three of these cameras.
    fn choose(&mut self, index: usize, of: impl Fn(SessionId) -> bool) {
        let world = &mut self.world;
        let client = &world.clients[index];
        let cameras = client.roster.iter().filter(|(_, camera)| **camera);
        let mut cameras: Vec<_> = cameras
            .map(|(session, _)| *session)
            .filter(|session| of(*session))
            .collect();
        cameras.shuffle(&mut world.rng);
        let shown: BTreeMap<_, _> = cameras
            .into_iter()
            .take(3)
            .map(|session| (session, world.rng.random_range(0..3)))
            .collect();
        world.show(index, Some(shown));
    }

    fn pass(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.tick += 1;
            for index in 0..PEOPLE {
                let silent = self.world.clients[index].voice == Some(SILENCE);
                let every = if silent { SILENCE_TICKS } else { SOUND_TICKS };
                if (self.tick + index).is_multiple_of(every) {
                    self.world.sound(index, false);
                }
            }
            for index in (0..CAMERAS).filter(|index| (self.tick + index).is_multiple_of(PICTURE_TICKS)) {
                self.world.picture(index, false);
            }
            for _ in 0..5 {
                let index = self.world.rng.random_range(0..PEOPLE);
                if self.restless && self.world.clients[index].is_connected() && index % 100 != 7 {
                    self.choose(index, |_| true);
                }
            }
            self.world.turn(TICK);
        }
    }
}
