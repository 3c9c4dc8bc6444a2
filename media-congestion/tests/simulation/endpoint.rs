//! A QUIC endpoint with its one connection, and what it sends or receives.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn_proto::{
    AckFrequencyConfig, ClientConfig, Connection, ConnectionHandle, ConnectionStats, DatagramEvent, Dir,
    EcnCodepoint, Endpoint, EndpointConfig, Event, ServerConfig, StreamEvent, StreamId, TransportConfig,
    VarInt,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Flow;

/// Packets that leave in one call of quinn's, as from its own driver.
const SEGMENTS: usize = 10;

/// What waits in a connection beyond what is on its way.
const SEND_WINDOW: u64 = 256 * 1024;

/// What a sender has to send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// As much as the path takes.
    Bulk,
    /// Pictures at a fixed rate, whether the path takes them or not.
    Video {
        bits_per_second: u64,
        frames_per_second: u32,
        /// Between two keyframes.
        keyframe_interval: Duration,
        /// A keyframe is so many times as large as another frame.
        keyframe_factor: u64,
    },
}

/// What a receiver got.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// When so many bytes of the stream came.
    pub(crate) bytes: Vec<(Duration, u64)>,
}

/// A UDP datagram.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) bytes: Bytes,
    ecn: Option<EcnCodepoint>,
}

#[derive(Debug)]
struct Sending {
    source: Source,
    begins: Duration,
    ends: Duration,
    stream: Option<StreamId>,
    /// When there is more to send.
    next: Option<Duration>,
    /// Pictures that have been taken, and where each ends in the stream.
    pictures: Vec<Picture>,
    /// Bytes that are to be written yet.
    backlog: u64,
    produced: u64,
}

/// A picture that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture {
    pub(crate) taken: Duration,
    pub(crate) end: u64,
    pub(crate) keyframe: bool,
}

impl Sending {
    fn produce(&mut self, now: Duration) {
        if now >= self.ends {
            self.backlog = 0;
            self.next = None;
            return;
        }
        match self.source {
            Source::Bulk => {
                self.backlog = SEND_WINDOW;
                self.next = None;
            }
            Source::Video {
                bits_per_second,
                frames_per_second,
                keyframe_interval,
                keyframe_factor,
            } => {
                let per_keyframe = (keyframe_interval.as_secs_f64() * f64::from(frames_per_second)) as usize;
                let size = bits_per_second / 8 / u64::from(frames_per_second);
                while let Some(due) = self.next.filter(|due| *due <= now) {
                    let keyframe = self.pictures.len().is_multiple_of(per_keyframe.max(1));
                    let bytes = if keyframe { size * keyframe_factor } else { size };
                    self.backlog += bytes;
                    self.produced += bytes;
                    self.pictures.push(Picture {
                        taken: due,
                        end: self.produced,
                        keyframe,
                    });
                    self.next = Some(due + Duration::from_secs(1) / frames_per_second);
                }
            }
        }
    }
}

/// One side of a connection.
pub(crate) struct Host {
    epoch: Instant,
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    peer: SocketAddr,
    sending: Option<Sending>,
    received: Received,
    buffer: Vec<u8>,
    due: Option<Duration>,
}

/// A sender and its receiver.
pub(crate) fn pair(flow: Flow, seed: u64, epoch: Instant) -> (Host, Host) {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate: CertificateDer<'static> = parameters.self_signed(&key).expect("a certificate").into();
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut server = ServerConfig::with_single_cert(vec![certificate.clone()], private).expect("a server");
    server.transport_config(Arc::new(transport(None)));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let mut client = ClientConfig::with_root_certificates(Arc::new(roots)).expect("a client");
    client.transport_config(Arc::new(transport(Some(&flow))));

    let begin = epoch + flow.begins;
    let mut endpoint = Endpoint::new(endpoint_config(seed), None, true, None);
    let connection = endpoint
        .connect(begin, client, address(2), "localhost")
        .expect("to connect");
    let mut sender = Host::new(endpoint, address(2), epoch);
    sender.connection = Some(connection);
    sender.sending = Some(Sending {
        source: flow.source,
        begins: flow.begins,
        ends: flow.ends,
        stream: None,
        next: Some(flow.begins),
        pictures: Vec::new(),
        backlog: 0,
        produced: 0,
    });
    let config = Some(Arc::new(server));
    let endpoint = Endpoint::new(endpoint_config(seed + 1000), config, true, None);
    (sender, Host::new(endpoint, address(1), epoch))
}

fn endpoint_config(seed: u64) -> Arc<EndpointConfig> {
    let mut config = EndpointConfig::default();
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    config.rng_seed(Some(bytes));
    Arc::new(config)
}

