//! Raw access to the WebTransport carrier.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::mpsc;
use videocall_types::api::RelayEndpoint;
use videocall_types::limits::{MAX_FRAME_BYTES, MAX_SERVER_CONTROL_BYTES};
use videocall_types::{CloseCode, StreamDecoder, length_prefix};
use wtransport::config::QuicTransportConfig;
use wtransport::endpoint::endpoint_side::Client;
use wtransport::error::ConnectionError;
use wtransport::quinn::congestion::{Controller, ControllerFactory};
use wtransport::tls::{Sha256Digest, Sha256DigestFmt};
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};

use super::Event;

/// Bytes taken from a stream at a time.
const CHUNK_BYTES: usize = 64 * 1024;

pub(super) struct Sender {
    connection: Connection,
    control: SendStream,
    video: Option<SendStream>,
    /// Streams on which nothing follows.
    unfinished: Vec<SendStream>,
    // Ends all its connections when it is dropped.
    _endpoint: Endpoint<Client>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a session with {}", self.connection.remote_address())
    }
}

/// A client's end for these certificates.
fn client_endpoint(relay: &RelayEndpoint) -> anyhow::Result<Endpoint<Client>> {
    Ok(Endpoint::client(client_config(relay)?)?)
}

/// What such an end trusts, and how much it sends: all that it is given.
pub(super) fn client_config(relay: &RelayEndpoint) -> anyhow::Result<ClientConfig> {
    let hashes = relay
        .certificate_hashes
        .iter()
        .map(|hash| digest(hash))
        .collect::<Result<Vec<_>, _>>()?;
    let mut config = ClientConfig::builder()
        .with_bind_default()
        .with_server_certificate_hashes(hashes)
        .build();
    let mut transport = QuicTransportConfig::default();
    transport.congestion_controller_factory(Arc::new(Inconsiderate));
    config.quic_config_mut().transport_config(Arc::new(transport));
    Ok(config)
}

/// Congestion control of a client that does not care what becomes of a network.
#[derive(Clone, Debug)]
struct Inconsiderate;

impl ControllerFactory for Inconsiderate {
    fn build(self: Arc<Self>, _now: Instant, _mtu: u16) -> Box<dyn Controller> {
        Box::new(Self)
    }
}

impl Controller for Inconsiderate {
    fn on_congestion_event(&mut self, _: Instant, _: Instant, _persistent: bool, _lost: u64) {}

    fn on_mtu_update(&mut self, _mtu: u16) {}

    fn window(&self) -> u64 {
        1 << 30
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

fn digest(hash: &str) -> anyhow::Result<Sha256Digest> {
    let pairs: Vec<&str> = (0..hash.len())
        .step_by(2)
        .filter_map(|at| hash.get(at..at + 2))
        .collect();
    Sha256Digest::from_str_fmt(pairs.join(":"), Sha256DigestFmt::DottedHex).context("a certificate's hash")
}

pub(super) async fn connect(relay: &RelayEndpoint, events: mpsc::Sender<Event>) -> anyhow::Result<Sender> {
    let endpoint = client_endpoint(relay)?;
    let connection = endpoint.connect(relay.url.as_str()).await?;
    let (control, incoming) = connection.open_bi().await?.await?;
    tokio::spawn(read(connection.clone(), incoming, events));
    Ok(Sender {
        connection,
        control,
        video: None,
        unfinished: Vec::new(),
        _endpoint: endpoint,
    })
}

impl Sender {
    pub(super) async fn send_control(&mut self, packet: &[u8]) -> anyhow::Result<()> {
        write_packet(&mut self.control, packet).await
    }

    pub(super) async fn write_control(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.control.write_all(bytes).await?)
    }

    pub(super) async fn send_on_stream(&mut self, packet: &[u8]) -> anyhow::Result<()> {
        let mut stream = match self.video.take() {
            Some(stream) => stream,
            None => self.connection.open_uni().await?.await?,
        };
        write_packet(&mut stream, packet).await?;
        self.video = Some(stream);
        Ok(())
    }

    pub(super) async fn write_on_new_stream(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut stream = self.connection.open_uni().await?.await?;
        stream.write_all(bytes).await?;
        self.unfinished.push(stream);
        Ok(())
    }

    pub(super) fn send_datagram(&self, packet: Bytes) -> anyhow::Result<()> {
        Ok(self.connection.send_datagram(packet)?)
    }
}

async fn write_packet(stream: &mut SendStream, packet: &[u8]) -> anyhow::Result<()> {
    let (prefix, used) = length_prefix(u32::try_from(packet.len())?);
    stream.write_all(&prefix[..used]).await?;
    Ok(stream.write_all(packet).await?)
}

async fn read(connection: Connection, control: RecvStream, events: mpsc::Sender<Event>) {
    let control = tokio::spawn(read_stream(control, MAX_SERVER_CONTROL_BYTES, events.clone()));
    let error = loop {
        let packet = tokio::select! {
            stream = connection.accept_uni() => match stream {
                Ok(stream) => {
                    tokio::spawn(read_stream(stream, MAX_FRAME_BYTES, events.clone()));
                    continue;
                }
                Err(error) => break error,
            },
            datagram = connection.receive_datagram() => match datagram {
                Ok(datagram) => datagram.payload(),
                Err(error) => break error,
            },
        };
        if events.send(Event::Packet(packet)).await.is_err() {
            return;
        }
    };
    // The last message comes before the end.
    let _ended = control.await;
    let _unheard = events.send(Event::Closed(code(&error))).await;
}

async fn read_stream(mut stream: RecvStream, limit: usize, events: mpsc::Sender<Event>) {
    let mut decoder = StreamDecoder::new(limit);
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(Some(read)) = stream.read(&mut chunk).await {
        decoder.push(&chunk[..read]);
        while let Ok(Some(packet)) = decoder.next_packet() {
            if events.send(Event::Packet(packet)).await.is_err() {
                return;
            }
        }
    }
}

fn code(error: &ConnectionError) -> Option<CloseCode> {
    match error {
        ConnectionError::ApplicationClosed(close) => u32::try_from(close.code().into_inner())
            .ok()
            .and_then(CloseCode::from_number),
        _ => None,
    }
}
