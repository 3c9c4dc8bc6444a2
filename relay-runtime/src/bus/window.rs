//! What has been given to the bus and not arrived there.
//!
//! It bounds what waits outside of the meetings' outboxes, where nothing can be dropped in good order
//! any more, in the connection's queue and in the buffers of the operating system.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// What a packet costs besides its bytes: subject, headers, its place in a queue.
const PACKET_BYTES: usize = 256;

/// Bytes on their way, with a limit that the last packet may exceed.
#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    outstanding: AtomicUsize,
    added: Notify,
    freed: Notify,
}

impl Window {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            outstanding: AtomicUsize::new(0),
            added: Notify::new(),
            freed: Notify::new(),
        }
    }

    pub(super) fn outstanding(&self) -> usize {
        self.outstanding.load(Ordering::Relaxed)
    }

    pub(super) fn has_room(&self) -> bool {
        self.outstanding() < self.limit
    }

    /// A packet has been given to the bus.
    pub(super) fn add(&self, bytes: usize) {
        let before = self
            .outstanding
            .fetch_add(bytes + PACKET_BYTES, Ordering::Relaxed);
        if before == 0 || self.is_half_full() {
            self.added.notify_one();
        }
    }

    /// So much has arrived, or is lost.
    pub(super) fn free(&self, bytes: usize) {
        self.outstanding.fetch_sub(bytes, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Ready when there is room.
    pub(super) async fn room(&self) {
        loop {
            let freed = self.freed.notified();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    /// Ready when something is on its way.
    pub(super) async fn used(&self) {
        while self.outstanding() == 0 {
            self.added.notified().await;
        }
    }

    /// Ready when so much is on its way that some should be freed soon.
    pub(super) async fn half_full(&self) {
        while !self.is_half_full() {
            self.added.notified().await;
        }
    }

    fn is_half_full(&self) -> bool {
        self.outstanding() >= self.limit / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn room_is_there_until_the_limit_and_again_once_something_is_freed() {
        let window = Window::new(1000);
        assert!(window.used().now_or_never().is_none());
        window.add(100);
        assert!(window.used().now_or_never().is_some());
        assert!(window.room().now_or_never().is_some());
        window.add(5000);
        assert!(window.half_full().now_or_never().is_some());
        let mut room = std::pin::pin!(window.room());
        assert!(room.as_mut().now_or_never().is_none());
        window.free(window.outstanding());
        room.now_or_never().expect("room");
        assert!(window.half_full().now_or_never().is_none());
    }
}
