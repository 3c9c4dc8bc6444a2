//! What arrives on one connection: the first packet seats it in a meeting, the rest are handed to
//! that meeting.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use relay_core::Member;
use tokio_util::sync::CancellationToken;
use videocall_types::api::TransportKind;
use videocall_types::limits::{CONTROL_RATE_WINDOW, MAX_CONTROL_BYTES, MAX_FRAME_BYTES, UPLOAD_RATE_WINDOW};
use videocall_types::{
    ClientMessage, CloseCode, Closing, Hello, MediaClass, StreamError, Timestamp, is_frame,
};

use crate::admission::{Place, later};
use crate::meters::{CarrierMeters, Limit};
use crate::rate::Rate;
use crate::room::Room;
use crate::traces::{Entry, Seated};
use crate::{Egress, Relay, fan_out};

/// Takes the packets of one connection. Every call is short and waits for nothing: media is fanned
/// out inside it, straight into the outboxes of those who receive it.
pub struct Ingress {
    relay: Arc<Relay>,
    transport: TransportKind,
    peer: IpAddr,
    meters: Arc<CarrierMeters>,
    egress: Arc<Egress>,
    accepted_at: Timestamp,
    /// Microseconds on the relay's clock.
    heard_at: AtomicU64,
    control_rate: Mutex<Rate>,
    packet_rate: Mutex<Rate>,
    /// Why the greeting is refused, whatever it says.
    refusal: Option<CloseCode>,
    seat: OnceLock<Seat>,
    /// Cancelled once there is a seat.
    seated: CancellationToken,
}

/// A place in a meeting.
pub(crate) struct Seat {
    pub(crate) room: Arc<Room>,
    pub(crate) member: Arc<Member>,
    /// The session was there before this connection.
    pub(crate) resumed: bool,
    /// When the token turned out to be good.
    pub(crate) verified_at: Timestamp,
    /// Counts against the sessions of the relay as long as the connection lasts.
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) place: Place,
}

impl Ingress {
    pub(crate) fn new(
        relay: Arc<Relay>,
        transport: TransportKind,
        peer: IpAddr,
        refusal: Option<CloseCode>,
    ) -> Self {
        let now = relay.clock().now();
        let meters = relay.meters().carrier(transport);
        let per_second = relay.limits().max_control_per_second.into();
        let packets = relay.settings().max_packets_per_second();
        Self {
            egress: Arc::new(Egress::new(
                *relay.clock(),
                meters.clone(),
                relay.overload().traffic().clone(),
            )),
            control_rate: Mutex::new(Rate::new(per_second, CONTROL_RATE_WINDOW, now)),
            packet_rate: Mutex::new(Rate::new(packets, UPLOAD_RATE_WINDOW, now)),
            accepted_at: now,
            heard_at: AtomicU64::new(now.as_micros()),
            relay,
            transport,
            peer,
            meters,
            refusal,
            seat: OnceLock::new(),
            seated: CancellationToken::new(),
        }
    }

    /// A packet, control or media, from a channel that carries both.
    ///
    /// # Errors
    /// When the connection has to be closed; hand it to the driver as
    /// [`crate::Disconnect::Violation`].
    pub fn packet(&self, packet: &Bytes) -> Result<(), Closing> {
        if is_frame(packet) {
            return self.media(packet);
        }
        let now = self.heard();
        self.meters.received(MediaClass::Control, packet.len());
        self.relay.overload().traffic().received(packet.len());
        if !self.control_rate.lock().take(1, now) {
            self.relay.note_exceeded(Limit::ControlPerSession);
            return Err(Closing::with_message(
                CloseCode::RateExceeded,
                "This client sends more messages than the server takes.",
            ));
        }
        let message = ClientMessage::decode(packet)
            .map_err(|error| Closing::with_message(error.close_code(), format!("{error}.")))?;
        match (self.seat.get(), message) {
            (Some(_), ClientMessage::Report(report)) => {
                self.meters.reported(report);
                Ok(())
            }
            (Some(seat), message) => {
                let told = seat.room.meeting().control(&seat.member, message, now);
                seat.room.poke();
                told
            }
            (None, ClientMessage::Hello(hello)) => self.enter(*hello, now),
            (None, _) => Err(not_greeted()),
        }
    }

