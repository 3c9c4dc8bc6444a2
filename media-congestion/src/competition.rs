//! Whether the queue is somebody else's.
//!
//! A sender that gives way to delay starves beside one that fills the queue until packets are lost. A
//! queue that stays although this sender has made room for a while is not its own; then loss is the
//! signal, as it is for the others (RFC 8298 §4.1.2.3 raises its aim for that, Copa §2.2 changes its
//! mode). The queue going away, be it for a moment in which this sender sends less, ends that.

use std::time::{Duration, Instant};

/// The queue has to stay for as long as this, and for so many round trips, in spite of sending less.
const PERSISTENCE: Duration = Duration::from_secs(1);
const ROUND_TRIPS: u32 = 3;

/// After this time the path is looked at anew: it may have become longer for good.
const LONGEST: Duration = Duration::from_secs(40);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Competition {
    /// Since when the queue has been too long, and the window that was in force then.
    crowded: Option<(Instant, f64)>,
    competing: Option<Instant>,
}

impl Competition {
    /// Takes how things stand. Says which window to begin with when competition has just been
    /// noticed.
    pub(crate) fn observe(
        &mut self,
        too_long: bool,
        window: f64,
        smoothed: Duration,
        now: Instant,
    ) -> Option<f64> {
        let ended = self
            .competing
            .is_some_and(|at| now.saturating_duration_since(at) > LONGEST);
        if !too_long || ended {
            *self = Self::default();
            return None;
        }
        let (since, before) = *self.crowded.get_or_insert((now, window));
        let patience = PERSISTENCE.max(smoothed * ROUND_TRIPS);
        if self.competing.is_some() || now.saturating_duration_since(since) < patience {
            return None;
        }
        self.competing = Some(now);
        Some(before)
    }

    pub(crate) const fn competing(&self) -> bool {
        self.competing.is_some()
    }
}
