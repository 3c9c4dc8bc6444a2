//! How a network behaves, in words that a test or a bench writes down.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Both directions of a path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// What is lost and what jitter there is follows from it, packet by packet.
    pub seed: u64,
    /// From the client.
    pub up: Direction,
    /// To the client.
    pub down: Direction,
}

/// One direction. A packet waits in a queue before a line of a certain rate, takes its time on the way, and may be
/// lost behind the line, as on a radio link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Direction {
    /// The line's rate from each time on; no limit before the first. A rate of 0 is an outage: everything is lost.
    pub rates: Vec<Rate>,
    /// What would wait for longer is dropped when it comes.
    pub queue_ms: u64,
    /// And what does not fit into so many bytes.
    pub queue_bytes: u64,
    /// From the line's end to the other side.
    pub delay_ms: u64,
    /// Up to so much more for each packet, evenly distributed.
    pub jitter_ms: u64,
    /// Whether packets overtake one another because of it; otherwise a late packet holds up those behind it.
    pub reordering: bool,
    /// What is lost.
    pub loss: Loss,
}

/// The rate of a line from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Since the conditions began.
    #[serde(default)]
    pub at_ms: u64,
    /// Bits per second, what IP and UDP or TCP add included.
    pub bps: u64,
}

/// Loss that has nothing to do with how much is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each packet by itself, with this probability.
    Random(f64),
    /// In runs (Gilbert's model: everything is lost in the bad state, nothing in the good one).
    Bursts {
        /// Of all packets.
        part: f64,
        /// Packets of a run, on average.
        length: f64,
    },
}

impl Default for Direction {
    fn default() -> Self {
        Self {
            rates: Vec::new(),
            queue_ms: 500,
            queue_bytes: 16 * 1024 * 1024,
            delay_ms: 0,
            jitter_ms: 0,
            reordering: false,
            loss: Loss::None,
        }
    }
}

impl Direction {
    /// A line of this rate, with a delay.
    pub fn line(bps: u64, delay_ms: u64) -> Self {
        Self {
            rates: vec![Rate { at_ms: 0, bps }],
            delay_ms,
            ..Self::default()
        }
    }

    /// The same with an outage.
    #[must_use]
    pub fn with_outage(mut self, from_ms: u64, to_ms: u64) -> Self {
        let after = self.rate_at(Duration::from_millis(to_ms)).unwrap_or(UNLIMITED);
        self.rates.push(Rate {
            at_ms: from_ms,
            bps: 0,
        });
        self.rates.push(Rate {
            at_ms: to_ms,
            bps: after,
        });
        self.rates.sort_by_key(|rate| rate.at_ms);
        self
    }

    /// Bits per second at this time; `None` without a limit.
    pub(super) fn rate_at(&self, at: Duration) -> Option<u64> {
        let passed = self.rates.iter().take_while(|rate| rate.at() <= at);
        passed.last().map(|rate| rate.bps)
    }

    /// When the rate changes for the next time.
    pub(super) fn next_change(&self, after: Duration) -> Option<Duration> {
        let changes = self.rates.iter().map(|rate| rate.at());
        changes.filter(|at| *at > after).min()
    }

    /// Bits that the line carries between two times; `None` where it has no limit.
    pub(super) fn capacity_bits(&self, from: Duration, to: Duration) -> Option<f64> {
        let (mut at, mut bits) = (from, 0.0);
        while at < to {
            let end = self.next_change(at).unwrap_or(to).min(to);
            bits += self.rate_at(at)? as f64 * (end - at).as_secs_f64();
            at = end;
        }
        Some(bits)
    }
}

impl Rate {
    const fn at(self) -> Duration {
        Duration::from_millis(self.at_ms)
    }
}

/// As good as no limit, where one has to be named.
const UNLIMITED: u64 = 10_000_000_000;
