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
use wtransport::ClientConfig;
use wtransport::config::QuicTransportConfig;
use wtransport::quinn::{Connection, Endpoint, RecvStream, SendStream, TokioRuntime, VarInt};
use wtransport::tls::Sha256Digest;

use super::handshake::{self, BIDIRECTIONAL, DATAGRAM, Held, UNIDIRECTIONAL};
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
type Socket = (Endpoint, usize);

pub(crate) struct Reader {
    connection: Connection,
    control: RecvStream,
}

pub(crate) struct Writer {
    connection: Connection,
    control: SendStream,
    streams: HashMap<u8, SendStream>,
    _held: Held,
}

impl Sockets {
    /// Opens a session with its control stream.
    pub(super) async fn connect(
        &self,
        relay: &RelayEndpoint,
        trust: &Arc<TlsConfig>,
    ) -> anyhow::Result<(Reader, Writer)> {
        let endpoint = self.endpoint(relay, trust)?;
        let (host, address) = resolve(&relay.url).await?;
        let connection = endpoint.connect(address, &host)?.await?;
        let held = handshake::request(&connection, &relay.url).await?;
        let (mut send, control) = connection.open_bi().await?;
        send.set_priority(CONTROL_PRIORITY)?;
        send.write_all(&BIDIRECTIONAL).await?;
        let reader = Reader {
            connection: connection.clone(),
            control,
        };
        let writer = Writer {
            connection,
            control: send,
            streams: HashMap::new(),
            _held: held,
        };
        Ok((reader, writer))
    }

    fn endpoint(&self, relay: &RelayEndpoint, trust: &Arc<TlsConfig>) -> anyhow::Result<Endpoint> {
        let mut by_relay = self.by_relay.lock();
        let sockets = by_relay.entry(relay.url.clone()).or_default();
        if let Some((endpoint, used)) = sockets.last_mut()
            && *used < CONNECTIONS_PER_SOCKET
        {
            *used += 1;
            return Ok(endpoint.clone());
        }
        let config = configure(relay, trust)?;
        let settings = config.quic_endpoint_config().clone();
        let mut endpoint = Endpoint::new(settings, None, socket()?, Arc::new(TokioRuntime))?;
        endpoint.set_default_client_config(config.quic_config().clone());
        sockets.push((endpoint.clone(), 1));
        Ok(endpoint)
    }
}

/// The name to check the certificate by, and the address.
async fn resolve(url: &str) -> anyhow::Result<(String, SocketAddr)> {
    let rest = url
        .strip_prefix("https://")
        .context("WebTransport is at https://")?;
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse()?),
        _ => (authority, 443),
    };
    let host = host.trim_matches(['[', ']']);
    let mut found = tokio::net::lookup_host((host, port)).await?;
    let address = found.next().with_context(|| format!("{host} has no address"))?;
    Ok((host.to_owned(), address))
}

fn configure(relay: &RelayEndpoint, trust: &TlsConfig) -> anyhow::Result<ClientConfig> {
    // The socket is ours; what is of use here is how certificates are checked.
    let builder = ClientConfig::builder().with_bind_default();
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
        .max_concurrent_uni_streams(VarInt::from_u32(INCOMING_STREAMS))
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
        let datagram = connection.read_datagram().await?;
        if let Some(packet) = datagram.strip_prefix(&DATAGRAM) {
            inbox.packet(packet)?;
            inbox.flush();
        }
    }
}

async fn accept_streams(connection: Connection, inbox: Inbox) -> anyhow::Result<()> {
    let mut readers = JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_uni() => {
                readers.spawn(read_any(stream?, inbox.another()));
            }
            // A stream that was reset has said what it had to say.
            Some(_) = readers.join_next() => {}
        }
    }
}

/// A stream of frames, or one of HTTP/3's own, which are passed over.
async fn read_any(mut stream: RecvStream, inbox: Inbox) -> anyhow::Result<()> {
    let mut kind = UNIDIRECTIONAL;
    stream.read_exact(&mut kind[..1]).await?;
    if kind[0] == UNIDIRECTIONAL[0] {
        stream.read_exact(&mut kind[1..]).await?;
        if kind == UNIDIRECTIONAL {
            return read_stream(stream, inbox).await;
        }
    }
    while stream.read_chunk(usize::MAX, true).await?.is_some() {}
    Ok(())
}

/// Reads packets to the end of a stream.
async fn read_stream(mut stream: RecvStream, mut inbox: Inbox) -> anyhow::Result<()> {
    let mut cutter = Cutter::new(Framing::Lengths);
    let mut pieces: [Bytes; PIECES] = std::array::from_fn(|_| Bytes::new());
    while let Some(count) = stream.read_chunks(&mut pieces).await? {
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
        let datagram = [&DATAGRAM[..], &packet].concat();
        Ok(self.connection.send_datagram(datagram.into())?)
    }

    pub(super) async fn on_stream(&mut self, spatial: u8, packet: Bytes) -> anyhow::Result<()> {
        let stream = match self.streams.entry(spatial) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(none) => {
                let mut stream = self.connection.open_uni().await?;
                stream.write_all(&UNIDIRECTIONAL).await?;
                none.insert(stream)
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
    stream.write_all_chunks(&mut [prefix, packet]).await?;
    Ok(())
}
