//! Who may enter: the one place where identity and permission are decided, for both transports.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::RngExt as _;
use relay_core::JoinRequest;
use videocall_types::api::TransportKind;
use videocall_types::limits::PROTOCOL_VERSION;
use videocall_types::token::TokenUse;
use videocall_types::{CloseCode, Closing, Hello, Timestamp};

use crate::Relay;
use crate::ingress::Seat;

/// Sessions that a relay still has room for.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: AtomicUsize,
    limit: usize,
}

/// One taken place; free again when dropped.
pub(crate) struct Place(Arc<Seats>);

impl Seats {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            limit,
        })
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn take(self: &Arc<Self>) -> Option<Place> {
        let limit = self.limit;
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < limit).then_some(taken + 1)
            })
            .ok()
            .map(|_| Place(self.clone()))
    }
}

/// When somebody may come back for whom there is no room now, milliseconds: about as long as it takes
/// until that may have changed, and not all at the same moment.
const RETRY_AFTER_MS: std::ops::Range<u32> = 3_000..8_000;

/// A refusal that does not hold for long.
pub(crate) fn later(code: CloseCode) -> Closing {
    Closing {
        retry_after_ms: rand::rng().random_range(RETRY_AFTER_MS),
        ..Closing::new(code)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Relay {
    /// Seats a connection whose first message was this Hello.
    ///
    /// # Errors
    /// The refusal to send: version, token, a full relay or meeting, draining, overload.
    pub(crate) fn admit(
        self: &Arc<Self>,
        hello: Hello,
        transport: TransportKind,
        now: Timestamp,
    ) -> Result<Seat, Closing> {
        if self.is_draining() {
            return Err(Closing::new(CloseCode::Draining));
        }
        if hello.protocol_version != PROTOCOL_VERSION {
            return Err(Closing::with_message(
                CloseCode::VersionUnsupported,
                format!(
                    "The server speaks version {PROTOCOL_VERSION} of the protocol and this client \
                     version {}; reload or update it.",
                    hello.protocol_version
                ),
            ));
        }
        let claims = self.tokens().verify(&hello.token, TokenUse::Join)?;
        let resume = self.tokens().resumable(&claims, &hello.resume_token);
        let verified_at = self.clock().now();
        // Whoever was in the call before stays in it.
        if self.overload().is_busy() && resume.is_none() {
            return Err(later(CloseCode::Busy));
        }
        let place = self.seats().take().ok_or_else(|| later(CloseCode::RelayFull))?;
        let request = JoinRequest {
            user_id: claims.sub.clone(),
            display_name: claims.name.clone(),
            hello,
            resume,
        };
        let sign = |session| self.tokens().sign_resume(&claims, session);
        let (room, member) = self.join_room(&claims.meeting, request, &sign, now)?;
        tracing::info!(
            meeting = %claims.meeting,
            session = %member.session(),
            user = %claims.sub,
            %transport,
            "joined"
        );
        Ok(Seat {
            resumed: resume == Some(member.session()),
            room,
            member,
            verified_at,
            place,
        })
    }
}
