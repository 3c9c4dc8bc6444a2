//! What it costs to take note of a packet: a counter, the exporter's histogram, and this crate's.
//!
//! `cargo bench -p relay-runtime --bench metrics`

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use metrics::{counter, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use relay_runtime::Histogram;

/// Values are taken out of the exporter's histogram as often as Prometheus asks at this many packets a
/// second.
const PER_SCRAPE: u32 = 1_000_000;

fn one_thread(criterion: &mut Criterion) {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&[0.001, 0.01, 0.1])
        .expect("there are buckets")
        .build_recorder();
    let handle = recorder.handle();
    let (counted, exported) = with_local_recorder(&recorder, || {
        (counter!("packets"), metrics::histogram!("delay_seconds"))
    });
    let mut group = criterion.benchmark_group("record");
    group.bench_function("counter", |bencher| {
        bencher.iter(|| counted.increment(black_box(1)));
    });
    group.bench_function("histogram of the exporter", |bencher| {
        let mut recorded = 0;
        bencher.iter(|| {
            exported.record(black_box(0.0042));
            recorded += 1;
            if recorded % PER_SCRAPE == 0 {
                handle.run_upkeep();
            }
        });
    });
    let own = Histogram::of_delays();
    group.bench_function("histogram", |bencher| {
        bencher.iter(|| own.record(black_box(Duration::from_micros(4200))));
    });
    group.finish();
}

/// The same while another thread records as fast as it can.
fn two_threads(criterion: &mut Criterion) {
    let own = Histogram::of_delays();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                own.record(black_box(Duration::from_micros(4200)));
            }
        });
        criterion.bench_function("record/histogram, beside another thread", |bencher| {
            bencher.iter(|| own.record(black_box(Duration::from_micros(4200))));
        });
        done.store(true, Ordering::Relaxed);
    });
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);
