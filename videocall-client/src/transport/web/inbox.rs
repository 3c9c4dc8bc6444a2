//! What a connection has for its driver: packets that arrived, and notes that it can take more.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use videocall_types::{CloseCode, is_frame};

use crate::driver::ConnectionEvent;

/// Packets that may wait for the driver before the streams of a WebTransport session are read no
/// further (their flow control then holds up the relay). The driver takes them within milliseconds.
const MAX_WAITING_FOR_READERS: usize = 64;

/// Media packets that may wait where the carrier cannot be held up (WebSocket); later ones are
/// dropped, and the core asks for keyframes. Two seconds of a large meeting.
const MAX_WAITING_FRAMES: usize = 2048;

/// Packets of any kind that may wait where the carrier cannot be held up. Beyond that the engine has
/// stopped, and the connection is given up.
const MAX_WAITING_PACKETS: usize = 4096;

/// Shared by the tasks that read and the connection that is asked for events.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbox(Rc<State>);

#[derive(Debug, Default)]
struct State {
    packets: RefCell<VecDeque<Bytes>>,
    ready: Cell<bool>,
    closed: RefCell<Option<(Option<CloseCode>, String)>>,
    reader: RefCell<Option<Waker>>,
    writers: RefCell<Vec<Waker>>,
}

impl Inbox {
    /// Adds a packet, or waits until there is room. False: the connection is over.
    pub(super) async fn push_when_room(&self, packet: Bytes) -> bool {
        let mut packet = Some(packet);
        poll_fn(|cx| {
            if self.is_closed() {
                return Poll::Ready(false);
            }
            if self.0.packets.borrow().len() >= MAX_WAITING_FOR_READERS {
                self.0.writers.borrow_mut().push(cx.waker().clone());
                return Poll::Pending;
            }
            if let Some(packet) = packet.take() {
                self.push(packet);
            }
            Poll::Ready(true)
        })
        .await
    }

    /// Adds a packet of a carrier that cannot be held up.
    pub(super) fn push_or_drop(&self, packet: Bytes) {
        let waiting = self.0.packets.borrow().len();
        if waiting >= MAX_WAITING_PACKETS {
            self.close(None, "this computer was too slow for the connection".into());
        } else if waiting < MAX_WAITING_FRAMES || !is_frame(&packet) {
            self.push(packet);
        }
    }

    fn push(&self, packet: Bytes) {
        self.0.packets.borrow_mut().push_back(packet);
        self.wake();
    }

    /// A lane may have become ready.
    pub(super) fn set_ready(&self) {
        self.0.ready.set(true);
        self.wake();
    }

    /// The connection is gone. The first reason counts.
    pub(super) fn close(&self, code: Option<CloseCode>, reason: String) {
        self.0.closed.borrow_mut().get_or_insert((code, reason));
        self.wake();
        for writer in self.0.writers.take() {
            writer.wake();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.closed.borrow().is_some()
    }

    /// The next event: packets that arrived come before the news that there will be no more.
    pub(super) async fn next(&self) -> ConnectionEvent {
        poll_fn(|cx| {
            if self.0.ready.take() {
                return Poll::Ready(ConnectionEvent::Ready);
            }
            let packet = self.0.packets.borrow_mut().pop_front();
            if let Some(packet) = packet {
                for writer in self.0.writers.take() {
                    writer.wake();
                }
                return Poll::Ready(ConnectionEvent::Packet(packet));
            }
            if let Some((code, reason)) = self.0.closed.borrow().clone() {
                return Poll::Ready(ConnectionEvent::Closed { code, reason });
            }
            *self.0.reader.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn wake(&self) {
        let reader = self.0.reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}
