//! A WebSocket as a carrier of packets.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::web::Payload;
use bytes::Bytes;
use futures::Stream;
use relay_runtime::{Carrier, ClassSet, Disconnect, Egress, Ingress};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use videocall_types::api::TransportKind;
use videocall_types::limits::{LIVENESS, MAX_CONTROL_BYTES, MAX_FRAME_BYTES};
use videocall_types::{CloseCode, Closing};

use super::decoder::{DecodeError, Decoder, Event, SizeLimits};
use super::pipe::{Pipe, PipeClosed};

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

/// One connection, on the thread that accepted it.
pub(super) struct WebSocketCarrier {
    peer: IpAddr,
    pipe: Pipe,
    incoming: RefCell<Payload>,
    decoder: RefCell<Decoder>,
}

impl WebSocketCarrier {
    pub(super) fn new(incoming: Payload, pipe: Pipe, peer: IpAddr) -> Self {
        Self {
            peer,
            pipe,
            incoming: RefCell::new(incoming),
            decoder: RefCell::new(Decoder::new(STRANGER_LIMITS)),
        }
    }

    /// The next bytes from the client.
    async fn chunk(&self) -> Result<Bytes, Disconnect> {
        let chunk = poll_fn(|cx| Pin::new(&mut *self.incoming.borrow_mut()).poll_next(cx)).await;
        match chunk {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(error)) => Err(Disconnect::Lost(error.to_string())),
            None => Err(Disconnect::Lost(
                "the connection ended without a close frame".into(),
            )),
        }
    }

    /// Handles everything that is complete with this chunk.
    fn take(&self, chunk: Bytes, ingress: &Ingress) -> Result<(), Disconnect> {
        let mut decoder = self.decoder.borrow_mut();
        decoder.push(chunk);
        while let Some(event) = decoder.next_event().map_err(violation)? {
            match event {
                Event::Packet(packet) => {
                    ingress.packet(&packet)?;
                    decoder.set_limits(MEMBER_LIMITS);
                }
                Event::Ping(payload) => {
                    ingress.alive();
                    self.pipe.pong(&payload);
                }
                Event::Pong => ingress.alive(),
                Event::Close(code) => return Err(self.closed_by_peer(code)),
            }
        }
        Ok(())
    }

    /// RFC 6455 §5.5.1: a close frame is answered with one.
    fn closed_by_peer(&self, code: Option<u16>) -> Disconnect {
        self.pipe.end(Some(NORMAL));
        match code {
            // Without a code a program closed its socket deliberately.
            None | Some(NORMAL | GOING_AWAY) => Disconnect::Clean,
            Some(code) if CloseCode::from_websocket(code) == Some(CloseCode::Left) => Disconnect::Clean,
            Some(code) => Disconnect::Lost(format!("the client closed with code {code}")),
        }
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
            let handled = tokio::select! {
                chunk = self.chunk() => chunk.and_then(|chunk| self.take(chunk, ingress)),
                _ = pings.tick() => {
                    self.pipe.ping();
                    Ok(())
                }
            };
            if let Err(disconnect) = handled {
                return disconnect;
            }
        }
    }

    async fn write(&self, egress: &Arc<Egress>) -> Disconnect {
        let egress = egress.clone();
        let packets = move |cx: &mut Context<'_>| {
            let next = ready!(egress.poll_next(ClassSet::ALL, cx));
            Poll::Ready(next.map(|outgoing| {
                egress.handed_over([(outgoing.class, outgoing.queued_at)]);
                outgoing.packet
            }))
        };
        match self.pipe.drain(packets).await {
            Ok(()) => Disconnect::Finished,
            Err(PipeClosed) => Disconnect::Lost("the connection closed".into()),
        }
    }

    async fn close(&self, code: CloseCode) {
        self.pipe.end(Some(code.websocket()));
        // Later than that, the connection is dropped with whatever it still holds.
        let _ = timeout(CLOSE_TIMEOUT, self.pipe.finished()).await;
    }
}

fn violation(error: DecodeError) -> Disconnect {
    Disconnect::Violation(Closing::with_message(error.close_code(), error.to_string()))
}
