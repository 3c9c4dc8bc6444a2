//! A WebSocket as a carrier of packets.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use relay_runtime::{Carrier, ClassSet, Disconnect, Egress, Ingress};
use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::io::poll_read_buf;
use videocall_types::api::TransportKind;
use videocall_types::limits::{LIVENESS, MAX_CONTROL_BYTES, MAX_FRAME_BYTES};
use videocall_types::{CloseCode, Closing};

use super::decoder::{DecodeError, Decoder, Event, SizeLimits};
use super::writer::{MAX_SLICES, Next, Writer};

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
    sending: Mutex<Sending>,
}

struct Receiving {
    socket: OwnedReadHalf,
    buffer: BytesMut,
    decoder: Decoder,
}

struct Sending {
    socket: OwnedWriteHalf,
    writer: Writer,
    /// Whoever writes, while there was nothing to write.
    waiting: Option<Waker>,
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
            sending: Mutex::new(Sending {
                socket: writing,
                writer: Writer::default(),
                waiting: None,
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
                Event::Pong => ingress.alive(),
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

    /// Queues a control frame.
    fn say(&self, what: impl FnOnce(&mut Writer)) {
        let waiting = {
            let mut sending = self.sending.lock();
            what(&mut sending.writer);
            sending.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Writes what the source yields until it ends, or the close frame has left.
    fn poll_send(
        &self,
        mut source: impl FnMut(&mut Context<'_>) -> Poll<Option<Bytes>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Sending {
            socket,
            writer,
            waiting,
        } = &mut *self.sending.lock();
        // Once it has nothing more it wakes this task when it has; it need not be asked again.
        let mut exhausted = false;
        loop {
            let next = writer.fill(|| match exhausted {
                true => Poll::Pending,
                false => {
                    let next = source(cx);
                    exhausted = next.is_pending();
                    next
                }
            });
            match next {
                Next::Write => {
                    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                    let used = writer.slices(&mut slices);
                    let written = Pin::new(&mut *socket).poll_write_vectored(cx, &slices[..used]);
                    match ready!(written)? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        bytes => writer.advance(bytes),
                    }
                }
                Next::Wait => {
                    if !waiting
                        .as_ref()
                        .is_some_and(|waiting| waiting.will_wake(cx.waker()))
                    {
                        *waiting = Some(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
                Next::End => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Lets the close frame and what precedes it leave, and waits until the client has taken note: closing on
    /// top of bytes that nobody has read would reset the connection, and the reason could be lost with it
    /// (RFC 1122 §4.2.2.13).
    async fn part(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(|_| Poll::Ready(None), cx)).await?;
        poll_fn(|cx| Pin::new(&mut self.sending.lock().socket).poll_shutdown(cx)).await?;
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
        loop {
            tokio::select! {
                disconnect = poll_fn(|cx| self.poll_receive(ingress, cx)) => return disconnect,
                _ = pings.tick() => self.say(Writer::ping),
            }
        }
    }

    async fn write(&self, egress: &Arc<Egress>) -> Disconnect {
        let packets = |cx: &mut Context<'_>| {
            let next = ready!(egress.poll_next(ClassSet::ALL, cx));
            Poll::Ready(next.map(|outgoing| {
                egress.handed_over([(outgoing.class, outgoing.queued_at)]);
                outgoing.packet
            }))
        };
        match poll_fn(|cx| self.poll_send(packets, cx)).await {
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
