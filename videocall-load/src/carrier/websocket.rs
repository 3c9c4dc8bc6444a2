//! WebSocket (RFC 6455) with no more than the load needs: one buffer per thread to read into, zero
//! masks, no copies.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{Connector, MaybeTlsStream, client_async_tls_with_config};
use videocall_types::fragment::{Reassembler, is_fragment};

use crate::framing::{Cutter, Framing};
use crate::session::Inbox;

type Stream = MaybeTlsStream<TcpStream>;

/// Opcodes of RFC 6455 §5.2.
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// RFC 6455 §7.4.1: the purpose of the connection is fulfilled.
const NORMAL: u16 = 1000;

/// Read at a time: what a socket's buffer holds when nobody is late.
const SCRATCH_BYTES: usize = 256 * 1024;

thread_local! {
    /// What was read is cut into packets before anything else is read on this thread.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

pub(crate) struct Reader {
    stream: ReadHalf<Stream>,
    cutter: Cutter,
    fragments: Reassembler,
}

pub(crate) struct Writer {
    stream: WriteHalf<Stream>,
    buffer: Vec<u8>,
}

/// Opens a connection.
pub(super) async fn connect(url: &str, trust: &Arc<ClientConfig>) -> anyhow::Result<(Reader, Writer)> {
    let request = url.into_client_request()?;
    let host = request.uri().host().context("an address without a host")?;
    let standard = if request.uri().scheme_str() == Some("wss") {
        443
    } else {
        80
    };
    let port = request.uri().port_u16().unwrap_or(standard);
    let tcp = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    tcp.set_nodelay(true)?;
    let connector = Connector::Rustls(Arc::clone(trust));
    let (socket, _) = client_async_tls_with_config(request, tcp, None, Some(connector)).await?;
    // A relay says nothing before it was spoken to, so that nothing was read beyond the handshake.
    let (read, write) = tokio::io::split(socket.into_inner());
    let reader = Reader {
        stream: read,
        cutter: Cutter::new(Framing::WebSocket),
        fragments: Reassembler::default(),
    };
    let writer = Writer {
        stream: write,
        buffer: Vec::new(),
    };
    Ok((reader, writer))
}

impl Reader {
    pub(super) async fn run(mut self, mut inbox: Inbox, pongs: watch::Sender<Bytes>) -> anyhow::Result<()> {
        loop {
            if let Some(ping) = self.read(&mut inbox).await? {
                pongs.send_replace(ping);
            }
        }
    }

    /// Reads once; returns the payload of a ping.
    async fn read(&mut self, inbox: &mut Inbox) -> anyhow::Result<Option<Bytes>> {
        let Self {
            stream,
            cutter,
            fragments,
        } = self;
        poll_fn(|cx| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut read = ReadBuf::new(scratch);
                ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
                Poll::Ready(take(cutter, read.filled(), fragments, inbox))
            })
        })
        .await
    }
}

fn take(
    cutter: &mut Cutter,
    read: &[u8],
    fragments: &mut Reassembler,
    inbox: &mut Inbox,
) -> anyhow::Result<Option<Bytes>> {
    ensure!(!read.is_empty(), "the relay has ended the connection");
    let mut ping = None;
    cutter.feed(read, |head, payload| {
        ensure!(head.first & FINAL != 0, "a message in parts");
        match head.first & 0x0f {
            BINARY if is_fragment(payload) => match fragments.push(&Bytes::copy_from_slice(payload))? {
                Some(whole) => inbox.packet(&whole),
                None => Ok(()),
            },
            BINARY => inbox.packet(payload),
            PING => {
                ping = Some(Bytes::copy_from_slice(payload));
                Ok(())
            }
            PONG => Ok(()),
            CLOSE => bail!("the relay has closed the connection: {:?}", payload.get(..2)),
            other => bail!("a message of kind {other}"),
        }
    })?;
    inbox.flush();
    Ok(ping)
}

impl Writer {
    pub(super) async fn packet(&mut self, packet: &[u8]) -> anyhow::Result<()> {
        self.write(BINARY, packet).await
    }

    pub(super) async fn pong(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        self.write(PONG, payload).await
    }

    pub(super) async fn close(mut self) {
        // The relay may have been faster.
        let _gone = self.write(CLOSE, &NORMAL.to_be_bytes()).await;
        let _gone = self.stream.shutdown().await;
    }

    /// A client has to mask what it sends; a mask of zeros leaves it as it is.
    async fn write(&mut self, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
        self.buffer.clear();
        self.buffer.push(FINAL | opcode);
        match payload.len() {
            short @ 0..126 => self.buffer.push(MASKED | short as u8),
            medium @ 126..65_536 => {
                self.buffer.push(MASKED | 126);
                self.buffer.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                self.buffer.push(MASKED | 127);
                self.buffer.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(payload);
        self.stream.write_all(&self.buffer).await?;
        Ok(self.stream.flush().await?)
    }
}
