//! How each minute of a call was, for the operator's metrics: sums of what the statistics count, and nothing about a
//! person.
//!
//! Sending it is left to the core, making the statistics to the media engine.

use std::collections::BTreeMap;
use std::time::Duration;

use videocall_types::limits::{MAX_REPORT_MS, MAX_REPORTED_TRACKS};
use videocall_types::{CallMinute, Timestamp, TrackKind, TrackRef};

use crate::media::parameters::AUDIO_SAMPLE_RATE;
use crate::stats::{CallStats, RemoteTrackStats};

/// What one report is about.
const LENGTH: Duration = Duration::from_secs(60);

/// Adds up a minute after the other.
#[derive(Clone, Debug, Default)]
pub struct MinuteMeter {
    began: Option<Timestamp>,
    before: BTreeMap<TrackRef, Counters>,
    sums: Sums,
}

/// What a track has counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    freezes: u64,
    frozen_ms: f64,
    concealed_samples: u64,
    sounds: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    freezes: u64,
    frozen_ms: f64,
    concealed_samples: u64,
    sounds: u64,
    sounds_lost: f64,
}

impl MinuteMeter {
    /// Takes the statistics as they are now; several times a minute. Returns the last minute when one is over.
    pub fn look(&mut self, stats: &CallStats, now: Timestamp) -> Option<CallMinute> {
        let began = *self.began.get_or_insert(now);
        let mut counted = BTreeMap::new();
        for track in &stats.remote_tracks {
            let reference = TrackRef {
                session: track.session,
                track: track.track,
            };
            let counters = Counters::of(track);
            // Of a track that is new everything is new.
            let before = self.before.get(&reference).copied().unwrap_or_default();
            self.sums
                .add(before, counters, track.loss_pct.unwrap_or_default());
            counted.insert(reference, counters);
        }
        self.before = counted;
        let length = now.since(began);
        if length < LENGTH {
            return None;
        }
        self.began = Some(now);
        let sums = std::mem::take(&mut self.sums);
        let length_ms = u32::try_from(length.as_millis()).unwrap_or(u32::MAX);
        // A program that slept knows nothing of the time in between.
        (length_ms <= MAX_REPORT_MS).then(|| sums.in_time(length_ms, stats.connection.rtt_ms))
    }
}

impl Counters {
    fn of(track: &RemoteTrackStats) -> Self {
        let sounds = if track.kind == TrackKind::Microphone {
            track.frames_received
        } else {
            0
        };
        Self {
            freezes: track.freeze_count.unwrap_or_default(),
            frozen_ms: track.freeze_ms_total.unwrap_or_default(),
            concealed_samples: track.concealed_samples.unwrap_or_default(),
            sounds,
        }
    }
}

impl Sums {
    /// A counter that has gone back is that of another track with the same name.
    fn add(&mut self, before: Counters, now: Counters, loss_pct: f64) {
        self.freezes += now.freezes.saturating_sub(before.freezes);
        self.frozen_ms += (now.frozen_ms - before.frozen_ms).max(0.0);
        self.concealed_samples += now.concealed_samples.saturating_sub(before.concealed_samples);
        let sounds = now.sounds.saturating_sub(before.sounds);
        self.sounds += sounds;
        // Where nothing arrives nothing is known of what was sent.
        let lost = loss_pct.clamp(0.0, 99.0);
        self.sounds_lost += sounds as f64 * lost / (100.0 - lost);
    }

