//! Compares congestion controls of relays on networks made by a proxy: `bench_congestion [NETWORK...] [seconds=10]`.
//!
//! Prints a line for each and adds rows to `bench-results/congestion.json`, where the simulation's are.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use e2e::bench::{Algorithm, Network, merge, saturate};
use videocall_load::Row;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (networks, seconds) = selection(std::env::args().skip(1))?;
    say("network             control   used %   queue p50   queue p95   queue max    dropped");
    for network in networks {
        for algorithm in Algorithm::ALL {
            let report = saturate(algorithm, network.conditions(seconds), seconds).await?;
            let (down, name) = (&report.down, algorithm.name());
            let used = down.utilisation_pct.unwrap_or(0.0);
            let queue = down.queueing_ms;
            say(&format!(
                "{:<20}{name:<8}{used:>8.1}{:>9.1} ms{:>9.1} ms{:>9.1} ms{:>11}",
                network.name(),
                queue.p50,
                queue.p95,
                queue.max,
                down.dropped
            ));
            // The simulation's networks have the same names, and their rows are in the same file.
            let scenario = format!("proxy-{}", network.name());
            let row = |metric, value, unit| Row::new(&scenario, name, metric, value, unit);
            let rows = [
                row("utilisation_pct", used, "%"),
                row("queueing_delay_p50_ms", queue.p50, "ms"),
                row("queueing_delay_p95_ms", queue.p95, "ms"),
                row("dropped_packets", down.dropped as f64, ""),
            ];
            merge(Path::new("bench-results/congestion.json"), &rows)?;
        }
    }
    Ok(())
}

fn selection(arguments: impl Iterator<Item = String>) -> anyhow::Result<(Vec<Network>, Duration)> {
    let (mut networks, mut seconds) = (Vec::new(), 10);
    for argument in arguments {
        let network = Network::ALL
            .into_iter()
            .find(|network| network.name() == argument);
        match (network, argument.strip_prefix("seconds=").map(str::parse)) {
            (Some(network), _) => networks.push(network),
            (_, Some(Ok(number))) => seconds = number,
            _ => {
                let known: Vec<&str> = Network::ALL.iter().map(|network| network.name()).collect();
                bail!(
                    "unknown argument '{argument}'; there are {} and seconds=10",
                    known.join(", ")
                );
            }
        }
    }
    if networks.is_empty() {
        networks = Network::ALL.into();
    }
    Ok((networks, Duration::from_secs(seconds)))
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn say(text: &str) {
    println!("{text}");
}
