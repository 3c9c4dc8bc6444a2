//! An adaptive jitter buffer over encoded audio frames: no IO, no clock, no samples.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use videocall_types::{DecoderConfig, Frame, Timestamp};

use super::arrival::ArrivalStatistics;

/// A frame is waited for until the playout side has this much left: it asks every few milliseconds,
/// and needs a moment to decode or to make something up.
const GUARD: Duration = Duration::from_millis(10);

/// Sound is made up for this long at a stretch; then silence is more honest. It is also what a gap
/// may last before it is jumped over.
const MAX_CONCEALMENT: Duration = Duration::from_millis(100);

/// Frames that wait; the oldest is dropped. 2 s of 20 ms frames.
const MAX_FRAMES: usize = 100;

/// How many made-up frames are remembered, to tell a late frame from a double one.
const REMEMBERED: usize = 64;

/// What a sender that states no duration, or one that Opus does not have (RFC 6716 §2.1.4), is taken
/// for. Microseconds.
const USUAL_DURATION_US: u32 = 20_000;
const DURATIONS_US: std::ops::RangeInclusive<u32> = 2_500..=120_000;

/// The buffer becomes shorter when it holds this much more than it aims at, and leaves out what is
/// quiet.
const LONG: Duration = Duration::from_millis(40);

/// It leaves out anything when it holds this much more.
const MUCH_TOO_LONG: Duration = Duration::from_millis(100);

/// It jumps when it holds this much more: nobody wants to hear a burst of the past.
const HOPELESSLY_LONG: Duration = Duration::from_millis(400);

/// Between two frames that are left out, so that each is hardly heard.
const SKIP_INTERVAL: Duration = Duration::from_millis(200);

/// Quiet enough to be left out unnoticed, in -dBov.
const QUIET: u8 = 50;

/// How a jitter buffer behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JitterBufferConfig {
    /// The least to aim at.
    pub min_target: Duration,
    /// The most to aim at.
    pub max_target: Duration,
    /// The playout side shortens and lengthens sound as [`Pace`] says. Otherwise the buffer leaves
    /// out a frame now and then, quiet ones first, to become shorter.
    pub playout_stretches: bool,
}

impl Default for JitterBufferConfig {
    fn default() -> Self {
        Self {
            // One frame of 20 ms: a good path needs no more.
            min_target: Duration::from_millis(20),
            // Beyond this a conversation is no longer one.
            max_target: Duration::from_millis(400),
            playout_stretches: false,
        }
    }
}

/// One encoded frame, ready to be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFrame {
    /// Its number at the sender.
    pub sequence: u64,
    /// On the sender's clock, microseconds.
    pub capture_time_us: u64,
    /// Microseconds.
    pub duration_us: u32,
    /// In -dBov; `None` on frames that came as redundancy.
    pub audio_level: Option<u8>,
    /// When the sender has (re)stated what the decoder needs.
    pub decoder: Option<DecoderConfig>,
    /// The encoded frame.
    pub payload: Bytes,
}

/// How fast to play, so that the buffer gets to where it aims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As recorded.
    #[default]
    Normal,
    /// Shorten the sound: too much is waiting.
    Accelerate,
    /// Lengthen the sound: too little is waiting.
    Expand,
}

/// What to play next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playout {
    /// Decode this frame.
    Decode {
        /// The frame.
        frame: AudioFrame,
        /// How fast to play it.
        pace: Pace,
    },
    /// The frame is missing: make up this much sound from what was played last.
    Conceal(Duration),
    /// Nothing to play: silence. The sender sends nothing, or the buffer is filling.
    Wait,
}

/// What a jitter buffer has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JitterBufferStats {
    /// What it aims at, milliseconds.
    pub target_ms: f64,
    /// What it holds, milliseconds.
    pub buffered_ms: f64,
    /// Frames that arrived in packets of their own.
    pub received: u64,
    /// Frames given to the decoder.
    pub played: u64,
    /// How often sound had to be made up, in frames.
    pub concealed: u64,
    /// How much sound had to be made up, microseconds.
    pub concealed_us: u64,
    /// Frames that arrived after their time.
    pub late: u64,
    /// Frames that arrived more than once.
    pub duplicates: u64,
    /// Frames given to the decoder that came as redundancy in a later packet.
    pub redundant_used: u64,
    /// Frames left out to become shorter.
    pub skipped: u64,
}

/// The jitter buffer of one audio track.
///
/// It starts to play when it holds what it aims at, and from then on lives with what it has: missing
/// frames are replaced by redundancy, else concealed; running empty makes it longer; when it holds too
/// much it becomes shorter in quiet moments.
#[derive(Debug)]
pub struct JitterBuffer {
    config: JitterBufferConfig,
    arrivals: ArrivalStatistics,
    frames: BTreeMap<u64, Slot>,
    playing: bool,
    /// The frame to play next; what is older is late.
    next_sequence: u64,
    /// Until when the playout side has something to play.
    covered_until: Timestamp,
    /// When the oldest frame that waits to be started came.
    waiting_since: Option<Timestamp>,
    /// How much was made up since the last real frame.
    concealing: Duration,
    /// How many frames were made up while nothing was there, instead of the next one.
    stretched: u32,
    concealed: VecDeque<u64>,
    frame_duration: Duration,
    level: SmoothedLevel,
    last_skip: Timestamp,
    stats: JitterBufferStats,
}