    /// A packet from a channel that carries media only: a datagram, a stream of frames.
    ///
    /// # Errors
    /// As [`Ingress::packet`].
    pub fn media(&self, packet: &Bytes) -> Result<(), Closing> {
        let now = self.heard();
        let seat = self.seat.get().ok_or_else(not_greeted)?;
        self.relay.overload().traffic().received(packet.len());
        let taken = fan_out::run(|| seat.room.meeting().media(&seat.member, packet, now));
        match &taken {
            Ok(class) => self.meters.received(*class, packet.len()),
            Err(closing) if closing.code == CloseCode::RateExceeded => {
                self.relay.note_exceeded(Limit::UploadPerSession);
            }
            Err(_) => {}
        }
        taken.map(|_| ())
    }

    /// The peer showed a sign of life that is not a packet, such as a WebSocket's pong.
    pub fn alive(&self) {
        self.heard();
    }

    /// So many packets of the carrier's own protocol have arrived since the last time, whatever is in them: each
    /// is work, also one that brings nothing.
    ///
    /// # Errors
    /// As [`Ingress::packet`].
    pub fn arrived(&self, packets: u64) -> Result<(), Closing> {
        if self.packet_rate.lock().take(packets, self.relay.clock().now()) {
            return Ok(());
        }
        self.relay.note_exceeded(Limit::UploadPerSession);
        Err(Closing::with_message(
            CloseCode::RateExceeded,
            "This client sends more packets than the server takes.",
        ))
    }

    /// What the path to the peer carries as far as the carrier knows, bits per second; of one that is
    /// not used to the full it is known too low.
    pub fn path_rate(&self, bits_per_second: u64) {
        if let Some(seat) = self.seat.get() {
            seat.member.outbox().set_path_rate(bits_per_second);
        }
    }

    /// Bytes of the largest control packet, for the decoder of a control stream.
    pub const fn max_control_bytes(&self) -> usize {
        MAX_CONTROL_BYTES
    }

    /// Bytes of the largest media packet, for the decoder of a media stream.
    pub const fn max_frame_bytes(&self) -> usize {
        MAX_FRAME_BYTES
    }

    /// What to close with when the stream of control packets cannot be read on.
    pub fn control_stream_error(error: &StreamError) -> Closing {
        stream_error(error, CloseCode::ControlTooLarge)
    }

    /// What to close with when a stream of media packets cannot be read on.
    pub fn media_stream_error(error: &StreamError) -> Closing {
        stream_error(error, CloseCode::FrameTooLarge)
    }

    pub(crate) fn transport(&self) -> TransportKind {
        self.transport
    }

    pub(crate) fn meters(&self) -> &CarrierMeters {
        &self.meters
    }

    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    pub(crate) fn egress(&self) -> &Arc<Egress> {
        &self.egress
    }

    pub(crate) fn seat(&self) -> Option<&Seat> {
        self.seat.get()
    }

    /// Ready once the peer is in a meeting. Before, it may send nothing but its Hello, and a carrier
    /// need not read anything else.
    pub async fn seated(&self) {
        self.seated.cancelled().await;
    }

    pub(crate) fn heard_at(&self) -> Timestamp {
        Timestamp::from_micros(self.heard_at.load(Ordering::Relaxed))
    }

    fn heard(&self) -> Timestamp {
        let now = self.relay.clock().now();
        self.heard_at.store(now.as_micros(), Ordering::Relaxed);
        now
    }

    fn enter(&self, hello: Hello, now: Timestamp) -> Result<(), Closing> {
        if let Some(code) = self.refusal {
            return Err(later(code));
        }
        let mut entry = Entry::begin(&hello.token, self.transport, self.accepted_at, now);
        let seat = match self.relay.admit(hello, self.transport, now) {
            Ok(seat) => seat,
            Err(closing) => {
                if let Some(entry) = entry {
                    entry.refused(closing.code, self.relay.clock().now());
                }
                return Err(closing);
            }
        };
        if let Some(entry) = &mut entry {
            entry.seated(Seated {
                session: seat.member.session(),
                resumed: seat.resumed,
                verified_at: seat.verified_at,
                joined_at: self.relay.clock().now(),
            });
        }
        self.egress.seat(seat.room.clone(), seat.member.clone(), entry);
        let taken = self.seat.set(seat);
        debug_assert!(
            taken.is_ok(),
            "packets of one connection arrive one after the other"
        );
        self.seated.cancel();
        Ok(())
    }
}

fn not_greeted() -> Closing {
    Closing::with_message(
        CloseCode::ProtocolError,
        "The first message of a client is Hello.",
    )
}

fn stream_error(error: &StreamError, too_large: CloseCode) -> Closing {
    let code = match error {
        StreamError::BadLength => CloseCode::MalformedPacket,
        StreamError::TooLarge { .. } => too_large,
    };
    Closing::with_message(code, format!("{error}."))
}
