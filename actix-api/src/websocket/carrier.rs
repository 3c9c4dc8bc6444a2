//! A WebSocket as a carrier of packets.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use relay_runtime::{Carrier, ClassSet, Disconnect, Egress, Ingress, fan_out};
use socket2::SockRef;
use tokio::io::{AsyncWrite as _, Interest};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::io::poll_read_buf;
use videocall_types::api::TransportKind;
use videocall_types::limits::{LIVENESS, MAX_CONTROL_BYTES, MAX_FRAME_BYTES};
use videocall_types::{CloseCode, Closing};

use super::decoder::{DecodeError, Decoder, Event, SizeLimits};
use super::writer::Writer;

/// How often the server asks for a sign of life. A browser answers even while it holds back the timers
/// of a page in the background; two answers may be late before the peer counts as dead.
const PING_INTERVAL: Duration = Duration::from_millis(LIVENESS.as_millis() as u64 / 3);

/// How long the last message and the close frame may take to leave. A healthy path needs one round
/// trip; for a dead one there is nothing to wait for.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// RFC 6455 §7.4.1: the purpose of the connection is fulfilled.
const NORMAL: u16 = 1000;

/// RFC 6455 §7.4.1: the page was left.
const GOING_AWAY: u16 = 1001;

/// Before the greeting: a stranger cannot make the server hold as much as a member.
const STRANGER_LIMITS: SizeLimits = SizeLimits {
    frame: MAX_CONTROL_BYTES,
    control: MAX_CONTROL_BYTES,
};

/// Once the first packet, which is the greeting, was accepted.
const MEMBER_LIMITS: SizeLimits = SizeLimits {
    frame: MAX_FRAME_BYTES,
    control: MAX_CONTROL_BYTES,
};

/// Bytes read at a time: a picture of a camera.
const READ_BYTES: usize = 8 * 1024;

/// One connection.
pub(super) struct WebSocketCarrier {
    peer: IpAddr,
    receiving: Mutex<Receiving>,
    sending: Arc<Sending>,
}

struct Receiving {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    decoder: Decoder,
}

struct Sending {
    outlet: Mutex<Outlet>,
    /// Whoever writes.
    task: AtomicWaker,
}

struct Outlet {
    socket: OwnedWriteHalf,
    writer: Writer,
}

impl WebSocketCarrier {
    /// `read` is what the client has sent behind its request already.
    pub(super) fn new(stream: TcpStream, read: Bytes, peer: IpAddr) -> Self {
        let (reading, writing) = stream.into_split();
        let mut decoder = Decoder::new(STRANGER_LIMITS);
        decoder.push(read);
        Self {
            peer,
            receiving: Mutex::new(Receiving {
                socket: reading,
                buffer: BytesMut::new(),
                decoder,
            }),
            sending: Arc::new(Sending {
                outlet: Mutex::new(Outlet {
                    socket: writing,
                    writer: Writer::new(Instant::now().into_std()),
                }),
                task: AtomicWaker::new(),
            }),
        }
    }

    /// Handles what the client has sent, as long as it listens to the rules.
    fn poll_receive(&self, ingress: &Ingress, cx: &mut Context<'_>) -> Poll<Disconnect> {
        let receiving = &mut *self.receiving.lock();
        loop {
            if let Err(disconnect) = self.take(&mut receiving.decoder, ingress) {
                return Poll::Ready(disconnect);
            }
            receiving.buffer.reserve(READ_BYTES);
            let socket = Pin::new(&mut receiving.socket);
            match ready!(poll_read_buf(socket, cx, &mut receiving.buffer)) {
                Ok(0) => {
                    let reason = "the connection ended without a close frame".to_owned();
                    return Poll::Ready(Disconnect::Lost(reason));
                }
                Ok(_) => receiving.decoder.push(receiving.buffer.split().freeze()),
                Err(error) => return Poll::Ready(Disconnect::Lost(error.to_string())),
            }
        }
    }

    /// Handles everything that is complete with what was read.
    fn take(&self, decoder: &mut Decoder, ingress: &Ingress) -> Result<(), Disconnect> {
        while let Some(event) = decoder.next_event().map_err(violation)? {
            match event {
                Event::Packet(packet) => {
                    ingress.packet(&packet)?;
                    decoder.set_limits(MEMBER_LIMITS);
                }
                Event::Ping(payload) => {
                    ingress.alive();
                    self.say(|writer| writer.pong(payload));
                }
                Event::Pong(payload) => {
                    ingress.alive();
                    self.answered(&payload, ingress);
                }
                Event::Close(code) => return Err(self.closed_by_peer(code)),
            }
        }
        Ok(())
    }

    /// RFC 6455 §5.5.1: a close frame is answered with one.
    fn closed_by_peer(&self, code: Option<u16>) -> Disconnect {
        self.say(|writer| writer.end(NORMAL));
        match code {
            // Without a code a program closed its socket deliberately.
            None | Some(NORMAL | GOING_AWAY) => Disconnect::Clean,
            Some(code) if CloseCode::from_websocket(code) == Some(CloseCode::Left) => Disconnect::Clean,
            Some(code) => Disconnect::Lost(format!("the client closed with code {code}")),
        }
    }

    /// Takes the answer to a ping, which may make room on the path.
    fn answered(&self, payload: &[u8], ingress: &Ingress) {
        let now = Instant::now().into_std();
        let writer = &mut self.sending.outlet.lock().writer;
        let may_have_room = writer.answered(payload, now);
        if let Some(rate) = writer.path_rate() {
            ingress.path_rate(rate.saturating_mul(8));
        }
        if may_have_room {
            self.sending.task.wake();
        }
    }

