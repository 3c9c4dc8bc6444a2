//! A long run: people come and go, some never read, some vanish, and memory has to stay flat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};
use videocall_load::{Door, Figures, Load, Pace, Progress, Transport, run, usage_of};
use videocall_types::api::TransportKind;

use super::Scenario;
use super::stage::{OPEN, QUIET, relays_known};
use crate::{ActixApi, Nats, RawClient, Server, WebTransportServer, endpoint, join};

/// Between two looks at the memory.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Between two lines about it.
const PRINT_INTERVAL: Duration = Duration::from_secs(30);

/// How long those who only receive stay.
const STAY: Duration = Duration::from_secs(10);

/// How long a client stays that reads nothing at all. What the relay sends it until the buffers in
/// between are full is its own; what waits beyond has to be let go of.
const UNREAD: Duration = Duration::from_secs(60);

/// How long somebody stays who then vanishes.
const VANISH_AFTER: Duration = Duration::from_secs(3);

/// Memory may grow by this between the middle and the last third of a run: allocators give back late.
const GROWTH: f64 = 0.05;

/// And by this, whatever its size.
const GROWTH_KB: f64 = 4096.0;

/// Ten minutes of a machine that does something else as well are no overload: nobody is to be refused for it.
const PATIENT: &[(&str, &str)] = &[("max-loop-delay-ms", "0")];

/// What happened besides the load's own figures.
#[derive(Debug, Default)]
struct Counters {
    unread: AtomicU64,
    vanished: AtomicU64,
}

/// Runs for so long, saying now and then how much memory each process has.
///
/// # Errors
/// When memory grows, a relay does not close who never reads, or nobody received anything.
pub async fn soak(duration: Duration, say: fn(&str)) -> anyhow::Result<()> {
    let nats = Nats::start().await?;
    let actix = ActixApi::start_with(&nats, &[OPEN, PATIENT].concat()).await?;
    let quic = WebTransportServer::start_with(&nats, &[QUIET, PATIENT].concat()).await?;
    relays_known(&actix.url, 2).await?;
    let id = |process: Option<&crate::Process>| process.map(crate::Process::id).context("it does not run");
    let processes = [
        ("actix-api", id(actix.process())?),
        ("webtransport-server", id(quic.process())?),
        ("nats-server", id(nats.process())?),
    ];
    let counters = Arc::new(Counters::default());
    let mut trouble = JoinSet::new();
    for transport in [TransportKind::WebSocket, TransportKind::WebTransport] {
        trouble.spawn(never_read(actix.url.clone(), transport, counters.clone()));
        trouble.spawn(vanish(actix.url.clone(), transport, counters.clone()));
    }
    let mut memory = Memory::new(&processes);
    let figures = tokio::select! {
        figures = load(&actix, duration) => figures?,
        ended = memory.watch(say) => match ended? {},
        Some(ended) = trouble.join_next() => match ended?? {},
    };
    say(&videocall_load::summary(&figures));
    let (unread, vanished) = (
        counters.unread.load(Ordering::Relaxed),
        counters.vanished.load(Ordering::Relaxed),
    );
    say(&format!(
        "{unread} have stayed without reading, {vanished} have vanished"
    ));
    ensure!(figures.packets > 0, "nobody has received anything");
    ensure!(figures.lost == 0, "sessions were lost: {:?}", figures.first_loss);
    memory.judge(say)
}

/// Two meetings on both carriers, whose viewers come and go.
async fn load(actix: &Server, duration: Duration) -> anyhow::Result<Figures> {
    let load = Load {
        meetings: 2,
        receivers: 30,
        ..Scenario::Stage50.load(Transport::Mixed)
    };
    let pace = Pace {
        ramp_per_second: 50.0,
        warm_up: Duration::from_secs(1),
        measured: duration,
        stay: STAY,
    };
    let door = Door::Meetings {
        servers: vec![actix.url.clone()],
        prefix: "soak".to_owned(),
        spread: false,
    };
    run(&load, &pace, door, &[], watch::channel(Progress::default()).0).await
}

/// Never.
enum Never {}

