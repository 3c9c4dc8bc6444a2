//! What is counted and measured: names, meanings and handles. docs/metrics.md lists it all.
//!
//! Everything is there from the start, with the value 0, so that a dashboard tells what has not
//! happened from what is not known.

mod exporter;
mod histogram;
mod histograms;
mod limits;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};
use parking_lot::Mutex;
use relay_core::{DropCause, MeetingStats, OutboxStats};
use videocall_types::api::TransportKind;
use videocall_types::{CallMinute, ClientReport, CloseCode, MediaClass};

pub use exporter::render_metrics;
pub use histogram::Histogram;
pub use limits::Limit;
pub(crate) use limits::{LimitMeters, Strain};

use crate::Relay;
use crate::bus::Published;
use exporter::exporter;
use histograms::{Histograms, TransportHistograms};

/// Handles of everything that is counted, registered once: counting is one atomic addition.
pub(crate) struct Meters {
    webtransport: Arc<CarrierMeters>,
    websocket: Arc<CarrierMeters>,
    relay: RelayGauges,
    dropped: [[Counter; DropCause::ALL.len()]; MediaClass::ALL.len()],
    bus_dropped: [[Counter; DropCause::ALL.len()]; MediaClass::ALL.len()],
    keyframe_requests: Counter,
    layer_switches: Counter,
    speaker_changes: Counter,
    restricted_sessions: Gauge,
    /// What meetings that are gone have counted.
    before: Mutex<MeetingStats>,
    bus_in: Flow,
    bus_out: [Flow; Published::ALL.len()],
    bus_reconnects: Counter,
}

/// Takes note of how long a packet of this relay took over the bus and back.
pub(crate) fn record_bus_lag(lag: Duration) {
    Histograms::shared().bus_lag.record(lag);
}

/// Shows how much is given up so that the bus reaches this relay in time.
pub(crate) fn show_bus_pressure(level: u8) {
    gauge!("videocall_bus_pressure").set(f64::from(level));
}

/// Shows when the certificate for WebTransport expires, seconds since the Unix epoch. It comes from the
/// operator's `files` or is the server's `own`.
pub fn show_certificate_expiry(source: &'static str, at: i64) {
    exporter();
    gauge!("videocall_certificate_expiry_timestamp_seconds", "source" => source).set(at as f64);
}

/// Takes note of how much later than asked for a thread that serves connections ran a task.
pub fn record_event_loop_delay(delay: Duration) {
    Histograms::shared().event_loop_delay.record(delay);
}

/// Takes note of the answer to a join over REST: `ok` or the word of the error, and how long it took.
pub fn record_join_request(outcome: &'static str, time: Duration) {
    join_requests(outcome).increment(1);
    Histograms::shared().join_request.record(time);
}

/// Shows these outcomes of joins over REST before they happen.
pub fn announce_join_requests(outcomes: impl IntoIterator<Item = &'static str>) {
    outcomes
        .into_iter()
        .for_each(|outcome| drop(join_requests(outcome)));
}

fn join_requests(outcome: &'static str) -> Counter {
    counter!("videocall_join_requests_total", "outcome" => outcome)
}

/// Counts how often the bus comes back, until the relay has drained.
pub(crate) async fn watch_bus(relay: Arc<Relay>) {
    let Some(mut reachable) = relay.bus().map(|bus| bus.reachable()) else {
        return;
    };
    let mut was_connected = false;
    let mut is_connected = *reachable.borrow_and_update();
    loop {
        tokio::select! {
            changed = reachable.changed() => if changed.is_err() { return },
            () = relay.drained() => return,
        }
        let before = std::mem::replace(&mut is_connected, *reachable.borrow_and_update());
        was_connected |= before;
        if is_connected && !before && was_connected {
            relay.meters().bus_reconnected();
        }
    }
}

/// How a relay is now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RelayState {
    /// Meetings held.
    pub(crate) meetings: usize,
    /// Sessions taken at most.
    pub(crate) sessions_limit: usize,
    /// No session is taken any more.
    pub(crate) draining: bool,
    /// Whether the bus is connected, if there is one.
    pub(crate) bus: Option<bool>,
}

