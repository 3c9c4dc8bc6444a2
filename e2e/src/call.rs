//! Calls of library clients that send all the time and notice every frame that is missing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use videocall_client::core::{ConnectionStatus, EncodedFrame};
use videocall_client::{Client, ClientConfig, Event, EventStream, TransportPreference};
use videocall_types::{
    Closing, DecoderConfig, Frame, LayerId, Participant, SessionId, TrackId, TrackInfo, TrackKind, TrackRef,
};

/// Nothing that a test waits for takes longer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Between two frames of each track: that of voices.
const FRAME_INTERVAL: Duration = Duration::from_millis(20);

/// Frames of a layer come every [`FRAME_INTERVAL`]; a little more of that is nothing yet.
const NOTED_GAP: Duration = Duration::from_millis(25);

/// How many such gaps of a layer are remembered.
const NOTED_GAPS: usize = 1000;

/// A sender that is not run for longer drops what has become late, and so it should: what is missing
/// then says nothing about what was done to the call.
const STALL: Duration = Duration::from_millis(120);

const MICROPHONE: TrackId = TrackId(1);
const CAMERA: TrackId = TrackId(2);

/// What a client has learnt.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The last status of the connection.
    pub status: ConnectionStatus,
    /// Our session.
    pub session: Option<SessionId>,
    /// How often we have entered.
    pub joins: u32,
    /// The last time the old session went on.
    pub resumed: bool,
    /// Everybody else.
    pub roster: BTreeMap<SessionId, Participant>,
    /// Everybody who has left, since the beginning.
    pub left: BTreeSet<SessionId>,
    /// What has come, by layer.
    pub layers: BTreeMap<LayerId, LayerSeen>,
    /// How often the machine did not run this caller for longer than [`STALL`].
    pub stalls: u32,
    /// For how long it did not run this caller at the longest.
    pub longest_stall: Duration,
    /// It is over.
    pub closed: Option<Closing>,
}

/// What has come of one layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerSeen {
    /// Frames.
    pub frames: u64,
    /// Number of the last one.
    pub last: u64,
    /// Numbers between the first and the last that never came.
    pub missing: u64,
    /// When the last one came.
    pub last_at: Option<Instant>,
    /// Times without a frame above [`NOTED_GAP`] and when they ended, the newest last.
    pub gaps: VecDeque<(Instant, Duration)>,
}

/// A time without a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When it was over; one that goes on ends now.
    pub ended_at: Instant,
    /// How long it was.
    pub length: Duration,
}

impl LayerSeen {
    /// The times without a frame that ended or go on after `since`.
    fn gaps(&self, since: Instant) -> impl Iterator<Item = Gap> {
        let ended = self.gaps.iter().filter(move |(ended_at, _)| *ended_at > since);
        let ended = ended.map(|&(ended_at, length)| Gap { ended_at, length });
        let open = self.last_at.map(|at| Gap {
            ended_at: Instant::now(),
            length: at.elapsed(),
        });
        ended.chain(open)
    }

    /// The longest time without a frame that ended or goes on after `since`.
    pub fn longest_gap(&self, since: Instant) -> Duration {
        let ended = self.gaps.iter().filter(|(ended_at, _)| *ended_at > since);
        let open = self.last_at.map_or(Duration::ZERO, |at| at.max(since).elapsed());
        ended.map(|(_, gap)| *gap).fold(open, Duration::max)
    }

    fn take(&mut self, sequence: u64) {
        let now = Instant::now();
        let gap = self
            .last_at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if gap > NOTED_GAP {
            self.gaps.push_back((now, gap));
            if self.gaps.len() > NOTED_GAPS {
                self.gaps.pop_front();
            }
        }
        self.last_at = Some(now);
        if self.frames > 0 {
            self.missing += sequence.saturating_sub(self.last + 1);
        }
        self.frames += 1;
        self.last = self.last.max(sequence);
    }
}

