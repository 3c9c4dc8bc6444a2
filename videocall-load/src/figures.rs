//! What came out of a run.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::usage::Usage;

/// How long packets took from the sender's clock to the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Half took no longer.
    pub p50: Duration,
    /// 95 % took no longer.
    pub p95: Duration,
    /// 99 % took no longer.
    pub p99: Duration,
    /// Nothing took longer.
    pub max: Duration,
}

impl Delays {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |share| Duration::from_micros(histogram.value_at_quantile(share));
        Self {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: Duration::from_micros(histogram.max()),
        }
    }
}

/// What came out of a run.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Sessions that were to take part.
    pub sessions: usize,
    /// How long it took until all were in.
    pub setup: Duration,
    /// Sessions that did not get in or were lost.
    pub lost: usize,
    /// Why the first of them was.
    pub first_loss: Option<String>,
    /// What the publishers have sent, of what their timetables say; below 1 the load itself was late.
    pub offered: f64,
    /// Packets that had to arrive by the rules: the speakers' voices and the watched pictures, at the
    /// watched layer. `None` when people come and go.
    pub expected: Option<u64>,
    /// Those of them that did.
    pub delivered: u64,
    /// The share that the session fared worst with got of its own.
    pub worst_session: Option<f64>,
    /// All media packets that arrived, the silent microphones' and other layers' too.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of what was measured.
    pub measured: Duration,
    /// Of everything that was delivered.
    pub delays: Delays,
    /// Of voices alone.
    pub voice_delays: Delays,
    /// Of pictures alone.
    pub picture_delays: Delays,
    /// What the watched processes used while it was measured, if any are watched.
    pub cpu: Option<Duration>,
    /// Their memory before the first session came, and with all of them.
    pub memory: Option<[Usage; 2]>,
    /// What the load itself used while it was measured.
    pub own_cpu: Duration,
    /// How late the load's own timers fired: 99 % were no later. It adds to every delay.
    pub own_lateness: Duration,
    /// How busy all processors were, percent, and how many there are.
    pub machine_busy_pct: f64,
    /// Processors.
    pub processors: usize,
}

impl Figures {
    /// Percent of what had to arrive; `None` when people come and go.
    pub fn delivered_pct(&self) -> Option<f64> {
        let expected = self.expected?;
        Some(100.0 * self.delivered as f64 / expected.max(1) as f64)
    }

    /// Processor time of the watched processes for a packet that arrived, microseconds.
    pub fn cpu_us_per_packet(&self) -> Option<f64> {
        Some(self.cpu?.as_secs_f64() * 1e6 / self.packets.max(1) as f64)
    }

    /// Memory of the watched processes for a session, kB.
    pub fn rss_kb_per_session(&self) -> Option<f64> {
        let [before, after] = self.memory?;
        let grown = after.resident_kb.saturating_sub(before.resident_kb);
        Some(grown as f64 / self.sessions.max(1) as f64)
    }

    /// How fast sessions were set up.
    pub fn sessions_per_second(&self) -> f64 {
        self.sessions as f64 / self.setup.as_secs_f64().max(1e-6)
    }

    /// How much of the machine was used by somebody else, percent of all processors.
    pub fn others_busy_pct(&self) -> f64 {
        let ours = self.cpu.unwrap_or_default() + self.own_cpu;
        let available = self.measured.as_secs_f64() * self.processors.max(1) as f64;
        (self.machine_busy_pct - 100.0 * ours.as_secs_f64() / available.max(1e-6)).max(0.0)
    }

    /// What the load's own processor time is, percent of one processor.
    pub fn own_cpu_pct(&self) -> f64 {
        100.0 * self.own_cpu.as_secs_f64() / self.measured.as_secs_f64().max(1e-6)
    }

    /// What has to be known about the figures: a load that was late, a machine that was busy.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.lost > 0 {
            let why = self.first_loss.as_deref().unwrap_or("no reason");
            remarks.push(format!("{} sessions lost: {why}", self.lost));
        }
        if self.offered < LEAST_OFFERED {
            remarks.push(format!("the load sent {:.1} % of its plan", 100.0 * self.offered));
        }
        if self.own_lateness > LATE {
            remarks.push(format!(
                "the load itself is late by {:.1} ms",
                self.own_lateness.as_secs_f64() * 1e3
            ));
        }
        if self.machine_busy_pct > FULL_PCT {
            remarks.push(format!("processors {:.0} % busy", self.machine_busy_pct));
        }
        if self.others_busy_pct() > OTHERS_PCT {
            remarks.push(format!(
                "others take {:.0} % of the machine",
                self.others_busy_pct()
            ));
        }
        remarks
    }
}

/// Below that the load did not keep its own timetable.
const LEAST_OFFERED: f64 = 0.99;

/// A load that is later than this is seen in the delays it measures; a timer's own resolution is 1 ms.
const LATE: Duration = Duration::from_millis(4);

/// There is no processor time left above that.
const FULL_PCT: f64 = 95.0;

/// Others above that are seen in the figures.
const OTHERS_PCT: f64 = 10.0;