struct RelayGauges {
    meetings: Gauge,
    sessions_limit: Gauge,
    draining: Gauge,
    bus_configured: Gauge,
    bus_reachable: Gauge,
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

/// What is counted of the connections of one transport; arrays are indexed by [`MediaClass::index`].
pub(crate) struct CarrierMeters {
    sessions: Gauge,
    joins: Counter,
    received: [Flow; MediaClass::ALL.len()],
    sent: [Flow; MediaClass::ALL.len()],
    /// By close code; `None` when the peer was first.
    ends: HashMap<Option<CloseCode>, Counter>,
    refusals: HashMap<Option<CloseCode>, Counter>,
    client_freezes: Counter,
    client_sounds: Counter,
    client_sounds_lost: Counter,
    times: &'static TransportHistograms,
}

impl Meters {
    pub(crate) fn shared() -> Arc<Self> {
        exporter();
        // What only the bus knows, if there is one.
        drop(counter!("videocall_bus_slow_total"));
        show_bus_pressure(0);
        Arc::new(Self {
            webtransport: CarrierMeters::new(TransportKind::WebTransport),
            websocket: CarrierMeters::new(TransportKind::WebSocket),
            relay: RelayGauges::new(),
            dropped: drops("videocall_dropped_packets_total"),
            bus_dropped: drops("videocall_bus_dropped_packets_total"),
            keyframe_requests: counter!("videocall_keyframe_requests_total"),
            layer_switches: counter!("videocall_layer_switches_total"),
            speaker_changes: counter!("videocall_speaker_changes_total"),
            restricted_sessions: gauge!("videocall_restricted_sessions"),
            before: Mutex::default(),
            bus_in: bus_flow("in", Published::Taken),
            bus_out: Published::ALL.map(|outcome| bus_flow("out", outcome)),
            bus_reconnects: counter!("videocall_bus_reconnects_total"),
        })
    }

    pub(crate) fn carrier(&self, transport: TransportKind) -> Arc<CarrierMeters> {
        match transport {
            TransportKind::WebTransport => self.webtransport.clone(),
            TransportKind::WebSocket => self.websocket.clone(),
        }
    }

    pub(crate) fn bus_received(&self, bytes: usize) {
        self.bus_in.count(bytes);
    }

    pub(crate) fn bus_sent(&self, bytes: usize, outcome: Published) {
        self.bus_out[outcome as usize].count(bytes);
    }

    /// The bus is connected again after it was lost.
    pub(crate) fn bus_reconnected(&self) {
        self.bus_reconnects.increment(1);
    }

    /// Remembers what a meeting that ends has counted.
    pub(crate) fn keep_stats_of(&self, stats: &MeetingStats) {
        add(&mut self.before.lock(), stats);
    }

    /// Takes over what meetings count themselves, and how the relay is.
    pub(crate) fn take_stock(&self, meetings: impl Iterator<Item = MeetingStats>, state: RelayState) {
        let mut total = *self.before.lock();
        let mut restricted = 0;
        for stats in meetings {
            add(&mut total, &stats);
            restricted += stats.restricted_members;
        }
        take_over(&self.dropped, &total.outboxes);
        take_over(&self.bus_dropped, &total.bus);
        self.keyframe_requests.absolute(total.keyframe_requests);
        self.layer_switches.absolute(total.layer_switches);
        self.speaker_changes.absolute(total.speaker_changes);
        self.restricted_sessions.set(restricted as f64);
        self.relay.show(state);
    }
}

/// Adds what only grows.
fn add(total: &mut MeetingStats, stats: &MeetingStats) {
    total.keyframe_requests += stats.keyframe_requests;
    total.layer_switches += stats.layer_switches;
    total.speaker_changes += stats.speaker_changes;
    total.outboxes.add(&stats.outboxes);
    total.bus.add(&stats.bus);
}

fn drops(name: &'static str) -> [[Counter; DropCause::ALL.len()]; MediaClass::ALL.len()] {
    MediaClass::ALL.map(|class| {
        DropCause::ALL.map(|cause| counter!(name, "class" => class.as_str(), "cause" => cause.as_str()))
    })
}

fn take_over(counters: &[[Counter; DropCause::ALL.len()]], stats: &OutboxStats) {
    for (counters, dropped) in counters.iter().zip(stats.dropped) {
        for (counter, dropped) in counters.iter().zip(dropped) {
            counter.absolute(dropped);
        }
    }
}

impl RelayGauges {
    fn new() -> Self {
        Self {
            meetings: gauge!("videocall_meetings"),
            sessions_limit: gauge!("videocall_sessions_limit"),
            draining: gauge!("videocall_draining"),
            bus_configured: gauge!("videocall_bus_configured"),
            bus_reachable: gauge!("videocall_bus_reachable"),
        }
    }

