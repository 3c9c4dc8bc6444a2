//! Some publish, many receive, and the relay's process is watched.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use videocall_types::api::{JoinResponse, TransportKind};
use videocall_types::limits::PING_INTERVAL;
use videocall_types::{ClientMessage, ServerMessage, SessionId};
use wtransport::Endpoint;
use wtransport::endpoint::endpoint_side::Client as ClientSide;

use super::framer::{AUDIO, CAMERA, MICROPHONE, Notes, Record, Track, VIDEO, tracks};
use super::websocket::{self, Arrival};
use super::webtransport::{self, ControlReader};
use crate::raw::{client_endpoint, hello};
use crate::{Server, endpoint, join};

/// Before it is measured: connections have found their pace by then.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long frames that are on their way when the measurement ends may take.
const DRAIN: Duration = Duration::from_secs(3);

/// Connections that share one UDP socket. Few enough that the socket's buffer is not what is measured.
const CONNECTIONS_PER_SOCKET: usize = 5;

/// A load.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Who send audio and video.
    pub publishers: usize,
    /// Who receive all of it.
    pub receivers: usize,
    /// What is measured after the warm-up.
    pub measured: Duration,
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Packets that had to arrive.
    pub expected: u64,
    /// Packets that did.
    pub delivered: u64,
    /// Processor time of the relay while they were sent.
    pub cpu: Duration,
    /// Delays from the sender's clock to the receiver: half are shorter, 95 % and 99 % are.
    pub delay: [Duration; 3],
}

/// Puts the load on a server and measures.
///
/// # Errors
/// When somebody does not get in, or loses the connection.
pub async fn run(server: &Server, carrier: TransportKind, scenario: Scenario) -> anyhow::Result<Figures> {
    let start = WARM_UP.as_micros() as u64;
    let window = start..start + scenario.measured.as_micros() as u64;
    let per_second = (AUDIO.0 + VIDEO.0) as usize * scenario.publishers * scenario.receivers;
    let expected = per_second * (scenario.measured.as_secs() as usize + 1);
    let meeting = format!("bench-{carrier}");
    let mut crowd = Crowd {
        server,
        carrier,
        meeting: &meeting,
        sockets: Vec::new(),
        tasks: JoinSet::new(),
    };
    let mut waiting = Vec::new();
    for number in 0..scenario.receivers {
        waiting.push(crowd.enter(&format!("receiver-{number}"), true).await?);
    }
    let mut sending = Vec::new();
    for number in 0..scenario.publishers {
        sending.push(crowd.enter(&format!("publisher-{number}"), false).await?);
    }
    let record = Arc::new(Record::new(window, expected));
    let began = Instant::now();
    for participant in waiting {
        crowd.receive(participant, record.clone());
    }
    for participant in sending {
        crowd.publish(participant, record.clone());
    }
    measure(&mut crowd, &record, scenario, began).await
}

async fn measure(
    crowd: &mut Crowd<'_>,
    record: &Record,
    scenario: Scenario,
    began: Instant,
) -> anyhow::Result<Figures> {
    let process = crowd.server.process().context("the server does not run")?;
    crowd.watch_until(began + WARM_UP).await?;
    let cpu_before = process.cpu_time()?;
    crowd.watch_until(began + WARM_UP + scenario.measured).await?;
    let cpu = process.cpu_time()?.saturating_sub(cpu_before);
    let expected = record.sent() * scenario.receivers as u64;
    let end = Instant::now() + DRAIN;
    while (record.received() as u64) < expected && Instant::now() < end {
        crowd
            .watch_until(Instant::now() + Duration::from_millis(50))
            .await?;
    }
    let delays = record.sorted_delays();
    let at = |share: f64| {
        let index = (delays.len() as f64 * share) as usize;
        let micros = delays.get(index.min(delays.len().saturating_sub(1)));
        Duration::from_micros(micros.copied().unwrap_or(u32::MAX).into())
    };
    Ok(Figures {
        expected,
        delivered: delays.len() as u64,
        cpu,
        delay: [at(0.5), at(0.95), at(0.99)],
    })
}