impl Seen {
    /// Frames of somebody: of the voice or of the face, whichever has brought fewer.
    pub fn frames_of(&self, session: SessionId) -> u64 {
        let of = |track| {
            let track = TrackRef { session, track };
            let layer = LayerId { track, spatial: 0 };
            self.layers.get(&layer).map_or(0, |seen| seen.frames)
        };
        of(MICROPHONE).min(of(CAMERA))
    }

    /// The longest time since then without a frame of somebody's voice; `None` when none ever came.
    pub fn longest_silence_of(&self, session: SessionId, since: Instant) -> Option<Duration> {
        let track = TrackRef {
            session,
            track: MICROPHONE,
        };
        let layer = LayerId { track, spatial: 0 };
        self.layers.get(&layer).map(|seen| seen.longest_gap(since))
    }
}

/// A library client with a voice and a face, both of which it sends all the time.
#[derive(Debug)]
pub struct Caller {
    client: Client,
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

impl Caller {
    /// Begins to join.
    ///
    /// # Errors
    /// When one of the names is not allowed.
    pub fn start(
        url: &str,
        meeting: &str,
        name: &str,
        transport: TransportPreference,
    ) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new(url, meeting.parse()?, name.parse()?);
        config.transport = transport;
        Ok(Self::start_with(config))
    }

    /// Begins to join with these settings.
    pub fn start_with(config: ClientConfig) -> Self {
        let (client, events) = Client::start(config);
        let (sender, seen) = watch::channel(Seen::default());
        let task = tokio::spawn(run(client.clone(), events, sender));
        Self { client, seen, task }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What it has learnt so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until what it has learnt fulfils a condition.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until(&self, what: &str, condition: impl FnMut(&Seen) -> bool) -> anyhow::Result<Seen> {
        self.until_within(TIMEOUT, what, condition).await
    }

    /// The same with a time limit of the test's own.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until_within(
        &self,
        limit: Duration,
        what: &str,
        condition: impl FnMut(&Seen) -> bool,
    ) -> anyhow::Result<Seen> {
        let mut seen = self.seen.clone();
        match timeout(limit, seen.wait_for(condition)).await {
            Ok(Ok(now)) => Ok(now.clone()),
            _ => bail!("{what}: not within {limit:?}; last seen: {:?}", self.seen()),
        }
    }

    /// Waits until it is in, and says as whom.
    ///
    /// # Errors
    /// When it does not get in.
    pub async fn session(&self) -> anyhow::Result<SessionId> {
        let seen = self
            .until("the client is in", |seen| {
                seen.session.is_some() || seen.closed.is_some()
            })
            .await?;
        seen.session
            .with_context(|| format!("the client was refused: {:?}", seen.closed))
    }

    /// Waits until so many more frames of somebody have come.
    ///
    /// # Errors
    /// When they do not come.
    pub async fn receives(&self, more: u64, from: SessionId) -> anyhow::Result<()> {
        let before = self.seen.borrow().frames_of(from);
        let what = format!("{more} more frames of {from}");
        self.until(&what, |seen| seen.frames_of(from) >= before + more)
            .await
            .map(drop)
    }

    /// Leaves and waits for the end.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn leave(self) -> anyhow::Result<()> {
        self.client.leave();
        self.until("the end", |seen| seen.closed.is_some())
            .await
            .map(drop)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Two callers in a meeting.
#[derive(Debug)]
pub struct Call {
    callers: [(Caller, SessionId); 2],
    /// What was missing of the other when the call had begun: a joiner is first shown a picture from
    /// the past, and what lay between it and the next keyframe never comes.
    missed_at_first: [u64; 2],
}

/// Frames of each track that both receive before and after what a call is to survive: half a second.
const SAMPLE: u64 = 25;

impl Call {
    /// Brings two callers together and waits until frames pass both ways.
    ///
    /// # Errors
    /// When they do not.
    pub async fn start(
        urls: [&str; 2],
        meeting: &str,
        transports: [TransportPreference; 2],
    ) -> anyhow::Result<Self> {
        let first = Caller::start(urls[0], meeting, "first", transports[0])?;
        let second = Caller::start(urls[1], meeting, "second", transports[1])?;
        let (one, two) = (first.session().await?, second.session().await?);
        let mut call = Self {
            callers: [(first, one), (second, two)],
            missed_at_first: [0; 2],
        };
        call.goes_on().await?;
        call.missed_at_first = call.missed(|_| true);
        Ok(call)
    }

