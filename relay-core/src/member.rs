//! One connected session of this relay, as the media path sees it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use videocall_types::{Closing, SessionId, Timestamp};

use crate::arrival::ArrivalMeter;
use crate::downlink::Restriction;
use crate::outbox::Outbox;
use crate::pressure::Pressure;
use crate::rate::RateLimiter;
use crate::settings::MeetingSettings;
use crate::track::Track;

/// One connection of one session. A session that is resumed gets a new member.
#[derive(Debug)]
pub struct Member {
    session: SessionId,
    pub(crate) outbox: Outbox,
    /// The tracks it may send; read for every frame, replaced on changes.
    pub(crate) tracks: ArcSwap<Vec<Arc<Track>>>,
    pub(crate) upload: Mutex<RateLimiter>,
    /// What arrives, for this client's own estimate.
    pub(crate) arrivals: Mutex<ArrivalMeter>,
    closing: Mutex<Option<Closing>>,
    pressure: Arc<Pressure>,
}

impl Member {
    pub(crate) fn new(session: SessionId, settings: &MeetingSettings, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            session,
            outbox: Outbox::new(settings, now),
            tracks: ArcSwap::default(),
            upload: Mutex::new(RateLimiter::new(settings.limits.max_upload_bps, now)),
            arrivals: Mutex::default(),
            closing: Mutex::new(None),
            pressure: settings.pressure.clone(),
        })
    }

    /// The session this connection belongs to.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Why the meeting closes this connection, once it does. The outbox then ends with the same.
    pub fn closing(&self) -> Option<Closing> {
        self.closing.lock().clone()
    }

    /// What waits for this member.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// What is left out for this member at present: what its path does not carry, and what the relay
    /// does not manage.
    pub(crate) fn restriction(&self) -> Restriction {
        self.outbox.restriction().max(self.pressure.restriction())
    }

    /// Ends the connection with this; the first reason counts.
    pub(crate) fn close(&self, closing: Closing, now: Timestamp) {
        {
            let mut slot = self.closing.lock();
            if slot.is_some() {
                return;
            }
            *slot = Some(closing.clone());
        }
        self.outbox.close(closing, now);
    }
}
