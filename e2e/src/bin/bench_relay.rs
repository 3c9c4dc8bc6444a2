//! Measures relays under load, each time with the floor, and writes `bench-results/relay.json`.
//!
//!     bench_relay [SCENARIO...] [CARRIER...] [seconds=10]      (default: all of them)
//!
//! Relays and floor run in processes of their own; the load shares the machine with them.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use e2e::bench::{Measured, Scenario, line, measure, merge, title};
use videocall_load::{Row, Transport, rows};

const TRANSPORTS: [Transport; 3] = [Transport::WebSocket, Transport::WebTransport, Transport::Mixed];

/// What is measured of each load, unless asked otherwise.
const MEASURED: Duration = Duration::from_secs(10);

/// What is to be run.
struct Selection {
    scenarios: Vec<Scenario>,
    transports: Vec<Transport>,
    measured: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let selection = Selection::read(std::env::args().skip(1))?;
    say(&title());
    let mut one_relay = HashMap::new();
    for scenario in selection.scenarios {
        for &transport in &selection.transports {
            let (name, carrier) = (scenario.name(), transport.as_str());
            let measured = measure(scenario, transport, selection.measured).await?;
            say(&line(name, carrier, &measured));
            let mut figures = rows(name, carrier, &measured.relay, Some(&measured.floor));
            match scenario {
                Scenario::Stage100 => {
                    one_relay.insert(carrier, measured.relay.cpu_us_per_packet());
                }
                Scenario::TwoRelays => {
                    figures.extend(beside_one(
                        carrier,
                        &measured,
                        one_relay.get(carrier).copied().flatten(),
                    ));
                }
                _ => {}
            }
            merge(Path::new("bench-results/relay.json"), &figures)?;
        }
    }
    Ok(())
}

/// Two relays beside one under the same load, when that was measured in this run.
fn beside_one(carrier: &str, measured: &Measured, one_relay: Option<f64>) -> Option<Row> {
    let two = measured.relay.cpu_us_per_packet()?;
    let row = Row::new(
        Scenario::TwoRelays.name(),
        carrier,
        "cpu_us_per_packet",
        two,
        "us",
    );
    let row = row.against("stage-100 on one relay", one_relay?);
    say(&format!(
        "    with one relay {:.2} us, ratio {:.2}",
        one_relay?,
        row.ratio.unwrap_or(0.0)
    ));
    Some(row)
}

impl Selection {
    fn read(arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut selection = Self {
            scenarios: Vec::new(),
            transports: Vec::new(),
            measured: MEASURED,
        };
        for argument in arguments {
            let scenario = Scenario::ALL
                .into_iter()
                .find(|scenario| scenario.name() == argument);
            let transport = TRANSPORTS
                .into_iter()
                .find(|transport| transport.as_str() == argument);
            let seconds = argument.strip_prefix("seconds=").map(str::parse);
            match (scenario, transport, seconds) {
                (Some(scenario), _, _) => selection.scenarios.push(scenario),
                (_, Some(transport), _) => selection.transports.push(transport),
                (_, _, Some(Ok(seconds))) => selection.measured = Duration::from_secs(seconds),
                _ => bail!("unknown argument '{argument}'; there are {}", known()),
            }
        }
        if selection.scenarios.is_empty() {
            selection.scenarios = Scenario::ALL.into();
        }
        if selection.transports.is_empty() {
            selection.transports = TRANSPORTS.into();
        }
        Ok(selection)
    }
}

fn known() -> String {
    let scenarios = Scenario::ALL.iter().map(|scenario| scenario.name());
    let transports = TRANSPORTS.iter().map(|transport| transport.as_str());
    let names: Vec<&str> = scenarios.chain(transports).chain(["seconds=10"]).collect();
    names.join(", ")
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
fn say(text: &str) {
    println!("{text}");
}