    fn in_time(self, length_ms: u32, rtt_ms: Option<f64>) -> CallMinute {
        let most = length_ms.saturating_mul(MAX_REPORTED_TRACKS);
        let amount = |amount: f64| (amount.round() as u32).min(most);
        let concealed = self.concealed_samples as f64 * 1000.0 / f64::from(AUDIO_SAMPLE_RATE);
        CallMinute {
            length_ms,
            rtt_us: (rtt_ms.unwrap_or_default() * 1000.0) as u32,
            freezes: amount(self.freezes as f64),
            frozen_ms: amount(self.frozen_ms),
            concealed_ms: amount(concealed),
            sounds: amount(self.sounds as f64),
            sounds_lost: amount(self.sounds_lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use videocall_types::{ClientMessage, ClientReport};

    use super::*;

    /// Microphone and camera of somebody, with these counters.
    fn stats(freezes: u64, frozen_ms: f64, concealed_samples: u64, sounds: u64, loss_pct: f64) -> CallStats {
        let track = |track: u32, kind: &str| {
            json!({
                "session": "946974f52c69dbc7", "track": track, "kind": kind, "name": "bob", "muted": false,
                "framesReceived": sounds, "framesDecoded": 0, "framesDropped": 0, "bytesReceived": 0, "bitrateBps": 0.0,
            })
        };
        let mut microphone = track(1, "microphone");
        microphone["concealedSamples"] = json!(concealed_samples);
        microphone["lossPct"] = json!(loss_pct);
        let mut camera = track(2, "camera");
        camera["freezeCount"] = json!(freezes);
        camera["freezeMsTotal"] = json!(frozen_ms);
        let tracks = json!([microphone, camera]);
        let mut stats = CallStats {
            remote_tracks: serde_json::from_value(tracks).expect("tracks"),
            ..CallStats::default()
        };
        stats.connection.rtt_ms = Some(23.5);
        stats
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    #[test]
    fn a_minute_is_what_was_counted_in_it() {
        let mut meter = MinuteMeter::default();
        assert_eq!(meter.look(&stats(0, 0.0, 0, 0, 0.0), at(0)), None);
        assert_eq!(meter.look(&stats(1, 400.0, 4_800, 1_500, 0.0), at(30)), None);
        let minute = meter.look(&stats(3, 900.5, 9_600, 2_480, 2.0), at(60));
        let wanted = CallMinute {
            length_ms: 60_000,
            rtt_us: 23_500,
            freezes: 3,
            frozen_ms: 901,
            concealed_ms: 200,
            sounds: 2_480,
            sounds_lost: 20,
        };
        assert_eq!(minute, Some(wanted));
        let quiet = meter.look(&stats(3, 900.5, 9_600, 2_480, 0.0), at(121));
        let nothing = CallMinute {
            length_ms: 61_000,
            rtt_us: 23_500,
            ..CallMinute::default()
        };
        assert_eq!(quiet, Some(nothing), "each minute by itself");
    }

    #[test]
    fn whoever_comes_back_is_counted_from_the_beginning() {
        let mut meter = MinuteMeter::default();
        meter.look(&stats(5, 5_000.0, 0, 1_000, 0.0), at(0));
        meter.look(&CallStats::default(), at(20));
        meter.look(&stats(1, 100.0, 0, 50, 0.0), at(40));
        let minute = meter.look(&stats(1, 60.0, 0, 10, 0.0), at(60)).expect("a minute");
        assert_eq!(
            (minute.freezes, minute.frozen_ms, minute.sounds),
            (6, 5_100, 1_050)
        );
    }

    #[test]
    fn a_report_fits_into_what_relays_take() {
        let mut meter = MinuteMeter::default();
        meter.look(&CallStats::default(), at(0));
        let minute = meter.look(&stats(u64::MAX, 1e300, u64::MAX, 7, 100.0), at(60));
        let minute = minute.expect("a minute");
        let report = ClientReport {
            minute: Some(minute),
            ..ClientReport::default()
        };
        let read = ClientMessage::decode(&ClientMessage::Report(report).encode());
        assert_eq!(read, Ok(ClientMessage::Report(report)));
    }

    #[test]
    fn of_a_long_sleep_nothing_is_said() {
        let mut meter = MinuteMeter::default();
        meter.look(&stats(0, 0.0, 0, 0, 0.0), at(0));
        assert_eq!(meter.look(&stats(9, 9.0, 9, 9, 0.0), at(600)), None);
        assert!(meter.look(&stats(9, 9.0, 9, 9, 0.0), at(660)).is_some());
    }
}
