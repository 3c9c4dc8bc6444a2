//! A bus between several relays in one process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use parking_lot::RwLock;
use relay_core::BusMessage;
use tokio::sync::{mpsc, watch};

use super::{Bus, Published, SUBSCRIPTION_CAPACITY};

/// Where the relays of one process meet.
#[derive(Clone)]
pub struct MemoryHub {
    shared: Arc<Shared>,
}

struct Shared {
    /// By subject, or by what precedes the `>` of a wildcard.
    subscribers: RwLock<HashMap<String, Vec<Subscriber>>>,
    reachable: watch::Sender<bool>,
    connections: AtomicUsize,
}

struct Subscriber {
    connection: usize,
    packets: mpsc::Sender<Bytes>,
}

impl MemoryHub {
    /// A hub that nobody uses yet.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                subscribers: RwLock::default(),
                reachable: watch::Sender::new(true),
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
    fn publish(&self, message: BusMessage) -> Published {
        if !*self.shared.reachable.borrow() {
            return Published::Unreachable;
        }
        let subscribers = self.shared.subscribers.read();
        let mut published = Published::Taken;
        let matching = patterns(&message.subject).filter_map(|pattern| subscribers.get(pattern));
        for subscriber in matching.flatten().filter(|s| s.connection != self.connection) {
            if subscriber.packets.try_send(message.packet.clone()).is_err() {
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
            subscribers.retain(|_, list| {
                list.retain(|subscriber| !subscriber.packets.is_closed());
                !list.is_empty()
            });
            let key = subject.strip_suffix('>').unwrap_or(&subject);
            let subscriber = Subscriber { connection, packets };
            subscribers.entry(key.to_owned()).or_default().push(subscriber);
        }
        stream::poll_fn(move |cx| received.poll_recv(cx)).boxed()
    }

    fn reachable(&self) -> watch::Receiver<bool> {
        self.shared.reachable.subscribe()
    }

    fn describe(&self) -> String {
        "in this process".to_owned()
    }
}

/// The keys under which subscribers of a subject are found: the subject, and each of its beginnings
/// up to a dot.
fn patterns(subject: &str) -> impl Iterator<Item = &str> {
    let beginnings = subject.match_indices('.').map(|(dot, _)| &subject[..=dot]);
    std::iter::once(subject).chain(beginnings)
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
