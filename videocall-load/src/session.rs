//! One session: greets, says what it wants, receives, and sends when its time has come.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use videocall_types::api::RelayEndpoint;
use videocall_types::limits::{PING_INTERVAL, PROTOCOL_VERSION};
use videocall_types::{
    Capabilities, ClientMessage, Hello, Interest, ServerMessage, SessionId, Subscription, TrackRef, is_frame,
};

use crate::arrivals::{Notes, Record};
use crate::carrier::{Intake, Network, Outlet};
use crate::plan::{Load, Part, Watch};
use crate::sources::{CAMERA, Due, Source, Timetable, tracks};
use crate::ticket::Office;

/// A session that is not in by then does not get in.
const ENTER_TIMEOUT: Duration = Duration::from_secs(20);

/// Messages above this are about the meeting, which a load does not look at.
const LOOKED_AT_BYTES: usize = 256;

/// How far a run is; each stage includes those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Publishers come.
    Entering,
    /// All publishers are in, so that they can be named.
    Watching,
    /// Everybody is in; publishers send.
    Sending,
    /// Everybody leaves.
    Over,
}

/// Where sessions go.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// To a relay, with a ticket.
    Meeting(Office),
    /// To these addresses, one of each carrier; nobody is greeted there.
    Bare(Vec<RelayEndpoint>),
}

/// What the sessions of a run share.
pub(crate) struct Shared {
    pub(crate) load: Load,
    pub(crate) record: Arc<Record>,
    pub(crate) way: Way,
    pub(crate) network: Network,
    pub(crate) stage: watch::Receiver<Stage>,
    /// The publishers of all meetings, once they are in.
    pub(crate) publishers: Vec<OnceLock<SessionId>>,
}

/// One session.
pub(crate) struct Member {
    shared: Arc<Shared>,
    part: Part,
    /// Taken by the relay's Welcome.
    welcome: Mutex<Option<oneshot::Sender<SessionId>>>,
    /// Layers of which somebody needs a keyframe, one bit each.
    keyframes: AtomicU8,
    /// Layers that somebody gets, one bit each.
    layers: AtomicU8,
}

/// Attends until the run is over, or `leave` is dropped; says when it is inside.
///
/// # Errors
/// When the session does not get in, or is lost.
pub(crate) async fn attend(
    shared: Arc<Shared>,
    part: Part,
    inside: oneshot::Sender<()>,
    leave: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let (sender, welcome) = oneshot::channel();
    let member = Arc::new(Member {
        shared,
        part,
        welcome: Mutex::new(Some(sender)),
        keyframes: AtomicU8::new(0),
        layers: AtomicU8::new(u8::MAX),
    });
    let entering = timeout(ENTER_TIMEOUT, member.connect()).await;
    let (intake, outlet, greeting) = entering.context("nobody answers")??;
    let (pongs, asked) = watch::channel(Bytes::new());
    let speaking = Speaking {
        member: &member,
        outlet,
        asked,
    };
    tokio::select! {
        end = intake.run(Inbox::new(&member), pongs) => end,
        end = speaking.run(greeting, welcome, inside, leave) => end,
    }
}

impl Member {
    /// Opens the connection and returns what to say first.
    async fn connect(&self) -> anyhow::Result<(Intake, Outlet, Option<Bytes>)> {
        let shared = &self.shared;
        match &shared.way {
            Way::Meeting(office) => {
                let Part {
                    meeting, transport, ..
                } = self.part;
                let turn = match shared.load.transport {
                    crate::Transport::Mixed => self.part.index / 2,
                    _ => self.part.index,
                };
                let (token, relay) = office.ticket(meeting, turn, transport).await?;
                let (intake, outlet) = shared.network.connect(&relay).await?;
                Ok((intake, outlet, Some(self.hello(token).encode())))
            }
            Way::Bare(addresses) => {
                let transport = self.part.transport;
                let relay = addresses.iter().find(|relay| relay.transport == transport);
                let relay = relay.with_context(|| format!("no {transport} address"))?;
                let (intake, outlet) = shared.network.connect(relay).await?;
                Ok((intake, outlet, None))
            }
        }
    }

