//! The way from the session's packets to the socket, without a queue of its own.
//!
//! The connection's task takes packets from their source, the relay's bounded outbox, when the socket
//! has room for them and not before: what the socket has not taken can still be dropped by importance.
//! In flight are the HTTP dispatcher's write buffer and the socket's. That task is also the one that is
//! woken by a new packet, so that nothing has to pass from one task to another. Answers to pings, our own
//! pings and the close frame overtake packets; there is one slot for each.
//!
//! Both ends live on one thread: the worker that accepted the connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::body::{BodySize, MessageBody};
use bytes::{BufMut, Bytes, BytesMut};

use super::opcode;

/// The longest head of a frame from a server: two bytes and eight of length.
const MAX_HEAD_BYTES: usize = 10;

/// Heads are cut from blocks of this many bytes, some hundred from each.
const HEAD_BLOCK: usize = 1024;

/// Yields packets until there will be no more. It is asked by the connection's task.
type Source = Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<Bytes>>>;

/// The connection was gone before everything was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PipeClosed;

/// The session's end.
pub(super) struct Pipe(Rc<RefCell<State>>);

/// The socket's end: the body of the response that upgraded the connection.
pub(super) struct PipeBody(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    source: Option<Source>,
    /// What follows the head that has just left.
    payload: Option<Bytes>,
    heads: BytesMut,
    /// Only the newest ping has to be answered (RFC 6455 §5.5.3).
    pong: Option<Bytes>,
    ping: Option<Bytes>,
    close: Option<Bytes>,
    /// Nothing follows what is there.
    ended: bool,
    /// The socket's end has handed out its last byte, or is gone.
    finished: bool,
    session: Option<Waker>,
    body: Option<Waker>,
}

/// Both ends.
pub(super) fn pipe() -> (Pipe, PipeBody) {
    let state = Rc::new(RefCell::new(State::default()));
    (Pipe(state.clone()), PipeBody(state))
}

impl Pipe {
    /// Lets the socket take packets from a source, each as one binary message, until the source has
    /// ended or this is dropped. Their bytes are not copied.
    ///
    /// # Errors
    /// When the connection has ended before.
    pub(super) async fn drain(
        &self,
        source: impl FnMut(&mut Context<'_>) -> Poll<Option<Bytes>> + 'static,
    ) -> Result<(), PipeClosed> {
        let _feeding = Feeding(self);
        {
            let mut state = self.0.borrow_mut();
            state.source = Some(Box::new(source));
            state.wake_body();
        }
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            if state.finished || state.ended {
                return Poll::Ready(Err(PipeClosed));
            }
            if state.source.is_none() {
                return Poll::Ready(Ok(()));
            }
            state.session = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
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
        state.wake_session();
    }

    /// Waits until the socket's end has taken everything or is gone.
    pub(super) async fn finished(&self) {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            if state.finished {
                return Poll::Ready(());
            }
            state.session = Some(cx.waker().clone());
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

/// While it lives, the socket may take from the source.
struct Feeding<'a>(&'a Pipe);

impl Drop for Feeding<'_> {
    fn drop(&mut self) {
        self.0.0.borrow_mut().source = None;
    }
}

impl State {
    fn wake_body(&mut self) {
        if let Some(waker) = self.body.take() {
            waker.wake();
        }
    }

    fn wake_session(&mut self) {
        if let Some(waker) = self.session.take() {
            waker.wake();
        }
    }

    /// What leaves next. A packet follows its head at once.
    fn next_piece(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        if let Some(payload) = self.payload.take() {
            return Some(payload);
        }
        if let Some(control) = self.pong.take().or_else(|| self.ping.take()) {
            return Some(control);
        }
        if self.ended {
            return self.close.take();
        }
        match self.source.as_mut()?(cx) {
            Poll::Ready(Some(packet)) => {
                let head = self.head(packet.len());
                self.payload = Some(packet);
                Some(head)
            }
            Poll::Ready(None) => {
                self.source = None;
                self.wake_session();
                None
            }
            Poll::Pending => None,
        }
    }

    fn head(&mut self, length: usize) -> Bytes {
        if self.heads.capacity() < MAX_HEAD_BYTES {
            self.heads = BytesMut::with_capacity(HEAD_BLOCK);
        }
        put_frame_head(&mut self.heads, opcode::BINARY, length);
        self.heads.split().freeze()
    }
}

impl MessageBody for PipeBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let mut state = self.0.borrow_mut();
        if let Some(piece) = state.next_piece(cx) {
            return Poll::Ready(Some(Ok(piece)));
        }
        if state.ended {
            state.finished = true;
            state.wake_session();
            return Poll::Ready(None);
        }
        if !state
            .body
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            state.body = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for PipeBody {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.finished = true;
        state.wake_session();
    }
}