    /// Waits until both have received more of the other.
    ///
    /// # Errors
    /// When they do not.
    pub async fn goes_on(&self) -> anyhow::Result<()> {
        let [(first, one), (second, two)] = &self.callers;
        tokio::try_join!(first.receives(SAMPLE, *two), second.receives(SAMPLE, *one)).map(drop)
    }

    /// A session of the call, for somebody who pretends to have it.
    pub fn session(&self) -> SessionId {
        self.callers[0].1
    }

    /// Checks that nothing has been lost and nobody was disturbed.
    ///
    /// # Errors
    /// With what was lost.
    pub fn check(&self) -> anyhow::Result<()> {
        self.check_connections()?;
        let missed = self.missed(|_| true);
        ensure!(
            missed == self.missed_at_first || self.has_stalled(),
            "frames are missing: {missed:?}, {:?}",
            self.callers
        );
        Ok(())
    }

    /// Checks that no voice has been lost and nobody was disturbed: pictures may give way to what else
    /// the callers receive.
    ///
    /// # Errors
    /// With what was lost.
    pub fn check_voices(&self) -> anyhow::Result<()> {
        self.check_connections()?;
        let missed = self.missed(|layer| layer.track.track == MICROPHONE);
        ensure!(
            missed == [0; 2] || self.has_stalled(),
            "voices are missing: {missed:?}, {:?}",
            self.callers
        );
        Ok(())
    }

    /// Voices that one of them has missed of the other so far, unless the machine did not run them for a while.
    pub fn missed_voices(&self) -> u64 {
        if self.has_stalled() {
            return 0;
        }
        self.missed(|layer| layer.track.track == MICROPHONE).iter().sum()
    }

    /// The times since then at which one of them was without a frame of the other, voice or face.
    pub fn gaps(&self, since: Instant) -> Vec<Gap> {
        self.gaps_of(since, |_| true)
    }

    /// The times since then at which one of them did not hear the other.
    pub fn silences(&self, since: Instant) -> Vec<Gap> {
        self.gaps_of(since, |layer| layer.track.track == MICROPHONE)
    }

    /// The longest of [`Call::silences`].
    pub fn longest_silence(&self, since: Instant) -> Duration {
        let silences = self.silences(since);
        silences.iter().map(|gap| gap.length).max().unwrap_or_default()
    }

    fn gaps_of(&self, since: Instant, counts: impl Fn(&LayerId) -> bool) -> Vec<Gap> {
        let gaps = self.directions().map(|(caller, other)| {
            let seen = caller.seen.borrow();
            let of = seen
                .layers
                .iter()
                .filter(|(layer, _)| layer.track.session == other && counts(layer));
            of.flat_map(|(_, seen)| seen.gaps(since)).collect::<Vec<_>>()
        });
        gaps.concat()
    }

    /// For how long the machine did not run one of them at the longest.
    pub fn longest_stall(&self) -> Duration {
        let stalls = self.callers.iter().map(|(caller, _)| caller.seen().longest_stall);
        stalls.max().unwrap_or_default()
    }

    fn has_stalled(&self) -> bool {
        self.callers.iter().any(|(caller, _)| caller.seen().stalls > 0)
    }

