//! A dozen people on three relays who speak in turns, and sometimes all at once: never more are heard
//! than can be understood, who begins to speak is heard, and all relays announce the same.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;
use videocall_types::SessionId;
use videocall_types::limits::MAX_SPEAKERS;

use crate::client::{Client, ReadRate, Shown};
use crate::encoder::SILENCE;
use crate::world::World;

/// One frame of sound.
const TICK: Duration = Duration::from_millis(20);
const PEOPLE: usize = 12;
/// From the first word after a silence to the same announcement everywhere.
const SETTLED: Duration = Duration::from_secs(1);
/// From the last word of somebody until they are no longer announced, at the latest.
const FORGOTTEN: Duration = Duration::from_millis(3600);

/// From a change of loudness until its mean is steady, and everywhere announced.
const STEADY: Duration = Duration::from_secs(6);

pub(crate) struct Speech {
    world: World,
}

impl Speech {
    pub(crate) fn new(seed: u64, relays: usize) -> Self {
        let mut world = World::new(seed, relays, 0.0, Duration::from_secs(10));
        for number in 0..PEOPLE {
            let name = format!("someone-{number}");
            world
                .clients
                .push(Client::new(name, number % relays, ReadRate::FAST));
            world.connect(number);
            world.show(number, Some(Shown::new()));
        }
        Self { world }
    }

    pub(crate) fn run(mut self) {
        self.pass(Duration::from_secs(2));
        let mut before = BTreeSet::new();
        for _ in 0..8 {
            let after_silence = self.world.rng.random_bool(0.5);
            if after_silence {
                self.fall_silent();
                before.clear();
            }
            let speaking = self.speak();
            self.pass(SETTLED);
            before.extend(&speaking);
            // There was a slot for everybody: also those who spoke before hold theirs for a while.
            if before.len() <= MAX_SPEAKERS {
                self.check_heard(&speaking, SETTLED);
            }
            before = speaking.iter().copied().collect();
            // Otherwise it is not long enough since voices were others for their means to be steady.
            if after_silence {
                self.world.check_speakers();
            }
            self.pass(STEADY);
            let announced = self.world.check_speakers();
            assert!(announced.iter().all(|session| speaking.contains(session)));
            assert_eq!(announced.len(), speaking.len().min(MAX_SPEAKERS));
            if after_silence && speaking.len() <= MAX_SPEAKERS {
                assert_eq!(announced, speaking, "the louder come first");
            }
            self.check_heard(&announced, SETTLED);
        }
    }

    /// Nobody says anything until all that was said is forgotten.
    fn fall_silent(&mut self) {
        for client in &mut self.world.clients {
            client.voice = Some(SILENCE);
        }
        self.pass(FORGOTTEN);
        assert_eq!(self.world.check_speakers(), []);
    }

    /// Others speak, each 8 dB less loud than the one before. Returns them in this order.
    fn speak(&mut self) -> Vec<SessionId> {
        let world = &mut self.world;
        let mut order: Vec<usize> = (0..PEOPLE).collect();
        order.shuffle(&mut world.rng);
        let most = if world.rng.random_bool(0.7) { 4 } else { 9 };
        let number = world.rng.random_range(1..=most);
        for (rank, &index) in (0_u8..).zip(&order) {
            let loud = if number > MAX_SPEAKERS { 30 } else { 14 + 8 * rank };
            let speaks = usize::from(rank) < number;
            world.clients[index].voice = Some(if speaks { loud } else { SILENCE });
        }
        let speaking = order.iter().take(number);
        speaking
            .filter_map(|&index| world.clients[index].session)
            .collect()
    }

    fn pass(&mut self, time: Duration) {
        for client in &mut self.world.clients {
            client.received.clear_counts();
        }
        let frames = (time.as_millis() / TICK.as_millis()) as usize;
        for _ in 0..frames {
            for index in 0..PEOPLE {
                self.world.sound(index, false);
            }
            self.world.turn(TICK);
        }
        // Only in the instant in which one microphone takes the place of another are both heard.
        for client in self.world.connected() {
            let above = client.received.instants_above(MAX_SPEAKERS);
            assert!(
                above <= PEOPLE,
                "too many microphones in {above} of {frames} instants"
            );
            let heard = client.received.sounds();
            let allowed = (MAX_SPEAKERS * frames + 2 * PEOPLE) as u64;
            assert!(heard <= allowed, "{heard} sounds in {time:?}");
        }
    }

    /// In the last while everybody has heard so much of these people: in a turn that is as long,
    /// everything from the first frame on.
    fn check_heard(&self, people: &[SessionId], time: Duration) {
        let frames = (time.as_millis() / TICK.as_millis()) as u64;
        for client in self.world.connected() {
            for session in people.iter().filter(|session| Some(**session) != client.session) {
                let heard = client.received.sound.get(session).copied().unwrap_or(0);
                // The last frame may still be on the bus.
                let all = heard + 1 >= frames;
                assert!(
                    all,
                    "{} heard {heard} of {frames} frames of {session}",
                    client.name
                );
            }
        }
    }
}
