//! Compares congestion controllers on simulated networks: a table, and rows in
//! `bench-results/congestion.json`. Names of networks choose among them.

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use simulation::{Contender, Figure, Network};

const SEED: u64 = 1;

/// What the others are compared with: quinn's default.
const REFERENCE: Contender = Contender::Cubic;

/// A figure as all benches write it.
#[derive(Serialize)]
struct Row {
    scenario: String,
    carrier: &'static str,
    metric: &'static str,
    value: f64,
    unit: &'static str,
    reference: Option<String>,
    ratio: Option<f64>,
}

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|text| !text.starts_with('-'))
        .collect();
    let mut rows = Vec::new();
    for network in Network::ALL {
        let name = network.name();
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let results: Vec<(Contender, Vec<Figure>)> = Contender::ALL
            .into_iter()
            .map(|contender| (contender, network.run(contender, SEED).figures()))
            .collect();
        print(&name, &results);
        rows.extend(results.iter().flat_map(|(contender, figures)| {
            let reference = results.iter().find(|(other, _)| *other == REFERENCE);
            rows_of(
                &name,
                *contender,
                figures,
                reference.map(|(_, figures)| figures.as_slice()),
            )
        }));
    }
    write(&rows)
}

#[expect(clippy::print_stdout, reason = "the table is for reading")]
fn print(name: &str, results: &[(Contender, Vec<Figure>)]) {
    println!("{name}");
    for (contender, figures) in results {
        let cells = figures.iter().map(|figure| {
            let text = format!("{:.1} {}", figure.value, figure.unit);
            format!("  {} {text:>9}", figure.metric)
        });
        println!("  {:<8}{}", contender.name(), cells.collect::<String>());
    }
}

fn rows_of<'a>(
    name: &'a str,
    contender: Contender,
    figures: &'a [Figure],
    reference: Option<&'a [Figure]>,
) -> impl Iterator<Item = Row> + 'a {
    figures.iter().enumerate().map(move |(index, figure)| {
        let cubic = reference
            .and_then(|figures| figures.get(index))
            .map(|figure| figure.value);
        let cubic = cubic.filter(|_| contender != REFERENCE);
        Row {
            scenario: format!("{name}/{}", contender.name()),
            carrier: "webtransport",
            metric: figure.metric,
            value: rounded(figure.value),
            unit: figure.unit,
            reference: cubic.map(|value| format!("{}: {}", REFERENCE.name(), rounded(value))),
            ratio: cubic
                .filter(|value| *value > 0.0)
                .map(|value| rounded(figure.value / value)),
        }
    })
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn write(rows: &[Row]) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench-results/congestion.json");
    let text = serde_json::to_string_pretty(rows)? + "\n";
    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
