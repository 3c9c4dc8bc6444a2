//! Very many connections from one address, none of which says who it is.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use videocall_types::api::{RelayEndpoint, TransportKind};
use wtransport::quinn;

use super::webtransport::client_config;

/// Attempts under way at a time: as many as keep a relay busy without a pause.
const AT_ONCE: usize = 64;

/// An attempt that has not been answered by then has not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections of one address that a relay has let in, and the number of those that it has not.
#[derive(Debug, Default)]
pub struct Crowd {
    sockets: Vec<TcpStream>,
    connections: Vec<quinn::Connection>,
    // Ends all its connections when it is dropped.
    _endpoint: Option<quinn::Endpoint>,
    refused: usize,
}

impl Crowd {
    /// Tries so many times to connect from this address, and keeps what it gets.
    ///
    /// # Errors
    /// When the address is not this machine's, or it may open too few files.
    pub async fn gather(relay: &RelayEndpoint, from: IpAddr, attempts: usize) -> anyhow::Result<Self> {
        raise_file_limit(attempts);
        match relay.transport {
            TransportKind::WebSocket => Self::gather_sockets(relay, from, attempts).await,
            TransportKind::WebTransport => Self::gather_connections(relay, from, attempts).await,
        }
    }

    /// How many are in.
    pub fn size(&self) -> usize {
        self.sockets.len() + self.connections.len()
    }

    /// How many were turned away.
    pub fn refused(&self) -> usize {
        self.refused
    }

    async fn gather_sockets(relay: &RelayEndpoint, from: IpAddr, attempts: usize) -> anyhow::Result<Self> {
        let address = address(relay)?;
        let mut crowd = Self::default();
        let knocks = futures::stream::iter(0..attempts).map(|_| timeout(PATIENCE, upgrade(address, from)));
        let mut answers = knocks.buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(Ok(Some(socket))) => crowd.sockets.push(socket),
                Ok(Ok(None) | Err(_)) | Err(_) => crowd.refused += 1,
            }
        }
        drop(answers);
        Ok(crowd)
    }

    async fn gather_connections(
        relay: &RelayEndpoint,
        from: IpAddr,
        attempts: usize,
    ) -> anyhow::Result<Self> {
        let address = address(relay)?;
        let mut endpoint = quinn::Endpoint::client(SocketAddr::new(from, 0))?;
        endpoint.set_default_client_config(client_config(relay)?.quic_config().clone());
        let mut crowd = Self::default();
        let knocks = futures::stream::iter(0..attempts).map(|_| async {
            let connecting = endpoint.connect(address, "localhost").ok()?;
            timeout(PATIENCE, connecting).await.ok()?.ok()
        });
        let mut answers = knocks.buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            match answer {
                Some(connection) => crowd.connections.push(connection),
                None => crowd.refused += 1,
            }
        }
        drop(answers);
        crowd._endpoint = Some(endpoint);
        Ok(crowd)
    }
}

/// Where the relay listens; tests have it on an address and not on a name.
fn address(relay: &RelayEndpoint) -> anyhow::Result<SocketAddr> {
    let (_, rest) = relay.url.split_once("://").context("no scheme")?;
    let authority = rest.split('/').next().unwrap_or_default();
    Ok(authority.parse()?)
}

/// Asks for a WebSocket; `None` when the answer is something else, or the end.
async fn upgrade(address: SocketAddr, from: IpAddr) -> anyhow::Result<Option<TcpStream>> {
    let socket = match from {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(from, 0))?;
    let mut stream = socket.connect(address).await?;
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok((&status == b"HTTP/1.1 101").then_some(stream))
}

fn raise_file_limit(wanted: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted as u64) {
        // As many as the system allows; those that are let in are far fewer than those that try.
        let _as_far_as_allowed = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        );
    }
}