/// The relay's settings, as far as they matter here.
fn transport(flow: Option<&Flow>) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .initial_rtt(Duration::from_millis(100))
        .max_idle_timeout(None)
        .send_window(SEND_WINDOW)
        .stream_receive_window(VarInt::from_u32(4 * 1024 * 1024))
        .receive_window(VarInt::from_u32(4 * 1024 * 1024));
    if let Some(flow) = flow {
        config.congestion_controller_factory(flow.controller.clone());
        if flow.rare_acknowledgements {
            let mut acknowledgements = AckFrequencyConfig::default();
            acknowledgements
                .ack_eliciting_threshold(VarInt::from_u32(9))
                .max_ack_delay(Some(Duration::from_millis(20)));
            config.ack_frequency_config(Some(acknowledgements));
        }
    }
    config
}

impl Host {
    fn new(endpoint: Endpoint, peer: SocketAddr, epoch: Instant) -> Self {
        Self {
            epoch,
            endpoint,
            connection: None,
            peer,
            sending: None,
            received: Received::default(),
            buffer: Vec::new(),
            due: None,
        }
    }

    pub(crate) fn receive(&mut self, datagram: Datagram, now: Duration) {
        let at = self.epoch + now;
        let data = BytesMut::from(&datagram.bytes[..]);
        self.buffer.clear();
        match self
            .endpoint
            .handle(at, self.peer, None, datagram.ecn, data, &mut self.buffer)
        {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut self.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                self.buffer.clear();
                let accepted = self.endpoint.accept(incoming, at, &mut self.buffer, None);
                self.connection = Some(accepted.expect("a sound client"));
            }
            Some(DatagramEvent::Response(_)) | None => {}
        }
    }

    /// Does all that is due, and sends what may be sent.
    pub(crate) fn drive(&mut self, now: Duration, mut send: impl FnMut(Datagram)) {
        let at = self.epoch + now;
        if self.sending.as_ref().is_some_and(|sending| now < sending.begins) {
            return;
        }
        if let Some((_, connection)) = &mut self.connection
            && connection.poll_timeout().is_some_and(|due| due <= at)
        {
            connection.handle_timeout(at);
        }
        self.events(now);
        self.write(now);
        let Some((_, connection)) = &mut self.connection else {
            return;
        };
        loop {
            self.buffer.clear();
            let Some(transmit) = connection.poll_transmit(at, SEGMENTS, &mut self.buffer) else {
                break;
            };
            let size = transmit.segment_size.unwrap_or(transmit.size);
            for segment in self.buffer[..transmit.size].chunks(size) {
                send(Datagram {
                    bytes: Bytes::copy_from_slice(segment),
                    ecn: transmit.ecn,
                });
            }
        }
        let due = connection.poll_timeout();
        self.due = due.map(|at| at.saturating_duration_since(self.epoch));
    }

    fn events(&mut self, now: Duration) {
        let Some((handle, connection)) = &mut self.connection else {
            return;
        };
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
        let mut readable = Vec::new();
        while let Some(event) = connection.poll() {
            match event {
                Event::Connected => {
                    if let Some(sending) = &mut self.sending {
                        sending.stream = connection.streams().open(Dir::Uni);
                        sending.next = Some(now);
                    }
                }
                Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => {
                    readable.extend(connection.streams().accept(Dir::Uni));
                }
                Event::Stream(StreamEvent::Readable { id }) => readable.push(id),
                Event::ConnectionLost { reason } => panic!("lost at {now:?}: {reason}"),
                _ => {}
            }
        }
        let mut bytes = 0;
        for id in readable {
            let mut stream = connection.recv_stream(id);
            let Ok(mut chunks) = stream.read(true) else {
                continue;
            };
            while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                bytes += chunk.bytes.len() as u64;
            }
            let _transmits = chunks.finalize();
        }
        if bytes > 0 {
            self.received.bytes.push((now, bytes));
        }
    }

    fn write(&mut self, now: Duration) {
        let (Some((_, connection)), Some(sending)) = (&mut self.connection, &mut self.sending) else {
            return;
        };
        let Some(stream) = sending.stream else {
            sending.next = None;
            return;
        };
        sending.produce(now);
        let block = [0; 16 * 1024];
        while sending.backlog > 0 {
            let length = block
                .len()
                .min(usize::try_from(sending.backlog).unwrap_or(usize::MAX));
            match connection.send_stream(stream).write(&block[..length]) {
                Ok(written) => {
                    sending.backlog -= written as u64;
                }
                Err(_) => break,
            }
        }
    }

    /// When [`Host::drive`] has something to do.
    pub(crate) fn next(&self) -> Option<Duration> {
        let source = self.sending.as_ref().and_then(|sending| sending.next);
        [self.due, source].into_iter().flatten().min()
    }

    pub(crate) fn window(&self) -> Option<u64> {
        let (_, connection) = self.connection.as_ref()?;
        Some(connection.congestion_state().window())
    }

    pub(crate) fn statistics(&self) -> ConnectionStats {
        self.connection
            .as_ref()
            .map(|(_, connection)| connection.stats())
            .unwrap_or_default()
    }

    pub(crate) fn pictures(&mut self) -> Vec<Picture> {
        self.sending
            .as_mut()
            .map(|sending| std::mem::take(&mut sending.pictures))
            .unwrap_or_default()
    }

    pub(crate) fn into_received(self) -> Received {
        self.received
    }
}
