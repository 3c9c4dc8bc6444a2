//! What an operator may set of a meeting's rules.

use std::sync::Arc;
use std::time::Duration;

use videocall_types::limits::{MAX_DOWNLOAD_BPS, MAX_SESSIONS_PER_MEETING, MAX_SPEAKERS};
use videocall_types::{RelayId, SessionLimits};

use crate::{Pressure, QueueBudget};

/// The rules of the meetings on one relay.
#[derive(Clone, Debug)]
pub struct MeetingSettings {
    /// Which relay this is.
    pub relay: RelayId,
    /// Whether there is a bus to other relays. Without one nothing is queued for it.
    pub bus: bool,
    /// Announced to clients in Welcome and enforced.
    pub limits: SessionLimits,
    /// Sessions of one meeting on this relay.
    pub max_sessions: usize,
    /// Microphones that are forwarded at a time, of those who speak.
    pub max_speakers: usize,
    /// Bounds of what waits for one receiver.
    pub outbox: OutboxLimits,
    /// What the relay leaves out for everybody at present.
    pub pressure: Arc<Pressure>,
    /// What may wait for all receivers of the relay together.
    pub queues: Arc<QueueBudget>,
    /// Bits per second that one receiver is sent at most; 0 for no bound.
    pub max_download_bps: u64,
}

impl MeetingSettings {
    /// The defaults for a relay of this name, without a bus.
    pub fn new(relay: RelayId) -> Self {
        Self {
            relay,
            bus: false,
            limits: SessionLimits::default(),
            max_sessions: MAX_SESSIONS_PER_MEETING,
            max_speakers: MAX_SPEAKERS,
            outbox: OutboxLimits::default(),
            pressure: Arc::default(),
            queues: Arc::default(),
            max_download_bps: MAX_DOWNLOAD_BPS,
        }
    }
}

/// Bounds of what waits for one receiver, and what happens when they are reached.
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    /// Control messages must arrive: a receiver that has more waiting is closed. Room for a Welcome
    /// of a thousand people and the joins of as many.
    pub control_bytes: usize,
    /// Audio waiting above this: the oldest goes. Half a second of ten voices.
    pub audio_bytes: usize,
    /// Audio older than this is of no use to a jitter buffer.
    pub audio_age: Duration,
    /// Video waiting above this: enhancement frames go first, then the oldest frames. A single frame
    /// that is larger still passes when nothing else waits.
    pub video_bytes: usize,
    /// Enhancement frames older than this are dropped: the path is slower than the sender.
    pub enhancement_age: Duration,
    /// Base frames older than this are dropped; the layer resumes at a keyframe.
    pub video_age: Duration,
    /// A receiver that takes nothing for this long while something waits is closed.
    pub stall: Duration,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self {
            control_bytes: 2 * 1024 * 1024,
            audio_bytes: 64 * 1024,
            audio_age: Duration::from_millis(400),
            video_bytes: 2 * 1024 * 1024,
            enhancement_age: Duration::from_millis(250),
            video_age: Duration::from_millis(800),
            stall: Duration::from_secs(10),
        }
    }
}
