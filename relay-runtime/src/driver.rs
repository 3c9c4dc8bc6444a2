//! The life of one connection, the same on every transport: handshake, then reading, writing and
//! liveness side by side, then an end that both sides know the reason of.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use relay_core::Departure;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use videocall_types::{CloseCode, Closing};

use crate::{Carrier, Connection, Disconnect, Ingress, Limit, Relay};

/// How long the last message may take to be written. A peer that has stopped reading gets the close
/// code alone.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a session looks whether it was heard of, and whether the meeting closes it while its
/// writer is stuck. A tenth of the liveness time, so that death is noticed about when it is due.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

impl Relay {
    /// Serves one connection until it ends: waits for Hello, checks the token, joins the meeting,
    /// then passes packets both ways. Ends with a typed close unless the peer was first.
    pub async fn serve<C: Carrier>(self: Arc<Self>, carrier: C, connection: Connection) {
        let (transport, peer) = (carrier.transport(), carrier.peer());
        let ingress = Ingress::new(self.clone(), transport, peer, connection.refusal());
        let code = converse(&self, &carrier, &ingress, connection).await;
        ingress.meters().ended(code, ingress.seat().is_some());
        if let Some(limit) = code.and_then(Limit::behind) {
            self.note_exceeded(limit);
        }
        carrier.close(code.unwrap_or(CloseCode::Left)).await;
    }
}

/// How a connection ended, from the relay's point of view.
enum End {
    /// The peer is gone.
    Gone(Departure, String),
    /// The relay ends it with this, which is still to be said.
    Say(Closing, Departure),
    /// The meeting has ended it and said so.
    Said,
}

impl From<Disconnect> for End {
    fn from(disconnect: Disconnect) -> Self {
        match disconnect {
            Disconnect::Clean => Self::Gone(Departure::Left, "closed by the peer".to_owned()),
            Disconnect::Lost(reason) => Self::Gone(Departure::Lost, reason),
            Disconnect::Violation(closing) => Self::Say(closing, Departure::Left),
            Disconnect::Finished => Self::Said,
        }
    }
}

/// Returns the code to close with; `None` when the peer has gone by itself.
async fn converse<C: Carrier>(
    relay: &Relay,
    carrier: &C,
    ingress: &Ingress,
    mut connection: Connection,
) -> Option<CloseCode> {
    // On its own, so that it is polled when something has arrived and not whenever something leaves,
    // which is a hundred times as often for most people.
    let mut reading = FuturesUnordered::from_iter([carrier.read(ingress)]);
    let greeted = tokio::select! {
        biased;
        Some(disconnect) = reading.next() => Err(End::from(disconnect)),
        () = ingress.seated() => Ok(()),
        () = sleep_until(connection.accepted_at() + relay.settings().handshake_timeout()) => Err(say(CloseCode::HandshakeTimeout, Departure::Left)),
        () = relay.drained() => Err(say(CloseCode::Draining, Departure::Left)),
    };
    // Not before: a carrier may wait with its writing channel until the peer has opened it.
    let mut write = pin!(carrier.write(ingress.egress()));
    let end = match greeted {
        Err(end) => end,
        Ok(()) => {
            connection.is_known();
            ingress.meters().session_started();
            let end = tokio::select! {
                biased;
                Some(disconnect) = reading.next() => disconnect.into(),
                disconnect = &mut write => disconnect.into(),
                end = watch(relay, ingress) => end,
            };
            ingress.meters().session_ended();
            end
        }
    };
    conclude(relay, ingress, end, write).await
}

fn say(code: CloseCode, departure: Departure) -> End {
    End::Say(Closing::new(code), departure)
}

/// Ends when the peer was silent for too long, or the writer does not get the meeting's last message
/// out.
async fn watch(relay: &Relay, ingress: &Ingress) -> End {
    let liveness = Duration::from_millis(relay.limits().liveness_ms.into());
    let mut closing_since = None;
    loop {
        sleep(WATCH_INTERVAL).await;
        if relay.clock().now().since(ingress.heard_at()) >= liveness {
            return say(CloseCode::LivenessTimeout, Departure::Lost);
        }
        let closed = ingress.seat().is_some_and(|seat| seat.member.closing().is_some());
        if closed {
            let since = *closing_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= FLUSH_TIMEOUT {
                return End::Said;
            }
        }
    }
}

/// Leaves the meeting and says goodbye, as far as the peer still listens.
async fn conclude<W>(relay: &Relay, ingress: &Ingress, end: End, write: Pin<&mut W>) -> Option<CloseCode>
where
    W: Future<Output = Disconnect>,
{
    let (departure, reason, code) = match end {
        End::Gone(departure, reason) => (departure, reason, None),
        End::Said => {
            let closing = ingress.seat().and_then(|seat| seat.member.closing());
            let closing = closing.unwrap_or_else(|| Closing::new(CloseCode::InternalError));
            let resumable = closing.code.is_retryable();
            let departure = if resumable {
                Departure::Lost
            } else {
                Departure::Left
            };
            (departure, closing.message, Some(closing.code))
        }
        End::Say(closing, departure) => {
            let (code, message) = (closing.code, closing.message.clone());
            // Others learn of it at once; they do not wait for the goodbye to be written.
            leave(relay, ingress, departure);
            ingress.egress().finish(closing);
            let _peer_does_not_read = timeout(FLUSH_TIMEOUT, write).await;
            (departure, message, Some(code))
        }
    };
    leave(relay, ingress, departure);
    let session = ingress.seat().map(|seat| seat.member.session());
    tracing::info!(
        session = session.map(tracing::field::display),
        peer = %ingress.peer(),
        transport = %ingress.transport(),
        code = code.map(|code| code.number()),
        reason,
        "connection ended"
    );
    code
}

fn leave(relay: &Relay, ingress: &Ingress, how: Departure) {
    if let Some(seat) = ingress.seat() {
        seat.room.meeting().depart(&seat.member, how, relay.clock().now());
        seat.room.poke();
    }
}
