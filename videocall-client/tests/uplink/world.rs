//! A client that sends a camera and a microphone, a relay, and somebody who watches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use relay_core::{ClassSet, JoinRequest, Meeting, MeetingSettings, Member};
use videocall_client::stats::ConnectionStats;
use videocall_client::{
    ClientConfig, ClientCore, Command, EncodedFrame, EncoderLoad, EncoderTarget, Event, Input,
    Link as Connection, Output,
};
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::{
    Capabilities, ClientMessage, DecoderConfig, Frame, FrameHeader, Hello, LayerInfo, ServerMessage,
    Timestamp, TrackId, TrackInfo, TrackKind, is_frame,
};

use crate::encoder::Encoder;
use crate::link::{Carrier, Link, Path};
use crate::watching::{Seen, Watching};

const MICROPHONE: TrackId = TrackId(1);
const CAMERA: TrackId = TrackId(2);
const START: Timestamp = Timestamp::from_millis(1_000_000);
const TICK: Duration = Duration::from_millis(1);

/// Of one packet of sound.
const SOUND: Duration = Duration::from_millis(20);

/// A jitter buffer on a difficult path waits so long for a sound, not counting the way.
const PATIENCE: Duration = Duration::from_millis(150);

/// What a run gave, since [`World::forget`].
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) queueing_p95: Duration,
    pub(crate) utilisation: f64,
    pub(crate) layer_changes_per_minute: f64,
    /// The longest time without a new sound at the relay.
    pub(crate) sound_gap: Duration,
    /// Sound that came neither itself nor repeated, or too late, in a row, and all of it as a share.
    pub(crate) sound_hole: Duration,
    pub(crate) sound_missing: f64,
    /// From capture to the relay, less the way.
    pub(crate) sound_delay_p95: Duration,
    pub(crate) queueing_max: Duration,
    pub(crate) pictures: usize,
    /// Share of the time in which the largest layer had its whole bitrate.
    pub(crate) full_quality: f64,
    /// How much what was asked of the encoders changed per second, as a share of it.
    pub(crate) restlessness: f64,
}

#[derive(Debug, Default)]
struct SoundFigures {
    all: u32,
    missing: u32,
    longest_hole: u32,
    delay_p95: Duration,
}

pub(crate) struct World {
    now: Timestamp,
    core: ClientCore,
    /// A connection is being opened; done then, if the path is there.
    connecting: Option<Timestamp>,
    fetching: Option<Timestamp>,
    ticket: JoinResponse,
    link: Link,
    /// To the client, after the way back.
    answers: Vec<(Timestamp, Bytes)>,
    meeting: Arc<Meeting>,
    sender: Option<Arc<Member>>,
    watchers: Vec<(Arc<Member>, Watching)>,
    encoders: Vec<Encoder>,
    /// Frames that wait for the processor, and how long they do.
    late: VecDeque<(Timestamp, EncodedFrame)>,
    lateness: Duration,
    next_sound: Timestamp,
    sound_bps: u32,
    since: Timestamp,
    layer_changes: usize,
    heard_at: Timestamp,
    newest_sound: Option<u64>,
    sound_gap: Duration,
    /// When each sound was captured and when it came, by number.
    sounds: BTreeMap<u64, (Timestamp, Option<Timestamp>)>,
    pictures: usize,
    full_ticks: u64,
    target_sum: f64,
    target_moves: f64,
}

fn layer(spatial: u8, width: u32, height: u32, frames_per_second: u32, bitrate_bps: u32) -> LayerInfo {
    LayerInfo {
        spatial,
        temporal_layers: 3,
        width,
        height,
        frames_per_second,
        bitrate_bps,
    }
}

fn track(track: TrackId, kind: TrackKind, layers: Vec<LayerInfo>) -> TrackInfo {
    TrackInfo {
        track,
        kind,
        muted: false,
        codec: "any".into(),
        layers,
    }
}

fn ticket() -> JoinResponse {
    let relay = RelayEndpoint {
        transport: TransportKind::WebTransport,
        url: "https://relay/wt".into(),
        certificate_hashes: Vec::new(),
    };
    JoinResponse {
        token: "token".into(),
        expires_at_ms: i64::MAX,
        relays: vec![relay],
    }
}

