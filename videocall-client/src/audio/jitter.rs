//! An adaptive jitter buffer over encoded audio frames: no IO, no clock, no samples.

use std::time::Duration;

use bytes::Bytes;
use videocall_types::{DecoderConfig, Frame, Timestamp};

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
#[derive(Debug)]
pub struct JitterBuffer {
    config: JitterBufferConfig,
    stats: JitterBufferStats,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new(config: JitterBufferConfig) -> Self {
        Self {
            config,
            stats: JitterBufferStats::default(),
        }
    }

    /// Takes a frame as it arrives, with its redundancy. `now` is the receiver's clock.
    pub fn insert(&mut self, frame: Frame, now: Timestamp) {
        let _ = (frame, now, self.config);
    }

    /// What to play next; to be called whenever the playout side needs one frame more, which then
    /// holds `ahead` of sound that is not yet heard.
    pub fn next(&mut self, now: Timestamp) -> Playout {
        let _ = now;
        Playout::Wait
    }

    /// What it has done so far.
    pub fn stats(&self) -> JitterBufferStats {
        self.stats
    }
}