/// Everybody who takes part.
struct Crowd<'a> {
    server: &'a Server,
    carrier: TransportKind,
    meeting: &'a str,
    sockets: Vec<(Arc<Endpoint<ClientSide>>, usize)>,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// Somebody who is in.
struct Participant {
    session: SessionId,
    wire: Wire,
}

enum Wire {
    WebSocket(websocket::Reader, websocket::Writer),
    WebTransport {
        connection: wtransport::Connection,
        control: (wtransport::SendStream, ControlReader),
        // Its connections end when the last of these is dropped.
        endpoint: Arc<Endpoint<ClientSide>>,
    },
}

impl Crowd<'_> {
    /// Waits, and fails at once when somebody loses the connection.
    async fn watch_until(&mut self, end: Instant) -> anyhow::Result<()> {
        tokio::select! {
            () = sleep_until(end) => Ok(()),
            Some(ended) = self.tasks.join_next() => match ended? {
                Ok(()) => bail!("a participant has left"),
                Err(error) => Err(error.context("a participant was lost")),
            },
        }
    }

    async fn enter(&mut self, name: &str, receives: bool) -> anyhow::Result<Participant> {
        let ticket = join(&self.server.url, self.meeting, name).await?;
        let mut greeting = hello(&ticket);
        greeting.capabilities.subscribe_automatically = receives;
        if !receives {
            greeting.tracks = tracks();
        }
        let greeting = ClientMessage::Hello(Box::new(greeting)).encode();
        let entering = match self.carrier {
            TransportKind::WebSocket => timeout(DRAIN, self.enter_websocket(&ticket, &greeting)).await,
            TransportKind::WebTransport => timeout(DRAIN, self.enter_webtransport(&ticket, &greeting)).await,
        };
        entering.with_context(|| format!("{name} does not get in"))?
    }

    async fn enter_websocket(&self, ticket: &JoinResponse, greeting: &[u8]) -> anyhow::Result<Participant> {
        let relay = endpoint(&self.server.url, ticket, TransportKind::WebSocket)?;
        let (mut reader, mut writer) = websocket::connect(&relay.url).await?;
        writer.send(greeting).await?;
        let answer = loop {
            match reader.next()? {
                Some(Arrival::Packet(packet)) => break packet,
                Some(Arrival::Ping(payload)) => writer.pong(&payload).await?,
                None => reader.read().await?,
            }
        };
        let session = welcomed(&answer)?;
        let wire = Wire::WebSocket(reader, writer);
        Ok(Participant { session, wire })
    }

    async fn enter_webtransport(
        &mut self,
        ticket: &JoinResponse,
        greeting: &[u8],
    ) -> anyhow::Result<Participant> {
        let relay = endpoint(&self.server.url, ticket, TransportKind::WebTransport)?;
        let endpoint = match self.sockets.last_mut() {
            Some((endpoint, used)) if *used < CONNECTIONS_PER_SOCKET => {
                *used += 1;
                endpoint.clone()
            }
            _ => {
                let endpoint = Arc::new(client_endpoint(&relay)?);
                self.sockets.push((endpoint.clone(), 1));
                endpoint
            }
        };
        let connection = endpoint.connect(relay.url.as_str()).await?;
        let (mut send, receive) = connection.open_bi().await?.await?;
        webtransport::write(&mut send, greeting).await?;
        let mut control = ControlReader::new(receive);
        let session = welcomed(&control.next().await?)?;
        let control = (send, control);
        let wire = Wire::WebTransport {
            connection,
            control,
            endpoint,
        };
        Ok(Participant { session, wire })
    }

    fn receive(&mut self, participant: Participant, record: Arc<Record>) {
        match participant.wire {
            Wire::WebSocket(reader, writer) => {
                self.tasks
                    .spawn(async move { receive_websocket(reader, writer, &record).await });
            }
            Wire::WebTransport {
                connection,
                control,
                endpoint,
            } => {
                tokio::spawn(webtransport::receive(connection, record));
                self.tasks.spawn(async move {
                    let _open = endpoint;
                    keep_alive(control.0, control.1).await
                });
            }
        }
    }

    fn publish(&mut self, participant: Participant, record: Arc<Record>) {
        let session = participant.session;
        match participant.wire {
            Wire::WebSocket(mut reader, writer) => {
                // What comes is control; it is read so that the connection does not fill up.
                self.tasks.spawn(async move {
                    loop {
                        while reader.next()?.is_some() {}
                        reader.read().await?;
                    }
                });
                self.tasks
                    .spawn(async move { publish_websocket(writer, session, &record).await });
            }
            Wire::WebTransport {
                connection,
                control,
                endpoint,
            } => {
                self.tasks.spawn(async move {
                    let _open = endpoint;
                    keep_alive(control.0, control.1).await
                });
                self.tasks
                    .spawn(async move { publish_webtransport(connection, session, &record).await });
            }
        }
    }
}

