//! What processes cost, from `/proc` (Linux).

use std::time::Duration;

use anyhow::Context as _;

/// Ticks per second in `/proc` (`USER_HZ`), the same on every Linux.
const TICKS_PER_SECOND: u32 = 100;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time.
    pub cpu: Duration,
    /// Of its memory that is in RAM.
    pub resident_kb: u64,
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(usages: I) -> Self {
        usages.fold(Self::default(), |sum, usage| Self {
            cpu: sum.cpu + usage.cpu,
            resident_kb: sum.resident_kb + usage.resident_kb,
        })
    }
}

/// What a process of this machine has used.
///
/// # Errors
/// When there is no such process, or `/proc` does not say.
pub fn usage_of(process: u32) -> anyhow::Result<Usage> {
    usage_in(&format!("/proc/{process}"))
}

pub(crate) fn own_usage() -> anyhow::Result<Usage> {
    usage_in("/proc/self")
}

fn usage_in(folder: &str) -> anyhow::Result<Usage> {
    let read = |name: &str| {
        let path = format!("{folder}/{name}");
        std::fs::read_to_string(&path).with_context(|| format!("no process at {path}"))
    };
    Ok(Usage {
        cpu: cpu_time(&read("stat")?).context("/proc/PID/stat is not as in proc(5)")?,
        resident_kb: resident_kb(&read("status")?).unwrap_or(0),
    })
}

fn cpu_time(stat: &str) -> Option<Duration> {
    // Behind the name, which may hold anything: state is field 3, utime 14, stime 15 (proc(5)).
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    let ticks = times.next()?.ok()? + times.next()?.ok()?;
    Some(Duration::from_secs(1) * ticks / TICKS_PER_SECOND)
}

fn resident_kb(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// How busy all processors together are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    busy: u64,
    total: u64,
}

impl Machine {
    /// Since the machine was started.
    ///
    /// # Errors
    /// When `/proc` does not say.
    pub fn now() -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
        Self::read(&stat).context("/proc/stat is not as in proc(5)")
    }

    fn read(stat: &str) -> Option<Self> {
        // user, nice, system, idle, iowait, irq, softirq, steal.
        let times = stat.lines().next()?.strip_prefix("cpu ")?;
        let times: Vec<u64> = times
            .split_whitespace()
            .take(8)
            .map_while(|t| t.parse().ok())
            .collect();
        let total = times.iter().sum();
        Some(Self {
            busy: total - times.get(3)? - times.get(4)?,
            total,
        })
    }

    /// How busy it was since then, percent of all processors.
    pub fn busy_pct_since(&self, earlier: &Self) -> f64 {
        let total = self.total.saturating_sub(earlier.total).max(1);
        100.0 * self.busy.saturating_sub(earlier.busy) as f64 / total as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_by_its_manual() {
        let stat = "4 (a) b) S 1 4 4 0 -1 4194560 1 0 0 0 150 25 0 0 20 0 3 0 9 8 7";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1750)));
        assert_eq!(
            resident_kb("Name:\tx\nVmRSS:\t   5120 kB\nThreads: 3\n"),
            Some(5120)
        );
        let earlier = Machine::read("cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 1\n").expect("as in the manual");
        let later = Machine::read("cpu  40 0 20 120 20 0 0 0 0 0\n").expect("as in the manual");
        assert_eq!(later.busy_pct_since(&earlier), 40.0);
    }

    #[test]
    fn this_process_uses_memory() {
        let own = usage_of(std::process::id()).expect("it runs");
        assert!(own.resident_kb > 100, "{own:?}");
    }
}
