//! The bus over NATS.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::client::PublishErrorKind;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use bytes::Bytes;
use futures::FutureExt as _;
use futures::stream::{self, BoxStream, StreamExt as _};
use relay_core::BusMessage;
use tokio::sync::watch;

use super::{Bus, Published, SUBSCRIPTION_CAPACITY};

/// Packets that wait for the connection's writer; more are dropped. It only fills when NATS does not
/// read, and then what waits gets old.
const SEND_CAPACITY: usize = 1024;

/// Between attempts to connect: long enough to be no burden, short enough that a restarted server is
/// found before the relays take one another for dead.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// A server that does not answer for two of these is gone.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// The bus over NATS. It connects in the background and again whenever the connection is lost; until
/// then packets are dropped and [`Bus::reachable`] says so.
///
/// A packet above the server's `max_payload` (1 MiB unless set otherwise) is dropped and counted:
/// such a frame reaches the people on the sender's own relay only. NATS servers take up to 64 MiB
/// when told so; `max_payload: 8MB` lets every frame of the protocol pass.
pub struct NatsBus {
    client: Client,
    address: String,
    reachable: watch::Receiver<bool>,
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
        let client = ConnectOptions::new()
            .name(name)
            .no_echo()
            .retry_on_initial_connect()
            .client_capacity(SEND_CAPACITY)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(|_| RECONNECT_DELAY)
            .event_callback(move |event| {
                note(&event, &report);
                std::future::ready(())
            })
            .connect(servers)
            .await
            .context("the connection to NATS cannot be set up")?;
        let address = hosts.join(",");
        tracing::info!(address, "connecting to NATS; until then this relay is alone");
        Ok(Arc::new(Self {
            client,
            address,
            reachable,
        }))
    }
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
    fn publish(&self, message: BusMessage) -> Published {
        if !*self.reachable.borrow() {
            return Published::Unreachable;
        }
        // The future is ready at once unless the connection's queue is full. Outside of tokio's
        // budget, because a task that has used its budget up would be told to wait as well.
        let publish = self.client.publish(message.subject, message.packet);
        match tokio::task::unconstrained(publish).now_or_never() {
            Some(Ok(())) => Published::Taken,
            Some(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => Published::TooLarge,
            Some(Err(error)) => {
                tracing::debug!(%error, "NATS did not take a packet");
                Published::Unreachable
            }
            None => Published::Full,
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

    fn describe(&self) -> String {
        format!("NATS at {}", self.address)
    }
}
