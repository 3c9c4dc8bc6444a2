//! WebTransport: connections share a few sockets, frames are looked at where they lie.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use parking_lot::Mutex;
use rustls::ClientConfig as TlsConfig;
use socket2::{Domain, Protocol, Type};
use tokio::task::JoinSet;
use videocall_types::api::RelayEndpoint;
use videocall_types::length_prefix;
use videocall_types::limits::LIVENESS;
use wtransport::config::QuicTransportConfig;
use wtransport::endpoint::endpoint_side::Client;
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream, VarInt};

use crate::framing::{Cutter, Framing};
use crate::session::Inbox;

/// Connections that share one socket: few enough that its buffer is not what is measured.
const CONNECTIONS_PER_SOCKET: usize = 50;

/// What the kernel is asked to hold for a socket.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Streams that a relay may have open towards one session.
const INCOMING_STREAMS: u32 = 1024;

/// Datagrams that wait to be read.
const DATAGRAM_BYTES: usize = 256 * 1024;

/// Pieces taken from a stream at a time; each is what one UDP packet brought.
const PIECES: usize = 32;

/// Control leaves before pictures.
const CONTROL_PRIORITY: i32 = 1;

/// The protocol's close code for leaving.
const LEFT: u32 = 1;

/// The UDP sockets of all sessions, by relay.
#[derive(Default)]
pub(crate) struct Sockets {
    by_relay: Mutex<HashMap<String, Vec<Socket>>>,
}

/// A socket, and how many connections were opened on it.
type Socket = (Arc<Endpoint<Client>>, usize);

pub(crate) struct Reader {
    connection: Connection,
    control: RecvStream,
}

pub(crate) struct Writer {
    connection: Connection,
    control: SendStream,
    streams: HashMap<u8, SendStream>,
    // Its connections end when the last of these is dropped.
    _endpoint: Arc<Endpoint<Client>>,
}

impl Sockets {
    /// Opens a session with its control stream.
    pub(super) async fn connect(
        &self,
        relay: &RelayEndpoint,
        trust: &Arc<TlsConfig>,
    ) -> anyhow::Result<(Reader, Writer)> {
        let endpoint = self.endpoint(relay, trust)?;
        let connection = endpoint.connect(relay.url.as_str()).await?;
        let (send, control) = connection.open_bi().await?.await?;
        send.set_priority(CONTROL_PRIORITY);
        let reader = Reader {
            connection: connection.clone(),
            control,
        };
        let writer = Writer {
            connection,
            control: send,
            streams: HashMap::new(),
            _endpoint: endpoint,
        };
        Ok((reader, writer))
    }

    fn endpoint(
        &self,
        relay: &RelayEndpoint,
        trust: &Arc<TlsConfig>,
    ) -> anyhow::Result<Arc<Endpoint<Client>>> {
        let mut by_relay = self.by_relay.lock();
        let sockets = by_relay.entry(relay.url.clone()).or_default();
        if let Some((endpoint, used)) = sockets.last_mut()
            && *used < CONNECTIONS_PER_SOCKET
        {
            *used += 1;
            return Ok(endpoint.clone());
        }
        let endpoint = Arc::new(Endpoint::client(configure(relay, trust)?)?);
        sockets.push((endpoint.clone(), 1));
        Ok(endpoint)
    }
}

fn configure(relay: &RelayEndpoint, trust: &TlsConfig) -> anyhow::Result<ClientConfig> {
    let builder = ClientConfig::builder().with_bind_socket(socket()?);
    let hashes = relay.certificate_hashes.iter().map(|hash| digest(hash));
    let hashes = hashes.collect::<anyhow::Result<Vec<_>>>()?;
    let mut config = if hashes.is_empty() {
        let mut trust = trust.clone();
        // RFC 9114 §3.1: the ALPN token of HTTP/3.
        trust.alpn_protocols = vec![b"h3".to_vec()];
        builder.with_custom_tls(trust).build()
    } else {
        builder.with_server_certificate_hashes(hashes).build()
    };
    let mut transport = QuicTransportConfig::default();
    transport
        .max_concurrent_uni_streams(INCOMING_STREAMS.into())
        .initial_rtt(Duration::from_millis(100))
        .datagram_receive_buffer_size(Some(DATAGRAM_BYTES))
        .max_idle_timeout(LIVENESS.try_into().ok());
    config.quic_config_mut().transport_config(Arc::new(transport));
    Ok(config)
}