fn welcomed(answer: &bytes::Bytes) -> anyhow::Result<SessionId> {
    match ServerMessage::decode(answer)? {
        ServerMessage::Welcome(welcome) => Ok(welcome.session),
        other => bail!("{other:?} instead of Welcome"),
    }
}

fn ping() -> bytes::Bytes {
    ClientMessage::Ping {
        sent_at_us: 1,
        rtt_us: 0,
    }
    .encode()
}

async fn receive_websocket(
    mut reader: websocket::Reader,
    mut writer: websocket::Writer,
    record: &Record,
) -> anyhow::Result<()> {
    let mut notes = Notes::new(record);
    let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    loop {
        while let Some(arrival) = reader.next()? {
            match arrival {
                Arrival::Packet(packet) => notes.take(&packet),
                Arrival::Ping(payload) => writer.pong(&payload).await?,
            }
        }
        notes.flush();
        tokio::select! {
            read = reader.read() => read?,
            _ = pings.tick() => writer.send(&ping()).await?,
        }
    }
}

async fn keep_alive(mut send: wtransport::SendStream, mut control: ControlReader) -> anyhow::Result<()> {
    let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    loop {
        tokio::select! {
            packet = control.next() => {
                packet?;
            }
            _ = pings.tick() => webtransport::write(&mut send, &ping()).await?,
        }
    }
}

/// When each track's next frame is due. Publishers begin at different times within a frame, as people do.
struct Schedule {
    audio: tokio::time::Interval,
    video: tokio::time::Interval,
    ping: tokio::time::Interval,
}

/// What is due.
enum Due {
    Audio,
    Video,
    Ping,
}

impl Schedule {
    fn new(session: SessionId) -> Self {
        let offset = Duration::from_micros(session.get() % 33_000);
        let every = |period: Duration| {
            let mut interval = interval_at(Instant::now() + offset, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
            interval
        };
        Self {
            audio: every(Duration::from_secs(1) / AUDIO.0),
            video: every(Duration::from_secs(1) / VIDEO.0),
            ping: every(PING_INTERVAL),
        }
    }

    async fn next(&mut self) -> Due {
        tokio::select! {
            _ = self.audio.tick() => Due::Audio,
            _ = self.video.tick() => Due::Video,
            _ = self.ping.tick() => Due::Ping,
        }
    }
}

async fn publish_websocket(
    mut writer: websocket::Writer,
    session: SessionId,
    record: &Record,
) -> anyhow::Result<()> {
    let (mut audio, mut video) = (Track::new(session, MICROPHONE), Track::new(session, CAMERA));
    let mut schedule = Schedule::new(session);
    loop {
        let packet = match schedule.next().await {
            Due::Audio => audio.next(record),
            Due::Video => video.next(record),
            Due::Ping => ping(),
        };
        writer.send(&packet).await?;
    }
}

async fn publish_webtransport(
    connection: wtransport::Connection,
    session: SessionId,
    record: &Record,
) -> anyhow::Result<()> {
    let (mut audio, mut video) = (Track::new(session, MICROPHONE), Track::new(session, CAMERA));
    let mut stream = connection.open_uni().await?.await?;
    let mut schedule = Schedule::new(session);
    loop {
        match schedule.next().await {
            Due::Audio => connection.send_datagram(audio.next(record))?,
            Due::Video => webtransport::write(&mut stream, &video.next(record)).await?,
            // The control stream is kept alive elsewhere.
            Due::Ping => {}
        }
    }
}