#[derive(Debug)]
struct Slot {
    frame: AudioFrame,
    redundant: bool,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new(config: JitterBufferConfig) -> Self {
        Self {
            config,
            arrivals: ArrivalStatistics::default(),
            frames: BTreeMap::new(),
            playing: false,
            next_sequence: 0,
            covered_until: Timestamp::ZERO,
            waiting_since: None,
            concealing: Duration::ZERO,
            stretched: 0,
            concealed: VecDeque::new(),
            frame_duration: Duration::from_micros(USUAL_DURATION_US.into()),
            level: SmoothedLevel::default(),
            last_skip: Timestamp::ZERO,
            stats: JitterBufferStats::default(),
        }
    }

    /// Takes a frame as it arrives, with its redundancy. `now` is the receiver's clock.
    pub fn insert(&mut self, frame: Frame, now: Timestamp) {
        let header = frame.header;
        self.stats.received += 1;
        self.arrivals.observe(header.capture_time_us, now);
        let duration_us = usable_duration(header.duration_us);
        self.frame_duration = Duration::from_micros(duration_us.into());
        for redundant in frame.redundancy {
            let sequence = header.sequence.checked_sub(redundant.sequence_distance.into());
            let distance = u64::from(redundant.capture_time_distance_us);
            let Some(sequence) = sequence else { continue };
            self.insert_redundant(AudioFrame {
                sequence,
                capture_time_us: header.capture_time_us.saturating_sub(distance),
                duration_us: usable_duration(redundant.duration_us),
                audio_level: None,
                decoder: None,
                payload: redundant.payload,
            });
        }
        self.insert_primary(AudioFrame {
            sequence: header.sequence,
            capture_time_us: header.capture_time_us,
            duration_us,
            audio_level: header.audio_level,
            decoder: frame.decoder,
            payload: frame.payload,
        });
        if !self.frames.is_empty() {
            self.waiting_since.get_or_insert(now);
        }
        while self.frames.len() > MAX_FRAMES {
            self.skip_oldest();
        }
    }

    /// What to play next; to be called whenever the playout side needs one frame more.
    pub fn next(&mut self, now: Timestamp) -> Playout {
        if !self.playing && !self.start(now) {
            return Playout::Wait;
        }
        self.shorten(now);
        if let Some(slot) = self.frames.remove(&self.next_sequence) {
            return self.play(slot, now);
        }
        if now + GUARD < self.covered_until {
            return Playout::Wait;
        }
        self.conceal(now)
    }

    /// Says how much sound the playout side holds. Without it the buffer takes everything that
    /// [`JitterBuffer::next`] gave to be played without a pause from then on.
    pub fn playout_holds(&mut self, sound: Duration, now: Timestamp) {
        self.covered_until = now + sound;
    }

    /// What it has done so far.
    pub fn stats(&self) -> JitterBufferStats {
        JitterBufferStats {
            target_ms: self.target().as_secs_f64() * 1000.0,
            buffered_ms: self.buffered().as_secs_f64() * 1000.0,
            ..self.stats
        }
    }

    fn insert_primary(&mut self, frame: AudioFrame) {
        if self.is_past(frame.sequence) {
            if self.concealed.contains(&frame.sequence) {
                self.stats.late += 1;
            } else {
                self.stats.duplicates += 1;
            }
            return;
        }
        let slot = Slot {
            frame,
            redundant: false,
        };
        match self.frames.insert(slot.frame.sequence, slot) {
            Some(former) if !former.redundant => self.stats.duplicates += 1,
            _ => {}
        }
    }

    fn insert_redundant(&mut self, frame: AudioFrame) {
        if self.is_past(frame.sequence) || frame.payload.is_empty() {
            return;
        }
        self.frames.entry(frame.sequence).or_insert(Slot {
            frame,
            redundant: true,
        });
    }

    fn is_past(&self, sequence: u64) -> bool {
        sequence < self.next_sequence
    }

    /// What it aims at, together with what the playout side holds: a frame has to be there one
    /// duration and a moment before it is heard, however late it comes.
    fn target(&self) -> Duration {
        let wanted = self.arrivals.delay() + self.frame_duration + GUARD;
        wanted.clamp(self.config.min_target, self.config.max_target)
    }

    fn buffered(&self) -> Duration {
        let micros = self.frames.values().map(|slot| u64::from(slot.frame.duration_us));
        Duration::from_micros(micros.sum())
    }

    /// What is between the newest frame and the ear.
    fn held(&self, now: Timestamp) -> Duration {
        self.buffered() + self.covered_until.since(now)
    }