    fn show(&self, state: RelayState) {
        let shown = |on: bool| f64::from(u8::from(on));
        self.meetings.set(state.meetings as f64);
        self.sessions_limit.set(state.sessions_limit as f64);
        self.draining.set(shown(state.draining));
        self.bus_configured.set(shown(state.bus.is_some()));
        self.bus_reachable.set(shown(state.bus == Some(true)));
    }
}

impl CarrierMeters {
    fn new(transport: TransportKind) -> Arc<Self> {
        Arc::new(Self {
            sessions: gauge!("videocall_sessions", "transport" => transport.as_str()),
            joins: counter!("videocall_joins_total", "transport" => transport.as_str()),
            received: MediaClass::ALL.map(|class| flow("in", class.as_str(), transport)),
            sent: MediaClass::ALL.map(|class| flow("out", class.as_str(), transport)),
            ends: by_reason("videocall_ends_total", transport),
            refusals: by_reason("videocall_refusals_total", transport),
            client_freezes: counter!("videocall_client_freezes_total", "transport" => transport.as_str()),
            client_sounds: client_sounds("received", transport),
            client_sounds_lost: client_sounds("lost", transport),
            times: Histograms::of(transport),
        })
    }

    pub(crate) fn session_started(&self) {
        self.sessions.increment(1.0);
        self.joins.increment(1);
    }

    pub(crate) fn session_ended(&self) {
        self.sessions.decrement(1.0);
    }

    /// A connection has ended that was in a meeting, or not.
    pub(crate) fn ended(&self, code: Option<CloseCode>, was_seated: bool) {
        let counters = if was_seated { &self.ends } else { &self.refusals };
        if let Some(counter) = counters.get(&code) {
            counter.increment(1);
        }
    }

    pub(crate) fn received(&self, class: MediaClass, bytes: usize) {
        self.received[class.index()].count(bytes);
    }

    /// The receiver's writer has taken a packet that waited for so long.
    pub(crate) fn taken(&self, class: MediaClass, bytes: usize, waited: Duration) {
        self.sent[class.index()].count(bytes);
        self.times.outbox_delay[class.index()].record(waited);
    }

    /// A packet is with the receiver's socket, so long after its arrival at this relay.
    pub(crate) fn handed_over(&self, class: MediaClass, after: Duration) {
        self.times.forwarding_delay[class.index()].record(after);
    }

    /// What a client says about itself; 0 is what it does not know.
    pub(crate) fn reported(&self, report: ClientReport) {
        let known = |ms: u32| (ms > 0).then(|| Duration::from_millis(ms.into()));
        if let Some(time) = known(report.join_ms) {
            self.times.client_join.record(time);
        }
        if let Some(time) = known(report.first_picture_ms) {
            self.times.client_first_picture.record(time);
        }
        if let Some(minute) = report.minute {
            self.reported_minute(minute);
        }
    }

    fn reported_minute(&self, minute: CallMinute) {
        if minute.rtt_us > 0 {
            let round_trip = Duration::from_micros(minute.rtt_us.into());
            self.times.client_round_trip.record(round_trip);
        }
        let millis = |ms: u32| Duration::from_millis(ms.into());
        self.times.client_frozen.record(millis(minute.frozen_ms));
        self.times.client_concealed.record(millis(minute.concealed_ms));
        self.client_freezes.increment(minute.freezes.into());
        self.client_sounds.increment(minute.sounds.into());
        self.client_sounds_lost.increment(minute.sounds_lost.into());
    }
}

fn by_reason(name: &'static str, transport: TransportKind) -> HashMap<Option<CloseCode>, Counter> {
    let codes = CloseCode::ALL.into_iter().map(Some).chain([None]);
    codes
        .map(|code| {
            let reason = code.map_or("gone", CloseCode::as_str);
            let counter = counter!(name, "transport" => transport.as_str(), "reason" => reason);
            (code, counter)
        })
        .collect()
}

fn client_sounds(outcome: &'static str, transport: TransportKind) -> Counter {
    counter!("videocall_client_sounds_total", "outcome" => outcome, "transport" => transport.as_str())
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
