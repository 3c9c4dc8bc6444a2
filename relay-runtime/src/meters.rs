//! What is counted, and how it is shown to Prometheus.

use std::sync::{Arc, OnceLock};

use metrics::{Counter, Gauge, counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use relay_core::{DropCause, MeetingStats, OutboxStats};
use videocall_types::api::TransportKind;
use videocall_types::{CloseCode, MediaClass};

use crate::bus::Published;

/// All metrics of this process in the text format of Prometheus.
pub fn render_metrics() -> String {
    let handle = exporter();
    handle.run_upkeep();
    handle.render()
}

/// Installs the recorder of the process at the first call.
fn exporter() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is installed; /metrics stays empty");
        }
        describe();
        handle
    })
}

fn describe() {
    use metrics::{describe_counter as counts, describe_gauge as shows};
    shows!("videocall_build_info", "Always 1; the version is in its label");
    shows!("videocall_sessions", "Sessions connected now");
    shows!("videocall_meetings", "Meetings held by this relay now");
    counts!("videocall_joins_total", "Connections that joined a meeting");
    counts!("videocall_packets_total", "Packets of clients");
    counts!("videocall_bytes_total", "Bytes of clients' packets");
    counts!(
        "videocall_dropped_packets_total",
        "Packets that did not leave to a client"
    );
    counts!(
        "videocall_ends_total",
        "Connections ended, by close code; 0: ended by the peer"
    );
    counts!("videocall_bus_packets_total", "Packets from and to other relays");
    counts!("videocall_bus_bytes_total", "Bytes from and to other relays");
    counts!(
        "videocall_bus_slow_total",
        "Times that the bus dropped packets this relay did not take in time"
    );
    gauge!("videocall_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Handles of everything that is counted, registered once: counting is one atomic addition.
pub(crate) struct Meters {
    webtransport: Arc<CarrierMeters>,
    websocket: Arc<CarrierMeters>,
    meetings: Gauge,
    dropped: [[Counter; DropCause::ALL.len()]; MediaClass::ALL.len()],
    /// What meetings that are gone have dropped.
    dropped_before: Mutex<OutboxStats>,
    bus_in: Flow,
    bus_out: [Flow; Published::ALL.len()],
}

/// Packets and bytes one way.
struct Flow {
    packets: Counter,
    bytes: Counter,
}

impl Flow {
    fn count(&self, bytes: usize) {
        self.packets.increment(1);
        self.bytes.increment(bytes as u64);
    }
}

/// What is counted of the connections of one transport.
pub(crate) struct CarrierMeters {
    sessions: Gauge,
    joins: Counter,
    received_control: Flow,
    received_media: Flow,
    sent: [Flow; MediaClass::ALL.len()],
}

impl Meters {
    pub(crate) fn shared() -> Arc<Self> {
        exporter();
        let dropped = |class: MediaClass| {
            DropCause::ALL.map(|cause| {
                counter!(
                    "videocall_dropped_packets_total",
                    "class" => class.as_str(), "cause" => cause.as_str()
                )
            })
        };
        Arc::new(Self {
            webtransport: CarrierMeters::new(TransportKind::WebTransport),
            websocket: CarrierMeters::new(TransportKind::WebSocket),
            meetings: gauge!("videocall_meetings"),
            dropped: MediaClass::ALL.map(dropped),
            dropped_before: Mutex::default(),
            bus_in: bus_flow("in", Published::Taken),
            bus_out: Published::ALL.map(|outcome| bus_flow("out", outcome)),
        })
    }

    pub(crate) fn carrier(&self, transport: TransportKind) -> Arc<CarrierMeters> {
        match transport {
            TransportKind::WebTransport => self.webtransport.clone(),
            TransportKind::WebSocket => self.websocket.clone(),
        }
    }

    pub(crate) fn session_started(&self, transport: TransportKind) {
        let carrier = self.carrier(transport);
        carrier.sessions.increment(1.0);
        carrier.joins.increment(1);
    }

    pub(crate) fn session_ended(&self, transport: TransportKind) {
        self.carrier(transport).sessions.decrement(1.0);
    }

    pub(crate) fn ended(&self, transport: TransportKind, code: Option<CloseCode>) {
        let code = code.map_or(0, CloseCode::number).to_string();
        counter!("videocall_ends_total", "transport" => transport.as_str(), "code" => code).increment(1);
    }

    pub(crate) fn bus_received(&self, bytes: usize) {
        self.bus_in.count(bytes);
    }

    pub(crate) fn bus_sent(&self, bytes: usize, outcome: Published) {
        self.bus_out[outcome as usize].count(bytes);
    }

    /// Remembers what a meeting that ends has dropped.
    pub(crate) fn keep_drops_of(&self, stats: &MeetingStats) {
        self.dropped_before.lock().add(&stats.outboxes);
    }

    /// Takes over what meetings count themselves.
    pub(crate) fn take_stock(&self, meetings: impl Iterator<Item = MeetingStats>, count: usize) {
        let mut total = *self.dropped_before.lock();
        meetings.for_each(|stats| total.add(&stats.outboxes));
        for (counters, dropped) in self.dropped.iter().zip(total.dropped) {
            for (counter, dropped) in counters.iter().zip(dropped) {
                counter.absolute(dropped);
            }
        }
        self.meetings.set(count as f64);
    }
}

impl CarrierMeters {
    fn new(transport: TransportKind) -> Arc<Self> {
        Arc::new(Self {
            sessions: gauge!("videocall_sessions", "transport" => transport.as_str()),
            joins: counter!("videocall_joins_total", "transport" => transport.as_str()),
            received_control: flow("in", "control", transport),
            received_media: flow("in", "media", transport),
            sent: MediaClass::ALL.map(|class| flow("out", class.as_str(), transport)),
        })
    }

    pub(crate) fn received_control(&self, bytes: usize) {
        self.received_control.count(bytes);
    }

    pub(crate) fn received_media(&self, bytes: usize) {
        self.received_media.count(bytes);
    }

    pub(crate) fn sent(&self, class: MediaClass, bytes: usize) {
        self.sent[class.index()].count(bytes);
    }
}

fn flow(direction: &'static str, class: &'static str, transport: TransportKind) -> Flow {
    let transport = transport.as_str();
    Flow {
        packets: counter!(
            "videocall_packets_total",
            "direction" => direction, "class" => class, "transport" => transport
        ),
        bytes: counter!(
            "videocall_bytes_total",
            "direction" => direction, "class" => class, "transport" => transport
        ),
    }
}

fn bus_flow(direction: &'static str, outcome: Published) -> Flow {
    let outcome = outcome.as_str();
    Flow {
        packets: counter!("videocall_bus_packets_total", "direction" => direction, "outcome" => outcome),
        bytes: counter!("videocall_bus_bytes_total", "direction" => direction, "outcome" => outcome),
    }
}
