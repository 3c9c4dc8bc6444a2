//! Lip sync: which picture is drawn when, so that it is seen when the sound of the same moment is heard.
//!
//! The sound leads: pictures wait for it, for a moment at most and only where they would be ahead by more
//! than people notice, which is much, because light comes before sound. Sound waits for pictures that are
//! late, within narrow bounds because of conversations. Without sound, pictures are drawn at once. What is
//! drawn and played is left to others.

use std::time::Duration;

use videocall_types::Timestamp;

/// Pictures may be ahead of their sound by this: viewers detect 125 ms (ITU-R BT.1359-1 §2), and a refresh of the
/// display is 17. Whatever pictures don't wait they are seen sooner.
const LEAD_US: i64 = 110_000;

/// No picture waits longer than this.
const MAX_HOLD: Duration = Duration::from_millis(120);

/// After so long without anything to be heard, pictures wait for nothing.
const SILENT_AFTER: Duration = Duration::from_millis(500);

/// Share of each new value in what is told, and in what sound waits for: some tenths of a second.
const SMOOTHING: f64 = 1.0 / 8.0;

/// Sound waits for pictures that are later than this (45 ms are detected) ...
const LATE_US: f64 = 30_000.0;

/// ... but for no longer than this in all: what mouths do is worth less than that people can interrupt
/// each other.
const MAX_SOUND_WAIT_US: f64 = 80_000.0;

/// Each second the wait follows by half of what is missing, and by no more than this.
const WAIT_INTERVAL: Duration = Duration::from_secs(1);
const MAX_WAIT_STEP_US: f64 = 20_000.0;

/// The sound and the picture of one source: of somebody's microphone and camera, or of a screen and what it
/// plays.
#[derive(Clone, Debug, Default)]
pub struct LipSync {
    /// From capture to the ear, by the two clocks.
    sound_lag_us: Option<i64>,
    audible_at: Option<Timestamp>,
    /// By how much pictures are later than their sound.
    offset_us: Option<f64>,
    /// How long sound is made to wait.
    wait_us: f64,
    wait_changed: Timestamp,
}

impl LipSync {
    /// Sound is played that was captured so long ago, by the two clocks; and whether there is anything in it
    /// to be heard. `None`: nothing is played.
    pub fn heard(&mut self, lag_us: Option<i64>, audible: bool, now: Timestamp) {
        self.sound_lag_us = lag_us;
        if audible && lag_us.is_some() {
            self.audible_at = Some(now);
        }
    }

    /// When a picture that is ready now is to be drawn.
    pub fn due(&self, capture_time_us: u64, now: Timestamp) -> Timestamp {
        let Some(lag) = self.lag(now) else { return now };
        let early = lag - LEAD_US - age_us(capture_time_us, now);
        let early = u64::try_from(early).unwrap_or(0);
        now + Duration::from_micros(early).min(MAX_HOLD)
    }

    /// A picture is drawn.
    pub fn drawn(&mut self, capture_time_us: u64, now: Timestamp) {
        let Some(lag) = self.lag(now) else {
            self.offset_us = None;
            return;
        };
        let offset = (age_us(capture_time_us, now) - lag) as f64;
        let smoothed = self
            .offset_us
            .map_or(offset, |before| before + (offset - before) * SMOOTHING);
        self.offset_us = Some(smoothed);
        if now.since(self.wait_changed) >= WAIT_INTERVAL {
            self.wait_changed = now;
            let step = ((smoothed - LATE_US) / 2.0).clamp(-MAX_WAIT_STEP_US, MAX_WAIT_STEP_US);
            self.wait_us = (self.wait_us + step).clamp(0.0, MAX_SOUND_WAIT_US);
        }
    }

    /// How much longer than it needs sound should wait, for pictures that come later.
    pub fn sound_wait(&self) -> Duration {
        Duration::from_micros(self.wait_us as u64)
    }

    /// By how much pictures are seen later than their sound is heard, milliseconds; negative when earlier.
    /// `None` while there is nothing to compare.
    pub fn offset_ms(&self, now: Timestamp) -> Option<f64> {
        self.lag(now).and(self.offset_us).map(|offset| offset / 1000.0)
    }

    fn lag(&self, now: Timestamp) -> Option<i64> {
        let audible = self.audible_at.is_some_and(|at| now.since(at) < SILENT_AFTER);
        self.sound_lag_us.filter(|_| audible)
    }
}

