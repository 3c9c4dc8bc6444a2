//! What is written to a WebTransport session: one stream of length-prefixed packets per lane, and
//! datagrams. Each holds little, so that what waits longer waits where it can still be dropped.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::select;
use js_sys::{Promise, Uint8Array};
use videocall_types::length_prefix;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{WebTransport, WritableStream, WritableStreamDefaultWriter};

use super::inbox::Inbox;
use super::sleep;
use crate::media::web::js;

/// Bytes a stream may hold that the browser has not taken: a keyframe of a tile, or a quarter of a second
/// of 2 Mbit/s.
const MAX_UNWRITTEN: usize = 64 * 1024;

/// Datagrams the browser has not taken. Audio is 50 a second per track; more than these only get old.
const MAX_UNWRITTEN_DATAGRAMS: usize = 8;

/// How long a goodbye may wait for the stream to take it.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(300);

/// A stream that is opened when it is first needed, and anew after it was reset or has failed.
#[derive(Debug)]
pub(super) struct StreamLane {
    session: WebTransport,
    inbox: Inbox,
    stream: Rc<Stream>,
}

/// One stream. Its tasks hold it, so that what a former stream does touches no later one.
#[derive(Debug, Default)]
struct Stream {
    state: RefCell<State>,
    unwritten: Cell<usize>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    /// Being opened; holds what is written first.
    Opening(Vec<Bytes>),
    Open(WritableStreamDefaultWriter),
}

impl StreamLane {
    /// No stream yet.
    pub(super) fn closed(session: &WebTransport, inbox: &Inbox) -> Self {
        Self {
            session: session.clone(),
            inbox: inbox.clone(),
            stream: Rc::default(),
        }
    }

    /// A stream that is there already.
    pub(super) fn opened(
        session: &WebTransport,
        stream: &WritableStream,
        inbox: &Inbox,
    ) -> Result<Self, JsValue> {
        let lane = Self::closed(session, inbox);
        *lane.stream.state.borrow_mut() = State::Open(stream.get_writer()?);
        Ok(lane)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.stream.unwritten.get() < MAX_UNWRITTEN
    }

    /// Writes a packet with its length in front. What fails shows in the session's end, or in the lane
    /// opening a new stream.
    pub(super) fn send(&mut self, packet: &Bytes) {
        let mut state = self.stream.state.borrow_mut();
        self.stream
            .unwritten
            .set(self.stream.unwritten.get() + packet.len());
        match &mut *state {
            State::Open(writer) => write(writer, packet, &self.stream, &self.inbox),
            State::Opening(first) => first.push(packet.clone()),
            State::Closed => {
                *state = State::Opening(vec![packet.clone()]);
                let opening = self.session.create_unidirectional_stream().unchecked_into();
                spawn_local(open(opening, self.stream.clone(), self.inbox.clone()));
            }
        }
    }

    /// Throws away what was not delivered; the next packet opens a new stream.
    pub(super) fn reset(&mut self) {
        let former = std::mem::take(&mut self.stream);
        if let State::Open(writer) = former.state.take() {
            js::ignore(writer.abort());
        }
    }

    /// Waits until everything was written, or not for long.
    pub(super) async fn flushed(&self) {
        let writer = match &*self.stream.state.borrow() {
            State::Open(writer) => writer.clone(),
            State::Opening(_) | State::Closed => return,
        };
        // Resolves after all writes before it, or fails with the session.
        let closed = JsFuture::from(writer.close());
        select(pin!(closed), pin!(sleep(FLUSH_TIMEOUT))).await;
    }
}

async fn open(opening: Promise, stream: Rc<Stream>, inbox: Inbox) {
    let writer = JsFuture::from(opening)
        .await
        .and_then(|opened| opened.unchecked_into::<WritableStream>().get_writer());
    let first = stream.state.take();
    match (writer, first) {
        (Ok(writer), State::Opening(first)) => {
            for packet in &first {
                write(&writer, packet, &stream, &inbox);
            }
            *stream.state.borrow_mut() = State::Open(writer);
        }
        // Reset while it was being opened.
        (Ok(writer), _) => js::ignore(writer.abort()),
        (Err(_), _) => {
            stream.unwritten.set(0);
            inbox.set_ready();
        }
    }
}

fn write(writer: &WritableStreamDefaultWriter, packet: &Bytes, stream: &Rc<Stream>, inbox: &Inbox) {
    let written = writer.write_with_chunk(&prefixed(packet));
    let (length, stream, inbox) = (packet.len(), stream.clone(), inbox.clone());
    spawn_local(async move {
        let failed = JsFuture::from(written).await.is_err();
        if failed {
            *stream.state.borrow_mut() = State::Closed;
        }
        let before = stream.unwritten.get();
        let after = before.saturating_sub(length);
        stream.unwritten.set(after);
        if before >= MAX_UNWRITTEN && after < MAX_UNWRITTEN {
            inbox.set_ready();
        }
    });
}

fn prefixed(packet: &Bytes) -> Uint8Array {
    // Packets are bounded by MAX_FRAME_BYTES, far below 2^32.
    let (prefix, used) = length_prefix(u32::try_from(packet.len()).unwrap_or(u32::MAX));
    let chunk = Uint8Array::new_with_length((used + packet.len()) as u32);
    chunk.subarray(0, used as u32).copy_from(&prefix[..used]);
    chunk.subarray(used as u32, chunk.length()).copy_from(packet);
    chunk
}

/// Where datagrams are written.
#[derive(Debug)]
pub(super) struct DatagramLane {
    writer: WritableStreamDefaultWriter,
    unwritten: Rc<Cell<usize>>,
    inbox: Inbox,
}

impl DatagramLane {
    pub(super) fn new(writable: &WritableStream, inbox: &Inbox) -> Result<Self, JsValue> {
        Ok(Self {
            writer: writable.get_writer()?,
            unwritten: Rc::default(),
            inbox: inbox.clone(),
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.unwritten.get() < MAX_UNWRITTEN_DATAGRAMS
    }

    pub(super) fn send(&mut self, packet: &Bytes) {
        let written = self.writer.write_with_chunk(&Uint8Array::from(packet.as_ref()));
        self.unwritten.set(self.unwritten.get() + 1);
        let (unwritten, inbox) = (self.unwritten.clone(), self.inbox.clone());
        spawn_local(async move {
            // A datagram that could not be written is a lost one.
            JsFuture::from(written).await.ok();
            let before = unwritten.get();
            unwritten.set(before.saturating_sub(1));
            if before >= MAX_UNWRITTEN_DATAGRAMS {
                inbox.set_ready();
            }
        });
    }
}
