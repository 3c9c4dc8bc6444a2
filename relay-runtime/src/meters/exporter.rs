//! The page that Prometheus reads: the exporter's counters and gauges, the process's own figures, and
//! the histograms that the exporter does not keep.

use std::fmt::Write as _;
use std::sync::OnceLock;

use metrics::{describe_counter as counts, describe_gauge as shows, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

use super::histograms::Histograms;

/// The commit that this program was built from, where the build says so.
const COMMIT: Option<&str> = option_env!("VIDEOCALL_COMMIT");

/// All metrics of this process in the text format of Prometheus.
pub fn render_metrics() -> String {
    let handle = exporter();
    Collector::default().collect();
    handle.run_upkeep();
    let mut page = handle.render();
    for family in Histograms::shared().families() {
        let _infallible = write!(
            page,
            "# HELP {name} {help}\n# TYPE {name} histogram\n",
            name = family.name,
            help = family.help,
        );
        for (labels, histogram) in &family.members {
            histogram.render(family.name, labels, &mut page);
        }
        page.push('\n');
    }
    page
}

/// Installs the recorder of the process at the first call.
pub(super) fn exporter() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is installed; /metrics stays empty");
        }
        describe();
        Collector::default().describe();
        gauge!(
            "videocall_build_info",
            "version" => env!("CARGO_PKG_VERSION"),
            "commit" => COMMIT.unwrap_or("unknown"),
            "rustc" => env!("VIDEOCALL_RUSTC"),
        )
        .set(1.0);
        handle
    })
}

/// What every counter and gauge means; docs/metrics.md is written from this.
fn describe() {
    describe_sessions();
    describe_media();
    describe_bus();
    describe_limits();
}

fn describe_limits() {
    counts!(
        "videocall_limit_exceeded_total",
        "Times that somebody wanted more than a limit allows, or the relay had more to do than its own limits allow"
    );
    shows!(
        "videocall_connections",
        "Connections accepted now, those included that have not said who they are"
    );
    shows!(
        "videocall_event_loop_delay_average_seconds",
        "How late the latest event loop is, averaged over a second"
    );
    shows!(
        "videocall_queued_bytes",
        "Bytes that wait for all receivers together, in steps for those that keep up"
    );
    shows!(
        "videocall_overload_stage",
        "0: none; 1: new sessions are refused; 2 to 4: layers are left out as well, at last all video"
    );
}

fn describe_sessions() {
    shows!(
        "videocall_build_info",
        "Always 1; what was built is in the labels"
    );
    shows!("videocall_sessions", "Sessions connected now");
    shows!(
        "videocall_sessions_limit",
        "Sessions that this relay takes at most"
    );
    shows!("videocall_meetings", "Meetings held by this relay now");
    shows!(
        "videocall_draining",
        "1 once this relay has begun to stop, otherwise 0"
    );
    shows!(
        "videocall_certificate_expiry_timestamp_seconds",
        "When the certificate for WebTransport expires, seconds since the Unix epoch; the operator's (files) or \
         the server's own"
    );
    counts!(
        "videocall_joins_total",
        "Connections that entered a meeting, with a new session or one of before"
    );
    counts!(
        "videocall_refusals_total",
        "Connections that ended before they were in a meeting, by close code; 0: ended by the peer"
    );
    counts!(
        "videocall_ends_total",
        "Connections ended, by close code; 0: ended by the peer"
    );
    counts!(
        "videocall_join_requests_total",
        "Answers of the REST interface to joins, by outcome: ok or the word of the error"
    );
}

fn describe_media() {
    counts!(
        "videocall_client_freezes_total",
        "Times that a picture stood still against its habit, as clients report it"
    );
    counts!(
        "videocall_client_sounds_total",
        "Frames of sound that clients received and that they missed, as they report it"
    );
    counts!("videocall_packets_total", "Packets of clients");
    counts!("videocall_bytes_total", "Bytes of clients' packets");
    counts!(
        "videocall_dropped_packets_total",
        "Packets that did not leave to a client"
    );
    counts!(
        "videocall_keyframe_requests_total",
        "Keyframes that publishers on this relay were asked for"
    );
    counts!(
        "videocall_layer_switches_total",
        "Changes of a receiver from one spatial layer of a picture to another"
    );
    counts!(
        "videocall_speaker_changes_total",
        "Changes of who the active speakers of a meeting are, or of their order"
    );
    shows!(
        "videocall_restricted_sessions",
        "Sessions for which something is left out now, because their path does not carry it"
    );
}

fn describe_bus() {
    shows!(
        "videocall_bus_configured",
        "1 if this relay is to be connected to others, otherwise 0"
    );
    shows!(
        "videocall_bus_reachable",
        "1 while the bus to other relays is connected, otherwise 0"
    );
    counts!(
        "videocall_bus_reconnects_total",
        "Times that the bus was connected again after it had been lost"
    );
    counts!("videocall_bus_packets_total", "Packets from and to other relays");
    counts!("videocall_bus_bytes_total", "Bytes from and to other relays");
    counts!(
        "videocall_bus_dropped_packets_total",
        "Packets that were meant for other relays and dropped before the bus had them"
    );
    shows!(
        "videocall_bus_pressure",
        "What is given up so that the bus reaches this relay in time: 0 nothing, 1 higher temporal layers, 2 larger spatial \
         layers as well, 3 video"
    );
    counts!(
        "videocall_bus_slow_total",
        "Times that the bus dropped packets this relay did not take in time"
    );
}
