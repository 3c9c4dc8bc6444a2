//! What encoders really make. Some do not get below a bitrate that pictures of this size and content need, whatever
//! they are asked for; then a smaller picture is the only way to send less.

use std::time::Duration;

use videocall_types::Timestamp;

/// Over how long what is made is compared with what was asked for.
const WINDOW: Duration = Duration::from_millis(400);
const LEAST_WINDOW: Duration = Duration::from_millis(150);

/// An encoder that makes so many times the most that it was asked for cannot do with less, and one that makes no more
/// than this can.
const TOO_MUCH: f64 = 1.2;
const ENOUGH: f64 = 1.05;

/// Frames of that time are of the bitrate before.
const LAG: Duration = Duration::from_millis(60);

/// So long after a bitrate was lowered, the one before counts: encoders come down in a few frames.
const COMING_DOWN: Duration = Duration::from_millis(200);

/// How long that is believed: the content changes.
const BELIEVED: Duration = Duration::from_secs(60);

/// The output of one layer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Output {
    since: Option<Timestamp>,
    bits: f64,
    /// The most in that time, the last of all, and the one before it when it was lowered.
    asked: f64,
    asked_last: f64,
    lowered: Option<(f64, Timestamp)>,
    /// Bits per second that it needs at least, and when that was seen.
    floor: Option<(f64, Timestamp)>,
}

impl Output {
    /// A frame of so many bits came from the encoder, which is to make so many per second.
    pub(super) fn note(&mut self, bits: f64, asked: f64, now: Timestamp) {
        if asked < self.asked_last {
            self.lowered = Some((self.asked_last, now));
            self.asked = self.asked.max(self.asked_last);
        }
        self.asked_last = asked;
        let length = match self.since {
            Some(since) if now.since(since) < WINDOW * 2 => now.since(since),
            _ => {
                // After a pause, what was asked for at first says nothing.
                (self.since, self.bits, self.asked) = (Some(now + LAG), 0.0, asked);
                return;
            }
        };
        self.asked = self.asked.max(asked);
        if length.is_zero() {
            return;
        }
        self.bits += bits;
        if length >= WINDOW {
            self.compare(length, now);
        }
    }

    /// A keyframe came. It is larger than others, whatever the bitrate, and does not count.
    pub(super) fn note_keyframe(&mut self, asked: f64, now: Timestamp) {
        self.note(0.0, asked, now);
    }

    /// The layer was given up: what it has made since must do.
    pub(super) fn end(&mut self, now: Timestamp) {
        let length = self.since.map_or(Duration::ZERO, |since| now.since(since));
        if (LEAST_WINDOW..WINDOW * 2).contains(&length) {
            self.compare(length, now);
        }
        self.since = None;
    }

    fn compare(&mut self, length: Duration, now: Timestamp) {
        let made = self.bits / length.as_secs_f64();
        if made > self.asked * TOO_MUCH {
            self.floor = Some((made, now));
        } else if made < self.asked * ENOUGH && self.floor.is_some_and(|(floor, _)| self.asked < floor) {
            self.floor = None;
        }
        let coming_down = self.lowered.filter(|&(_, at)| now.since(at) < COMING_DOWN);
        let asked = coming_down.map_or(0.0, |(before, _)| before);
        (self.since, self.bits, self.asked) = (Some(now), 0.0, asked);
    }

    /// Bits per second without which it does not do.
    pub(super) fn floor(&self, now: Timestamp) -> f64 {
        let believed = self.floor.filter(|&(_, seen)| now.since(seen) < BELIEVED);
        believed.map_or(0.0, |(floor, _)| floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(33);

    fn second(output: &mut Output, now: &mut Timestamp, made: f64, asked: f64) {
        for _ in 0..31 {
            output.note(made * FRAME.as_secs_f64(), asked, *now);
            *now += FRAME;
        }
    }

    #[test]
    fn an_encoder_that_makes_too_much_needs_that() {
        let (mut output, mut now) = (Output::default(), Timestamp::from_millis(1000));
        second(&mut output, &mut now, 210_000.0, 200_000.0);
        assert_eq!(output.floor(now), 0.0);
        second(&mut output, &mut now, 300_000.0, 200_000.0);
        second(&mut output, &mut now, 300_000.0, 200_000.0);
        assert!(
            (output.floor(now) - 300_000.0).abs() < 15_000.0,
            "{}",
            output.floor(now)
        );
        assert_eq!(output.floor(now + BELIEVED), 0.0, "the content has changed");
        second(&mut output, &mut now, 200_000.0, 200_000.0);
        second(&mut output, &mut now, 200_000.0, 200_000.0);
        assert_eq!(output.floor(now), 0.0, "it does with less after all");
    }
}