    /// Starts to play when enough has come, or when nothing more comes.
    fn start(&mut self, now: Timestamp) -> bool {
        let Some((&first, _)) = self.frames.first_key_value() else {
            return false;
        };
        let target = self.target();
        let waited = self.waiting_since.is_some_and(|since| now.since(since) >= target);
        if self.held(now) < target && !waited {
            return false;
        }
        self.playing = true;
        self.next_sequence = first;
        self.concealing = Duration::ZERO;
        self.stretched = 0;
        self.level.reset(self.held(now));
        true
    }

    fn play(&mut self, slot: Slot, now: Timestamp) -> Playout {
        let frame = slot.frame;
        self.next_sequence = frame.sequence + 1;
        self.concealing = Duration::ZERO;
        self.stretched = 0;
        self.stats.played += 1;
        self.stats.redundant_used += u64::from(slot.redundant);
        self.cover(Duration::from_micros(frame.duration_us.into()), now);
        let pace = self.pace();
        Playout::Decode { frame, pace }
    }

    /// The next frame is not there and it is time for it.
    fn conceal(&mut self, now: Timestamp) -> Playout {
        if self.concealing >= MAX_CONCEALMENT {
            self.playing = false;
            self.waiting_since = (!self.frames.is_empty()).then_some(now);
            return Playout::Wait;
        }
        if let Some((&present, _)) = self.frames.first_key_value() {
            self.pass_over(present);
            if self.stretched > 0 {
                // What was made up before was already for this frame.
                self.stretched -= 1;
                return self.next(now);
            }
        } else {
            // The frame may still come: it is played then, and the buffer is longer by this.
            self.stretched += 1;
        }
        let duration = self.frame_duration;
        self.concealing += duration;
        self.stats.concealed += 1;
        self.stats.concealed_us += duration.as_micros() as u64;
        self.cover(duration, now);
        Playout::Conceal(duration)
    }

    /// Gives the next frame up because a later one is there.
    fn pass_over(&mut self, present: u64) {
        self.remember_concealed(self.next_sequence);
        let missing = u32::try_from(present - self.next_sequence).unwrap_or(u32::MAX);
        let gap = self.frame_duration.saturating_mul(missing);
        // A long gap is an outage, and what comes after it should not wait behind it.
        self.next_sequence = if gap > MAX_CONCEALMENT {
            present
        } else {
            self.next_sequence + 1
        };
    }

    fn cover(&mut self, duration: Duration, now: Timestamp) {
        self.covered_until = self.covered_until.max(now) + duration;
        self.level.observe(self.held(now));
    }

    fn remember_concealed(&mut self, sequence: u64) {
        if self.concealed.len() >= REMEMBERED {
            self.concealed.pop_front();
        }
        self.concealed.push_back(sequence);
    }

    fn pace(&self) -> Pace {
        let (level, target) = (self.level.get(), self.target());
        if level > target + LONG {
            Pace::Accelerate
        } else if level < target / 2 {
            Pace::Expand
        } else {
            Pace::Normal
        }
    }

    /// Leaves frames out when too much is waiting.
    fn shorten(&mut self, now: Timestamp) {
        let target = self.target();
        if self.held(now) > target + HOPELESSLY_LONG {
            while self.held(now) > target && self.frames.len() > 1 {
                self.skip_oldest();
            }
            self.level.reset(self.held(now));
            return;
        }
        let due = now.since(self.last_skip) >= SKIP_INTERVAL;
        if self.config.playout_stretches || !due || self.frames.len() < 2 {
            return;
        }
        let quiet = self
            .frames
            .get(&self.next_sequence)
            .and_then(|slot| slot.frame.audio_level)
            .is_some_and(|level| level >= QUIET);
        let level = self.level.get();
        if level > target + MUCH_TOO_LONG || (level > target + LONG && quiet) {
            self.last_skip = now;
            self.skip_oldest();
        }
    }

    fn skip_oldest(&mut self) {
        if self.frames.pop_first().is_some() {
            self.stats.skipped += 1;
        }
        if let Some((&first, _)) = self.frames.first_key_value() {
            self.next_sequence = self.next_sequence.max(first);
        }
    }
}

fn usable_duration(duration_us: u32) -> u32 {
    if DURATIONS_US.contains(&duration_us) {
        duration_us
    } else {
        USUAL_DURATION_US
    }
}

/// The level over the last frames: single ones come in pairs or late without meaning anything.
#[derive(Debug, Default)]
struct SmoothedLevel(Duration);

impl SmoothedLevel {
    /// A sixteenth of each new value: a third of a second of 20 ms frames.
    fn observe(&mut self, level: Duration) {
        self.0 = (self.0 * 15 + level) / 16;
    }

    fn reset(&mut self, level: Duration) {
        self.0 = level;
    }

    fn get(&self) -> Duration {
        self.0
    }
}

#[cfg(test)]
mod tests;
