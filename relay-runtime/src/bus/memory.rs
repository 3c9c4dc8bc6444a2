//! A bus between several relays in one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use parking_lot::RwLock;
use relay_core::BusMessage;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::{Bus, Published, SUBSCRIPTION_CAPACITY};

/// Where the relays of one process meet.
#[derive(Clone)]
pub struct MemoryHub {
    shared: Arc<Shared>,
}

struct Shared {
    subscribers: RwLock<Vec<Subscriber>>,
    reachable: watch::Sender<bool>,
    pressure: watch::Sender<u8>,
    connections: AtomicUsize,
}

struct Subscriber {
    connection: usize,
    pattern: String,
    packets: mpsc::Sender<Bytes>,
}

impl MemoryHub {
    /// A hub that nobody uses yet.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                subscribers: RwLock::default(),
                reachable: watch::Sender::new(true),
                pressure: watch::Sender::new(0),
                connections: AtomicUsize::new(0),
            }),
        }
    }

    /// The bus for one more relay.
    pub fn connect(&self) -> Arc<dyn Bus> {
        Arc::new(MemoryBus {
            connection: self.shared.connections.fetch_add(1, Ordering::Relaxed),
            shared: self.shared.clone(),
        })
    }

    /// Cuts all relays off from one another, or connects them again.
    pub fn set_reachable(&self, reachable: bool) {
        self.shared.reachable.send_replace(reachable);
    }

    /// Reaches all relays as slowly as this: see [`Bus::pressure`].
    pub fn set_pressure(&self, level: u8) {
        self.shared.pressure.send_replace(level);
    }
}

impl Default for MemoryHub {
    fn default() -> Self {
        Self::new()
    }
}

/// One relay's connection to a [`MemoryHub`].
pub struct MemoryBus {
    connection: usize,
    shared: Arc<Shared>,
}

impl Bus for MemoryBus {
    fn has_room(&self) -> bool {
        true
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    fn publish(&self, message: BusMessage) -> Published {
        if !*self.shared.reachable.borrow() {
            return Published::Unreachable;
        }
        let subscribers = self.shared.subscribers.read();
        let mut published = Published::Taken;
        for subscriber in subscribers.iter().filter(|s| s.connection != self.connection) {
            if !matches(&subscriber.pattern, &message.subject) {
                continue;
            }
            if let Err(TrySendError::Full(_)) = subscriber.packets.try_send(message.packet.clone()) {
                published = Published::Full;
            }
        }
        published
    }

    fn subscribe(&self, subject: String) -> BoxStream<'static, Bytes> {
        let (packets, mut received) = mpsc::channel(SUBSCRIPTION_CAPACITY);
        let connection = self.connection;
        {
            let mut subscribers = self.shared.subscribers.write();
            subscribers.retain(|subscriber| !subscriber.packets.is_closed());
            subscribers.push(Subscriber {
                connection,
                pattern: subject,
                packets,
            });
        }
        stream::poll_fn(move |cx| received.poll_recv(cx)).boxed()
    }

    fn reachable(&self) -> watch::Receiver<bool> {
        self.shared.reachable.subscribe()
    }

    fn pressure(&self) -> watch::Receiver<u8> {
        self.shared.pressure.subscribe()
    }

    fn describe(&self) -> String {
        "in this process".to_owned()
    }
}

/// Whether a subject matches a pattern, as NATS has it: `*` stands for one part, `>` at the end for one
/// or more.
fn matches(pattern: &str, subject: &str) -> bool {
    let mut parts = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, parts.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use videocall_types::MediaClass;

    fn message(subject: &str) -> BusMessage {
        BusMessage {
            subject: subject.to_owned(),
            packet: Bytes::copy_from_slice(subject.as_bytes()),
            class: MediaClass::Control,
        }
    }

    #[test]
    fn patterns_match_as_in_nats() {
        for (pattern, subject, does) in [
            ("m.a.c", "m.a.c", true),
            ("m.a.c", "m.a", false),
            ("m.a", "m.a.c", false),
            ("m.>", "m.a.c", true),
            ("m.>", "m", false),
            ("m.*.c", "m.a.c", true),
            ("m.*", "m.a.c", false),
            ("m.a.*", "m.a", false),
            ("m.*.0", "m.a.1", false),
        ] {
            assert_eq!(matches(pattern, subject), does, "{pattern} {subject}");
        }
    }

    #[tokio::test]
    async fn packets_reach_the_other_connections_by_subject_and_wildcard() {
        let hub = MemoryHub::new();
        let (a, b) = (hub.connect(), hub.connect());
        let mut exact = b.subscribe("m.demo.c".to_owned());
        let mut wild = b.subscribe("m.demo.v.>".to_owned());
        let mut own = a.subscribe("m.demo.c".to_owned());
        assert_eq!(a.publish(message("m.demo.c")), Published::Taken);
        assert_eq!(a.publish(message("m.demo.v.1.2.0")), Published::Taken);
        assert_eq!(a.publish(message("m.other.c")), Published::Taken);
        assert_eq!(exact.next().await.expect("a packet"), "m.demo.c");
        assert_eq!(wild.next().await.expect("a packet"), "m.demo.v.1.2.0");
        assert_eq!(b.publish(message("m.demo.c")), Published::Taken);
        assert_eq!(own.next().await.expect("the other's packet only"), "m.demo.c");
        assert!(futures::FutureExt::now_or_never(own.next()).is_none());
        assert!(futures::FutureExt::now_or_never(exact.next()).is_none());
    }

    #[tokio::test]
    async fn a_full_subscription_drops_and_a_cut_hub_takes_nothing() {
        let hub = MemoryHub::new();
        let (a, b) = (hub.connect(), hub.connect());
        let _slow = b.subscribe("s".to_owned());
        for _ in 0..SUBSCRIPTION_CAPACITY {
            assert_eq!(a.publish(message("s")), Published::Taken);
        }
        assert_eq!(a.publish(message("s")), Published::Full);
        hub.set_reachable(false);
        assert!(!*a.reachable().borrow());
        assert_eq!(a.publish(message("s")), Published::Unreachable);
    }
}
