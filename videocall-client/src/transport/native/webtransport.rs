//! WebTransport over HTTP/3: control on one bidirectional stream, video on a unidirectional stream
//! per lane, audio as datagrams; frames are taken from any stream or datagram.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media_congestion::MediaConfig;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use videocall_types::api::RelayEndpoint;
use videocall_types::limits::{LIVENESS, MAX_FRAME_BYTES, MAX_SERVER_CONTROL_BYTES};
use videocall_types::{CloseCode, StreamDecoder, length_prefix};
use wtransport::config::{IpBindConfig, QuicTransportConfig};
use wtransport::endpoint::endpoint_side;
use wtransport::error::{ConnectionError, SendDatagramError};
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Endpoint, RecvStream, SendStream, VarInt};

use super::lane::{INBOX_CAPACITY, LaneReceiver, LaneSender, lane};
use super::tls;
use crate::core::{Lane, OutgoingPacket};
use crate::driver::{Connection, ConnectionEvent};

/// Bytes that wait for a stream before its lane has to wait in the core, where it can be dropped.
const LANE_LIMIT: usize = 64 * 1024;

/// What one read takes from a stream.
const READ_BYTES: usize = 64 * 1024;

/// Streams that a relay may have open: four tracks with three layers of 80 participants. quinn's 100
/// are used up by 9 participants.
const INCOMING_STREAMS: u32 = 1024;

/// A first guess of the round-trip time (RFC 9002 §6.2.2 suggests 333 ms): a lost first packet is
/// repeated in time for the two seconds that a connection may take.
const INITIAL_RTT: Duration = Duration::from_millis(100);

/// Audio that waits inside QUIC, the oldest is dropped: 0.5 s at 100 packets of 300 bytes a second.
/// quinn's megabyte would be minutes.
const DATAGRAM_SEND_BYTES: usize = 16 * 1024;

/// Datagrams that wait to be read: a burst of 200 participants' audio.
const DATAGRAM_RECEIVE_BYTES: usize = 256 * 1024;

/// How often the send window follows the congestion window.
const WINDOW_INTERVAL: Duration = Duration::from_millis(100);

/// Bounds of the send window: the least lets a path open up, the most is a keyframe of a screen.
const SEND_WINDOW_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=4 * 1024 * 1024;

/// How long the last control messages may take to be acknowledged before the connection is closed.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(400);

/// Higher leaves first (quinn: streams of a lower priority wait for it).
const CONTROL_PRIORITY: i32 = 100;

/// Over QUIC.
pub struct WebTransportConnection {
    connection: Arc<wtransport::Connection>,
    endpoint: Endpoint<endpoint_side::Client>,
    control: Option<LaneSender>,
    lanes: BTreeMap<Lane, LaneSender>,
    inbox: mpsc::Receiver<ConnectionEvent>,
    inbox_sender: mpsc::Sender<ConnectionEvent>,
    /// Writes control messages; ends when they are acknowledged.
    control_task: tokio::task::JoinHandle<()>,
    tasks: JoinSet<()>,
    closed: bool,
}

/// Opens a connection up to its control stream.
pub(super) async fn connect(endpoint: &RelayEndpoint) -> Result<WebTransportConnection, String> {
    let hashes = parse_hashes(&endpoint.certificate_hashes)?;
    let local = bind(&hashes).map_err(|error| error.to_string())?;
    let connection = local
        .connect(&endpoint.url)
        .await
        .map_err(|error| error.to_string())?;
    let connection = Arc::new(connection);
    let control = open_control(&connection)
        .await
        .map_err(|error| error.to_string())?;
    Ok(WebTransportConnection::start(local, connection, control))
}

async fn open_control(
    connection: &wtransport::Connection,
) -> Result<(SendStream, RecvStream), Box<dyn std::error::Error + Send + Sync>> {
    let control = connection.open_bi().await?.await?;
    control.0.set_priority(CONTROL_PRIORITY);
    Ok(control)
}

fn parse_hashes(hashes: &[String]) -> Result<Vec<Sha256Digest>, String> {
    let parse = |text: &String| {
        let digits: Vec<u32> = text
            .chars()
            .filter(|&c| c != ':')
            .map(|c| c.to_digit(16))
            .collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect();
        let even = digits.len().is_multiple_of(2);
        bytes.try_into().ok().filter(|_| even).map(Sha256Digest::new)
    };
    hashes
        .iter()
        .map(|text| parse(text).ok_or_else(|| format!("{text:?} is not a SHA-256 hash")))
        .collect()
}

/// Both kinds of addresses where the machine has IPv6, else IPv4 alone.
fn bind(hashes: &[Sha256Digest]) -> std::io::Result<Endpoint<endpoint_side::Client>> {
    Endpoint::client(configure(IpBindConfig::InAddrAnyDual, hashes))
        .or_else(|_| Endpoint::client(configure(IpBindConfig::InAddrAnyV4, hashes)))
}

