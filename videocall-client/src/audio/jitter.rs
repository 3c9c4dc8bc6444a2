//! An adaptive jitter buffer over encoded audio frames: no IO, no clock, no samples.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use videocall_types::{DecoderConfig, Frame, Timestamp};

use crate::media::lateness::Lateness;

/// A frame is waited for until the playout side has this much left: it asks every few milliseconds, and
/// needs a moment to decode or to make something up.
const GUARD: Duration = Duration::from_millis(8);

/// Sound is made up in pieces of this, so that a frame that still comes is heard soon.
const PIECE: Duration = Duration::from_millis(10);

/// Sound is made up for this long at a stretch; then silence is more honest, and the next frame that
/// comes is waited for as the first one was.
const MAX_CONCEALMENT: Duration = Duration::from_millis(100);

/// Frames that wait; the oldest is dropped. 2 s of 20 ms frames.
const MAX_FRAMES: usize = 100;

/// Numbers that are remembered, to tell a late frame from a double one, and from one that is played.
const REMEMBERED: u32 = u64::BITS;

/// What a sender that states no duration, or one that Opus does not have (RFC 6716 §2.1.4), is taken
/// for. Microseconds.
const USUAL_DURATION_US: u32 = 20_000;
const DURATIONS_US: std::ops::RangeInclusive<u32> = 2_500..=120_000;

/// Two frames with less between them than this follow one another, microseconds.
const ADJACENT_US: u64 = 2_500;

/// What a hundredth of all sound is worth: missing it is as bad as waiting this much longer. The
/// E-model (ITU-T G.107 §3) trades several times as much delay for it below 150 ms; but people who
/// interrupt one another notice delay sooner than its listeners.
const WAIT_PER_PERCENT: Duration = Duration::from_millis(30);

/// How much of the past counts with each frame: half of it is forgotten in 7 s of 20 ms frames. A path
/// that has been bad stays suspect for a while.
const FORGET: f64 = 0.998;

/// How far from the target the delay may be without anything being done about it: less than what one
/// pitch period changes.
const TOLERANCE_US: i64 = 8_000;

/// From so far on, it is changed as fast as can be understood.
const FAR_US: i64 = 80_000;

/// After a frame that came too late the delay is not made shorter for this long: the next ones may well
/// be as late, and soon the statistics know.
const WARY: Duration = Duration::from_secs(1);

/// Frames are left out when the delay is this much longer: nobody wants to hear a burst of the past.
const HOPELESS_US: i64 = 400_000;

/// Quieter than this nobody misses anything, in -dBov.
const QUIET: u8 = 50;

/// How a jitter buffer behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JitterBufferConfig {
    /// The least to aim at.
    pub min_target: Duration,
    /// The most to aim at.
    pub max_target: Duration,
}

