//! What arrives from one client, for the bandwidth estimate that the client makes of its upload: how
//! much, what is missing, and how the queues on the way grow.
//!
//! Numbers only; what follows from them is the client's business.
//!
//! Clocks of sender and relay have nothing to do with each other, so delays mean something only
//! against other delays of the same flow (one layer of one track). The queueing delay of a flow is
//! the shortest one-way delay of an interval less the shortest ever seen lately (LEDBAT, RFC 6817
//! §3.4.2; draft-ietf-rmcat-gcc-02 §5.2 and RFC 8698 §5.1.1 filter for the same reason): whoever was
//! fastest met the queue and nothing else, neither jitter nor the length of a large frame nor
//! the wait for a retransmission.

use std::time::Duration;

use videocall_types::limits::{MAX_SPATIAL_LAYERS, MAX_TRACKS};
use videocall_types::{FrameHeader, LayerArrival, ServerMessage, Timestamp, TrackId};

/// An interval ends with the first frame after this. Five frames of a voice: enough for one of them to
/// be fast, and soon enough for a sender to slow down before a queue is long.
const INTERVAL: Duration = Duration::from_millis(100);

/// It ends sooner when all that came in it waited so much longer than was reported: a sender that fills a
/// queue shall hear of it before the queue is long.
const SHORT_INTERVAL: Duration = Duration::from_millis(50);
const LONGER_US: i64 = 40_000;

/// Who was silent for so long may have been held up on the way. What was held up comes all at once, the oldest first,
/// and the newest tells how the path is now: an interval does not end before it has come, so long after the first.
const HELD_UP: Duration = Duration::from_millis(150);
const BUNCH: Duration = Duration::from_millis(40);

/// The shortest delay of a flow is that of one or two such times. Long against everything that a
/// queue does, short against the drift of clocks (3 ms at 50 millionths).
const BASE_WINDOW: Duration = Duration::from_secs(60);

/// Pictures may wait in the sender's own transport while sound overtakes them. As far as
/// retransmissions explain it, that is no sign of a queue.
const PICTURE_ALLOWANCE_US: i64 = 150_000;

/// Sound that was not heard for so long has stopped and was not lost.
const SOUND_PAUSE: Duration = Duration::from_millis(500);

/// Flows of a client that keeps to the limits. A client that changes its tracks all the time loses
/// what is known of the one that was silent longest.
const MAX_FLOWS: usize = MAX_TRACKS * MAX_SPATIAL_LAYERS as usize;

/// Measures what one connection brings.
#[derive(Debug, Default)]
pub(crate) struct ArrivalMeter {
    since: Option<Timestamp>,
    heard_at: Option<Timestamp>,
    /// When what may be a bunch began to come, in this interval.
    bunch_at: Option<Timestamp>,
    bytes: u64,
    frames: u32,
    flows: Vec<Flow>,
    /// The queueing delay that the reports so far add up to.
    delay_us: i64,
}

/// Frames with one numbering.
#[derive(Debug)]
struct Flow {
    track: TrackId,
    spatial: u8,
    audio: bool,
    heard_at: Timestamp,
    /// One above the highest sequence, now and when the interval began.
    next: u64,
    next_before: u64,
    /// Of this interval.
    received: u64,
    shortest_us: i64,
    base: Option<Base>,
}

/// The shortest delay lately: of this window and of the one before.
#[derive(Debug)]
struct Base {
    began_at: Timestamp,
    current_us: i64,
    before_us: i64,
}

impl ArrivalMeter {
    /// Takes note of a frame; a report when an interval has ended with it.
    pub(crate) fn note(
        &mut self,
        header: &FrameHeader,
        bytes: usize,
        now: Timestamp,
    ) -> Option<ServerMessage> {
        // Both clocks stay below 2^63 microseconds; a relay's that did not would only give nonsense.
        let delay_us = now.as_micros().wrapping_sub(header.capture_time_us) as i64;
        self.flow(header, now).note(header.sequence, delay_us, now);
        self.bytes += bytes as u64;
        self.frames = self.frames.saturating_add(1);
        let since = *self.since.get_or_insert(now);
        let heard_at = self.heard_at.replace(now).unwrap_or(now);
        if now.since(heard_at) > HELD_UP {
            self.bunch_at.get_or_insert(now);
        }
        let is_bunch = self.bunch_at.is_some_and(|began| now.since(began) < BUNCH);
        let length = now.since(since);
        if length < SHORT_INTERVAL || is_bunch {
            return None;
        }
        let delay_us = self.queueing_us(now);
        if length < INTERVAL && delay_us <= self.delay_us.saturating_add(LONGER_US) {
            return None;
        }
        self.since = Some(now);
        self.bunch_at = None;
        Some(self.report(length, delay_us, now))
    }

    fn flow(&mut self, header: &FrameHeader, now: Timestamp) -> &mut Flow {
        let known = |flow: &Flow| flow.track == header.track && flow.spatial == header.spatial;
        let index = match self.flows.iter().position(known) {
            Some(index) => index,
            None => {
                if self.flows.len() >= MAX_FLOWS {
                    let silent = (0..self.flows.len()).min_by_key(|&index| self.flows[index].heard_at);
                    self.flows.swap_remove(silent.unwrap_or(0));
                }
                self.flows.push(Flow::new(header, now));
                self.flows.len() - 1
            }
        };
        &mut self.flows[index]
    }