fn enter(meeting: &Meeting, name: &str, hello: Hello, now: Timestamp) -> Arc<Member> {
    let request = JoinRequest {
        user_id: name.parse().expect("a name"),
        display_name: name.into(),
        resume: hello.resume_token.parse().ok(),
        hello,
    };
    let entered = meeting.join(request, &|session| session.to_string(), now);
    entered.expect("let in")
}

impl World {
    pub(crate) fn new(path: Path, carrier: Carrier, seed: u64) -> Self {
        let settings = MeetingSettings::new("relay".parse().expect("an id"));
        let meeting = Meeting::new("demo".parse().expect("an id"), Arc::new(settings), seed, START);
        let ticket = ticket();
        let config = ClientConfig {
            ticket: Some(ticket.clone()),
            subscribe_automatically: false,
            ..ClientConfig::new(
                "http://server",
                "demo".parse().expect("an id"),
                "sender".parse().expect("a name"),
            )
        };
        let layers = vec![
            layer(0, 320, 180, 15, 120_000),
            layer(1, 640, 360, 30, 400_000),
            layer(2, 1280, 720, 30, 1_500_000),
        ];
        let encoders = layers
            .iter()
            .map(|&layer| Encoder::new(CAMERA, layer, START))
            .collect();
        let mut core = ClientCore::new(config, seed, START);
        for info in [
            track(MICROPHONE, TrackKind::Microphone, Vec::new()),
            track(CAMERA, TrackKind::Camera, layers),
        ] {
            core.handle(Input::Command(Command::PublishTrack(info)), START);
        }
        let mut world = Self {
            now: START,
            core,
            connecting: None,
            fetching: None,
            ticket,
            link: Link::new(path, carrier, seed, START),
            answers: Vec::new(),
            meeting,
            sender: None,
            watchers: Vec::new(),
            encoders,
            late: VecDeque::new(),
            lateness: Duration::ZERO,
            next_sound: START,
            sound_bps: 32_000,
            since: START,
            layer_changes: 0,
            heard_at: START,
            newest_sound: None,
            sound_gap: Duration::ZERO,
            sounds: BTreeMap::new(),
            pictures: 0,
            full_ticks: 0,
            target_sum: 0.0,
            target_moves: 0.0,
        };
        world.watch(None);
        world.settle();
        world
    }

    /// Somebody comes who watches behind a path of this rate, bits per second; their number.
    pub(crate) fn watch(&mut self, rate: Option<f64>) -> usize {
        let everything = Hello {
            protocol_version: 1,
            token: String::new(),
            capabilities: Capabilities {
                subscribe_automatically: true,
                ..Capabilities::default()
            },
            tracks: Vec::new(),
            resume_token: String::new(),
        };
        let number = self.watchers.len();
        let member = enter(&self.meeting, &format!("watcher-{number}"), everything, self.now);
        self.watchers.push((member, Watching::new(self.now)));
        self.set_watchers_rate(number, rate);
        number
    }

    /// Sets what the path of somebody who watches carries, bits per second; without, everything.
    pub(crate) fn set_watchers_rate(&mut self, number: usize, rate: Option<f64>) {
        self.watchers[number].1.rate = rate;
    }

    /// What somebody who watches has seen since [`World::forget`].
    pub(crate) fn seen(&self, number: usize) -> Seen {
        self.watchers[number].1.seen(self.now)
    }

    /// What the encoder of a layer is to make, bits per second; `None` when it is to make nothing.
    pub(crate) fn target_of(&self, spatial: usize) -> Option<u32> {
        let target = self.encoders[spatial].target;
        target.active.then_some(target.bitrate_bps)
    }

    /// From now on frames come to the core so much later than they are captured.
    pub(crate) fn set_lateness(&mut self, lateness: Duration) {
        self.lateness = lateness;
    }

    /// Encoders of the larger layers do not get below this share of their nominal bitrate.
    pub(crate) fn set_floor(&mut self, share: f64) {
        for encoder in self.encoders.iter_mut().skip(1) {
            encoder.floor = f64::from(encoder.layer.bitrate_bps) * share;
        }
    }

    /// From now on pictures need no more than this, bits per second, whatever encoders may use.
    pub(crate) fn set_need(&mut self, need: f64) {
        for encoder in &mut self.encoders {
            encoder.need = need;
        }
    }

