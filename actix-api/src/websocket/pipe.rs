//! The way from the session's writer to the socket, without a queue of its own.
//!
//! The writer hands over one small batch, and only once the socket has taken the one before: what the
//! socket has not taken stays in the relay's bounded outbox, where it can still be dropped by
//! importance. In flight are the batch, the HTTP dispatcher's write buffer and the socket's.
//! Answers to pings, our own pings and the close frame overtake batches; there is one slot for each.
//!
//! Both ends live on one thread: the worker that accepted the connection.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, MessageBody};
use bytes::{BufMut, Bytes, BytesMut};

use super::opcode;

/// What a batch may hold before the writer stops adding to it: the HTTP dispatcher's write buffer,
/// beyond which it takes no more either. One packet may exceed it.
pub(super) const BATCH_BYTES: usize = 32 * 1024;

/// The longest head of a frame from a server: two bytes and eight of length.
const MAX_HEAD_BYTES: usize = 10;

/// Packets on their way into the pipe, each preceded by the head of its frame.
#[derive(Default)]
pub(super) struct Batch {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Batch {
    /// Adds a packet as one binary message. Its bytes are not copied.
    pub(super) fn push(&mut self, packet: Bytes) {
        self.bytes += packet.len();
        self.pieces.push_back(frame_head(opcode::BINARY, packet.len()));
        self.pieces.push_back(packet);
    }

    /// Whether another packet would be more than the socket takes at once.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES
    }
}

/// The connection was gone before everything was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PipeClosed;

/// The writer's end.
pub(super) struct Pipe(Rc<RefCell<State>>);

/// The socket's end: the body of the response that upgraded the connection.
pub(super) struct PipeBody(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    batch: VecDeque<Bytes>,
    /// Only the newest ping has to be answered (RFC 6455 §5.5.3).
    pong: Option<Bytes>,
    ping: Option<Bytes>,
    close: Option<Bytes>,
    /// The socket has taken everything and asks for more.
    wanted: bool,
    /// Nothing follows what is there.
    ended: bool,
    /// The socket's end has handed out its last byte, or is gone.
    finished: bool,
    writer: Option<Waker>,
    body: Option<Waker>,
}

/// Both ends.
pub(super) fn pipe() -> (Pipe, PipeBody) {
    let state = Rc::new(RefCell::new(State::default()));
    (Pipe(state.clone()), PipeBody(state))
}

