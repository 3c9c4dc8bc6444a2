//! Measures one relay under load, over both carriers, and writes `bench-results/relay.json`.
//!
//! The relay runs in its own process; the load shares the machine with it.

use std::path::Path;
use std::time::Duration;

use e2e::VideocallServer;
use e2e::bench::{Figures, Row, Scenario, print, run, write};
use videocall_types::api::TransportKind;

const SCENARIO: Scenario = Scenario {
    publishers: 5,
    receivers: 50,
    measured: Duration::from_secs(10),
};

/// Five publishers with voice and camera each, fifty receivers.
const NAME: &str = "stage-50";

/// What [`reference`] is about.
const PEER: &str = "relay with every packet through NATS";

/// What a relay of the same shape takes that sends every packet through NATS: microseconds of
/// processor time per delivered packet, and milliseconds for 99 % of them. Measured on two cores
/// that the load shares, with the same load.
const fn reference(carrier: TransportKind) -> (f64, f64) {
    match carrier {
        TransportKind::WebSocket => (29.0, 56.0),
        TransportKind::WebTransport => (40.0, 97.0),
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for carrier in [TransportKind::WebSocket, TransportKind::WebTransport] {
        // A relay of its own for each, so that neither inherits the other's memory and connections.
        let server = VideocallServer::start_with(&[("joins-per-minute", "0"), ("log", "warn")]).await?;
        let figures = run(&server, carrier, SCENARIO).await?;
        rows.extend(table(carrier, figures));
    }
    print(&rows);
    write(Path::new("bench-results/relay.json"), &rows)
}

fn table(carrier: TransportKind, figures: Figures) -> Vec<Row> {
    let row = |metric, value, unit| Row::new(NAME, carrier.as_str(), metric, value, unit);
    let (cpu, p99) = reference(carrier);
    let milliseconds = |delay: Duration| delay.as_secs_f64() * 1e3;
    let delivered = figures.delivered as f64;
    vec![
        row("delivered_pct", 100.0 * delivered / figures.expected as f64, "%"),
        row("delivered_packets", delivered, ""),
        row(
            "cpu_us_per_packet",
            figures.cpu.as_secs_f64() * 1e6 / delivered,
            "us",
        )
        .against(PEER, cpu),
        row("latency_p50_ms", milliseconds(figures.delay[0]), "ms"),
        row("latency_p95_ms", milliseconds(figures.delay[1]), "ms"),
        row("latency_p99_ms", milliseconds(figures.delay[2]), "ms").against(PEER, p99),
    ]
}