/// RFC 6455 §5.2, as a server writes it: final, not masked.
fn put_frame_head(head: &mut BytesMut, opcode: u8, length: usize) {
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
}

fn whole_frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(MAX_HEAD_BYTES + payload.len());
    put_frame_head(&mut frame, opcode, payload.len());
    frame.put_slice(payload);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

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

    /// Packets that are there, and whether others may come.
    fn source(
        packets: &Rc<RefCell<VecDeque<Bytes>>>,
        goes_on: bool,
    ) -> impl FnMut(&mut Context<'_>) -> Poll<Option<Bytes>> + 'static {
        let packets = packets.clone();
        move |_: &mut Context<'_>| match packets.borrow_mut().pop_front() {
            None if goes_on => Poll::Pending,
            next => Poll::Ready(next),
        }
    }

    fn waiting(lengths: &[usize]) -> Rc<RefCell<VecDeque<Bytes>>> {
        let packets = lengths.iter().map(|&length| vec![7; length].into());
        Rc::new(RefCell::new(packets.collect()))
    }

    #[test]
    fn packets_leave_when_the_socket_asks_and_stay_where_they_are_before() {
        let (pipe, mut body) = pipe();
        let packets = waiting(&[3, 126, 70_000]);
        let expected: Vec<Frame> = packets.borrow().iter().cloned().map(Frame::Binary).collect();
        let mut draining = pin!(pipe.drain(source(&packets, false)));
        assert_eq!(draining.as_mut().now_or_never(), None);
        assert_eq!(packets.borrow().len(), 3, "nobody has asked yet");
        assert_eq!(frames(take(&mut body).0), expected);
        assert_eq!(draining.now_or_never(), Some(Ok(())));
    }

    #[test]
    fn a_new_source_and_a_control_frame_wake_the_socket() {
        let (pipe, mut body) = pipe();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut body).poll_next(&mut cx).is_pending());
        let packets = waiting(&[]);
        let mut draining = pin!(pipe.drain(source(&packets, true)));
        assert_eq!(draining.as_mut().now_or_never(), None);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(Pin::new(&mut body).poll_next(&mut cx).is_pending());
        pipe.ping();
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn control_frames_have_one_slot_each_and_do_not_split_a_packet() {
        let (pipe, mut body) = pipe();
        let packets = waiting(&[6]);
        let mut draining = pin!(pipe.drain(source(&packets, true)));
        assert_eq!(draining.as_mut().now_or_never(), None);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Ok(head))) = Pin::new(&mut body).poll_next(&mut cx) else {
            panic!("a packet waits");
        };
        for count in 0..100_u8 {
            pipe.pong(&vec![count].into());
            pipe.ping();
        }
        pipe.end(Some(4001));
        pipe.end(Some(4002));
        let (rest, ended) = take(&mut body);
        assert!(ended);
        let expected = [
            Frame::Binary(Bytes::from_static(&[7; 6])),
            Frame::Pong(Bytes::from_static(&[99])),
            Frame::Ping(Bytes::new()),
            Frame::Close(Some(actix_http::ws::CloseCode::Other(4001).into())),
        ];
        assert_eq!(frames([&head[..], &rest].concat()), expected);
        assert_eq!(draining.now_or_never(), Some(Err(PipeClosed)));
        assert_eq!(pipe.finished().now_or_never(), Some(()));
    }

    #[test]
    fn a_session_that_stops_draining_takes_its_source_back() {
        let (pipe, mut body) = pipe();
        let packets = waiting(&[1]);
        assert_eq!(pipe.drain(source(&packets, true)).now_or_never(), None);
        assert_eq!(take(&mut body), (Vec::new(), false));
        assert_eq!(packets.borrow().len(), 1);
    }

    #[test]
    fn either_end_notices_that_the_other_is_gone() {
        let (session, body) = pipe();
        drop(body);
        let draining = session.drain(source(&waiting(&[]), true));
        assert_eq!(draining.now_or_never(), Some(Err(PipeClosed)));
        let (session, mut body) = pipe();
        drop(session);
        assert_eq!(take(&mut body), (Vec::new(), true));
    }
}