    /// Queues a control frame.
    fn say(&self, what: impl FnOnce(&mut Writer)) {
        what(&mut self.sending.outlet.lock().writer);
        self.sending.task.wake();
    }

    /// Lets the close frame and what precedes it leave, and waits until the client has taken note: closing on
    /// top of bytes that nobody has read would reset the connection, and the reason could be lost with it
    /// (RFC 1122 §4.2.2.13).
    async fn part(&self) -> io::Result<()> {
        poll_fn(|cx| self.sending.poll(|_| Poll::Ready(None), cx)).await?;
        poll_fn(|cx| Pin::new(&mut self.sending.outlet.lock().socket).poll_shutdown(cx)).await?;
        poll_fn(|cx| {
            let receiving = &mut *self.receiving.lock();
            loop {
                receiving.buffer.clear();
                receiving.buffer.reserve(READ_BYTES);
                let socket = Pin::new(&mut receiving.socket);
                if ready!(poll_read_buf(socket, cx, &mut receiving.buffer))? == 0 {
                    return Poll::Ready(Ok(()));
                }
            }
        })
        .await
    }
}

impl Sending {
    /// Writes what the source yields until it ends, or the close frame has left.
    fn poll(
        &self,
        source: impl FnMut(ClassSet) -> Poll<Option<Bytes>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        // First, so that whoever finds the outlet taken can rely on another look.
        self.task.register(cx.waker());
        let Outlet { socket, writer } = &mut *self.outlet.lock();
        writer.drain(Instant::now().into_std(), source, |slices| {
            Pin::new(&mut *socket).poll_write_vectored(cx, slices)
        })
    }

    /// As [`Sending::poll`], as far as that can be done now. The task is woken for the rest.
    fn write_now(&self, source: impl FnMut(ClassSet) -> Poll<Option<Bytes>>) {
        let Some(mut outlet) = self.outlet.try_lock() else {
            return self.task.wake();
        };
        let Outlet { socket, writer } = &mut *outlet;
        let mut full = false;
        let drained = writer.drain(Instant::now().into_std(), source, |slices| {
            match send_now(socket, slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    full = true;
                    Poll::Pending
                }
                written => Poll::Ready(written),
            }
        });
        drop(outlet);
        if full || drained.is_ready() {
            self.task.wake();
        }
    }
}

/// As long as answers to pings are read; what leaves after that must not wait for them.
struct Listening<'a>(&'a Sending);

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.outlet.lock().writer.unheard();
        self.0.task.wake();
    }
}

/// Writes packets as soon as they are there: where they are being given to their receivers, so that no task has to
/// be scheduled for it, and otherwise has the task do it.
struct Prompt {
    sending: Arc<Sending>,
    egress: Arc<Egress>,
    bell: Waker,
}

impl Prompt {
    fn new(sending: Arc<Sending>, egress: Arc<Egress>) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            sending,
            egress,
            bell: Waker::from(Arc::new(Bell(this.clone()))),
        })
    }

    fn next_packet(&self, classes: ClassSet) -> Poll<Option<Bytes>> {
        let mut context = Context::from_waker(&self.bell);
        let next = ready!(self.egress.poll_next(classes, &mut context));
        Poll::Ready(next.map(|outgoing| {
            self.egress.handed_over([(outgoing.class, outgoing.queued_at)]);
            outgoing.packet
        }))
    }
}

impl fan_out::Writer for Prompt {
    fn write_now(&self) {
        self.sending.write_now(|classes| self.next_packet(classes));
    }

    fn write_later(&self) {
        self.sending.task.wake();
    }
}

/// What an outbox rings. It keeps nothing of the connection, and rings in vain once nobody writes any more.
struct Bell(Weak<Prompt>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(prompt) = self.0.upgrade() {
            fan_out::write(prompt);
        }
    }
}

/// `sendmsg`, where `writev` would look for a file's position first.
fn send_now(socket: &OwnedWriteHalf, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let stream: &TcpStream = socket.as_ref();
    stream.try_io(Interest::WRITABLE, || SockRef::from(stream).send_vectored(slices))
}

impl Carrier for WebSocketCarrier {
    fn transport(&self) -> TransportKind {
        TransportKind::WebSocket
    }

    fn peer(&self) -> IpAddr {
        self.peer
    }

    async fn read(&self, ingress: &Ingress) -> Disconnect {
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let _listening = Listening(&self.sending);
        loop {
            tokio::select! {
                disconnect = poll_fn(|cx| self.poll_receive(ingress, cx)) => return disconnect,
                _ = pings.tick() => self.say(Writer::ping),
            }
        }
    }

    async fn write(&self, egress: &Arc<Egress>) -> Disconnect {
        let prompt = Prompt::new(self.sending.clone(), egress.clone());
        match poll_fn(|cx| self.sending.poll(|classes| prompt.next_packet(classes), cx)).await {
            Ok(()) => Disconnect::Finished,
            Err(error) => Disconnect::Lost(error.to_string()),
        }
    }

    async fn close(&self, code: CloseCode) {
        self.say(|writer| writer.end(code.websocket()));
        // Later than that, the connection is dropped with whatever it still holds.
        let _told = timeout(CLOSE_TIMEOUT, self.part()).await;
    }
}

fn violation(error: DecodeError) -> Disconnect {
    Disconnect::Violation(Closing::with_message(error.close_code(), error.to_string()))
}