    /// The camera sees something else all of a sudden.
    pub(crate) fn cut(&mut self) {
        for encoder in &mut self.encoders {
            encoder.cut = encoder.target.active;
        }
    }

    pub(crate) fn set_path(&mut self, path: Path) {
        self.link.path = path;
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.tick();
        }
    }

    /// How long it takes until the largest layer has had its whole bitrate for half a second; when that began.
    pub(crate) fn run_until_full_quality(&mut self, at_most: Duration) -> Option<Duration> {
        let begin = self.now;
        let mut since = None;
        while self.now.since(begin) < at_most {
            self.tick();
            since = self.has_full_quality().then(|| since.unwrap_or(self.now));
            if since.is_some_and(|since| self.now.since(since) >= Duration::from_millis(500)) {
                return since.map(|since| since.since(begin));
            }
        }
        None
    }

    /// How long it takes until the queue of the bottleneck has been short for half a second; when that began.
    pub(crate) fn run_until_short_queue(&mut self, short: Duration, at_most: Duration) -> Option<Duration> {
        let begin = self.now;
        let mut since = None;
        while self.now.since(begin) < at_most {
            self.tick();
            since = (self.link.queue() <= short).then(|| since.unwrap_or(self.now));
            if since.is_some_and(|since| self.now.since(since) >= Duration::from_millis(500)) {
                return since.map(|since| since.since(begin));
            }
        }
        None
    }

    fn has_full_quality(&self) -> bool {
        let largest = self.encoders.last().expect("there are layers");
        largest.target.active && largest.target.bitrate_bps >= largest.layer.bitrate_bps / 100 * 90
    }

    /// What the client says of its connection.
    pub(crate) fn connection(&self) -> ConnectionStats {
        self.core.stats()
    }

    /// An encoder tells that it is busy all the time, and drops what it cannot take.
    pub(crate) fn overload(&mut self) {
        let load = EncoderLoad {
            track: CAMERA,
            captured: 30,
            dropped: 15,
            busy: 0.99,
        };
        self.core
            .handle(Input::Command(Command::EncoderLoad(load)), self.now);
        self.settle();
    }

    /// Counts from now on.
    pub(crate) fn forget(&mut self) {
        self.since = self.now;
        let now = self.now;
        self.watchers
            .iter_mut()
            .for_each(|(_, watching)| watching.forget(now));
        self.link.waits.clear();
        self.link.carried_bytes = 0;
        self.layer_changes = 0;
        self.sound_gap = Duration::ZERO;
        self.heard_at = self.now;
        self.sounds.clear();
        self.pictures = 0;
        self.full_ticks = 0;
        self.target_sum = 0.0;
        self.target_moves = 0.0;
    }

    pub(crate) fn figures(&self) -> Figures {
        let seconds = self.now.since(self.since).as_secs_f64();
        let ticks = self.now.since(self.since).as_millis() as f64;
        let mut waits = self.link.waits.clone();
        waits.sort_unstable();
        let mean_target = self.target_sum / ticks;
        let sound = self.sound_figures();
        Figures {
            queueing_p95: waits.get(waits.len() * 95 / 100).copied().unwrap_or_default(),
            utilisation: self.link.carried_bytes as f64 * 8.0 / seconds / self.link.path.bits_per_second,
            layer_changes_per_minute: self.layer_changes as f64 * 60.0 / seconds,
            sound_gap: self.sound_gap,
            sound_hole: SOUND * sound.longest_hole,
            sound_missing: f64::from(sound.missing) / f64::from(sound.all.max(1)),
            sound_delay_p95: sound.delay_p95,
            queueing_max: waits.last().copied().unwrap_or_default(),
            pictures: self.pictures,
            full_quality: self.full_ticks as f64 / ticks,
            restlessness: self.target_moves / seconds / mean_target.max(1.0),
        }
    }

    /// Of the sounds whose time is up.
    fn sound_figures(&self) -> SoundFigures {
        let deadline = self.link.path.delay + PATIENCE;
        let mut figures = SoundFigures::default();
        let mut delays = Vec::new();
        let (mut hole, mut next) = (0, None);
        for (&number, &(captured, came)) in &self.sounds {
            if self.now.since(captured) < deadline {
                break;
            }
            let delay = came.map(|came| came.since(captured).saturating_sub(self.link.path.delay));
            let skipped = next.map_or(0, |next| number.saturating_sub(next));
            next = Some(number + 1);
            hole += skipped as u32;
            figures.missing += skipped as u32;
            figures.all += skipped as u32 + 1;
            delays.extend(delay);
            if delay.is_none_or(|delay| delay > PATIENCE) {
                hole += 1;
                figures.missing += 1;
            } else {
                figures.longest_hole = figures.longest_hole.max(hole);
                hole = 0;
            }
        }
        figures.longest_hole = figures.longest_hole.max(hole);
        delays.sort_unstable();
        figures.delay_p95 = delays.get(delays.len() * 95 / 100).copied().unwrap_or_default();
        figures
    }

    /// The client's machine gives it no time for so long: no picture is encoded, sound waits, the rest of the world
    /// goes on.
    pub(crate) fn sleep(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += TICK;
            self.hear_microphone();
            self.carry();
        }
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.capture();
        self.hand_over();
        if self.core.next_wake().is_some_and(|wake| wake <= self.now) {
            self.core.handle(Input::Timeout, self.now);
        }
        if self.link.path.up && self.fetching.is_some_and(|at| at <= self.now) {
            self.fetching = None;
            self.core.handle(Input::Ticket(Ok(self.ticket.clone())), self.now);
        }
        if self.link.path.up && self.connecting.is_some_and(|at| at <= self.now) {
            self.connecting = None;
            self.core.handle(Input::Connected, self.now);
        }
        self.settle();
        self.carry();
        let due = |(at, _): &(Timestamp, Bytes)| *at <= self.now;
        let arrived = self.answers.iter().take_while(|answer| due(answer)).count();
        for (_, packet) in self.answers.drain(..arrived).collect::<Vec<_>>() {
            let link = match ServerMessage::decode(&packet) {
                Ok(ServerMessage::Welcome(_)) => Connection::Next,
                _ => Connection::Current,
            };
            self.core.handle(Input::Packet(link, packet), self.now);
        }
        self.settle();
        self.measure();
    }

    /// What is on its way comes to the relay, and the relay does its work.
    fn carry(&mut self) {
        for packet in self.link.advance(self.now) {
            self.at_relay(&packet);
        }
        if self.now.as_millis().is_multiple_of(20) {
            self.meeting.on_timer(self.now);
        }
        self.relay_sends();
    }

    fn measure(&mut self) {
        self.full_ticks += u64::from(self.has_full_quality());
        let active = self.encoders.iter().filter(|encoder| encoder.target.active);
        self.target_sum += active
            .map(|encoder| f64::from(encoder.target.bitrate_bps))
            .sum::<f64>();
        let gap = self.now.since(self.heard_at);
        self.sound_gap = self.sound_gap.max(gap);
    }

    fn capture(&mut self) {
        if self.sender.is_none() {
            return;
        }
        self.hear_microphone();
        for encoder in &mut self.encoders {
            if let Some(frame) = encoder.encode(self.now, || self.link.chance()) {
                self.late.push_back((self.now + self.lateness, frame));
            }
        }
    }

    fn hear_microphone(&mut self) {
        if self.now >= self.next_sound {
            self.next_sound += Duration::from_millis(20);
            let sound = EncodedFrame {
                track: MICROPHONE,
                spatial: 0,
                temporal: 0,
                capture_time_us: self.now.as_micros() - 20_000,
                keyframe: true,
                duration_us: 20_000,
                audio_level: Some(20),
                decoder: Some(DecoderConfig {
                    codec: "opus".into(),
                    sample_rate: 48_000,
                    channels: 1,
                    ..DecoderConfig::default()
                }),
                payload: Bytes::from(vec![3; (self.sound_bps / 8 / 50) as usize]),
            };
            self.late.push_back((self.now + self.lateness, sound));
        }
    }

    /// Frames that the machine got round to come to the core.
    fn hand_over(&mut self) {
        while let Some((_, frame)) = self.late.pop_front_if(|(at, _)| *at <= self.now) {
            self.core
                .handle(Input::Command(Command::SendFrame(frame)), self.now);
        }
    }

    /// Does what the core asks for, and gives the transport what it takes.
    fn settle(&mut self) {
        while let Some(output) = self.core.poll() {
            match output {
                Output::FetchTicket => self.fetching = Some(self.now + self.link.path.delay * 2),
                Output::Connect(_) => self.connecting = Some(self.now + self.link.path.delay * 2),
                Output::GiveUp(_) => self.connecting = None,
                Output::Switch => self.link.reset(),
                Output::Greet(packet) => self.greet(&packet),
                Output::Event(Event::EncoderTargets(targets)) => self.obey(&targets),
                Output::Event(Event::KeyframeWanted {
                    track: CAMERA,
                    spatial,
                }) => {
                    self.encoders[usize::from(spatial)].keyframe_wanted = true;
                }
                Output::Disconnect(_) => self.link.reset(),
                _ => {}
            }
        }
        while let Some(packet) = self.core.poll_packet(self.now, |lane| self.link.is_ready(lane)) {
            self.link.send(packet, self.now);
        }
    }

    fn greet(&mut self, packet: &Bytes) {
        let Ok(ClientMessage::Hello(hello)) = ClientMessage::decode(packet) else {
            panic!("a client greets first");
        };
        self.sender = Some(enter(&self.meeting, "sender", *hello, self.now));
    }

    fn obey(&mut self, targets: &[EncoderTarget]) {
        for target in targets {
            if target.track == MICROPHONE {
                self.sound_bps = target.bitrate_bps;
                continue;
            }
            let encoder = &mut self.encoders[usize::from(target.spatial)];
            let before = encoder.target;
            self.layer_changes += usize::from(before.active != target.active);
            if before.active && target.active {
                self.target_moves += (f64::from(target.bitrate_bps) - f64::from(before.bitrate_bps)).abs();
            }
            encoder.obey(*target, self.now);
        }
    }

    fn at_relay(&mut self, packet: &Bytes) {
        let sender = self.sender.as_ref().expect("only who is in sends");
        if !is_frame(packet) {
            let message = ClientMessage::decode(packet).expect("a message");
            if let ClientMessage::Ping { sent_at_us, .. } = message {
                // The session driver's answer.
                let pong = ServerMessage::Pong {
                    sent_at_us,
                    server_time_ms: 0,
                };
                self.answers
                    .push((self.now + self.link.path.delay, pong.encode()));
            } else {
                self.meeting.control(sender, message, self.now).expect("allowed");
            }
            return;
        }
        self.meeting.media(sender, packet, self.now).expect("honest");
        let header = FrameHeader::peek(packet).expect("a frame");
        if header.kind.is_audio() {
            self.hear(packet);
            if self.newest_sound.is_none_or(|newest| header.sequence > newest) {
                self.newest_sound = Some(header.sequence);
                self.heard_at = self.now;
            }
        } else {
            self.pictures += 1;
        }
    }

    /// A sound and the earlier ones that it repeats.
    fn hear(&mut self, packet: &Bytes) {
        let frame = Frame::decode(packet).expect("a frame");
        let captured_us = frame.header.capture_time_us;
        let repeated = frame.redundancy.iter().map(|repeated| {
            let number = frame.header.sequence - u64::from(repeated.sequence_distance);
            (number, captured_us - u64::from(repeated.capture_time_distance_us))
        });
        for (number, captured_us) in repeated.chain([(frame.header.sequence, captured_us)]) {
            let captured = Timestamp::from_micros(captured_us);
            // What is from before the last `forget` is of no interest any more.
            if captured >= self.since {
                let known = self.sounds.entry(number).or_insert((captured, None));
                known.1.get_or_insert(self.now);
            }
        }
    }

    fn relay_sends(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut next = |member: &Arc<Member>| {
            let next = self
                .meeting
                .poll_outgoing(member, ClassSet::ALL, self.now, &mut context);
            match next {
                Poll::Ready(next) => next,
                Poll::Pending => None,
            }
        };
        for (member, watching) in &mut self.watchers {
            while watching.has_room(self.now)
                && let Some(outgoing) = next(member)
            {
                watching.take(&outgoing, self.now);
            }
        }
        // An old connection of a session that has come back gives nothing.
        while let Some(outgoing) = self.sender.as_ref().and_then(&mut next) {
            self.answers
                .push((self.now + self.link.path.delay, outgoing.packet));
        }
        self.answers.sort_by_key(|(at, _)| *at);
    }
}
