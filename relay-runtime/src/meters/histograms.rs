//! Every distribution of times that is kept, of the whole process.

use std::sync::LazyLock;

use videocall_types::MediaClass;
use videocall_types::api::TransportKind;

use super::histogram::{DELAYS, Histogram, WAITS};

/// Every transport, in the order of the arrays here.
pub(super) const TRANSPORTS: [TransportKind; 2] = [TransportKind::WebTransport, TransportKind::WebSocket];

/// The histograms of the process.
pub(super) struct Histograms {
    pub(super) transports: [TransportHistograms; TRANSPORTS.len()],
    pub(super) bus_lag: Histogram,
    pub(super) event_loop_delay: Histogram,
    pub(super) join_request: Histogram,
}

/// Those of one transport; arrays are indexed by [`MediaClass::index`].
pub(super) struct TransportHistograms {
    pub(super) outbox_delay: [Histogram; MediaClass::ALL.len()],
    pub(super) forwarding_delay: [Histogram; MediaClass::ALL.len()],
    pub(super) client_join: Histogram,
    pub(super) client_first_picture: Histogram,
    pub(super) client_round_trip: Histogram,
    pub(super) client_frozen: Histogram,
    pub(super) client_concealed: Histogram,
}

/// Histograms of one name, each with its labels.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) members: Vec<(String, &'static Histogram)>,
}

impl Histograms {
    pub(super) fn shared() -> &'static Self {
        static SHARED: LazyLock<Histograms> = LazyLock::new(|| Histograms {
            transports: TRANSPORTS.map(|_| TransportHistograms::new()),
            bus_lag: Histogram::new(DELAYS),
            event_loop_delay: Histogram::new(DELAYS),
            join_request: Histogram::new(DELAYS),
        });
        &SHARED
    }

    pub(super) fn of(transport: TransportKind) -> &'static TransportHistograms {
        let [webtransport, websocket] = &Self::shared().transports;
        match transport {
            TransportKind::WebTransport => webtransport,
            TransportKind::WebSocket => websocket,
        }
    }

    pub(super) fn families(&'static self) -> Vec<Family> {
        vec![
            by_class(
                "videocall_outbox_delay_seconds",
                "Time of a packet in its receiver's outbox until the receiver's writer took it",
                |transport| &transport.outbox_delay,
            ),
            by_class(
                "videocall_forwarding_delay_seconds",
                "Time from a packet's arrival at this relay until it was handed to the receiver's socket",
                |transport| &transport.forwarding_delay,
            ),
            by_transport(
                "videocall_client_join_seconds",
                "Time from the wish to join to being in the meeting, as clients report it",
                |transport| &transport.client_join,
            ),
            by_transport(
                "videocall_client_first_picture_seconds",
                "Time from the wish to join to the first picture of somebody else, as clients report it",
                |transport| &transport.client_first_picture,
            ),
            by_transport(
                "videocall_client_round_trip_seconds",
                "Round trip between clients and this relay, as they report it each minute",
                |transport| &transport.client_round_trip,
            ),
            by_transport(
                "videocall_client_frozen_seconds",
                "Time in a minute of a client's call in which pictures stood still, all of them together, as clients report it",
                |transport| &transport.client_frozen,
            ),
            by_transport(
                "videocall_client_concealed_seconds",
                "Sound in a minute of a client's call that was made up because none came in time, as clients report it",
                |transport| &transport.client_concealed,
            ),
            alone(
                "videocall_bus_lag_seconds",
                "Time that a packet of this relay takes over the bus and back",
                &self.bus_lag,
            ),
            alone(
                "videocall_event_loop_delay_seconds",
                "How much later than asked for a thread that serves connections runs a task",
                &self.event_loop_delay,
            ),
            alone(
                "videocall_join_request_seconds",
                "Time in which the REST interface answers a join",
                &self.join_request,
            ),
        ]
    }
}

impl TransportHistograms {
    fn new() -> Self {
        Self {
            outbox_delay: MediaClass::ALL.map(|_| Histogram::new(DELAYS)),
            forwarding_delay: MediaClass::ALL.map(|_| Histogram::new(DELAYS)),
            client_join: Histogram::new(WAITS),
            client_first_picture: Histogram::new(WAITS),
            client_round_trip: Histogram::new(DELAYS),
            client_frozen: Histogram::new(WAITS),
            client_concealed: Histogram::new(WAITS),
        }
    }
}

fn by_class(
    name: &'static str,
    help: &'static str,
    part: impl Fn(&'static TransportHistograms) -> &'static [Histogram; MediaClass::ALL.len()],
) -> Family {
    let members = TRANSPORTS
        .into_iter()
        .flat_map(|transport| {
            let classes = MediaClass::ALL.into_iter().zip(part(Histograms::of(transport)));
            classes.map(move |(class, histogram)| {
                let labels = format!("transport=\"{transport}\",class=\"{}\"", class.as_str());
                (labels, histogram)
            })
        })
        .collect();
    Family { name, help, members }
}

fn by_transport(
    name: &'static str,
    help: &'static str,
    part: impl Fn(&'static TransportHistograms) -> &'static Histogram,
) -> Family {
    let members = TRANSPORTS
        .into_iter()
        .map(|transport| {
            let labels = format!("transport=\"{transport}\"");
            (labels, part(Histograms::of(transport)))
        })
        .collect();
    Family { name, help, members }
}

fn alone(name: &'static str, help: &'static str, histogram: &'static Histogram) -> Family {
    Family {
        name,
        help,
        members: vec![(String::new(), histogram)],
    }
}