/// For both kinds of addresses where the machine has IPv6, else for IPv4 alone.
fn socket() -> anyhow::Result<UdpSocket> {
    let open = |address: SocketAddr| -> std::io::Result<socket2::Socket> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        // The kernel gives what its own limit allows.
        let _granted = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        Ok(socket)
    };
    let both = open((Ipv6Addr::UNSPECIFIED, 0).into());
    let socket = both.or_else(|_| open((Ipv4Addr::UNSPECIFIED, 0).into()))?;
    Ok(socket.into())
}

fn digest(hash: &str) -> anyhow::Result<Sha256Digest> {
    let byte = |at: usize| {
        let digits = hash.get(at..at + 2)?;
        u8::from_str_radix(digits, 16).ok()
    };
    let bytes: Option<Vec<u8>> = (0..hash.len()).step_by(2).map(byte).collect();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Sha256Digest::new)
        .with_context(|| format!("{hash:?} is not the SHA-256 of a certificate"))
}

impl Reader {
    /// Takes every stream and datagram until the connection ends.
    pub(super) async fn run(self, inbox: Inbox) -> anyhow::Result<()> {
        let Self { connection, control } = self;
        // All readers end with this set.
        let mut readers = JoinSet::new();
        readers.spawn(read_datagrams(connection.clone(), inbox.another()));
        readers.spawn(accept_streams(connection, inbox.another()));
        tokio::select! {
            end = read_stream(control, inbox) => end?,
            Some(end) = readers.join_next() => end??,
        }
        Err(anyhow!("the relay has ended the connection"))
    }
}

async fn read_datagrams(connection: Connection, mut inbox: Inbox) -> anyhow::Result<()> {
    loop {
        let datagram = connection.receive_datagram().await?;
        inbox.packet(&datagram.payload())?;
        inbox.flush();
    }
}

async fn accept_streams(connection: Connection, inbox: Inbox) -> anyhow::Result<()> {
    let mut readers = JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_uni() => {
                readers.spawn(read_stream(stream?, inbox.another()));
            }
            // A stream that was reset has said what it had to say.
            Some(_) = readers.join_next() => {}
        }
    }
}

/// Reads packets to the end of a stream.
async fn read_stream(mut stream: RecvStream, mut inbox: Inbox) -> anyhow::Result<()> {
    let mut cutter = Cutter::new(Framing::Lengths);
    let mut pieces: [Bytes; PIECES] = std::array::from_fn(|_| Bytes::new());
    while let Some(count) = stream.quic_stream_mut().read_chunks(&mut pieces).await? {
        for piece in &mut pieces[..count] {
            let piece = std::mem::take(piece);
            cutter.feed(&piece, |_, packet| inbox.packet(packet))?;
        }
        inbox.flush();
    }
    Ok(())
}

impl Writer {
    pub(super) async fn control(&mut self, packet: &[u8]) -> anyhow::Result<()> {
        write(&mut self.control, Bytes::copy_from_slice(packet)).await
    }

    pub(super) fn datagram(&self, packet: Bytes) -> anyhow::Result<()> {
        Ok(self.connection.send_datagram(packet)?)
    }

    pub(super) async fn on_stream(&mut self, spatial: u8, packet: Bytes) -> anyhow::Result<()> {
        let stream = match self.streams.entry(spatial) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(none) => {
                none.insert(self.connection.open_uni().await?.await?)
            }
        };
        write(stream, packet).await
    }

    pub(super) fn close(self) {
        self.connection.close(VarInt::from_u32(LEFT), b"");
    }
}

/// Writes a packet with its length in front.
async fn write(stream: &mut SendStream, packet: Bytes) -> anyhow::Result<()> {
    let (prefix, used) = length_prefix(u32::try_from(packet.len())?);
    let prefix = Bytes::copy_from_slice(&prefix[..used]);
    stream
        .quic_stream_mut()
        .write_all_chunks(&mut [prefix, packet])
        .await?;
    Ok(())
}
