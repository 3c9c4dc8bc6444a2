//! A UDP proxy on the loopback interface: it needs no rights, and clients can be given another address.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::conditions::Conditions;
use super::path::{Path, Way};
use super::report::Report;

/// What IPv4 and UDP add to each packet.
const HEADERS: u64 = 28;

/// The largest UDP datagram.
const LARGEST: usize = 64 * 1024;

/// Clients at most; of further ones nothing passes.
const MAX_CLIENTS: usize = 1_000;

/// Passes datagrams on to a server, with a socket for each client, whose address the server sees.
#[derive(Debug)]
pub struct UdpProxy {
    address: SocketAddr,
    inner: Arc<Inner>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Inner {
    front: UdpSocket,
    target: SocketAddr,
    path: Path<Datagram>,
    clients: Mutex<HashMap<SocketAddr, Client>>,
}

#[derive(Debug)]
struct Client {
    socket: Arc<UdpSocket>,
    /// Reads what comes to the socket; ends with the client.
    _reader: JoinSet<()>,
}

#[derive(Debug)]
struct Datagram {
    client: SocketAddr,
    bytes: Bytes,
}

impl UdpProxy {
    /// Leads to a server.
    ///
    /// # Errors
    /// When the machine has no port left.
    pub async fn to(target: SocketAddr, conditions: Conditions) -> std::io::Result<Self> {
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = front.local_addr()?;
        let inner = Arc::new(Inner {
            front,
            target,
            path: Path::new(conditions),
            clients: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(take(inner.clone()));
        tasks.spawn(deliver(inner.clone()));
        Ok(Self {
            address,
            inner,
            _tasks: tasks,
        })
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Other conditions from now on; nothing that was counted remains.
    pub fn begin(&self, conditions: Conditions) {
        self.inner.path.begin(conditions);
    }

    /// Forgets what was counted; the conditions go on.
    pub fn forget(&self) {
        self.inner.path.forget();
    }

    /// What has passed since the conditions began, or since that.
    pub fn report(&self) -> Report {
        self.inner.path.report()
    }

    /// Gives every client another address, as when a telephone changes from one network to another, and says how many
    /// there are. What the server sends to the old one is lost.
    ///
    /// # Errors
    /// When the machine has no port left.
    pub async fn rebind(&self) -> std::io::Result<usize> {
        let clients: Vec<SocketAddr> = self.inner.clients.lock().keys().copied().collect();
        for address in &clients {
            let client = Client::new(&self.inner, *address).await?;
            self.inner.clients.lock().insert(*address, client);
        }
        Ok(clients.len())
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        // Their readers hold what holds them.
        self.inner.clients.lock().clear();
    }
}

impl Client {
    async fn new(inner: &Arc<Inner>, address: SocketAddr) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(inner.target).await?;
        let socket = Arc::new(socket);
        let mut reader = JoinSet::new();
        reader.spawn(answers(inner.clone(), address, socket.clone()));
        Ok(Self {
            socket,
            _reader: reader,
        })
    }
}

/// From clients.
async fn take(inner: Arc<Inner>) {
    let mut buffer = vec![0; LARGEST];
    loop {
        // An error is what an earlier datagram has met (ICMP); the next is taken all the same.
        let Ok((length, client)) = inner.front.recv_from(&mut buffer).await else {
            continue;
        };
        let (known, many) = {
            let clients = inner.clients.lock();
            (clients.contains_key(&client), clients.len() >= MAX_CLIENTS)
        };
        if !known {
            if many {
                continue;
            }
            let Ok(new) = Client::new(&inner, client).await else {
                continue;
            };
            inner.clients.lock().insert(client, new);
        }
        inner.pass(Way::Up, client, &buffer[..length]);
    }
}

/// From the server to one client.
async fn answers(inner: Arc<Inner>, client: SocketAddr, socket: Arc<UdpSocket>) {
    let mut buffer = vec![0; LARGEST];
    loop {
        if let Ok(length) = socket.recv(&mut buffer).await {
            inner.pass(Way::Down, client, &buffer[..length]);
        }
    }
}

async fn deliver(inner: Arc<Inner>) {
    loop {
        let (way, Datagram { client, bytes }) = inner.path.receive().await;
        // What cannot be sent is lost, as on any network.
        let _sent = match way {
            Way::Down => inner.front.send_to(&bytes, client).await,
            Way::Up => {
                let socket = inner
                    .clients
                    .lock()
                    .get(&client)
                    .map(|client| client.socket.clone());
                match socket {
                    Some(socket) => socket.send(&bytes).await,
                    None => Ok(0),
                }
            }
        };
    }
}

impl Inner {
    fn pass(&self, way: Way, client: SocketAddr, bytes: &[u8]) {
        let datagram = Datagram {
            client,
            bytes: Bytes::copy_from_slice(bytes),
        };
        self.path.send(way, bytes.len() as u64 + HEADERS, datagram);
    }
}

#[cfg(test)]
mod tests {
    use super::super::conditions::Direction;
    use super::*;

    #[tokio::test]
    async fn a_rebound_client_has_another_address_and_its_answers_find_it() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let target = server.local_addr().expect("an address");
        let conditions = Conditions {
            down: Direction::line(1_000_000, 5),
            ..Conditions::default()
        };
        let proxy = UdpProxy::to(target, conditions).await.expect("a port");
        let client = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let mut buffer = [0; 100];
        let mut addresses = Vec::new();
        for round in 0..2_u8 {
            client.send_to(&[round], proxy.address()).await.expect("sent");
            let (length, from) = server.recv_from(&mut buffer).await.expect("received");
            assert_eq!(&buffer[..length], [round]);
            addresses.push(from);
            server.send_to(&[round + 10], from).await.expect("sent");
            let (length, from) = client.recv_from(&mut buffer).await.expect("received");
            assert_eq!((&buffer[..length], from), (&[round + 10][..], proxy.address()));
            assert_eq!(proxy.rebind().await.expect("ports"), 1);
        }
        assert_ne!(addresses[0], addresses[1]);
        let report = proxy.report();
        assert_eq!((report.up.packets, report.down.packets), (2, 2));
        assert_eq!(report.up.utilisation_pct, None);
    }
}
