//! A receiver whose path becomes ever slower, beside one whose path does not: the one loses the
//! higher temporal layers, then the larger pictures, then all pictures, keeps the sound, and is closed
//! when it takes nothing any more; the other notices nothing.

use std::time::Duration;

use rand::RngExt;
use videocall_types::{CloseCode, SessionId};

use crate::client::{Client, ReadRate, Received, Shown};
use crate::encoder;
use crate::world::World;

const TICK: Duration = Duration::from_millis(5);
const SENDERS: usize = 2;
const BYSTANDER: usize = SENDERS;
const SLOW: usize = SENDERS + 1;
/// A receiver that takes nothing is closed after this.
const STALL: Duration = Duration::from_secs(10);
/// 50 sounds and 25 pictures a second.
const SOUND_TICKS: u64 = 4;
const PICTURE_TICKS: u64 = 8;

pub(crate) struct Slow {
    world: World,
    tick: u64,
}

impl Slow {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = World::new(seed, 1, 0.0, STALL);
        for number in 0..=SLOW {
            let client = Client::new(format!("someone-{number}"), 0, ReadRate::FAST);
            let mut client = if number < SENDERS {
                client.with_camera()
            } else {
                client
            };
            client.voice = (number < SENDERS).then_some(25);
            world.clients.push(client);
            world.connect(number);
        }
        let mut slow = Self { world, tick: 0 };
        let everybody = slow.senders();
        for index in [BYSTANDER, SLOW] {
            let shown: Shown = everybody.iter().map(|session| (*session, 2)).collect();
            slow.world.show(index, Some(shown));
        }
        slow
    }

    pub(crate) fn run(mut self) {
        self.pass(3.0);
        assert!(self.slow().temporal.iter().all(|&count| count > 0));

        // Three quarters of the pictures' rate: the highest temporal layer, of two in four, has to go.
        self.squeeze(sound() + pictures(2) * 0.75);
        self.pass(10.0);
        self.check_sound();
        self.pass(10.0);
        self.check_sound();
        assert_eq!(self.sizes(), [2; SENDERS], "pictures stay as large");
        let [base, _, highest] = self.slow().temporal;
        assert!(
            base > 100 && highest < base,
            "{highest} of the highest layer beside {base}"
        );

        // Enough for the smallest pictures.
        self.squeeze(sound() + pictures(0) * 1.2);
        self.pass(10.0);
        self.pass(5.0);
        self.check_sound();
        assert!(self.slow().temporal[0] > 0, "something is still seen");
        assert!(
            self.sizes().iter().all(|&spatial| spatial < 2),
            "{:?}",
            self.sizes()
        );

        // Enough for the sound.
        self.squeeze(sound() * 1.06);
        self.pass(20.0);
        self.pass(5.0);
        self.check_sound();
        let pictures = self.slow().temporal.iter().sum::<u64>();
        assert!(pictures < 20, "{pictures} pictures in five seconds");

        self.stop_reading();
    }

    /// Nothing is read any more: until the receiver is closed nothing else happens.
    fn stop_reading(&mut self) {
        self.world.clients[SLOW].rate = ReadRate::NOTHING;
        let stopped = self.world.now;
        self.pass(STALL.as_secs_f64() - 0.5);
        assert!(self.world.clients[SLOW].is_connected());
        self.pass(1.0);
        // Whoever reads nothing does not read why it is closed.
        let member = self.world.clients[SLOW]
            .connection
            .as_ref()
            .expect("nobody has read");
        let closing = member.closing().expect("it is closed");
        assert_eq!(closing.code, CloseCode::SlowReceiver);
        assert!(
            member.outbox().queued_bytes() < 1000,
            "the reason is all that waits"
        );
        assert!(self.world.now.since(stopped) < STALL + Duration::from_secs(1));

        self.world.clients[SLOW].rate = ReadRate::FAST;
        self.world.turn(TICK);
        assert_eq!(self.world.closed.len(), 1, "then it does");
    }

    fn senders(&self) -> Vec<SessionId> {
        let senders = &self.world.clients[..SENDERS];
        senders.iter().filter_map(|client| client.session).collect()
    }

    fn slow(&self) -> &Received {
        &self.world.clients[SLOW].received
    }

    /// In which sizes the slow one sees the others.
    fn sizes(&self) -> Vec<u8> {
        self.slow()
            .pictures
            .values()
            .map(|picture| picture.spatial)
            .collect()
    }

    /// So many bytes a second, more or less.
    fn squeeze(&mut self, rate: f64) {
        let rate = rate * self.world.rng.random_range(0.97..1.03);
        self.world.clients[SLOW].rate = ReadRate((rate * TICK.as_secs_f64()) as usize);
    }

    /// Counts what comes in so many seconds. The bystander gets everything all the time.
    fn pass(&mut self, seconds: f64) {
        let ticks = (seconds / TICK.as_secs_f64()) as u64;
        for client in &mut self.world.clients {
            client.received.clear_counts();
        }
        for _ in 0..ticks {
            for index in 0..SENDERS {
                if self.tick.is_multiple_of(SOUND_TICKS) {
                    self.world.sound(index, false);
                }
                if (self.tick + index as u64).is_multiple_of(PICTURE_TICKS) {
                    self.world.picture(index, false);
                }
            }
            self.tick += 1;
            self.world.turn(TICK);
        }
        let bystander = &self.world.clients[BYSTANDER].received;
        let sounds = SENDERS as u64 * ticks / SOUND_TICKS;
        assert!(
            bystander.sounds().abs_diff(sounds) <= 2,
            "{} of {sounds}",
            bystander.sounds()
        );
        let pictures = SENDERS as u64 * ticks / PICTURE_TICKS;
        let seen = bystander.temporal.iter().sum::<u64>();
        assert!(seen + 2 >= pictures, "{seen} of {pictures} pictures");
    }

    /// The slow one has heard all there was to hear.
    fn check_sound(&self) {
        let (heard, all) = (
            self.slow().sounds(),
            self.world.clients[BYSTANDER].received.sounds(),
        );
        assert!(heard * 100 >= all * 99, "{heard} of {all} sounds");
    }
}

/// Bytes a second of the sound of all senders.
fn sound() -> f64 {
    (SENDERS * 50 * encoder::packet(encoder::sound(1 << 14, 25)).len()) as f64
}

/// Bytes a second of their pictures of this size, without keyframes.
fn pictures(spatial: u8) -> f64 {
    (SENDERS * 25 * encoder::delta_bytes(spatial)) as f64
}