impl Default for JitterBufferConfig {
    fn default() -> Self {
        Self {
            // One frame of 20 ms: a good path needs no more.
            min_target: Duration::from_millis(20),
            // Beyond this a conversation is no longer one.
            max_target: Duration::from_millis(400),
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

/// How fast to play, so that the delay gets to where it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As recorded.
    #[default]
    Normal,
    /// Shorten the sound by a few percent.
    Accelerate,
    /// Shorten it as much as can be understood.
    AccelerateFast,
    /// Lengthen it by a few percent.
    Expand,
    /// Lengthen it as much as can be understood.
    ExpandFast,
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
    /// The delay that it aims at, from when the fastest frames arrive until they are heard, milliseconds.
    pub target_ms: f64,
    /// The delay of the frame that was played last, milliseconds.
    pub delay_ms: f64,
    /// What it holds, milliseconds.
    pub buffered_ms: f64,
    /// Frames that arrived in packets of their own.
    pub received: u64,
    /// Frames given to the decoder.
    pub played: u64,
    /// How often sound had to be made up: pieces of 10 ms.
    pub concealed: u64,
    /// How much sound was not there, microseconds: made up, or silence after that.
    pub concealed_us: u64,
    /// The longest stretch of it, microseconds.
    pub longest_gap_us: u64,
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
/// Each frame is heard a certain time after the fastest frames would have been there ([`Lateness`]). Frames that were
/// lost count when a later packet brings them again, so that redundancy is waited for where losses are frequent and
/// not where they are rare. Where the delay is another one than the target, sound is stretched or shortened ([`Pace`]). A
/// frame that is not there in time is taken from the redundancy of the next packets, else made up.
#[derive(Debug)]
pub struct JitterBuffer {
    config: JitterBufferConfig,
    arrivals: Lateness,
    /// Relative to the fastest frame, what [`WAIT_PER_PERCENT`] makes of that.
    best_delay: Duration,
    frames: BTreeMap<u64, Slot>,
    seen: Numbers,
    /// Which of them were given to the decoder.
    given: Numbers,
    wait: Duration,
    margin: Duration,
    playing: bool,
    /// The frame to play next; what is older is late.
    next_sequence: u64,
    /// When sound that follows the last frame was captured.
    expected_us: u64,
    frame_duration: Duration,
    /// The last frame was loud enough for what follows it to be missed.
    audible: bool,
    gap: Gap,
    /// The delay that the last late frames would have needed, microseconds, and until when that counts.
    late: (i64, Timestamp),
    /// Since when there is nothing to play, as it is heard.
    silent_since: Timestamp,
    pace: Pace,
    stats: JitterBufferStats,
}

#[derive(Debug)]
struct Slot {
    frame: AudioFrame,
    redundant: bool,
}

/// What was made up since the last real frame.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    length: Duration,
    /// How much of it was not for frames that are known to be lost.
    ahead: Duration,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new(config: JitterBufferConfig) -> Self {
        Self {
            config,
            arrivals: Lateness::forgetting(FORGET),
            best_delay: Duration::ZERO,
            frames: BTreeMap::new(),
            seen: Numbers::default(),
            given: Numbers::default(),
            wait: Duration::ZERO,
            margin: Duration::ZERO,
            playing: false,
            next_sequence: 0,
            expected_us: 0,
            frame_duration: Duration::from_micros(USUAL_DURATION_US.into()),
            audible: false,
            gap: Gap::default(),
            late: (0, Timestamp::ZERO),
            silent_since: Timestamp::ZERO,
            pace: Pace::Normal,
            stats: JitterBufferStats::default(),
        }
    }

    /// Takes a frame as it arrives, with its redundancy. `now` is the receiver's clock.
    pub fn insert(&mut self, frame: Frame, now: Timestamp) {
        let header = frame.header;
        self.stats.received += 1;
        let duration_us = usable_duration(header.duration_us);
        self.frame_duration = Duration::from_micros(duration_us.into());
        self.insert_primary(
            AudioFrame {
                sequence: header.sequence,
                capture_time_us: header.capture_time_us,
                duration_us,
                audio_level: header.audio_level,
                decoder: frame.decoder,
                payload: frame.payload,
            },
            now,
        );
        for redundant in frame.redundancy {
            let sequence = header.sequence.checked_sub(redundant.sequence_distance.into());
            let distance = u64::from(redundant.capture_time_distance_us);
            let Some(sequence) = sequence else { continue };
            self.insert_redundant(
                AudioFrame {
                    sequence,
                    capture_time_us: header.capture_time_us.saturating_sub(distance),
                    duration_us: usable_duration(redundant.duration_us),
                    audio_level: None,
                    decoder: None,
                    payload: redundant.payload,
                },
                now,
            );
        }
        while self.frames.len() > MAX_FRAMES {
            self.skip_oldest();
        }
    }

    /// What to play next, after the sound that the playout side has `ahead`; to be called whenever that
    /// needs more.
    pub fn next(&mut self, ahead: Duration, now: Timestamp) -> Playout {
        let heard_at = now + ahead;
        if !self.playing && !self.start(heard_at) {
            return Playout::Wait;
        }
        self.leave_out(heard_at);
        // What was made up before was for frames that are known to be lost by now.
        while self.gap.ahead >= self.frame_duration && self.is_lost() {
            self.gap.ahead -= self.frame_duration;
            self.next_sequence = self.next_sequence.saturating_add(1);
        }
        if let Some(slot) = self.frames.remove(&self.next_sequence) {
            return self.play(slot, heard_at);
        }
        if ahead > GUARD + self.margin {
            return Playout::Wait;
        }
        if !self.is_outage() {
            return self.conceal();
        }
        // What comes after it should not wait behind it.
        self.playing = false;
        self.silent_since = heard_at;
        if self.start(heard_at) {
            return self.next(ahead, now);
        }
        Playout::Wait
    }

    /// Aims at so much more than it needs, for the sake of pictures that come later than the sound.
    pub fn set_wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// The playout side needs its sound this much earlier than usual.
    pub fn set_margin(&mut self, margin: Duration) {
        self.margin = margin;
    }

    /// What it has done so far.
    pub fn stats(&self) -> JitterBufferStats {
        JitterBufferStats {
            target_ms: self.target().as_secs_f64() * 1000.0,
            buffered_ms: self.buffered().as_secs_f64() * 1000.0,
            ..self.stats
        }
    }

    /// Whether the frame that was played last was loud enough to be heard.
    pub fn is_audible(&self) -> bool {
        self.audible
    }

    /// Whether no frames wait to be played.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn insert_primary(&mut self, frame: AudioFrame, now: Timestamp) {
        let sequence = frame.sequence;
        self.note_arrival(&frame, now);
        if self.is_past(sequence) {
            if self.given.has(sequence) {
                self.stats.duplicates += 1;
            } else {
                self.stats.late += 1;
            }
            return;
        }
        let slot = Slot {
            frame,
            redundant: false,
        };
        match self.frames.insert(sequence, slot) {
            Some(former) if !former.redundant => self.stats.duplicates += 1,
            _ => {}
        }
    }

    fn insert_redundant(&mut self, frame: AudioFrame, now: Timestamp) {
        if frame.payload.is_empty() {
            return;
        }
        self.note_arrival(&frame, now);
        if !self.is_past(frame.sequence) {
            self.frames.entry(frame.sequence).or_insert(Slot {
                frame,
                redundant: true,
            });
        }
    }

    /// A frame has come, perhaps not for the first time.
    fn note_arrival(&mut self, frame: &AudioFrame, now: Timestamp) {
        if !self.seen.note(frame.sequence) {
            return;
        }
        self.arrivals.observe(frame.capture_time_us, now);
        self.best_delay = self.arrivals.cheapest_delay(WAIT_PER_PERCENT);
        let was_missed = self.playing && (self.gap.length > Duration::ZERO || self.is_past(frame.sequence));
        if was_missed {
            let needed = self.arrivals.delay_of(frame.capture_time_us, now + GUARD);
            let (before, until) = self.late;
            let before = if now < until { before } else { 0 };
            self.late = (needed.max(before), now + WARY);
        }
    }

    fn is_past(&self, sequence: u64) -> bool {
        sequence < self.next_sequence
    }

    /// The next frame will not come: later ones are there, and its time has passed.
    fn is_lost(&self) -> bool {
        self.frames
            .first_key_value()
            .is_some_and(|(&first, _)| first > self.next_sequence)
    }

    fn target(&self) -> Duration {
        let wanted = self.best_delay + GUARD + self.margin;
        let least = wanted.max(self.config.min_target);
        least.saturating_add(self.wait).min(self.config.max_target)
    }

    fn buffered(&self) -> Duration {
        let micros = self.frames.values().map(|slot| u64::from(slot.frame.duration_us));
        Duration::from_micros(micros.sum())
    }

    /// By how much later than it should be a frame would be heard at this time, microseconds.
    fn excess(&self, capture_time_us: u64, heard_at: Timestamp) -> i64 {
        let target = i64::try_from(self.target().as_micros()).unwrap_or(i64::MAX);
        self.arrivals
            .delay_of(capture_time_us, heard_at)
            .saturating_sub(target)
    }

    /// Starts to play when it is time for the first frame that has come.
    fn start(&mut self, heard_at: Timestamp) -> bool {
        let Some((&first, slot)) = self.frames.first_key_value() else {
            return false;
        };
        let captured = slot.frame.capture_time_us;
        if self.excess(captured, heard_at) < 0 {
            return false;
        }
        self.playing = true;
        // A sender that was muted numbers nothing meanwhile, and who is silent is not passed on.
        let late = captured.saturating_sub(self.expected_us) < ADJACENT_US;
        if self.audible && (late || first > self.next_sequence) {
            self.miss(heard_at.since(self.silent_since));
        }
        self.next_sequence = first;
        self.gap = Gap::default();
        true
    }

    fn play(&mut self, slot: Slot, heard_at: Timestamp) -> Playout {
        let frame = slot.frame;
        self.next_sequence = frame.sequence.saturating_add(1);
        self.expected_us = frame.capture_time_us.saturating_add(frame.duration_us.into());
        self.given.note(frame.sequence);
        self.gap = Gap::default();
        if let Some(level) = frame.audio_level {
            self.audible = level < QUIET;
        }
        self.stats.played += 1;
        self.stats.redundant_used += u64::from(slot.redundant);
        let delay = self.arrivals.delay_of(frame.capture_time_us, heard_at);
        self.stats.delay_ms = delay as f64 / 1000.0;
        let mut excess = self.excess(frame.capture_time_us, heard_at);
        let (needed, until) = self.late;
        if excess > 0 && heard_at < until {
            excess = excess.min(delay.saturating_sub(needed)).max(0);
        }
        self.pace = pace(excess, self.pace);
        Playout::Decode {
            frame,
            pace: self.pace,
        }
    }

    /// The next frame is not there and it is time for it, and more is missing than should be made up.
    fn is_outage(&self) -> bool {
        let missing = self.frames.first_key_value().map(|(_, slot)| {
            Duration::from_micros(slot.frame.capture_time_us.saturating_sub(self.expected_us))
        });
        let outlook = missing.map_or(self.gap.length + PIECE, |missing| missing.max(self.gap.length));
        outlook > MAX_CONCEALMENT
    }

    fn conceal(&mut self) -> Playout {
        self.gap.ahead += PIECE;
        self.stats.concealed += 1;
        self.miss(PIECE);
        Playout::Conceal(PIECE)
    }

    /// So much more sound is not there.
    fn miss(&mut self, sound: Duration) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.gap.length = self.gap.length.saturating_add(sound);
        self.stats.concealed_us = self.stats.concealed_us.saturating_add(micros(sound));
        self.stats.longest_gap_us = self.stats.longest_gap_us.max(micros(self.gap.length));
    }

