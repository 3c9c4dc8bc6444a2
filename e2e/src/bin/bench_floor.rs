//! The floor of the relays' benchmark as a process: `bench_floor LOAD TCP-PORT UDP-PORT HASH-FILE`.
//! Started by `bench_relay`; the file gets the hash of its certificate once it listens.

use std::net::UdpSocket;

use anyhow::Context as _;
use e2e::bench::serve_floor;
use tokio::net::TcpListener;
use wtransport::Identity;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &str| arguments.next().with_context(|| format!("no {what}"));
    let load = serde_json::from_str(&next("load")?)?;
    let (tcp, udp): (u16, u16) = (next("TCP port")?.parse()?, next("UDP port")?.parse()?);
    let hash_file = next("hash file")?;
    let websocket = TcpListener::bind(("127.0.0.1", tcp)).await?;
    let quic = UdpSocket::bind(("127.0.0.1", udp))?;
    let identity = Identity::self_signed(["localhost", "127.0.0.1"])?;
    let certificate = identity
        .certificate_chain()
        .as_slice()
        .first()
        .context("a certificate")?;
    let hash: String = certificate
        .hash()
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    std::fs::write(hash_file, hash)?;
    serve_floor(load, websocket, quic, identity).await
}