    fn report(&mut self, length: Duration, delay_us: i64, now: Timestamp) -> ServerMessage {
        let heard = |flow: &&mut Flow| flow.received > 0;
        // Numbers are the sender's; two flows may each claim to have lost more than there is.
        let missing = self.flows.iter_mut().filter(heard).map(Flow::missing);
        let missing = missing.fold(0, u64::saturating_add);
        let pictures = self.flows.iter().filter(|flow| flow.received > 0 && !flow.audio);
        let layers = pictures.map(|flow| LayerArrival {
            track: flow.track,
            spatial: flow.spatial,
            next_sequence: flow.next,
        });
        let layers = layers.collect();
        // A new flow has met the queue that the others have met.
        for flow in self.flows.iter_mut().filter(heard) {
            flow.base
                .get_or_insert_with(|| Base::new(flow.shortest_us.saturating_sub(delay_us), now));
            flow.received = 0;
        }
        let growth = delay_us.saturating_sub(self.delay_us);
        let growth = growth.clamp(i32::MIN.into(), i32::MAX.into());
        // What did not fit is made up for by the next one.
        self.delay_us += growth;
        ServerMessage::ArrivalReport {
            interval_ms: u32::try_from(length.as_millis()).unwrap_or(u32::MAX),
            received_bytes: std::mem::take(&mut self.bytes),
            received_frames: std::mem::take(&mut self.frames),
            missing_frames: u32::try_from(missing).unwrap_or(u32::MAX),
            // Clamped above.
            delay_growth_us: growth as i32,
            layers,
        }
    }
}

impl ArrivalMeter {
    /// How long the fastest sound waited; the fastest picture, where there is no sound or it waited much longer.
    fn queueing_us(&mut self, now: Timestamp) -> i64 {
        let (mut sound_us, mut pictures_us) = (None, None);
        let shorter = |known: Option<i64>, us: i64| Some(known.map_or(us, |known| known.min(us)));
        for flow in self.flows.iter_mut().filter(|flow| flow.received > 0) {
            let Some(base) = &mut flow.base else {
                continue;
            };
            let waited_us = flow
                .shortest_us
                .saturating_sub(base.update(flow.shortest_us, now));
            if flow.audio {
                sound_us = shorter(sound_us, waited_us);
            } else {
                pictures_us = shorter(pictures_us, waited_us);
            }
        }
        let held_up_us = |pictures: i64| pictures.saturating_sub(PICTURE_ALLOWANCE_US);
        match (sound_us, pictures_us) {
            // Small packets of one size tell more.
            (Some(sound), Some(pictures)) => sound.max(held_up_us(pictures)),
            // All sound of the interval was lost, and the pictures' parts with it, perhaps.
            (None, Some(pictures)) if self.has_sound(now) => {
                held_up_us(pictures).max(pictures.min(self.delay_us))
            }
            (sound, pictures) => sound.or(pictures).unwrap_or(self.delay_us),
        }
    }

    fn has_sound(&self, now: Timestamp) -> bool {
        let mut flows = self.flows.iter();
        flows.any(|flow| flow.audio && flow.base.is_some() && now.since(flow.heard_at) < SOUND_PAUSE)
    }
}

impl Flow {
    fn new(header: &FrameHeader, now: Timestamp) -> Self {
        Self {
            track: header.track,
            spatial: header.spatial,
            audio: header.kind.is_audio(),
            heard_at: now,
            next: header.sequence,
            next_before: header.sequence,
            received: 0,
            shortest_us: i64::MAX,
            base: None,
        }
    }

    fn note(&mut self, sequence: u64, delay_us: i64, now: Timestamp) {
        self.heard_at = now;
        self.shortest_us = if self.received == 0 {
            delay_us
        } else {
            self.shortest_us.min(delay_us)
        };
        self.received += 1;
        self.next = self.next.max(sequence.saturating_add(1));
    }

    /// What the sequences promised for this interval and did not come (RFC 3550 appendix A.3). A frame
    /// that comes an interval late makes up for one that is missing in its own.
    fn missing(&mut self) -> u64 {
        let expected = self.next - std::mem::replace(&mut self.next_before, self.next);
        expected.saturating_sub(self.received)
    }
}

impl Base {
    fn new(delay_us: i64, now: Timestamp) -> Self {
        Self {
            began_at: now,
            current_us: delay_us,
            before_us: i64::MAX,
        }
    }

    fn update(&mut self, delay_us: i64, now: Timestamp) -> i64 {
        if now.since(self.began_at) >= BASE_WINDOW {
            self.before_us = std::mem::replace(&mut self.current_us, delay_us);
            self.began_at = now;
        }
        self.current_us = self.current_us.min(delay_us);
        self.current_us.min(self.before_us)
    }
}

#[cfg(test)]
mod tests;
