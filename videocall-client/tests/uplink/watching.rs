//! The path from the relay to somebody who watches, and what comes of the pictures there.

use std::time::Duration;

use relay_core::Outgoing;
use videocall_types::{MediaClass, Timestamp};

/// The socket takes what the path carries within this time, and no more.
const SOCKET: Duration = Duration::from_millis(20);

/// What a watcher has seen since [`Watching::forget`].
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) pictures: usize,
    /// The longest time without a new picture.
    pub(crate) longest_pause: Duration,
    /// How long pictures had to wait at the relay.
    pub(crate) waited_p95: Duration,
    /// Bits of everything that came.
    pub(crate) bits: f64,
    /// Pictures of each layer.
    pub(crate) of_layer: [usize; 3],
}

/// A receiver behind a path of a fixed rate.
#[derive(Debug)]
pub(crate) struct Watching {
    /// Bits per second; without, everything goes.
    pub(crate) rate: Option<f64>,
    /// Bits that the socket holds, as of the last look.
    held: f64,
    looked_at: Timestamp,
    newest: Timestamp,
    waited: Vec<Duration>,
    longest_pause: Duration,
    bits: f64,
    of_layer: [usize; 3],
}

impl Watching {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            rate: None,
            held: 0.0,
            looked_at: now,
            newest: now,
            waited: Vec::new(),
            longest_pause: Duration::ZERO,
            bits: 0.0,
            of_layer: [0; 3],
        }
    }

    /// Whether the socket takes anything more now.
    pub(crate) fn has_room(&mut self, now: Timestamp) -> bool {
        let Some(rate) = self.rate else {
            (self.held, self.looked_at) = (0.0, now);
            return true;
        };
        self.held = (self.held - rate * now.since(self.looked_at).as_secs_f64()).max(0.0);
        self.looked_at = now;
        self.held < rate * SOCKET.as_secs_f64()
    }

    pub(crate) fn take(&mut self, outgoing: &Outgoing, now: Timestamp) {
        let bits = outgoing.packet.len() as f64 * 8.0;
        self.held += bits;
        self.bits += bits;
        let is_picture = matches!(
            outgoing.class,
            MediaClass::VideoBase | MediaClass::VideoEnhancement
        );
        if let Some(layer) = outgoing.layer.filter(|_| is_picture) {
            self.of_layer[usize::from(layer.spatial)] += 1;
            self.waited.push(now.since(outgoing.queued_at));
            self.longest_pause = self.longest_pause.max(now.since(self.newest));
            self.newest = now;
        }
    }

    pub(crate) fn forget(&mut self, now: Timestamp) {
        *self = Self {
            rate: self.rate,
            held: self.held,
            looked_at: self.looked_at,
            ..Self::new(now)
        };
    }

    pub(crate) fn seen(&self, now: Timestamp) -> Seen {
        let mut waited = self.waited.clone();
        waited.sort_unstable();
        Seen {
            pictures: waited.len(),
            longest_pause: self.longest_pause.max(now.since(self.newest)),
            waited_p95: waited.get(waited.len() * 95 / 100).copied().unwrap_or_default(),
            bits: self.bits,
            of_layer: self.of_layer,
        }
    }
}