fn configure(addresses: IpBindConfig, hashes: &[Sha256Digest]) -> ClientConfig {
    let builder = ClientConfig::builder().with_bind_config(addresses);
    let mut config = if hashes.is_empty() {
        let mut roots = tls::config();
        // RFC 9114 §3.1: the ALPN token of HTTP/3.
        roots.alpn_protocols = vec![b"h3".to_vec()];
        builder.with_custom_tls(roots).build()
    } else {
        builder
            .with_server_certificate_hashes(hashes.iter().cloned())
            .build()
    };
    config.quic_config_mut().transport_config(Arc::new(transport()));
    config
}

fn transport() -> QuicTransportConfig {
    let mut transport = QuicTransportConfig::default();
    transport
        .congestion_controller_factory(Arc::new(MediaConfig::default()))
        .max_concurrent_uni_streams(INCOMING_STREAMS.into())
        .initial_rtt(INITIAL_RTT)
        .datagram_send_buffer_size(DATAGRAM_SEND_BYTES)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BYTES))
        .send_window(*SEND_WINDOW_BYTES.start())
        .max_idle_timeout(LIVENESS.try_into().ok());
    transport
}

impl WebTransportConnection {
    fn start(
        endpoint: Endpoint<endpoint_side::Client>,
        connection: Arc<wtransport::Connection>,
        (control_out, control_in): (SendStream, RecvStream),
    ) -> Self {
        let (inbox_sender, inbox) = mpsc::channel(INBOX_CAPACITY);
        let (control, packets) = lane(inbox_sender.clone());
        let control_task = tokio::spawn(write_control(control_out, packets));
        let mut tasks = JoinSet::new();
        tasks.spawn(receive(Arc::clone(&connection), control_in, inbox_sender.clone()));
        tasks.spawn(follow_congestion_window(Arc::clone(&connection)));
        Self {
            connection,
            endpoint,
            control: Some(control),
            lanes: BTreeMap::new(),
            inbox,
            inbox_sender,
            control_task,
            tasks,
            closed: false,
        }
    }

    /// Writes on the lane's stream; its task is started with the first packet.
    fn send_on_stream(&mut self, packet: OutgoingPacket) {
        let (tasks, connection) = (&mut self.tasks, &self.connection);
        let inbox = &self.inbox_sender;
        let sender = self.lanes.entry(packet.lane).or_insert_with_key(|key| {
            let (sender, packets) = lane(inbox.clone());
            tasks.spawn(write_lane(Arc::clone(connection), priority(*key), packets));
            sender
        });
        sender.send(packet);
    }
}

impl Connection for WebTransportConnection {
    fn is_ready(&self, lane: Lane) -> bool {
        match lane {
            Lane::Control => self
                .control
                .as_ref()
                .is_some_and(|lane| lane.is_ready(LANE_LIMIT)),
            // QUIC drops the oldest datagrams by itself.
            Lane::Audio => self.lanes.get(&lane).is_none_or(|lane| lane.is_ready(LANE_LIMIT)),
            Lane::Video(..) => self.lanes.get(&lane).is_none_or(|lane| lane.is_ready(LANE_LIMIT)),
        }
    }

    fn send(&mut self, packet: OutgoingPacket) {
        match packet.lane {
            Lane::Control => {
                if let Some(control) = &self.control {
                    control.send(packet);
                }
            }
            Lane::Audio => match self.connection.send_datagram(&packet.packet) {
                Err(SendDatagramError::TooLarge | SendDatagramError::UnsupportedByPeer) => {
                    self.send_on_stream(packet);
                }
                // A lost connection shows up in `next`.
                Ok(()) | Err(SendDatagramError::NotConnected) => {}
            },
            Lane::Video(..) => self.send_on_stream(packet),
        }
    }

    async fn next(&mut self) -> ConnectionEvent {
        let gone = || ConnectionEvent::Closed {
            code: None,
            reason: "the connection has ended".to_owned(),
        };
        self.inbox.recv().await.unwrap_or_else(gone)
    }

    async fn close(mut self, code: CloseCode) {
        self.control = None;
        // Its end is that everything is acknowledged, or that nothing will be.
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, &mut self.control_task).await;
        self.end(code);
        self.endpoint.wait_idle().await;
    }
}

impl WebTransportConnection {
    fn end(&mut self, code: CloseCode) {
        if !std::mem::replace(&mut self.closed, true) {
            let number = match code {
                CloseCode::Left => 0,
                other => u32::from(other.number()),
            };
            self.connection.close(VarInt::from_u32(number), b"");
        }
    }
}

/// Without a word from us QUIC would close with 0, which says goodbye.
impl Drop for WebTransportConnection {
    fn drop(&mut self) {
        self.end(CloseCode::LivenessTimeout);
        self.control_task.abort();
    }
}

/// Base layers before others, screens (by convention track 3) before faces.
fn priority(lane: Lane) -> i32 {
    match lane {
        Lane::Control => CONTROL_PRIORITY,
        Lane::Audio => CONTROL_PRIORITY - 1,
        Lane::Video(_, spatial) => CONTROL_PRIORITY - 10 - i32::from(spatial),
    }
}