fn age_us(capture_time_us: u64, now: Timestamp) -> i64 {
    let micros = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    micros(now.as_micros()).saturating_sub(micros(capture_time_us))
}

#[cfg(test)]
mod tests {
    use videocall_types::TrackKind;

    use super::*;
    use crate::media::playout::PicturePlayout;

    const REFRESH: Duration = Duration::from_micros(16_667);

    const fn ms(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Sound that is heard `lag` milliseconds after its capture, on clocks of one epoch.
    fn with_sound(lag: i64) -> LipSync {
        let mut sync = LipSync::default();
        sync.heard(Some(lag * 1000), true, ms(1000));
        sync
    }

    #[test]
    fn pictures_wait_for_sound_as_long_as_is_needed_and_no_longer() {
        let sync = with_sound(180);
        let captured = 970_000;
        assert_eq!(
            sync.due(captured, ms(1000)),
            ms(1040),
            "110 ms ahead of the sound"
        );
        assert_eq!(
            sync.due(captured - 60_000, ms(1000)),
            ms(1000),
            "not ahead by more than that"
        );
        assert_eq!(sync.due(captured - 500_000, ms(1000)), ms(1000), "late");
        let slow = with_sound(900);
        assert_eq!(slow.due(captured, ms(1000)), ms(1000) + MAX_HOLD);
    }

    #[test]
    fn without_sound_pictures_are_drawn_at_once() {
        let captured = 970_000;
        assert_eq!(LipSync::default().due(captured, ms(1000)), ms(1000));
        let mut ended = with_sound(250);
        ended.heard(None, false, ms(1010));
        assert_eq!(ended.due(captured, ms(1010)), ms(1010));
        let mut silent = with_sound(250);
        silent.heard(Some(250_000), false, ms(1510));
        assert_eq!(silent.due(1_480_000, ms(1510)), ms(1510));
        assert_eq!(silent.offset_ms(ms(1510)), None);
    }

    /// Draws 30 pictures a second that are ready `picture` milliseconds after their capture, with sound of
    /// this lag that waits as it is told; the offsets in milliseconds, and what was told in the end.
    fn run(picture: u64, sound: i64) -> (Vec<i64>, LipSync) {
        let mut sync = LipSync::default();
        let mut queue = PicturePlayout::new(TrackKind::Camera);
        let mut offsets = Vec::new();
        let mut next = 0;
        for refresh in 0..1200_u64 {
            let now = Timestamp::from_micros(refresh * 16_667);
            let wait = i64::try_from(sync.sound_wait().as_micros()).expect("it is short");
            sync.heard(Some(sound * 1000 + wait), true, now);
            while next * 33_333 + picture * 1000 <= now.as_micros() {
                let ready = Timestamp::from_micros(next * 33_333 + picture * 1000);
                let captured = next * 33_333;
                queue.push(captured, captured, sync.due(captured, ready), ready);
                next += 1;
            }
            if let Some(captured) = queue.take(now, REFRESH) {
                sync.drawn(captured, now);
                let heard = captured as i64 + sound * 1000 + wait;
                offsets.push((now.as_micros() as i64 - heard) / 1000);
            }
        }
        (offsets, sync)
    }

    #[test]
    fn sound_and_picture_are_as_close_as_people_notice() {
        for (picture, sound) in [(20, 60), (30, 160), (60, 60), (40, 240), (100, 70), (150, 60)] {
            let (offsets, sync) = run(picture, sound);
            assert!(offsets.len() > 550, "{} pictures", offsets.len());
            let settled = &offsets[300..];
            assert!(
                settled.iter().all(|offset| (-125..=40).contains(offset)),
                "{picture} {sound}: {settled:?}"
            );
            let told = sync.offset_ms(ms(20_000)).expect("both are there");
            assert!((-125.0..=40.0).contains(&told), "{told}");
        }
    }

    #[test]
    fn sound_waits_for_late_pictures_within_bounds_and_not_for_ever() {
        let (_, on_time) = run(60, 60);
        assert_eq!(on_time.sound_wait(), Duration::ZERO);
        let (_, late) = run(400, 60);
        assert_eq!(late.sound_wait(), Duration::from_millis(80));
        let mut better = late;
        for picture in 0..300 {
            let now = ms(30_000 + picture * 33);
            better.heard(Some(140_000), true, now);
            better.drawn(now.as_micros() - 60_000, now);
        }
        assert_eq!(better.sound_wait(), Duration::ZERO);
    }
}