/// Joins the first meeting and reads nothing, again and again.
async fn never_read(url: String, transport: TransportKind, counters: Arc<Counters>) -> anyhow::Result<Never> {
    loop {
        let ticket = join(&url, "soak-0", "trouble").await?;
        let relay = endpoint(&url, &ticket, transport)?;
        let client = RawClient::join_and_sleep(&relay, &ticket).await?;
        sleep(UNREAD).await;
        drop(client);
        counters.unread.fetch_add(1, Ordering::Relaxed);
    }
}

/// Joins a meeting of its own, publishes, and is gone without a word, again and again.
async fn vanish(url: String, transport: TransportKind, counters: Arc<Counters>) -> anyhow::Result<Never> {
    for number in 0_u64.. {
        let mut client = enter(&url, &format!("vanishing-{transport}-{number}"), transport).await?;
        client.publish_camera(videocall_types::TrackId(9)).await?;
        sleep(VANISH_AFTER).await;
        drop(client);
        counters.vanished.fetch_add(1, Ordering::Relaxed);
    }
    unreachable!("there are more numbers than seconds")
}

async fn enter(url: &str, meeting: &str, transport: TransportKind) -> anyhow::Result<RawClient> {
    let ticket = join(url, meeting, "trouble").await?;
    let relay = endpoint(url, &ticket, transport)?;
    Ok(RawClient::join(&relay, &ticket).await?.0)
}

/// The memory of each process over time.
struct Memory<'a> {
    processes: &'a [(&'static str, u32)],
    /// kB, a row for each look.
    seen: Vec<Vec<u64>>,
}

impl<'a> Memory<'a> {
    fn new(processes: &'a [(&'static str, u32)]) -> Self {
        Self {
            processes,
            seen: Vec::new(),
        }
    }

    /// Looks, without end.
    async fn watch(&mut self, say: fn(&str)) -> anyhow::Result<Never> {
        let began = Instant::now();
        let mut looks = interval(LOOK_INTERVAL);
        let mut printed = None;
        loop {
            looks.tick().await;
            let look = self
                .processes
                .iter()
                .map(|&(_, process)| Ok(usage_of(process)?.resident_kb));
            let look: Vec<u64> = look.collect::<anyhow::Result<_>>()?;
            if printed.is_none_or(|printed: Instant| printed.elapsed() >= PRINT_INTERVAL) {
                printed = Some(Instant::now());
                let named = self.processes.iter().zip(&look);
                let text: Vec<String> = named
                    .map(|((name, _), kb)| format!("{name} {:.1} MB", *kb as f64 / 1024.0))
                    .collect();
                say(&format!(
                    "{:>5} s  {}",
                    began.elapsed().as_secs(),
                    text.join(", ")
                ));
            }
            self.seen.push(look);
        }
    }

    fn judge(&self, say: fn(&str)) -> anyhow::Result<()> {
        for (column, (name, _)) in self.processes.iter().enumerate() {
            let series: Vec<u64> = self.seen.iter().map(|look| look[column]).collect();
            let (middle, last) = thirds(&series).context("too short a run to judge")?;
            say(&format!(
                "{name}: {:.1} MB in the middle, {:.1} MB at the end",
                middle / 1024.0,
                last / 1024.0
            ));
            ensure!(is_flat(middle, last), "the memory of {name} grows");
        }
        Ok(())
    }
}

/// The medians of the middle third and of the last one; the first is warming up.
fn thirds(series: &[u64]) -> Option<(f64, f64)> {
    let third = series.len() / 3;
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).map(|&kb| kb as f64)
    };
    let middle = median(series.get(third..2 * third)?)?;
    Some((middle, median(series.get(2 * third..)?)?))
}

fn is_flat(middle: f64, last: f64) -> bool {
    last <= middle * (1.0 + GROWTH) + GROWTH_KB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_warms_up_is_flat_and_what_leaks_is_not() {
        let warm: Vec<u64> = (0..60).map(|look| 100_000.min(20_000 + look * 10_000)).collect();
        let (middle, last) = thirds(&warm).expect("long enough");
        assert!(is_flat(middle, last));
        let leak: Vec<u64> = (0..60).map(|look| 50_000 + look * 1_000).collect();
        let (middle, last) = thirds(&leak).expect("long enough");
        assert!(!is_flat(middle, last), "{middle} {last}");
        assert_eq!(thirds(&[1, 2]), None);
    }
}
