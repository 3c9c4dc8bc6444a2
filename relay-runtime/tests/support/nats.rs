//! Real NATS servers, alone or as a cluster, and a way to one of them that can be made narrow.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use relay_runtime::Bus;
use relay_runtime::bus::NatsBus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::soon;

/// A NATS server that can be killed and started again on the same port.
pub(crate) struct NatsServer {
    child: Child,
    port: u16,
    arguments: Vec<String>,
}

impl NatsServer {
    pub(crate) fn start() -> Self {
        Self::with(free_port(), Vec::new())
    }

    /// Servers that know of one another.
    pub(crate) fn cluster<const N: usize>() -> [Self; N] {
        let ports: [u16; N] = std::array::from_fn(|_| free_port());
        let route = |port: u16| format!("nats://127.0.0.1:{port}");
        let routes = ports.map(route).join(",");
        ports.map(|port| {
            let arguments = [
                "--cluster_name",
                "test",
                "--cluster",
                &route(port),
                "--routes",
                &routes,
            ];
            Self::with(free_port(), arguments.map(str::to_owned).to_vec())
        })
    }

    fn with(port: u16, arguments: Vec<String>) -> Self {
        Self {
            child: run(port, &arguments),
            port,
            arguments,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    pub(crate) fn restart(&mut self) {
        self.child = run(self.port, &self.arguments);
    }
}

impl NatsServer {
    /// It is there and does nothing.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// After a pause.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill is there").success());
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _already_dead = self.child.kill();
        let _already_dead = self.child.wait();
    }
}

/// One that was free a moment ago.
fn free_port() -> u16 {
    let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Debian puts the server where only root's PATH leads.
fn run(port: u16, arguments: &[String]) -> Child {
    let start = |program: &str| {
        Command::new(program)
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    start("nats-server")
        .or_else(|_| start("/usr/sbin/nats-server"))
        .expect("nats-server is installed (apt-get install nats-server)")
}

/// A bus that has reached its server.
pub(crate) async fn connect(url: &str) -> Arc<dyn Bus> {
    let bus = NatsBus::connect(url, "test").await.expect("a readable address");
    let mut reachable = bus.reachable();
    soon("NATS", reachable.wait_for(|&is| is))
        .await
        .expect("the bus is there");
    bus
}

/// What one read takes at most, so that a narrow way is an even one.
const CHUNK: usize = 4 * 1024;

/// What waits in the operating system on the narrow side: far less than a second's worth.
const BUFFER: u32 = 16 * 1024;

/// A way to a NATS server, on which what comes from there can be made to come slowly.
pub(crate) struct NarrowWay {
    address: SocketAddr,
    bytes_per_second: watch::Sender<Option<u32>>,
    task: JoinHandle<()>,
}

impl NarrowWay {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (bytes_per_second, rate) = watch::channel(None);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, rate.clone()));
            }
        });
        Self {
            address,
            bytes_per_second,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// `None` is as fast as the machine.
    pub(crate) fn set_rate(&self, bytes_per_second: Option<u32>) {
        self.bytes_per_second.send_replace(bytes_per_second);
    }
}

impl Drop for NarrowWay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    client: TcpStream,
    server: SocketAddr,
    rate: watch::Receiver<Option<u32>>,
) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    // Before connecting: afterwards the window has been offered.
    socket.set_recv_buffer_size(BUFFER)?;
    let (mut from_server, mut to_server) = socket.connect(server).await?.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    let there = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let back = async {
        let mut buffer = [0; CHUNK];
        loop {
            let read = from_server.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            to_client.write_all(&buffer[..read]).await?;
            let rate = *rate.borrow();
            if let Some(rate) = rate {
                sleep(Duration::from_secs_f64(read as f64 / f64::from(rate))).await;
            }
        }
    };
    tokio::select! {
        ended = there => ended,
        ended = back => ended,
    }
}
