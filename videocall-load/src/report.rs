//! Figures as rows for programs and as text for people.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::figures::{Delays, Figures};

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Under which load.
    pub scenario: String,
    /// Over which carrier.
    pub carrier: String,
    /// What was measured.
    pub metric: String,
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
    pub fn new(scenario: &str, carrier: &str, metric: &str, value: f64, unit: &'static str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            carrier: carrier.to_owned(),
            metric: metric.to_owned(),
            value: rounded(value),
            unit,
            reference: None,
            ratio: None,
        }
    }

    /// The row with something to compare it with.
    #[must_use]
    pub fn against(mut self, name: &str, figure: f64) -> Self {
        self.reference = Some(format!("{name}: {}", rounded(figure)));
        self.ratio = (figure != 0.0).then(|| rounded(self.value / figure));
        self
    }
}

/// Three digits behind the point: more is noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn latency(figures: &Figures, kind: &str, step: &str) -> f64 {
    let delays = match kind {
        "voice_" => figures.voice_delays,
        "picture_" => figures.picture_delays,
        _ => figures.delays,
    };
    milliseconds(match step {
        "p50" => delays.p50,
        "p95" => delays.p95,
        "p99" => delays.p99,
        _ => delays.max,
    })
}

/// The figures of a run as rows, compared with those of the same run's floor, if there is one.
pub fn rows(scenario: &str, carrier: &str, figures: &Figures, floor: Option<&Figures>) -> Vec<Row> {
    let row = |metric: &str, value, unit| Row::new(scenario, carrier, metric, value, unit);
    let compared = |row: Row, of: &dyn Fn(&Figures) -> Option<f64>| match floor.and_then(of) {
        Some(figure) => row.against("floor", figure),
        None => row,
    };
    let mut rows = Vec::new();
    if let Some(delivered) = figures.delivered_pct() {
        let value = row("delivered_pct", delivered, "%");
        rows.push(compared(value, &Figures::delivered_pct));
    }
    rows.extend(
        figures
            .worst_session
            .map(|share| row("worst_session_pct", 100.0 * share, "%")),
    );
    let packets = figures.packets as f64 / figures.measured.as_secs_f64().max(1e-6);
    rows.push(row("packets_per_s", packets, "1/s"));
    for kind in ["", "voice_", "picture_"] {
        for step in ["p50", "p95", "p99", "max"] {
            let value = row(
                &format!("{kind}latency_{step}_ms"),
                latency(figures, kind, step),
                "ms",
            );
            rows.push(compared(value, &|floor| Some(latency(floor, kind, step))));
        }
    }
    if let Some(cpu) = figures.cpu_us_per_packet() {
        rows.push(compared(
            row("cpu_us_per_packet", cpu, "us"),
            &Figures::cpu_us_per_packet,
        ));
    }
    if let Some(memory) = figures.rss_kb_per_session() {
        rows.push(compared(
            row("rss_kb_per_session", memory, "kB"),
            &Figures::rss_kb_per_session,
        ));
    }
    rows.extend([
        row("sessions_per_s", figures.sessions_per_second(), "1/s"),
        row("lost_sessions", figures.lost as f64, ""),
        row("driver_cpu_pct", figures.own_cpu_pct(), "%"),
        row("driver_late_p99_ms", milliseconds(figures.own_lateness), "ms"),
        row("driver_offered_pct", 100.0 * figures.offered, "%"),
        row("machine_busy_pct", figures.machine_busy_pct, "%"),
        row("others_busy_pct", figures.others_busy_pct(), "%"),
    ]);
    rows
}

/// The figures of a run as a table.
pub fn summary(figures: &Figures) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing into a String does not fail.
        let _ = writeln!(text, "  {name:<28} {value}");
    };
    let sessions = format!(
        "{}, set up in {:.1} s ({:.0} per second)",
        figures.sessions,
        figures.setup.as_secs_f64(),
        figures.sessions_per_second()
    );
    line("sessions", sessions);
    if let (Some(percent), Some(expected)) = (figures.delivered_pct(), figures.expected) {
        let worst = figures.worst_session.map_or(0.0, |share| 100.0 * share);
        let value = format!("{percent:.2} % of {expected} packets, worst session {worst:.2} %");
        line("delivered", value);
    }
    let seconds = figures.measured.as_secs_f64().max(1e-6);
    let rate = format!(
        "{:.0} packets/s, {:.1} Mbit/s",
        figures.packets as f64 / seconds,
        figures.bytes as f64 * 8e-6 / seconds
    );
    line("received by all", rate);
    line("latency", describe(figures.delays));
    line("  of voices", describe(figures.voice_delays));
    line("  of pictures", describe(figures.picture_delays));
    if let Some(cpu) = figures.cpu_us_per_packet() {
        line("CPU of the relay per packet", format!("{cpu:.2} us"));
    }
    if let Some(memory) = figures.rss_kb_per_session() {
        line("its memory per session", format!("{memory:.0} kB"));
    }
    let own = format!(
        "{:.0} % of a processor, timers late by {:.1} ms (p99)",
        figures.own_cpu_pct(),
        milliseconds(figures.own_lateness)
    );
    line("the load itself", own);
    for remark in figures.remarks() {
        line("note", remark);
    }
    text
}

fn describe(delays: Delays) -> String {
    format!(
        "p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        milliseconds(delays.p50),
        milliseconds(delays.p95),
        milliseconds(delays.p99),
        milliseconds(delays.max)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Usage;

    fn figures(cpu_ms: u64) -> Figures {
        let memory = |resident_kb| Usage {
            cpu: Duration::ZERO,
            resident_kb,
        };
        Figures {
            sessions: 10,
            setup: Duration::from_millis(500),
            offered: 1.0,
            expected: Some(2000),
            delivered: 1990,
            packets: 2000,
            measured: Duration::from_secs(1),
            cpu: Some(Duration::from_millis(cpu_ms)),
            memory: Some([memory(1000), memory(1500)]),
            processors: 2,
            ..Figures::default()
        }
    }

    #[test]
    fn rows_are_compared_with_the_floor() {
        let rows = rows("small-10", "mixed", &figures(12), Some(&figures(8)));
        let find = |metric: &str| rows.iter().find(|row| row.metric == metric).expect("a row");
        let cpu = find("cpu_us_per_packet");
        assert_eq!((cpu.value, cpu.ratio), (6.0, Some(1.5)));
        assert_eq!(cpu.reference.as_deref(), Some("floor: 4"));
        assert_eq!(find("delivered_pct").value, 99.5);
        assert_eq!(find("rss_kb_per_session").value, 50.0);
        assert_eq!(find("sessions_per_s").value, 20.0);
        assert_eq!(find("sessions_per_s").reference, None);
    }

    #[test]
    fn a_load_that_is_late_says_so() {
        let late = Figures {
            own_lateness: Duration::from_millis(9),
            offered: 0.9,
            ..figures(12)
        };
        let text = summary(&late);
        assert!(
            text.contains("late by 9.0 ms") && text.contains("90.0 %"),
            "{text}"
        );
        assert!(figures(12).remarks().is_empty());
    }
}
