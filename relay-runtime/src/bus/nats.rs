//! The bus over NATS.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::client::PublishErrorKind;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use rand::Rng as _;
use relay_core::BusMessage;
use tokio::sync::watch;
use tokio::task::JoinSet;
use videocall_types::fragment;

use super::probe::{self, Pair};
use super::window::Window;
use super::{Bus, Published, SUBSCRIPTION_CAPACITY};

/// Bytes given to NATS that it has not taken yet; what is beyond waits in the meetings' outboxes, where
/// it can be dropped in good order. At a round trip of 10 ms to the server 400 Mbit/s still pass.
const WINDOW_BYTES: usize = 512 * 1024;

/// Packets that wait for the connection's writer; more are dropped. Twice what the window holds of the
/// smallest packets, so that subscriptions find room as well.
const SEND_CAPACITY: usize = 4096;

/// Between attempts to connect: long enough to be no burden, short enough that a restarted server is
/// found before the relays take one another for dead.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// A server that does not answer for two of these is gone.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// The bus over NATS. It connects in the background and again whenever the connection is lost; until
/// then packets are dropped and [`Bus::reachable`] says so.
///
/// A packet above the server's `max_payload` (1 MiB unless set otherwise) is published in fragments.
pub struct NatsBus {
    client: Client,
    address: String,
    reachable: watch::Receiver<bool>,
    pressure: watch::Receiver<u8>,
    window: Arc<Window>,
    /// End with the bus.
    _probes: JoinSet<()>,
}

impl NatsBus {
    /// Begins to connect. Several addresses are separated by commas.
    ///
    /// # Errors
    /// When an address cannot be read. A server that is not there is no error.
    pub async fn connect(addresses: &str, name: &str) -> anyhow::Result<Arc<dyn Bus>> {
        let servers = addresses
            .split(',')
            .map(|address| address.trim().parse::<ServerAddr>())
            .collect::<Result<Vec<_>, _>>()
            .context("the NATS address cannot be read; write it like nats://127.0.0.1:4222")?;
        let hosts: Vec<_> = servers
            .iter()
            .map(|s| format!("{}:{}", s.host(), s.port()))
            .collect();
        let (report, reachable) = watch::channel(false);
        let main = options(name).event_callback(move |event| {
            note(&event, &report);
            std::future::ready(())
        });
        let aside = options(&format!("{name} (lag)"));
        let (main, aside) = tokio::try_join!(main.connect(&servers[..]), aside.connect(&servers[..]))
            .context("the connection to NATS cannot be set up")?;
        let address = hosts.join(",");
        tracing::info!(address, "connecting to NATS; until then this relay is alone");
        let window = Arc::new(Window::new(WINDOW_BYTES));
        let (level, pressure) = watch::channel(0);
        let pair = || Pair {
            main: main.clone(),
            aside: aside.clone(),
            reachable: reachable.clone(),
        };
        let mut probes = JoinSet::new();
        probes.spawn(probe::measure(pair(), level));
        probes.spawn(probe::acknowledge(pair(), window.clone()));
        Ok(Arc::new(Self {
            client: main,
            address,
            reachable,
            pressure,
            window,
            _probes: probes,
        }))
    }

    /// Gives NATS one message, which it takes.
    fn give(&self, subject: String, payload: Bytes) -> Published {
        let bytes = payload.len();
        // The future is ready at once unless the connection's queue is full. Outside of tokio's
        // budget, because a task that has used its budget up would be told to wait as well.
        let publish = self.client.publish(subject, payload);
        match tokio::task::unconstrained(publish).now_or_never() {
            Some(Ok(())) => {
                self.window.add(bytes);
                Published::Taken
            }
            Some(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => Published::TooLarge,
            Some(Err(error)) => {
                tracing::debug!(%error, "NATS did not take a packet");
                Published::Unreachable
            }
            None => Published::Full,
        }
    }

    fn give_in_fragments(&self, message: &BusMessage, max_payload: usize) -> Published {
        let Ok(parts) = fragment::split(&message.packet, rand::rng().next_u64(), max_payload) else {
            return Published::TooLarge;
        };
        for part in parts {
            let given = self.give(message.subject.clone(), part);
            if given != Published::Taken {
                return given;
            }
        }
        Published::Taken
    }
}

/// What both connections have in common.
fn options(name: &str) -> ConnectOptions {
    ConnectOptions::new()
        .name(name)
        .no_echo()
        .retry_on_initial_connect()
        .client_capacity(SEND_CAPACITY)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .ping_interval(PING_INTERVAL)
        .reconnect_delay_callback(|_| RECONNECT_DELAY)
}

fn note(event: &Event, report: &watch::Sender<bool>) {
    match event {
        Event::Connected => {
            tracing::info!("NATS is connected");
            report.send_replace(true);
        }
        Event::Disconnected | Event::Closed => {
            tracing::warn!("NATS is not connected; meetings go on within this relay");
            report.send_replace(false);
        }
        Event::SlowConsumer(_) => metrics::counter!("videocall_bus_slow_total").increment(1),
        other => tracing::debug!(%other, "NATS"),
    }
}

impl Bus for NatsBus {
    fn has_room(&self) -> bool {
        !*self.reachable.borrow() || self.window.has_room()
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        let mut reachable = self.reachable.clone();
        async move {
            tokio::select! {
                () = self.window.room() => {}
                _lost = reachable.wait_for(|reachable| !reachable) => {}
            }
        }
        .boxed()
    }

    fn publish(&self, message: BusMessage) -> Published {
        if !*self.reachable.borrow() {
            return Published::Unreachable;
        }
        let max_payload = self.client.max_payload();
        match message.packet.len() <= max_payload {
            true => self.give(message.subject, message.packet),
            false => self.give_in_fragments(&message, max_payload),
        }
    }

    fn subscribe(&self, subject: String) -> BoxStream<'static, Bytes> {
        let client = self.client.clone();
        let subscribe = async move {
            match client.subscribe(subject).await {
                Ok(subscriber) => subscriber.map(|message| message.payload).left_stream(),
                Err(error) => {
                    tracing::warn!(%error, "NATS did not take a subscription");
                    stream::pending().right_stream()
                }
            }
        };
        subscribe.flatten_stream().boxed()
    }

    fn reachable(&self) -> watch::Receiver<bool> {
        self.reachable.clone()
    }

    fn pressure(&self) -> watch::Receiver<u8> {
        self.pressure.clone()
    }

    fn describe(&self) -> String {
        format!("NATS at {}", self.address)
    }
}
