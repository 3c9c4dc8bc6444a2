//! A short queue between the driver, which never waits, and a task that writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::core::OutgoingPacket;
use crate::driver::ConnectionEvent;

/// Packets in a lane. They are few because the lane stops being ready at some bytes; this bounds
/// small ones.
const CAPACITY: usize = 256;

/// Events that wait for the driver; readers wait for room, and with them the relay.
pub(super) const INBOX_CAPACITY: usize = 256;

/// A lane for a task to write from.
pub(super) fn lane(inbox: mpsc::Sender<ConnectionEvent>) -> (LaneSender, LaneReceiver) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let waiting = Arc::new(AtomicUsize::new(0));
    let lane = LaneSender {
        packets: sender,
        waiting: Arc::clone(&waiting),
    };
    let receiver = LaneReceiver {
        packets: receiver,
        waiting,
        inbox,
    };
    (lane, receiver)
}

/// The driver's end.
#[derive(Debug)]
pub(super) struct LaneSender {
    packets: mpsc::Sender<OutgoingPacket>,
    waiting: Arc<AtomicUsize>,
}

/// The task's end.
#[derive(Debug)]
pub(super) struct LaneReceiver {
    packets: mpsc::Receiver<OutgoingPacket>,
    waiting: Arc<AtomicUsize>,
    inbox: mpsc::Sender<ConnectionEvent>,
}

impl LaneSender {
    /// Whether fewer bytes than `limit` wait. A lane whose task has ended is not ready any more.
    pub(super) fn is_ready(&self, limit: usize) -> bool {
        self.waiting.load(Ordering::Relaxed) < limit
            && self.packets.capacity() > 0
            && !self.packets.is_closed()
    }

    /// Takes a packet of a lane that is ready; a packet for a task that has ended is lost with the
    /// connection.
    pub(super) fn send(&self, packet: OutgoingPacket) {
        let bytes = packet.packet.len();
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if self.packets.try_send(packet).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl LaneReceiver {
    /// The next packet; `None` when the driver has dropped its end.
    pub(super) async fn next(&mut self) -> Option<OutgoingPacket> {
        self.packets.recv().await
    }

    /// Whether another packet is there already.
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// A packet of so many bytes is written.
    pub(super) fn written(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        // With a full inbox the driver is about to look at its lanes anyway.
        let _ = self.inbox.try_send(ConnectionEvent::Ready);
    }
}