async fn write_packet(
    stream: &mut SendStream,
    packet: Bytes,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let length = u32::try_from(packet.len())?;
    let (prefix, used) = length_prefix(length);
    let prefix = Bytes::copy_from_slice(&prefix[..used]);
    let stream = stream.quic_stream_mut();
    stream.write_all_chunks(&mut [prefix, packet]).await?;
    Ok(())
}

async fn write_control(mut stream: SendStream, mut packets: LaneReceiver) {
    while let Some(OutgoingPacket { packet, .. }) = packets.next().await {
        let bytes = packet.len();
        let written = write_packet(&mut stream, packet).await;
        packets.written(bytes);
        if written.is_err() {
            return;
        }
    }
    let _ = stream.finish().await;
}

/// One stream as long as it lives. One that the relay has stopped, or that holds what is too late, is
/// followed by a new one.
async fn write_lane(connection: Arc<wtransport::Connection>, priority: i32, mut packets: LaneReceiver) {
    let mut stream: Option<SendStream> = None;
    while let Some(packet) = packets.next().await {
        let bytes = packet.packet.len();
        if packet.supersedes
            && let Some(mut late) = stream.take()
        {
            let _ = late.reset(VarInt::from_u32(0));
        }
        if stream.is_none() {
            stream = open_stream(&connection, priority).await;
        }
        if let Some(open) = &mut stream
            && write_packet(open, packet.packet).await.is_err()
        {
            stream = None;
        }
        packets.written(bytes);
    }
}

/// `None` when the connection is gone, which the reader reports.
async fn open_stream(connection: &wtransport::Connection, priority: i32) -> Option<SendStream> {
    let stream = connection.open_uni().await.ok()?.await.ok()?;
    stream.set_priority(priority);
    Some(stream)
}

/// Everything that comes in. The end is reported after the control stream was read to its end, so that
/// a Closing is seen before it.
async fn receive(
    connection: Arc<wtransport::Connection>,
    control: RecvStream,
    inbox: mpsc::Sender<ConnectionEvent>,
) {
    let control = read_stream(control, MAX_SERVER_CONTROL_BYTES, inbox.clone());
    let datagrams = read_datagrams(&connection, &inbox);
    let streams = accept_streams(&connection, &inbox);
    let (error, (), ()) = tokio::join!(streams, datagrams, control);
    let code = match &error {
        ConnectionError::ApplicationClosed(close) => {
            let number = u32::try_from(close.code().into_inner()).ok();
            number.and_then(CloseCode::from_number)
        }
        _ => None,
    };
    let reason = error.to_string();
    let _ = inbox.send(ConnectionEvent::Closed { code, reason }).await;
}

/// Nothing is awaited between two accepts but the next one: wtransport's queue is short.
async fn accept_streams(
    connection: &wtransport::Connection,
    inbox: &mpsc::Sender<ConnectionEvent>,
) -> ConnectionError {
    // At most INCOMING_STREAMS at a time; they end with the connection.
    let mut readers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept_uni() => match accepted {
                Ok(stream) => {
                    readers.spawn(read_stream(stream, MAX_FRAME_BYTES, inbox.clone()));
                }
                Err(error) => return error,
            },
            Some(_) = readers.join_next() => {}
        }
    }
}

async fn read_datagrams(connection: &wtransport::Connection, inbox: &mpsc::Sender<ConnectionEvent>) {
    while let Ok(datagram) = connection.receive_datagram().await {
        let packet = ConnectionEvent::Packet(datagram.payload());
        // A full inbox is a program that is behind: audio does not get better by waiting.
        let _ = inbox.try_send(packet);
    }
}

/// Reads packets until the stream ends, however it ends. One that holds something else is stopped.
async fn read_stream(mut stream: RecvStream, limit: usize, inbox: mpsc::Sender<ConnectionEvent>) {
    let mut decoder = StreamDecoder::new(limit);
    while let Ok(Some(chunk)) = stream.quic_stream_mut().read_chunk(READ_BYTES, true).await {
        decoder.push(&chunk.bytes);
        loop {
            match decoder.next_packet() {
                Ok(Some(packet)) => {
                    if inbox.send(ConnectionEvent::Packet(packet)).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "a stream of the relay is no sequence of packets");
                    return;
                }
            }
        }
    }
}

/// QUIC takes what fits into the send window and sends what the congestion window lets through. What
/// is in between can no longer be dropped, so that there is never more than one round trip of it.
async fn follow_congestion_window(connection: Arc<wtransport::Connection>) {
    let quic = connection.quic_connection();
    let mut interval = tokio::time::interval(WINDOW_INTERVAL);
    loop {
        interval.tick().await;
        let window = quic.stats().path.cwnd.saturating_mul(2);
        let (least, most) = SEND_WINDOW_BYTES.into_inner();
        quic.set_send_window(window.clamp(least, most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_hexadecimal() {
        let hash = "00ff".repeat(16);
        assert!(parse_hashes(&[hash.clone(), hash.to_uppercase()]).is_ok());
        assert!(parse_hashes(&["0:".to_owned() + &hash]).is_err());
        for bad in ["", "00", "xyz", &"0".repeat(63), &"0".repeat(65)] {
            assert!(parse_hashes(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
