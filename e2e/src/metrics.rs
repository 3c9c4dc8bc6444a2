//! What a server exports, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;

use crate::Server;
use crate::ticket::http;

/// Metrics of one name.
#[derive(Clone, Debug, Default)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// What it is.
    pub help: String,
    /// Every value with its name, which for histograms has an ending, and its labels.
    pub samples: Vec<Sample>,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// One reading of `/metrics`, by the names of families.
#[derive(Clone, Debug, Default)]
pub struct Metrics(pub BTreeMap<String, Family>);

impl Metrics {
    /// Reads those of a server.
    ///
    /// # Errors
    /// When it does not answer in the text format of Prometheus.
    pub async fn of(server: &Server) -> anyhow::Result<Self> {
        let answer = http().get(format!("{}/metrics", server.url)).send().await?;
        Self::parse(&answer.error_for_status()?.text().await?)
    }

    fn parse(page: &str) -> anyhow::Result<Self> {
        let mut families = BTreeMap::<String, Family>::new();
        for line in page.lines().filter(|line| !line.is_empty()) {
            let bad = || format!("not in the text format of Prometheus: {line}");
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').with_context(bad)?;
                families.entry(name.to_owned()).or_default().help = help.to_owned();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').with_context(bad)?;
                families.entry(name.to_owned()).or_default().kind = kind.to_owned();
            } else {
                let sample = sample(line).with_context(bad)?;
                let family = family_of(&families, &sample.name).with_context(bad)?;
                families.entry(family).or_default().samples.push(sample);
            }
        }
        Ok(Self(families))
    }

    /// The sum of all values of this name that have these labels; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            labels
                .iter()
                .all(|(label, value)| sample.labels.get(*label).is_some_and(|own| own == value))
        };
        let samples = self.0.values().flat_map(|family| &family.samples);
        samples
            .filter(|sample| sample.name == name)
            .filter(has)
            .map(|sample| sample.value)
            .sum()
    }

    /// Every name that a query may use, with its labels and their values.
    pub fn names(&self) -> BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> {
        let mut names = BTreeMap::<_, BTreeMap<_, BTreeSet<_>>>::new();
        for sample in self.0.values().flat_map(|family| &family.samples) {
            let labels = names.entry(sample.name.as_str()).or_default();
            for (label, value) in &sample.labels {
                labels.entry(label.as_str()).or_default().insert(value.as_str());
            }
        }
        names
    }
}

/// The family whose description precedes the sample.
fn family_of(families: &BTreeMap<String, Family>, name: &str) -> Option<String> {
    let endings = ["", "_bucket", "_sum", "_count"];
    endings
        .into_iter()
        .filter_map(|ending| name.strip_suffix(ending))
        .find(|family| families.contains_key(*family))
        .map(str::to_owned)
}

/// `name{label="value",…} 1.5`; nothing here escapes anything in a value.
fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = series.split_once('{') else {
        return Some(Sample {
            name: series.to_owned(),
            labels: BTreeMap::new(),
            value,
        });
    };
    let labels = labels.strip_suffix("\"}")?.split("\",").map(|label| {
        let (label, value) = label.split_once("=\"")?;
        Some((label.to_owned(), value.to_owned()))
    });
    Some(Sample {
        name: name.to_owned(),
        labels: labels.collect::<Option<_>>()?,
        value,
    })
}