    fn hello(&self, token: String) -> ClientMessage {
        let (load, part) = (&self.shared.load, &self.part);
        ClientMessage::Hello(Box::new(Hello {
            protocol_version: PROTOCOL_VERSION,
            token,
            capabilities: Capabilities {
                client: concat!("videocall-load/", env!("CARGO_PKG_VERSION")).to_owned(),
                decodable_codecs: Vec::new(),
                subscribe_automatically: part.receives && load.watch == Watch::Everything,
            },
            tracks: if part.publishes { tracks(load) } else { Vec::new() },
            resume_token: String::new(),
        }))
    }

    /// What to subscribe to, once the publishers are known.
    fn wishes(&self) -> Option<ClientMessage> {
        let load = &self.shared.load;
        let Watch::Cameras(_) = load.watch else {
            return None;
        };
        let publisher = |number| {
            let known = self.shared.publishers.get(self.publisher_index(number));
            known.and_then(OnceLock::get).copied()
        };
        let watched = if self.part.receives {
            load.watched(self.part.number)
        } else {
            Vec::new()
        };
        let tracks = watched
            .into_iter()
            .filter_map(publisher)
            .map(|session| Subscription {
                track: TrackRef {
                    session,
                    track: CAMERA,
                },
                width: 0,
                height: 0,
                priority: 0,
            });
        let interest = Interest::Chosen {
            speakers: self.part.receives,
            tracks: tracks.collect(),
        };
        Some(ClientMessage::Subscribe(interest))
    }

    fn publisher_index(&self, number: usize) -> usize {
        self.part.meeting * self.shared.load.publishers + number
    }
}

/// Takes the packets of one stream of a session.
pub(crate) struct Inbox {
    member: Arc<Member>,
    notes: Notes,
}

impl Inbox {
    fn new(member: &Arc<Member>) -> Self {
        Self {
            member: member.clone(),
            notes: Notes::new(member.shared.record.clone(), member.part.index),
        }
    }

