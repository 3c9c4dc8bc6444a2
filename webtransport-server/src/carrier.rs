//! One WebTransport session as a carrier of packets: what comes in, and how it ends.
//!
//! Control comes on the one bidirectional stream that the client opens, video on unidirectional
//! streams, audio in datagrams. Everything is read in the task of the session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use relay_runtime::{Carrier, Disconnect, Egress, Ingress};
use tokio::sync::Mutex;
use tokio::time::{Instant, interval_at, timeout};
use videocall_types::api::TransportKind;
use videocall_types::{CloseCode, StreamDecoder};
use wtransport::error::ConnectionError;
use wtransport::{Connection, RecvStream, SendStream, VarInt};

use crate::quic::{self, MAX_MEDIA_STREAMS};
use crate::writer;

/// Bytes taken from a stream at a time: as much as QUIC's packets bring in one go.
const CHUNK_BYTES: usize = 64 * 1024;

/// How often the connection is looked at: whether the peer's machine still answers, and how much it
/// takes.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How long the last message may take to arrive.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client may take to read the last message and close by itself. A browser forgets what
/// its page has not read when the connection closes.
const LINGER: Duration = Duration::from_millis(250);

/// How long the reason of an end may take to arrive behind the end of the control stream.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);

/// HTTP/3's "no error" (RFC 9114 §8.1).
const H3_NO_ERROR: u64 = 0x100;

/// One accepted WebTransport session.
pub(crate) struct WebTransportCarrier {
    connection: Connection,
    /// The sending half of the control stream, once the client has opened it.
    control: Mutex<Option<SendStream>>,
}

impl WebTransportCarrier {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            control: Mutex::new(None),
        }
    }

    async fn read_all(&self, ingress: &Ingress) -> Result<(), Disconnect> {
        let (send, control) = self.connection.accept_bi().await.map_err(ended)?;
        send.set_priority(writer::CONTROL_PRIORITY);
        *self.control.lock().await = Some(send);
        let mut control = std::pin::pin!(self.read_control(control, ingress));
        let mut watch = std::pin::pin!(self.watch(ingress));
        // Before its Hello is accepted, nothing but control is taken from a client.
        tokio::select! {
            result = &mut control => return result,
            result = &mut watch => return result,
            () = ingress.seated() => {}
        }
        let mut datagrams = std::pin::pin!(self.read_datagrams(ingress));
        let mut streams = FuturesUnordered::new();
        loop {
            tokio::select! {
                result = &mut control => return result,
                result = &mut datagrams => return result,
                Some(result) = streams.next(), if !streams.is_empty() => result?,
                // More streams than a client can have layers wait until others end.
                stream = self.connection.accept_uni(), if streams.len() < MAX_MEDIA_STREAMS => {
                    streams.push(read_media(stream.map_err(ended)?, ingress));
                }
                result = &mut watch => return result,
            }
        }
    }

    /// Ends with the connection: the stream's own end says less than the connection's.
    async fn read_control(&self, mut stream: RecvStream, ingress: &Ingress) -> Result<(), Disconnect> {
        let mut decoder = StreamDecoder::new(ingress.max_control_bytes());
        while let Ok(Some(chunk)) = stream.quic_stream_mut().read_chunk(CHUNK_BYTES, true).await {
            decoder.push(&chunk.bytes);
            let next = |decoder: &mut StreamDecoder| {
                decoder
                    .next_packet()
                    .map_err(|error| Ingress::control_stream_error(&error))
            };
            while let Some(packet) = next(&mut decoder)? {
                ingress.packet(&packet)?;
            }
        }
        let reason = timeout(REASON_TIMEOUT, self.end()).await;
        Err(reason.unwrap_or_else(|_| Disconnect::Lost("the control stream ended".to_owned())))
    }

    /// Why the connection ends, once it does.
    async fn end(&self) -> Disconnect {
        loop {
            if let Err(error) = self.connection.accept_bi().await {
                return ended(error);
            }
        }
    }

    async fn read_datagrams(&self, ingress: &Ingress) -> Result<(), Disconnect> {
        loop {
            let datagram = self.connection.receive_datagram().await.map_err(ended)?;
            ingress.media(&datagram.payload())?;
        }
    }

    /// Ends only with somebody who sends too much. The peer's answers to keep-alives are signs of life: browsers
    /// hold back the pings of a page in the background.
    async fn watch(&self, ingress: &Ingress) -> Result<(), Disconnect> {
        // The first look waits: a new path shows nothing yet.
        let mut looks = interval_at(Instant::now() + LOOK_INTERVAL, LOOK_INTERVAL);
        let mut received = 0;
        loop {
            looks.tick().await;
            let quic = self.connection.quic_connection();
            let now_received = quic.stats().udp_rx.datagrams;
            if now_received != received {
                ingress.arrived(now_received - received)?;
                received = now_received;
                ingress.alive();
            }
            quic::tune(quic);
            ingress.path_rate(quic::path_rate(quic));
        }
    }
}

/// Reads a stream of frames to its end. A stream that the peer resets has said what it had to say.
async fn read_media(mut stream: RecvStream, ingress: &Ingress) -> Result<(), Disconnect> {
    let mut decoder = StreamDecoder::new(ingress.max_frame_bytes());
    while let Ok(Some(chunk)) = stream.quic_stream_mut().read_chunk(CHUNK_BYTES, true).await {
        decoder.push(&chunk.bytes);
        let next = |decoder: &mut StreamDecoder| {
            decoder
                .next_packet()
                .map_err(|error| Ingress::media_stream_error(&error))
        };
        while let Some(packet) = next(&mut decoder)? {
            ingress.media(&packet)?;
        }
    }
    Ok(())
}

/// What the end of a connection means.
fn ended(error: ConnectionError) -> Disconnect {
    if let ConnectionError::ApplicationClosed(close) = &error {
        let code = close.code().into_inner();
        if matches!(code, 0 | H3_NO_ERROR) || code == u64::from(CloseCode::Left.number()) {
            return Disconnect::Clean;
        }
    }
    Disconnect::Lost(error.to_string())
}

impl Carrier for WebTransportCarrier {
    fn transport(&self) -> TransportKind {
        TransportKind::WebTransport
    }

    fn peer(&self) -> IpAddr {
        self.connection.remote_address().ip().to_canonical()
    }

    async fn read(&self, ingress: &Ingress) -> Disconnect {
        match self.read_all(ingress).await {
            Ok(()) => Disconnect::Lost("nothing is left to read".to_owned()),
            Err(disconnect) => disconnect,
        }
    }

    async fn write(&self, egress: &Arc<Egress>) -> Disconnect {
        let mut control = self.control.lock().await;
        match control.as_mut() {
            Some(control) => writer::write(&self.connection, control, egress).await,
            // Without a control stream there is nothing that a goodbye could be written on.
            None => Disconnect::Finished,
        }
    }

    async fn close(&self, code: CloseCode) {
        // Whoever sends too much goes on with it meanwhile.
        let patience = if code == CloseCode::RateExceeded {
            LINGER
        } else {
            FLUSH_TIMEOUT
        };
        if let Some(mut control) = self.control.lock().await.take() {
            let stream = control.quic_stream_mut();
            if stream.finish().is_ok() {
                let _peer_is_silent = timeout(patience, stream.stopped()).await;
            }
        }
        let _client_leaves_it_to_us = timeout(LINGER, self.connection.closed()).await;
        let number = VarInt::from_u32(code.number().into());
        self.connection.close(number, code.message().as_bytes());
    }
}