impl Pipe {
    /// Waits until the socket has taken what it was given.
    pub(super) async fn ready(&self) -> Result<(), PipeClosed> {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            if state.finished || state.ended {
                return Poll::Ready(Err(PipeClosed));
            }
            if state.wanted {
                return Poll::Ready(Ok(()));
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Hands a batch over. To be called after [`Pipe::ready`].
    pub(super) fn send(&self, batch: Batch) {
        let mut state = self.0.borrow_mut();
        debug_assert!(
            state.batch.is_empty(),
            "a batch was sent before the last one was taken"
        );
        state.batch = batch.pieces;
        state.wanted = false;
        state.wake_body();
    }

    /// Answers a ping; replaces an answer that has not left yet.
    pub(super) fn pong(&self, payload: &Bytes) {
        let mut state = self.0.borrow_mut();
        state.pong = Some(whole_frame(opcode::PONG, payload));
        state.wake_body();
    }

    /// Asks for a sign of life; one that has not left yet is enough.
    pub(super) fn ping(&self) {
        let mut state = self.0.borrow_mut();
        state.ping = Some(whole_frame(opcode::PING, b""));
        state.wake_body();
    }

    /// Ends the connection after what was handed over, with a close frame that has this code (RFC 6455
    /// §5.5.1); without one it just ends. Later calls change nothing.
    pub(super) fn end(&self, close_code: Option<u16>) {
        let mut state = self.0.borrow_mut();
        if state.ended {
            return;
        }
        state.ended = true;
        state.close = close_code.map(|code| whole_frame(opcode::CLOSE, &code.to_be_bytes()));
        state.wake_body();
        state.wake_writer();
    }

    /// Waits until the socket's end has taken everything or is gone.
    pub(super) async fn finished(&self) {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            if state.finished {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl State {
    fn wake_body(&mut self) {
        if let Some(waker) = self.body.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// What leaves next. Frames are not interleaved: a batch has a head before each packet.
    fn next_piece(&mut self) -> Option<Bytes> {
        self.batch
            .pop_front()
            .or_else(|| self.pong.take())
            .or_else(|| self.ping.take())
            .or_else(|| self.close.take())
    }
}

impl MessageBody for PipeBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let mut state = self.0.borrow_mut();
        if let Some(piece) = state.next_piece() {
            return Poll::Ready(Some(Ok(piece)));
        }
        if state.ended {
            state.finished = true;
            state.wake_writer();
            return Poll::Ready(None);
        }
        state.body = Some(cx.waker().clone());
        if !state.wanted {
            state.wanted = true;
            state.wake_writer();
        }
        Poll::Pending
    }
}

impl Drop for PipeBody {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.finished = true;
        state.wake_writer();
    }
}

/// RFC 6455 §5.2, as a server writes it: final, not masked.
fn frame_head(opcode: u8, length: usize) -> Bytes {
    let mut head = BytesMut::with_capacity(MAX_HEAD_BYTES);
    head.put_u8(0x80 | opcode);
    match length {
        0..=125 => head.put_u8(length as u8),
        126..=0xffff => {
            head.put_u8(126);
            head.put_u16(length as u16);
        }
        _ => {
            head.put_u8(127);
            head.put_u64(length as u64);
        }
    }
    head.freeze()
}

fn whole_frame(opcode: u8, payload: &[u8]) -> Bytes {
    let head = frame_head(opcode, payload.len());
    [&head[..], payload].concat().into()
}

#[cfg(test)]
mod tests {
    use actix_http::ws::{Codec, Frame};
    use futures::FutureExt;
    use tokio_util::codec::Decoder;

    use super::*;

    /// What the socket takes until it would have to wait.
    fn take(body: &mut PipeBody) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            match Pin::new(&mut *body).poll_next(&mut cx) {
                Poll::Ready(Some(Ok(piece))) => bytes.extend_from_slice(&piece),
                Poll::Ready(None) => return (bytes, true),
                Poll::Pending => return (bytes, false),
            }
        }
    }

    fn frames(bytes: Vec<u8>) -> Vec<Frame> {
        let mut bytes = BytesMut::from(&bytes[..]);
        let mut codec = Codec::new().client_mode().max_size(1 << 20);
        let mut frames = Vec::new();
        while let Some(frame) = codec.decode(&mut bytes).expect("valid frames") {
            frames.push(frame);
        }
        frames
    }

    #[test]
    fn a_batch_is_asked_for_only_when_the_last_one_is_taken() {
        let (pipe, mut body) = pipe();
        assert_eq!(pipe.ready().now_or_never(), None, "nobody has asked yet");
        take(&mut body);
        assert_eq!(pipe.ready().now_or_never(), Some(Ok(())));
        let packets: Vec<Bytes> = [3, 126, 70_000].map(|length| vec![7; length].into()).into();
        let mut batch = Batch::default();
        for packet in &packets {
            batch.push(packet.clone());
        }
        assert!(batch.is_full());
        pipe.send(batch);
        assert_eq!(pipe.ready().now_or_never(), None);
        let taken = frames(take(&mut body).0);
        assert_eq!(taken, packets.into_iter().map(Frame::Binary).collect::<Vec<_>>());
        assert_eq!(pipe.ready().now_or_never(), Some(Ok(())));
    }

    #[test]
    fn control_frames_have_one_slot_each_and_do_not_split_a_batch() {
        let (pipe, mut body) = pipe();
        take(&mut body);
        let mut batch = Batch::default();
        batch.push(Bytes::from_static(b"packet"));
        pipe.send(batch);
        for count in 0..100_u8 {
            pipe.pong(&vec![count].into());
            pipe.ping();
        }
        pipe.end(Some(4001));
        pipe.end(Some(4002));
        let (bytes, ended) = take(&mut body);
        assert!(ended);
        let expected = [
            Frame::Binary(Bytes::from_static(b"packet")),
            Frame::Pong(Bytes::from_static(&[99])),
            Frame::Ping(Bytes::new()),
            Frame::Close(Some(actix_http::ws::CloseCode::Other(4001).into())),
        ];
        assert_eq!(frames(bytes), expected);
        assert_eq!(pipe.finished().now_or_never(), Some(()));
    }

    #[test]
    fn either_end_notices_that_the_other_is_gone() {
        let (writer, body) = pipe();
        drop(body);
        assert_eq!(writer.ready().now_or_never(), Some(Err(PipeClosed)));
        let (writer, mut body) = pipe();
        drop(writer);
        assert_eq!(take(&mut body), (Vec::new(), true));
    }
}
