//! WebSocket (RFC 6455) with no more than the load needs: whole messages, zero masks, no copies.

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const BINARY: u8 = 0x2;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const CLOSE: u8 = 0x8;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Read at a time.
const BUFFER_BYTES: usize = 256 * 1024;

pub(super) struct Reader {
    stream: OwnedReadHalf,
    buffer: BytesMut,
}

pub(super) struct Writer {
    stream: OwnedWriteHalf,
    buffer: BytesMut,
}

/// What a read has brought.
pub(super) enum Arrival {
    Packet(Bytes),
    /// To be answered with this.
    Ping(Bytes),
}

/// Opens a connection to `ws://HOST:PORT/PATH`.
pub(super) async fn connect(url: &str) -> anyhow::Result<(Reader, Writer)> {
    let rest = url.strip_prefix("ws://").context("only ws:// is measured")?;
    let (host, path) = rest.split_once('/').context("an address without path")?;
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    write.write_all(request.as_bytes()).await?;
    let mut reader = Reader {
        stream: read,
        buffer: BytesMut::with_capacity(BUFFER_BYTES),
    };
    reader.skip_answer().await?;
    let buffer = BytesMut::new();
    Ok((
        reader,
        Writer {
            stream: write,
            buffer,
        },
    ))
}

impl Reader {
    async fn skip_answer(&mut self) -> anyhow::Result<()> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                ensure!(
                    self.buffer.starts_with(b"HTTP/1.1 101"),
                    "the relay takes no WebSocket"
                );
                self.buffer.advance(end + 4);
                return Ok(());
            }
            self.read().await?;
        }
    }

    /// Waits for more bytes.
    pub(super) async fn read(&mut self) -> anyhow::Result<()> {
        self.buffer.reserve(BUFFER_BYTES / 4);
        ensure!(
            self.stream.read_buf(&mut self.buffer).await? > 0,
            "the relay has closed the connection"
        );
        Ok(())
    }

    /// The next whole message of what was read.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Arrival>> {
        let Some((head, length)) = message_length(&self.buffer) else {
            return Ok(None);
        };
        if self.buffer.len() < head + length {
            return Ok(None);
        }
        let first = self.buffer[0];
        ensure!(first & FINAL != 0, "a message in parts");
        self.buffer.advance(head);
        let payload = self.buffer.split_to(length).freeze();
        match first & 0x0f {
            BINARY => Ok(Some(Arrival::Packet(payload))),
            PING => Ok(Some(Arrival::Ping(payload))),
            CLOSE => bail!("the relay has closed the session: {payload:?}"),
            other => bail!("a message of kind {other}"),
        }
    }
}

/// Bytes of the head and of the payload, once the head is there.
fn message_length(buffer: &[u8]) -> Option<(usize, usize)> {
    match *buffer.get(1)? & 0x7f {
        126 => Some((4, u16::from_be_bytes(buffer.get(2..4)?.try_into().ok()?).into())),
        127 => Some((
            10,
            usize::try_from(u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?)).ok()?,
        )),
        short => Some((2, short.into())),
    }
}

impl Writer {
    pub(super) async fn send(&mut self, packet: &[u8]) -> anyhow::Result<()> {
        self.write(BINARY, packet).await
    }

    pub(super) async fn pong(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        self.write(PONG, payload).await
    }

    /// A client has to mask what it sends; a mask of zeros leaves it as it is.
    async fn write(&mut self, kind: u8, payload: &[u8]) -> anyhow::Result<()> {
        self.buffer.clear();
        self.buffer.extend_from_slice(&[FINAL | kind]);
        match payload.len() {
            short @ 0..126 => self.buffer.extend_from_slice(&[MASKED | short as u8]),
            medium @ 126..65_536 => {
                self.buffer.extend_from_slice(&[MASKED | 126]);
                self.buffer.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                self.buffer.extend_from_slice(&[MASKED | 127]);
                self.buffer.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(payload);
        Ok(self.stream.write_all(&self.buffer).await?)
    }
}
