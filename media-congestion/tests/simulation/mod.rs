//! Pairs of QUIC endpoints that share one simulated path, in simulated time.
//!
//! The endpoints are quinn's own, so that what is measured is a controller among quinn's pacing, loss
//! detection and acknowledgements. A run depends on its seed alone (but for BBR, which draws its own
//! random numbers).

#![allow(
    dead_code,
    reason = "shared by tests and the bench, each of which uses a part"
)]

mod endpoint;
mod link;
mod report;
mod scenarios;

use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_proto::congestion::ControllerFactory;

use self::endpoint::{Datagram, Host};
use self::link::{Link, Packet};
use self::report::FlowReport;

pub(crate) use self::endpoint::Source;
pub(crate) use self::link::{LinkSettings, Loss};
pub(crate) use self::report::{Report, percentile_of};
#[allow(unused_imports, reason = "as above")]
pub(crate) use self::scenarios::{Contender, Figure, Network, Outcome};

/// A sender with its controller.
pub(crate) struct Flow {
    pub(crate) controller: Arc<dyn ControllerFactory + Send + Sync>,
    pub(crate) source: Source,
    pub(crate) begins: Duration,
    pub(crate) ends: Duration,
    /// Whether the receiver is asked to acknowledge every tenth packet, as relays ask who can.
    pub(crate) rare_acknowledgements: bool,
}

impl Flow {
    /// From the beginning to the end.
    pub(crate) fn new(controller: Arc<dyn ControllerFactory + Send + Sync>, source: Source) -> Self {
        Self {
            controller,
            source,
            begins: Duration::ZERO,
            ends: Duration::MAX,
            rare_acknowledgements: false,
        }
    }
}

/// The path and its senders.
pub(crate) struct Scenario {
    pub(crate) forward: LinkSettings,
    pub(crate) backward: LinkSettings,
    pub(crate) flows: Vec<Flow>,
    pub(crate) length: Duration,
    pub(crate) seed: u64,
}

/// Runs to the end.
pub(crate) fn run(scenario: Scenario) -> Report {
    let epoch = Instant::now();
    let mut forward: Link<Datagram> = Link::new(scenario.forward.clone(), scenario.seed);
    let mut backward: Link<Datagram> = Link::new(scenario.backward.clone(), scenario.seed + 1);
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for (index, flow) in scenario.flows.into_iter().enumerate() {
        let seed = scenario.seed.wrapping_mul(31).wrapping_add(index as u64);
        let (sender, receiver) = endpoint::pair(flow, seed, epoch);
        senders.push(sender);
        receivers.push(receiver);
    }
    let mut now = Duration::ZERO;
    let mut windows = Vec::new();
    while now < scenario.length {
        while let Some(packet) = forward.advance(now) {
            receivers[packet.flow].receive(packet.content, now);
        }
        while let Some(packet) = backward.advance(now) {
            senders[packet.flow].receive(packet.content, now);
        }
        for (flow, host) in senders.iter_mut().enumerate() {
            host.drive(now, |datagram| forward.send(packet_of(flow, datagram), now));
        }
        for (flow, host) in receivers.iter_mut().enumerate() {
            host.drive(now, |datagram| backward.send(packet_of(flow, datagram), now));
        }
        if let Some(window) = senders[0].window() {
            windows.push((now, window));
        }
        let hosts = senders.iter().chain(&receivers).filter_map(Host::next);
        let links = [forward.next(), backward.next()].into_iter().flatten();
        let next = hosts.chain(links).min().unwrap_or(scenario.length);
        // What is due again at once gets a moment, so that time goes on.
        now = next.max(now + Duration::from_micros(1));
    }
    let flows = senders.iter_mut().zip(receivers);
    Report {
        settings: scenario.forward,
        length: scenario.length,
        passed: forward.passed,
        windows,
        flows: flows
            .map(|(sender, receiver)| FlowReport::new(sender, receiver))
            .collect(),
    }
}

fn packet_of(flow: usize, content: Datagram) -> Packet<Datagram> {
    Packet {
        flow,
        bytes: content.bytes.len(),
        content,
    }
}
