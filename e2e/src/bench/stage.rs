//! Servers under a load, and the floor under the same one.

use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use videocall_load::{Door, Figures, Load, Pace, Progress, Transport, run};
use videocall_types::api::{RelayEndpoint, TransportKind};

use super::Scenario;
use crate::{ActixApi, Nats, Process, Server, VideocallServer, WebTransportServer, free_port, join, program};

/// Connections have found their pace by then.
const WARM_UP: Duration = Duration::from_secs(3);

/// How long relays may take to learn of one another; they announce themselves every second.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two looks whether they have.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What is logged is not what is measured.
pub(super) const QUIET: &[(&str, &str)] = &[("log", "warn")];

/// And one machine joins for all.
pub(super) const OPEN: &[(&str, &str)] = &[
    ("log", "warn"),
    ("joins-per-minute", "0"),
    ("meetings-per-minute", "0"),
];

/// A load's figures, with a relay and without.
#[derive(Debug)]
pub struct Measured {
    /// Of the relay.
    pub relay: Figures,
    /// Of the process that only writes.
    pub floor: Figures,
}

/// Measures a scenario and its floor, one after the other.
///
/// # Errors
/// When a process does not come up or nobody gets in.
pub async fn measure(
    scenario: Scenario,
    transport: Transport,
    measured: Duration,
) -> anyhow::Result<Measured> {
    let load = scenario.load(transport);
    let pace = Pace {
        ramp_per_second: 0.0,
        warm_up: WARM_UP,
        measured,
        stay: Duration::ZERO,
    };
    let servers = Servers::start(scenario, transport).await?;
    let door = Door::Meetings {
        servers: servers.urls.clone(),
        prefix: "bench".to_owned(),
        spread: scenario == Scenario::TwoRelays,
    };
    let relay = run(&load, &pace, door, &servers.processes()?, unheard()).await?;
    drop(servers);
    let floor = Floor::start(&load).await?;
    let door = Door::Bare(floor.addresses.clone());
    let floor = run(&load, &pace, door, &[floor.process.id()], unheard()).await?;
    Ok(Measured { relay, floor })
}

fn unheard() -> watch::Sender<Progress> {
    watch::channel(Progress::default()).0
}

/// The processes of a scenario. A scenario has its own, so that none inherits another's memory and
/// connections.
struct Servers {
    /// Where to join.
    urls: Vec<String>,
    relays: Vec<Server>,
    nats: Option<Nats>,
}

impl Servers {
    async fn start(scenario: Scenario, transport: Transport) -> anyhow::Result<Self> {
        if scenario != Scenario::TwoRelays {
            let server = VideocallServer::start_with(OPEN).await?;
            return Ok(Self {
                urls: vec![server.url.clone()],
                relays: vec![server],
                nats: None,
            });
        }
        let nats = Nats::start().await?;
        let mut relays = vec![ActixApi::start_with(&nats, OPEN).await?];
        if transport == Transport::WebSocket {
            relays.push(ActixApi::start_with(&nats, OPEN).await?);
        }
        // Tickets are given by the first kind alone.
        let urls: Vec<String> = relays.iter().map(|relay| relay.url.clone()).collect();
        let others = match transport {
            Transport::WebSocket => 0,
            Transport::Mixed => 1,
            Transport::WebTransport => 2,
        };
        for _ in 0..others {
            relays.push(WebTransportServer::start_with(&nats, QUIET).await?);
        }
        // A ticket names the WebSocket relay that gives it and all of the other kind.
        for url in &urls {
            relays_known(url, 1 + others).await?;
        }
        Ok(Self {
            urls,
            relays,
            nats: Some(nats),
        })
    }

    /// Everything that takes part in passing packets on.
    fn processes(&self) -> anyhow::Result<Vec<u32>> {
        let relays = self.relays.iter().map(Server::process);
        let nats = self.nats.iter().map(Nats::process);
        let running = relays.chain(nats).map(|process| process.map(Process::id));
        running.collect::<Option<_>>().context("a server does not run")
    }
}

/// Waits until a server's tickets name at least so many relays: they learn of one another over NATS.
pub(super) async fn relays_known(url: &str, count: usize) -> anyhow::Result<()> {
    let known = async {
        while join(url, "known", "bench").await?.relays.len() < count {
            sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    };
    timeout(KNOWN_TIMEOUT, known)
        .await
        .context("relays do not learn of one another")?
}

struct Floor {
    process: Process,
    addresses: Vec<RelayEndpoint>,
    _folder: TempDir,
}

impl Floor {
    async fn start(load: &Load) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let hash_file = folder.path().join("hash");
        let (tcp, udp) = (free_port()?, free_port()?);
        let arguments = [
            serde_json::to_string(load)?,
            tcp.to_string(),
            udp.to_string(),
            hash_file.display().to_string(),
        ];
        let mut process = Process::start(folder.path(), &program("bench_floor")?, arguments, &[])?;
        let written = || async { std::fs::read_to_string(&hash_file).is_ok_and(|hash| hash.len() == 64) };
        process.ready(written).await?;
        let address = |transport, url, certificate_hashes| RelayEndpoint {
            transport,
            url,
            certificate_hashes,
        };
        let addresses = vec![
            address(
                TransportKind::WebSocket,
                format!("ws://127.0.0.1:{tcp}/"),
                Vec::new(),
            ),
            address(
                TransportKind::WebTransport,
                format!("https://127.0.0.1:{udp}/"),
                vec![std::fs::read_to_string(&hash_file)?],
            ),
        ];
        Ok(Self {
            process,
            addresses,
            _folder: folder,
        })
    }
}