    /// For another stream of the same session.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.member)
    }

    /// Takes a packet.
    ///
    /// # Errors
    /// When the relay says that the session is over.
    pub(crate) fn packet(&mut self, packet: &[u8]) -> anyhow::Result<()> {
        if is_frame(packet) {
            self.notes.frame(packet);
            return Ok(());
        }
        if packet.len() <= LOOKED_AT_BYTES || self.member.welcome.lock().is_some() {
            self.control(packet)?;
        }
        Ok(())
    }

    /// To be called once per read.
    pub(crate) fn flush(&mut self) {
        self.notes.flush();
    }

    fn control(&self, packet: &[u8]) -> anyhow::Result<()> {
        let member = &self.member;
        match ServerMessage::decode(&Bytes::copy_from_slice(packet))? {
            ServerMessage::Welcome(welcome) => {
                if let Some(waiting) = member.welcome.lock().take() {
                    let _given_up = waiting.send(welcome.session);
                }
            }
            ServerMessage::Closing(closing) => bail!("{} ({:?})", closing.message, closing.code),
            ServerMessage::KeyframeWanted { spatial, .. } => {
                member.keyframes.fetch_or(1 << (spatial % 8), Ordering::Relaxed);
            }
            ServerMessage::LayersWanted {
                track,
                spatial_layers,
            } if track == CAMERA => {
                let bits = spatial_layers
                    .iter()
                    .fold(0, |bits, layer| bits | 1 << (layer % 8));
                member.layers.store(bits, Ordering::Relaxed);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What a session says.
struct Speaking<'a> {
    member: &'a Member,
    outlet: Outlet,
    /// The newest ping; those before need no answer (RFC 6455 §5.5.3).
    asked: watch::Receiver<Bytes>,
}

impl Speaking<'_> {
    async fn run(
        mut self,
        greeting: Option<Bytes>,
        welcome: oneshot::Receiver<SessionId>,
        inside: oneshot::Sender<()>,
        mut leave: oneshot::Receiver<()>,
    ) -> anyhow::Result<()> {
        let greeted = greeting.is_some();
        let session = match greeting {
            Some(hello) => {
                self.outlet.control(&hello).await?;
                timeout(ENTER_TIMEOUT, welcome)
                    .await
                    .context("no Welcome came")??
            }
            None => {
                // It opens the control stream, and says who comes.
                let who = format!("{}/{}", self.member.part.meeting, self.member.part.number);
                self.outlet.control(who.as_bytes()).await?;
                SessionId::new(self.member.part.index as u64 + 1).ok_or_else(|| anyhow!("no session"))?
            }
        };
        if self.member.part.publishes {
            let index = self.member.publisher_index(self.member.part.number);
            let _known_already = self.member.shared.publishers[index].set(session);
        }
        // Nobody has to wait for it.
        let _alone = inside.send(());
        self.stay(session, greeted, &mut leave).await?;
        if greeted {
            self.outlet.control(&ClientMessage::Leave.encode()).await?;
        }
        self.outlet.close().await;
        Ok(())
    }

    async fn stay(
        &mut self,
        session: SessionId,
        greeted: bool,
        leave: &mut oneshot::Receiver<()>,
    ) -> anyhow::Result<()> {
        let mut stage = self.member.shared.stage.clone();
        let mut pings = every_second();
        let mut sending = None;
        let mut subscribed = !greeted;
        loop {
            let now = *stage.borrow_and_update();
            if now == Stage::Over {
                return Ok(());
            }
            if now >= Stage::Watching
                && !std::mem::replace(&mut subscribed, true)
                && let Some(wishes) = self.member.wishes()
            {
                self.outlet.control(&wishes.encode()).await?;
            }
            if now == Stage::Sending && sending.is_none() && greeted && self.member.part.publishes {
                sending = Some(Sending::start(self.member, session));
            }
            tokio::select! {
                due = next(&mut sending) => if let Some(sending) = &mut sending {
                    sending.send(due, &mut self.outlet).await?;
                },
                Ok(()) = self.asked.changed() => {
                    let ping = self.asked.borrow_and_update().clone();
                    self.outlet.pong(&ping).await?;
                },
                _ = pings.tick(), if greeted => self.outlet.control(&ping()).await?,
                _ = stage.changed() => {}
                _ = &mut *leave => return Ok(()),
            }
        }
    }
}

fn every_second() -> Interval {
    let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

fn ping() -> Bytes {
    let ping = ClientMessage::Ping {
        sent_at_us: 1,
        rtt_us: 0,
    };
    ping.encode()
}

async fn next(sending: &mut Option<Sending<'_>>) -> Due {
    match sending {
        Some(sending) => sending.timetable.next().await,
        None => std::future::pending().await,
    }
}

/// What a publisher sends.
struct Sending<'a> {
    member: &'a Member,
    timetable: Timetable,
    microphone: Source,
    /// One for each layer.
    cameras: Vec<Source>,
}

impl<'a> Sending<'a> {
    fn start(member: &'a Member, session: SessionId) -> Self {
        let load = &member.shared.load;
        let Part { meeting, number, .. } = member.part;
        let camera = load.camera.as_ref();
        let layers = camera.into_iter().flat_map(|camera| {
            let layers = 0..camera.spatial_layers;
            layers.map(move |spatial| Source::camera(camera, session, spatial))
        });
        Self {
            member,
            timetable: Timetable::start(load, meeting, number),
            microphone: Source::microphone(load, session, number),
            cameras: layers.collect(),
        }
    }

    async fn send(&mut self, due: Due, outlet: &mut Outlet) -> anyhow::Result<()> {
        let record = &self.member.shared.record;
        let publisher = self.member.publisher_index(self.member.part.number);
        match due {
            Due::Voice => {
                let now = record.clock.now_us();
                record.sent_voice(publisher, now);
                outlet.voice(self.microphone.next(now)).await
            }
            Due::Picture => {
                let now = record.clock.now_us();
                let asked = self.member.keyframes.swap(0, Ordering::Relaxed);
                let wanted = self.member.layers.load(Ordering::Relaxed);
                let largest = self.cameras.len().saturating_sub(1);
                for (spatial, camera) in self.cameras.iter_mut().enumerate() {
                    if asked & (1 << spatial) != 0 {
                        camera.restart();
                    }
                    if wanted & (1 << spatial) == 0 {
                        // Whoever wants the layer again begins with a keyframe.
                        camera.restart();
                        continue;
                    }
                    if spatial == largest {
                        record.sent_picture(publisher, now);
                    }
                    outlet.picture(spatial as u8, camera.next(now)).await?;
                }
                Ok(())
            }
        }
    }
}
