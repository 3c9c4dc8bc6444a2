//! Distributions of times, cheap enough for every packet.
//!
//! The exporter's own histogram keeps each value, sixteen bytes of it, until somebody asks: at a hundred
//! thousand packets a second that is memory without a bound. This one counts into fixed buckets, for
//! each thread on cache lines of its own; `benches/metrics.rs` compares the two. Counters and gauges are
//! left to the exporter.

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Counts for the threads of a process; with more threads some share.
const SHARDS: usize = 16;

/// Buckets of a histogram at most, with the one for everything above the last bound.
const MAX_BUCKETS: usize = 16;

/// Upper bounds of buckets, microseconds, ascending; fewer than [`MAX_BUCKETS`].
pub(crate) type Bounds = &'static [u64];

/// For what a packet, a thread or the bus waits: from the time of one system call to what people hear.
pub(crate) const DELAYS: Bounds = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
];

/// For what people wait.
pub(crate) const WAITS: Bounds = &[
    50_000, 100_000, 200_000, 300_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000, 3_000_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// A distribution of times in buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: Bounds,
    shards: [Shard; SHARDS],
}

/// Two lines of a cache, because processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    buckets: [AtomicU64; MAX_BUCKETS],
    sum_us: AtomicU64,
}

impl Histogram {
    /// An empty one with these bounds, microseconds.
    pub(crate) fn new(bounds: Bounds) -> Self {
        assert!(bounds.len() < MAX_BUCKETS, "the last bucket has no bound");
        debug_assert!(bounds.is_sorted());
        Self {
            bounds,
            shards: Default::default(),
        }
    }

    /// One with the bounds for what packets wait, for benchmarks.
    #[doc(hidden)]
    pub fn of_delays() -> Self {
        Self::new(DELAYS)
    }

    /// Takes note of one time: two additions, which no other thread waits for.
    pub fn record(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|&bound| bound < us);
        let shard = &self.shards[own_shard()];
        shard.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        shard.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Writes the lines of Prometheus' text format, without those about the family. Labels are those in
    /// the braces.
    pub(crate) fn render(&self, name: &str, labels: &str, page: &mut String) {
        let comma = if labels.is_empty() { "" } else { "," };
        let braces = |inner: &str| match inner {
            "" => String::new(),
            inner => format!("{{{inner}}}"),
        };
        let mut count = 0;
        for bucket in 0..=self.bounds.len() {
            count += self.total(|shard| &shard.buckets[bucket]);
            let bound = match self.bounds.get(bucket) {
                Some(&bound) => (bound as f64 / 1e6).to_string(),
                None => "+Inf".to_owned(),
            };
            let _infallible = writeln!(page, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
        }
        let sum = self.total(|shard| &shard.sum_us) as f64 / 1e6;
        let labels = braces(labels);
        let _infallible = writeln!(page, "{name}_sum{labels} {sum}\n{name}_count{labels} {count}");
    }

    fn total(&self, part: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        self.shards
            .iter()
            .map(|shard| part(shard).load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }
}

/// The part of this thread.
fn own_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        own.get().unwrap_or_else(|| {
            let shard = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
            own.set(Some(shard));
            shard
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_threads_are_in_the_buckets_they_belong_to() {
        static BOUNDS: Bounds = &[100, 1_000];
        let histogram = Histogram::new(BOUNDS);
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for us in [0, 100, 101, 1_000, 1_001, 5_000_000] {
                        histogram.record(Duration::from_micros(us));
                    }
                });
            }
        });
        let mut page = String::new();
        histogram.render("wait_seconds", "class=\"audio\"", &mut page);
        let expected = "\
            wait_seconds_bucket{class=\"audio\",le=\"0.0001\"} 64\n\
            wait_seconds_bucket{class=\"audio\",le=\"0.001\"} 128\n\
            wait_seconds_bucket{class=\"audio\",le=\"+Inf\"} 192\n\
            wait_seconds_sum{class=\"audio\"} 160.070464\n\
            wait_seconds_count{class=\"audio\"} 192\n";
        assert_eq!(page, expected);
        histogram.record(Duration::MAX);
        page.clear();
        histogram.render("wait_seconds", "", &mut page);
        assert!(page.contains("wait_seconds_bucket{le=\"+Inf\"} 193\n"), "{page}");
        assert!(page.ends_with("wait_seconds_count 193\n"), "{page}");
    }
}
