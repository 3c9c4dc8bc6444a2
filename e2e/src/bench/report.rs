//! Figures as a table for people and as a file for programs.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Under which load.
    pub scenario: String,
    /// Over which carrier.
    pub carrier: String,
    /// What was measured.
    pub metric: &'static str,
    /// The figure.
    pub value: f64,
    /// Of the figure.
    pub unit: &'static str,
    /// What it is compared with: its name and figure, in the same unit.
    pub reference: Option<String>,
    /// The figure divided by that of what it is compared with.
    pub ratio: Option<f64>,
}

impl Row {
    /// A row without comparison.
    pub fn new(scenario: &str, carrier: &str, metric: &'static str, value: f64, unit: &'static str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            carrier: carrier.to_owned(),
            metric,
            value: rounded(value),
            unit,
            reference: None,
            ratio: None,
        }
    }

    /// The row with something to compare it with.
    #[must_use]
    pub fn against(mut self, name: &str, figure: f64) -> Self {
        self.reference = Some(format!("{name}: {figure}"));
        self.ratio = Some(rounded(self.value / figure));
        self
    }
}

/// Three digits behind the point: more is noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Prints the rows.
#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
pub fn print(rows: &[Row]) {
    println!(
        "{:<10} {:<13} {:<20} {:>10} {:<4} {:>6}  reference",
        "scenario", "carrier", "metric", "value", "unit", "ratio"
    );
    for row in rows {
        let ratio = row
            .ratio
            .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        println!(
            "{:<10} {:<13} {:<20} {:>10.2} {:<4} {:>6}  {}",
            row.scenario,
            row.carrier,
            row.metric,
            row.value,
            row.unit,
            ratio,
            row.reference.as_deref().unwrap_or("-"),
        );
    }
}

/// Writes the rows as JSON.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, rows: &[Row]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(rows)?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}
