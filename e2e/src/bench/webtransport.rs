//! WebTransport for the load: connections share a few sockets, frames are looked at where they lie.

use std::sync::Arc;

use bytes::Bytes;
use videocall_types::limits::{MAX_FRAME_BYTES, MAX_SERVER_CONTROL_BYTES};
use videocall_types::{StreamDecoder, length_prefix};
use wtransport::{Connection, RecvStream, SendStream};

use super::framer::{Notes, Record};

/// Bytes taken from a stream at a time.
const CHUNK_BYTES: usize = 64 * 1024;

pub(super) struct ControlReader {
    stream: RecvStream,
    decoder: StreamDecoder,
}

impl ControlReader {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self {
            stream,
            decoder: StreamDecoder::new(MAX_SERVER_CONTROL_BYTES),
        }
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Bytes> {
        loop {
            if let Some(packet) = self.decoder.next_packet()? {
                return Ok(packet);
            }
            let chunk = self
                .stream
                .quic_stream_mut()
                .read_chunk(CHUNK_BYTES, true)
                .await?;
            let chunk = chunk.ok_or_else(|| anyhow::anyhow!("the control stream has ended"))?;
            self.decoder.push(&chunk.bytes);
        }
    }
}

/// Writes a packet with its length in front.
pub(super) async fn write(stream: &mut SendStream, packet: &[u8]) -> anyhow::Result<()> {
    let (prefix, used) = length_prefix(u32::try_from(packet.len())?);
    stream.write_all(&prefix[..used]).await?;
    Ok(stream.write_all(packet).await?)
}

/// Takes every stream and datagram of a connection until it ends.
pub(super) async fn receive(connection: Connection, record: Arc<Record>) {
    let streams = async {
        while let Ok(stream) = connection.accept_uni().await {
            let record = record.clone();
            tokio::spawn(async move { read_stream(stream, &record).await });
        }
    };
    let datagrams = async {
        let mut notes = Notes::new(&record);
        while let Ok(datagram) = connection.receive_datagram().await {
            notes.take(&datagram.payload());
            notes.flush();
        }
    };
    tokio::join!(streams, datagrams);
}

async fn read_stream(mut stream: RecvStream, record: &Record) {
    let mut decoder = StreamDecoder::new(MAX_FRAME_BYTES);
    let mut notes = Notes::new(record);
    while let Ok(Some(chunk)) = stream.quic_stream_mut().read_chunk(CHUNK_BYTES, true).await {
        decoder.push(&chunk.bytes);
        while let Ok(Some(packet)) = decoder.next_packet() {
            notes.take(&packet);
        }
        notes.flush();
    }
}