    /// Checks that nobody was disturbed, whatever was lost.
    ///
    /// # Errors
    /// With who was.
    pub fn check_connections(&self) -> anyhow::Result<()> {
        for (caller, other) in self.directions() {
            let seen = caller.seen();
            let alone = seen.left.contains(&other) || seen.closed.is_some();
            ensure!(
                !alone && seen.joins == 1,
                "the one who talks to {other} was disturbed: {seen:?}"
            );
        }
        Ok(())
    }

    /// What each has missed of the other, of these layers.
    fn missed(&self, counts: impl Fn(&LayerId) -> bool) -> [u64; 2] {
        self.directions().map(|(caller, other)| {
            let seen = caller.seen();
            let of = seen
                .layers
                .iter()
                .filter(|(layer, _)| layer.track.session == other && counts(layer));
            of.map(|(_, seen)| seen.missing).sum()
        })
    }

    /// Who receives from whom.
    fn directions(&self) -> [(&Caller, SessionId); 2] {
        let [(first, one), (second, two)] = &self.callers;
        [(first, *two), (second, *one)]
    }
}

/// Takes events and sends frames until the client has ended.
async fn run(client: Client, mut events: EventStream, seen: watch::Sender<Seen>) {
    for track in [MICROPHONE, CAMERA] {
        // A client that has ended says so by the end of its events.
        let _ended = client.publish(description(track));
    }
    let started = Instant::now();
    let mut ticks = interval(FRAME_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut keyframe = true;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::KeyframeWanted { .. } | Event::TrackAccepted(_)) => keyframe = true,
                Some(event) => {
                    seen.send_modify(|seen| note(seen, event));
                }
                None => return,
            },
            due = ticks.tick() => {
                if due.elapsed() > STALL {
                    seen.send_modify(|seen| {
                        seen.stalls += 1;
                        seen.longest_stall = seen.longest_stall.max(due.elapsed());
                    });
                }
                let time = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                let _dropped = client.send_frame(frame(MICROPHONE, time, true));
                keyframe &= client.send_frame(frame(CAMERA, time, keyframe)).is_err();
            }
        }
    }
}

fn note(seen: &mut Seen, event: Event) {
    match event {
        Event::Connection(status) => seen.status = status,
        Event::Joined {
            session,
            resumed,
            participants,
        } => {
            seen.session = Some(session);
            seen.joins += 1;
            seen.resumed = resumed;
            seen.roster = participants
                .into_iter()
                .map(|person| (person.session, person))
                .collect();
        }
        Event::ParticipantJoined(person) => {
            seen.roster.insert(person.session, person);
        }
        Event::ParticipantLeft(session) => {
            seen.roster.remove(&session);
            seen.left.insert(session);
        }
        Event::Frame(Frame { header, .. }) => {
            seen.layers
                .entry(header.layer())
                .or_default()
                .take(header.sequence);
        }
        Event::Closed(closing) => seen.closed = Some(closing),
        _ => {}
    }
}

fn description(track: TrackId) -> TrackInfo {
    let camera = track == CAMERA;
    TrackInfo {
        track,
        kind: if camera {
            TrackKind::Camera
        } else {
            TrackKind::Microphone
        },
        muted: false,
        codec: if camera { "vp8" } else { "opus" }.to_owned(),
        layers: Vec::new(),
    }
}

/// A frame of about the size that such a track has.
fn frame(track: TrackId, capture_time_us: u64, keyframe: bool) -> EncodedFrame {
    let camera = track == CAMERA;
    let config = DecoderConfig {
        codec: if camera { "vp8" } else { "opus" }.to_owned(),
        ..Default::default()
    };
    EncodedFrame {
        track,
        spatial: 0,
        temporal: 0,
        capture_time_us,
        keyframe,
        duration_us: 20_000,
        audio_level: (!camera).then_some(30),
        decoder: keyframe.then_some(config),
        payload: Bytes::from_static(if camera { &[7; 1500] } else { &[7; 100] }),
    }
}