    /// Leaves frames out when they would be heard much too late.
    fn leave_out(&mut self, heard_at: Timestamp) {
        let excess = |buffer: &Self| {
            let next = buffer.frames.first_key_value();
            next.map_or(0, |(_, slot)| buffer.excess(slot.frame.capture_time_us, heard_at))
        };
        if excess(self) > HOPELESS_US {
            while excess(self) > 0 && self.frames.len() > 1 {
                self.skip_oldest();
            }
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

/// The pace for a delay that is by so much too long. What was begun goes on until the target is met.
fn pace(excess_us: i64, before: Pace) -> Pace {
    let tolerance = match before {
        Pace::Normal => TOLERANCE_US,
        _ => 0,
    };
    match excess_us {
        FAR_US.. => Pace::AccelerateFast,
        excess if excess > tolerance && before != Pace::Expand => Pace::Accelerate,
        excess if excess < -FAR_US => Pace::ExpandFast,
        excess if excess < -tolerance && before != Pace::Accelerate => Pace::Expand,
        _ => Pace::Normal,
    }
}

fn usable_duration(duration_us: u32) -> u32 {
    if DURATIONS_US.contains(&duration_us) {
        duration_us
    } else {
        USUAL_DURATION_US
    }
}

/// Which of the newest numbers have come.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    newest: u64,
    /// Bit n: `newest - n` has.
    before: u64,
}

impl Numbers {
    /// False: it has come before, or is too old to tell.
    fn note(&mut self, number: u64) -> bool {
        if number > self.newest {
            let ahead = u32::try_from(number - self.newest).unwrap_or(u32::MAX);
            self.before = self.before.checked_shl(ahead).unwrap_or(0);
            self.newest = number;
        }
        let behind = u32::try_from(self.newest - number).unwrap_or(u32::MAX);
        if behind >= REMEMBERED || self.before & (1 << behind) != 0 {
            return false;
        }
        self.before |= 1 << behind;
        true
    }

    fn has(&self, number: u64) -> bool {
        let behind = self.newest.checked_sub(number);
        behind.is_some_and(|behind| behind < REMEMBERED.into() && self.before & (1 << behind) != 0)
    }
}

#[cfg(test)]
mod tests;
