//! Relays, the bus between them, participants, and time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use relay_core::{Departure, Meeting, MeetingSettings};
use videocall_types::{CloseCode, SessionId, Timestamp};

use crate::client::Client;
use crate::network::{Bus, running};

pub(crate) struct World {
    pub(crate) rng: StdRng,
    pub(crate) now: Timestamp,
    /// One meeting, as each relay holds it; `None` where the relay does not run.
    pub(crate) relays: Vec<Option<Arc<Meeting>>>,
    pub(crate) bus: Bus,
    pub(crate) clients: Vec<Client>,
    pub(crate) joins: u64,
    /// Who was closed by a relay, when and why.
    pub(crate) closed: Vec<(String, Timestamp, CloseCode)>,
    stall: Duration,
}

impl World {
    /// Relays that all run. A receiver that takes nothing is closed after `stall`.
    pub(crate) fn new(seed: u64, relays: usize, bus_loss: f64, stall: Duration) -> Self {
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            now: Timestamp::from_millis(1_000_000),
            relays: vec![None; relays],
            bus: Bus::new(relays, bus_loss),
            clients: Vec::new(),
            joins: 0,
            closed: Vec::new(),
            stall,
        };
        (0..relays).for_each(|relay| world.start_relay(relay));
        world
    }

    /// A relay starts, knowing nothing.
    pub(crate) fn start_relay(&mut self, relay: usize) {
        let name = format!("relay-{relay}").parse().expect("an id");
        let mut settings = MeetingSettings::new(name);
        settings.bus = self.relays.len() > 1;
        settings.outbox.stall = self.stall;
        let id = "simulated".parse().expect("an id");
        let seed = self.rng.random();
        self.bus.forget(relay);
        self.relays[relay] = Some(Meeting::new(id, Arc::new(settings), seed, self.now));
    }

    /// A relay is gone from one moment to the next, and with it the connections to it.
    pub(crate) fn kill_relay(&mut self, relay: usize) {
        self.relays[relay] = None;
        for client in self.clients.iter_mut().filter(|client| client.relay == relay) {
            client.connection = None;
        }
    }

    pub(crate) fn live_relays(&self) -> Vec<usize> {
        running(&self.relays).map(|(relay, _)| relay).collect()
    }

    /// Cuts a relay off from the others, or lets it back.
    pub(crate) fn reach(&mut self, relay: usize, reachable: bool) {
        self.bus.set_partitioned(relay, !reachable);
        if let Some(meeting) = &self.relays[relay] {
            meeting.set_bus_reachable(reachable, self.now);
        }
    }

    /// Connects somebody to the relay they have chosen, if it runs.
    pub(crate) fn connect(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if let Some(meeting) = &self.relays[client.relay] {
            client.join(meeting, self.now).expect("there is room");
            self.joins += 1;
        }
    }

    pub(crate) fn disconnect(&mut self, index: usize, how: Departure) {
        let client = &mut self.clients[index];
        if let (Some(member), Some(meeting)) = (client.connection.take(), &self.relays[client.relay]) {
            meeting.depart(&member, how, self.now);
        }
    }

    /// Somebody shows others from now on; `None` is everybody.
    pub(crate) fn show(&mut self, index: usize, shown: Option<BTreeMap<SessionId, u8>>) {
        let client = &mut self.clients[index];
        if let Some(meeting) = &self.relays[client.relay] {
            client.show(shown, meeting, self.now);
        }
    }

    pub(crate) fn picture(&mut self, index: usize, lost: bool) {
        let client = &mut self.clients[index];
        if let Some(meeting) = &self.relays[client.relay] {
            client.send_picture(meeting, lost, self.now);
        }
    }

    pub(crate) fn sound(&mut self, index: usize, lost: bool) {
        let client = &mut self.clients[index];
        if let Some(meeting) = &self.relays[client.relay] {
            client.send_sound(meeting, lost, self.now);
        }
    }

    /// Lets time pass: timers, the bus, and everybody's reading.
    pub(crate) fn turn(&mut self, tick: Duration) {
        self.now += tick;
        for (_, meeting) in running(&self.relays) {
            meeting.on_timer(self.now);
        }
        self.bus.turn(&self.relays, &mut self.rng, self.now);
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            let Some(meeting) = &self.relays[client.relay] else {
                continue;
            };
            let Some(closing) = client.read(meeting, self.now) else {
                continue;
            };
            let expected = [CloseCode::SlowReceiver, CloseCode::SessionReplaced];
            assert!(expected.contains(&closing.code), "closed by {closing:?}");
            self.closed.push((client.name.clone(), self.now, closing.code));
            self.disconnect(index, Departure::Lost);
        }
    }

    pub(crate) fn connected(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(|client| client.is_connected())
    }

    /// Everybody who is connected, and whether they have a camera.
    pub(crate) fn present(&self) -> BTreeMap<SessionId, bool> {
        self.connected()
            .filter_map(|client| Some((client.session?, client.camera.is_some())))
            .collect()
    }

    /// All see the same people, and nobody who is gone.
    pub(crate) fn check_rosters(&self) {
        let present = self.present();
        for client in self.connected() {
            let mut others = present.clone();
            others.remove(&client.session.expect("connected"));
            assert_eq!(
                client.roster, others,
                "{} sees everybody and no ghost",
                client.name
            );
        }
    }

    /// Everybody sees whom they show, in the size that they show them, and just now.
    pub(crate) fn check_pictures(&self) {
        for client in self.connected() {
            let senders = client.roster.iter().filter(|(_, camera)| **camera);
            for (session, _) in senders {
                let Some(layer) = client.shows(*session) else {
                    continue;
                };
                let picture = client.received.pictures.get(session);
                let picture =
                    picture.unwrap_or_else(|| panic!("{} has no picture of {session}", client.name));
                let age = self.now.since(picture.at);
                assert!(age < Duration::from_secs(1), "a picture stands still for {age:?}");
                assert_eq!(
                    picture.spatial, layer,
                    "{} gets another size of {session}",
                    client.name
                );
            }
        }
    }

    /// Senders encode what somebody shows and nothing else.
    pub(crate) fn check_wanted_layers(&self) {
        for sender in self.connected() {
            let (Some(session), Some(camera)) = (sender.session, &sender.camera) else {
                continue;
            };
            let viewers = self.connected().filter(|viewer| viewer.session != Some(session));
            let wanted: BTreeSet<u8> = viewers.filter_map(|viewer| viewer.shows(session)).collect();
            let told = camera.wanted_layers();
            assert_eq!(told, Vec::from_iter(wanted), "layers wanted of {}", sender.name);
        }
    }

    /// All are told that the same people speak, in the same order. Returns who.
    pub(crate) fn check_speakers(&self) -> Vec<SessionId> {
        let first = self.connected().next().map(|client| client.speakers.clone());
        let first = first.unwrap_or_default();
        for client in self.connected() {
            assert_eq!(client.speakers, first, "{} is told something else", client.name);
        }
        first
    }
}
