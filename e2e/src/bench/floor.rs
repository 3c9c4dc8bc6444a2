//! The floor: the same bytes at the same rate to as many sockets of the same kind, packet by packet,
//! with no relaying. What a relay costs above it is what a relay adds.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::StreamExt as _;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use videocall_load::{Clock, Due, Load, Source, Timetable};
use videocall_types::{SessionId, StreamDecoder, length_prefix};
use wtransport::endpoint::IncomingSession;
use wtransport::{Connection, Endpoint, Identity, RecvStream, SendStream, ServerConfig};

/// Between two signs of life while sockets are opened and nothing is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What a first packet, which says who comes, may have at most.
const NAME_BYTES: usize = 64;

/// What the kernel is asked to hold for the one UDP socket, as the relay asks for it.
const SOCKET_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Who comes: which meeting, and which session of it.
type Name = (usize, usize);

/// A socket to write to.
#[derive(Clone)]
enum Target {
    /// Publishers of a meeting take turns.
    WebSocket(Arc<Mutex<TcpStream>>),
    WebTransport(Arc<Session>),
}

struct Session {
    connection: Connection,
    /// Its end would be that of the session.
    _control: (SendStream, RecvStream),
}

/// Waits until everybody who receives has come to one of the two sockets, then writes until it is
/// ended.
///
/// # Errors
/// When a socket breaks before everybody is there.
pub async fn serve(
    load: Load,
    websocket: TcpListener,
    quic: UdpSocket,
    identity: Identity,
) -> anyhow::Result<()> {
    let buffers = SockRef::from(&quic);
    // The kernel gives what its own limit allows.
    let _granted = buffers.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    let _granted = buffers.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let config = ServerConfig::builder()
        .with_bind_socket(quic)
        .with_identity(identity)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .build();
    let endpoint = Endpoint::server(config)?;
    let (arrived, mut arrivals) = mpsc::channel(64);
    let mut tasks = JoinSet::new();
    tasks.spawn(accept_websockets(websocket, arrived.clone()));
    tasks.spawn(accept_webtransport(endpoint, arrived));
    let expected = load.parts().iter().filter(|part| part.receives).count();
    let mut targets = Vec::with_capacity(expected);
    while targets.len() < expected {
        tokio::select! {
            Some(target) = arrivals.recv() => targets.push(target?),
            Some(ended) = tasks.join_next() => ended??,
        }
    }
    let clock = Clock::start();
    for meeting in 0..load.meetings {
        for number in 0..load.publishers {
            let publisher = Publisher::new(&load, meeting, number, &targets).await?;
            tasks.spawn(publisher.write(clock));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

type Arrival = anyhow::Result<(Name, Target)>;

async fn accept_websockets(listener: TcpListener, arrived: mpsc::Sender<Arrival>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let arrived = arrived.clone();
        tokio::spawn(async move {
            let target = greet_websocket(stream).await;
            // The floor may be ending.
            let _unheard = arrived.send(target).await;
        });
    }
}

async fn greet_websocket(stream: TcpStream) -> Arrival {
    stream.set_nodelay(true)?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    let first = socket.next().await.context("a socket without a word")??;
    let name = parse(&first.into_data())?;
    let stream = Arc::new(Mutex::new(socket.into_inner()));
    Ok((name, Target::WebSocket(stream)))
}

async fn accept_webtransport(
    endpoint: Endpoint<wtransport::endpoint::endpoint_side::Server>,
    arrived: mpsc::Sender<Arrival>,
) -> anyhow::Result<()> {
    loop {
        let session = endpoint.accept().await;
        let arrived = arrived.clone();
        tokio::spawn(async move {
            let target = greet_webtransport(session).await;
            // The floor may be ending.
            let _unheard = arrived.send(target).await;
        });
    }
}

async fn greet_webtransport(session: IncomingSession) -> Arrival {
    let connection = session.await?.accept().await?;
    let mut control = connection.accept_bi().await?;
    let mut decoder = StreamDecoder::new(NAME_BYTES);
    loop {
        if let Some(name) = decoder.next_packet()? {
            let session = Session {
                connection,
                _control: control,
            };
            return Ok((parse(&name)?, Target::WebTransport(Arc::new(session))));
        }
        let chunk = control.1.quic_stream_mut().read_chunk(NAME_BYTES, true).await?;
        decoder.push(&chunk.context("a session without a word")?.bytes);
    }
}

fn parse(name: &[u8]) -> anyhow::Result<Name> {
    let text = std::str::from_utf8(name)?;
    let (meeting, number) = text.split_once('/').context("a name is MEETING/NUMBER")?;
    Ok((meeting.parse()?, number.parse()?))
}

/// Writes what one publisher sends to everybody who gets it.
struct Publisher {
    timetable: Timetable,
    microphone: Source,
    camera: Option<Source>,
    hearing: Vec<Target>,
    watching: Vec<Watching>,
}

/// Where pictures go.
enum Watching {
    WebSocket(Arc<Mutex<TcpStream>>),
    WebTransport(SendStream),
}

impl Publisher {
    async fn new(
        load: &Load,
        meeting: usize,
        number: usize,
        targets: &[(Name, Target)],
    ) -> anyhow::Result<Self> {
        let index = meeting * load.publishers + number;
        let session = SessionId::new(index as u64 + 1).context("sessions count from 1")?;
        let mut hearing = Vec::new();
        let mut watching = Vec::new();
        for ((_, receiver), target) in targets.iter().filter(|((theirs, _), _)| *theirs == meeting) {
            if load.heard(*receiver).contains(&number) {
                hearing.push(target.clone());
            }
            if load.watched(*receiver).contains(&number) {
                watching.push(target.watch().await?);
            }
        }
        Ok(Self {
            timetable: Timetable::start(load, meeting, number),
            microphone: Source::microphone(load, session, number),
            camera: load
                .camera
                .map(|camera| Source::camera(&camera, session, camera.spatial_layers - 1)),
            hearing,
            watching,
        })
    }

    async fn write(mut self, clock: Clock) -> anyhow::Result<()> {
        loop {
            match self.timetable.next().await {
                Due::Voice if self.hearing.is_empty() => {}
                Due::Voice => {
                    let packet = self.microphone.next(clock.now_us());
                    let (message, datagram) = (message(&packet), datagram(&packet));
                    for target in &self.hearing {
                        target.hear(&message, &datagram).await?;
                    }
                }
                Due::Picture => {
                    let Some(camera) = &mut self.camera else {
                        continue;
                    };
                    let packet = camera.next(clock.now_us());
                    let (message, entry) = (message(&packet), entry(&packet)?);
                    for target in &mut self.watching {
                        target.write(&message, &entry).await?;
                    }
                }
            }
        }
    }
}

impl Target {
    async fn watch(&self) -> anyhow::Result<Watching> {
        Ok(match self {
            Self::WebSocket(stream) => Watching::WebSocket(stream.clone()),
            Self::WebTransport(session) => {
                let connection = &session.connection;
                ensure!(
                    connection.session_id().into_u64() == 0,
                    "the first session of a connection is 0"
                );
                Watching::WebTransport(connection.open_uni().await?.await?)
            }
        })
    }

    async fn hear(&self, message: &Bytes, datagram: &Bytes) -> anyhow::Result<()> {
        match self {
            Self::WebSocket(stream) => stream.lock().await.write_all(message).await?,
            Self::WebTransport(session) => {
                session
                    .connection
                    .quic_connection()
                    .send_datagram(datagram.clone())?;
            }
        }
        Ok(())
    }
}

impl Watching {
    async fn write(&mut self, message: &Bytes, entry: &Bytes) -> anyhow::Result<()> {
        match self {
            Self::WebSocket(stream) => stream.lock().await.write_all(message).await?,
            Self::WebTransport(stream) => stream.quic_stream_mut().write_chunk(entry.clone()).await?,
        }
        Ok(())
    }
}

/// A binary message of a server (RFC 6455 §5.2).
fn message(packet: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(packet.len() + 10);
    message.put_u8(0x82);
    match packet.len() {
        short @ 0..126 => message.put_u8(short as u8),
        medium @ 126..65_536 => {
            message.put_u8(126);
            message.put_u16(medium as u16);
        }
        long => {
            message.put_u8(127);
            message.put_u64(long as u64);
        }
    }
    message.put_slice(packet);
    message.freeze()
}

/// A datagram of session 0 (RFC 9297 §2.1).
fn datagram(packet: &[u8]) -> Bytes {
    [&[0], packet].concat().into()
}

/// An entry of a stream.
fn entry(packet: &[u8]) -> anyhow::Result<Bytes> {
    let (prefix, used) = length_prefix(u32::try_from(packet.len())?);
    Ok([&prefix[..used], packet].concat().into())
}
