//! The benchmark's figures, a line for each load, and the file of all of them.

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;
use videocall_load::{Figures, Row};

use super::Measured;

/// What the columns are.
pub fn title() -> String {
    format!(
        "{:<15} {:<13} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>6} {:>8} {:>8} {:>7} {:>7}",
        "scenario",
        "carrier",
        "delivered",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "max ms",
        "floor p99",
        "us/pkt",
        "ratio",
        "kB/sess",
        "sess/s",
        "driver",
        "machine",
    )
}

/// One load, and below it what has to be known about its figures.
pub fn line(scenario: &str, carrier: &str, measured: &Measured) -> String {
    let (relay, floor) = (&measured.relay, &measured.floor);
    let cpu = relay.cpu_us_per_packet().unwrap_or(0.0);
    let ratio = cpu / floor.cpu_us_per_packet().unwrap_or(0.0).max(1e-6);
    let milliseconds = |delay: std::time::Duration| format!("{:.2}", delay.as_secs_f64() * 1e3);
    let mut text = format!(
        "{scenario:<15} {carrier:<13} {:>8.2}% {:>8} {:>8} {:>8} {:>8} {:>9} {cpu:>8.2} {ratio:>6.2} {:>8.0} {:>8.0} {:>6.0}% {:>6.0}%",
        relay.delivered_pct().unwrap_or(0.0),
        milliseconds(relay.delays.p50),
        milliseconds(relay.delays.p95),
        milliseconds(relay.delays.p99),
        milliseconds(relay.delays.max),
        milliseconds(floor.delays.p99),
        relay.rss_kb_per_session().unwrap_or(0.0),
        relay.sessions_per_second(),
        relay.own_cpu_pct(),
        relay.machine_busy_pct,
    );
    let remarks = |name: &str, figures: &Figures| {
        let remarks = figures.remarks();
        remarks
            .into_iter()
            .map(|remark| format!("\n    {name}: {remark}"))
            .collect::<String>()
    };
    text += &remarks("relay", relay);
    text += &remarks("floor", floor);
    text
}

/// Writes the rows to a file; those that are there of other scenarios and carriers stay.
///
/// # Errors
/// When the file cannot be read or written.
pub fn merge(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let there: Vec<Value> = match std::fs::read(path) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("{} is no array", path.display()))?
        }
        Err(_) => Vec::new(),
    };
    let measured_now = |row: &Value| {
        rows.iter()
            .any(|new| row["scenario"] == new.scenario.as_str() && row["carrier"] == new.carrier.as_str())
    };
    let mut all: Vec<Value> = there.into_iter().filter(|row| !measured_now(row)).collect();
    for row in rows {
        all.push(serde_json::to_value(row)?);
    }
    let text = serde_json::to_string_pretty(&all)?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}
