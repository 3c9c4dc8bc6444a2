//! What a person reads while a stream runs: lines on standard output.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::capture::{Captured, Media};

/// Between two lines about the stream: often enough to see that it lives, rarely enough for a log.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Counts what is sent and writes about it.
pub(crate) struct Progress {
    quiet: bool,
    since: Instant,
    video: Count,
    audio: Count,
}

#[derive(Clone, Copy, Default)]
struct Count {
    frames: u32,
    bytes: usize,
    dropped: u32,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            since: Instant::now(),
            video: Count::default(),
            audio: Count::default(),
        }
    }

    /// Writes a line.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            // Standard output may be closed; the stream goes on.
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }

    pub(crate) fn sent(&mut self, frame: &Captured) {
        let count = self.count(frame.media);
        count.frames += 1;
        count.bytes += frame.payload.len();
    }

    pub(crate) fn dropped(&mut self, media: Media) {
        self.count(media).dropped += 1;
    }

    /// Writes about what was sent since the last report, and starts over.
    pub(crate) fn report(&mut self, connection: &str) {
        let elapsed = self.since.elapsed();
        let video = self.video.describe("video", elapsed);
        let audio = self.audio.describe("audio", elapsed);
        self.say(&format!("{video}, {audio}, {connection}"));
        *self = Self::new(self.quiet);
    }

    fn count(&mut self, media: Media) -> &mut Count {
        match media {
            Media::Video => &mut self.video,
            Media::Audio => &mut self.audio,
        }
    }
}

impl Count {
    fn describe(self, name: &str, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let rate = f64::from(self.frames) / seconds;
        let kbps = self.bytes as f64 * 8.0 / 1000.0 / seconds;
        let dropped = match self.dropped {
            0 => String::new(),
            dropped => format!(" ({dropped} dropped)"),
        };
        format!("{name} {rate:.1} frames/s {kbps:.0} kbit/s{dropped}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        let count = Count {
            frames: 150,
            bytes: 312_500,
            dropped: 0,
        };
        let line = count.describe("video", Duration::from_secs(5));
        assert_eq!(line, "video 30.0 frames/s 500 kbit/s");
        let count = Count { dropped: 3, ..count };
        assert!(
            count
                .describe("video", Duration::from_secs(5))
                .ends_with("(3 dropped)")
        );
    }
}
