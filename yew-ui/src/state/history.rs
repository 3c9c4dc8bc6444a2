//! The last minutes of a call's figures, one value a second, for graphs and for judging how good the call is.
//!
//! Bounded in time and in the number of people; what is older or beyond is forgotten.

use std::collections::{BTreeMap, VecDeque};

use videocall_types::SessionId;

use super::figures::{Figures, PersonFigures};

/// How many values a series keeps: three minutes, one a second.
pub const LENGTH: usize = 180;

/// People whose figures are kept. No page shows more tiles, and the rest is not received.
pub const MOST_PEOPLE: usize = 32;

/// Looks that are further apart have missed something: pages in the background are looked at rarely.
const LONGEST_STEP_MS: f64 = 3_000.0;

/// Whose figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The connection to the relay.
    Connection,
    /// One's own camera.
    Camera,
    /// One's own screen.
    Screen,
    /// Somebody else.
    Person(SessionId),
}

/// What is drawn over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// Bits per second: of the connection what is sent.
    Sent,
    /// Bits per second: of the connection what is received.
    Received,
    /// Bits per second: what the way up is taken to carry.
    Carries,
    /// Milliseconds.
    RoundTrip,
    /// Frames of ours that were not sent, per second.
    Dropped,
    /// Bits per second of a person or a camera.
    Bitrate,
    /// Pictures per second.
    FrameRate,
    /// Lines of the picture: the layer, in the terms of who looks.
    Lines,
    /// From capture to display, milliseconds.
    Delay,
    /// Milliseconds of each second in which the picture stood still.
    Frozen,
    /// Milliseconds of each second of sound that were made up.
    Concealed,
    /// Frames of a hundred that did not come.
    Loss,
    /// Sound that waits to be played, milliseconds.
    Buffer,
    /// Sound that should wait, milliseconds.
    Target,
}

/// Values over time, the newest last; `None` where nothing is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series(VecDeque<Option<f32>>);

impl Series {
    fn push(&mut self, value: Option<f64>) {
        if self.0.len() == LENGTH {
            self.0.pop_front();
        }
        self.0
            .push_back(value.filter(|value| value.is_finite()).map(|value| value as f32));
    }

    /// The values, the oldest first.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Option<f32>> + '_ {
        self.0.iter().copied()
    }

    /// The last value, if it is known.
    pub fn last(&self) -> Option<f32> {
        self.0.back().copied().flatten()
    }

    /// The largest value.
    pub fn largest(&self) -> Option<f32> {
        self.values().flatten().reduce(f32::max)
    }

    /// The mean of what is known of the last `count` values.
    pub fn recent_mean(&self, count: usize) -> Option<f32> {
        let known = self.0.iter().rev().take(count).flatten();
        let (sum, number) = known.fold((0.0, 0.0), |(sum, number), value| (sum + value, number + 1.0));
        (number > 0.0).then(|| sum / number)
    }
}

/// All series.
#[derive(Clone, Debug, Default)]
pub struct History {
    series: BTreeMap<Subject, BTreeMap<Line, Series>>,
    before: Option<Figures>,
}

impl History {
    /// Takes note of a look. Returns whether it follows the last one closely: what is derived from differences is
    /// known only then.
    pub fn record(&mut self, figures: Figures) -> bool {
        let step = self.before.as_ref().map(|before| figures.at_ms - before.at_ms);
        let before = self.before.take();
        let close = before.filter(|_| step.is_some_and(|step| step > 0.0 && step <= LONGEST_STEP_MS));
        let seconds = step.unwrap_or_default() / 1000.0;
        self.forget_gone(&figures);
        self.record_connection(&figures, close.as_ref(), seconds);
        for picture in &figures.sent {
            let subject = if picture.screen {
                Subject::Screen
            } else {
                Subject::Camera
            };
            self.push(subject, Line::Bitrate, Some(picture.bitrate_bps));
            self.push(subject, Line::FrameRate, picture.fps);
            self.push(subject, Line::Lines, picture.lines.map(f64::from));
        }
        for person in &figures.people {
            let is_known = self.series.contains_key(&Subject::Person(person.session));
            if is_known || self.people() < MOST_PEOPLE {
                let known = |figures: &Figures| {
                    let mut people = figures.people.iter();
                    people.find(|known| known.session == person.session).copied()
                };
                self.record_person(person, close.as_ref().and_then(known), seconds);
            }
        }
        self.before = Some(figures);
        close.is_some()
    }

    /// A series; empty when nothing was recorded.
    pub fn series(&self, subject: Subject, line: Line) -> Option<&Series> {
        self.series.get(&subject)?.get(&line)
    }

    /// The last look.
    pub fn latest(&self) -> Option<&Figures> {
        self.before.as_ref()
    }

    fn people(&self) -> usize {
        let subjects = self.series.keys();
        subjects
            .filter(|subject| matches!(subject, Subject::Person(_)))
            .count()
    }

    /// Whoever left, and a camera that is off, start anew when they are back.
    fn forget_gone(&mut self, figures: &Figures) {
        self.series.retain(|subject, _| match *subject {
            Subject::Connection => true,
            Subject::Camera => figures.sent.iter().any(|picture| !picture.screen),
            Subject::Screen => figures.sent.iter().any(|picture| picture.screen),
            Subject::Person(session) => figures.people.iter().any(|person| person.session == session),
        });
    }

    fn record_connection(&mut self, figures: &Figures, before: Option<&Figures>, seconds: f64) {
        let now = figures.connection;
        let before = before.map(|figures| figures.connection);
        let per_second = |now: u64, before: Option<u64>| Some(now.checked_sub(before?)? as f64 / seconds);
        let bits = |now, before| per_second(now, before).map(|bytes| bytes * 8.0);
        let subject = Subject::Connection;
        let sent = bits(now.bytes_sent, before.map(|before| before.bytes_sent));
        self.push(subject, Line::Sent, sent);
        let received = bits(now.bytes_received, before.map(|before| before.bytes_received));
        self.push(subject, Line::Received, received);
        self.push(subject, Line::Carries, Some(now.estimate_bps));
        self.push(subject, Line::RoundTrip, now.rtt_ms);
        let dropped = per_second(now.frames_dropped, before.map(|before| before.frames_dropped));
        self.push(subject, Line::Dropped, dropped);
    }

    fn record_person(&mut self, now: &PersonFigures, before: Option<PersonFigures>, seconds: f64) {
        let subject = Subject::Person(now.session);
        // A counter that has gone back is that of another track.
        let per_second = |now: f64, before: f64| (now >= before).then(|| (now - before) / seconds);
        let picture = now.picture.unwrap_or_default();
        let frozen = before
            .and_then(|before| before.picture)
            .zip(now.picture)
            .and_then(|(before, now)| per_second(now.frozen_ms, before.frozen_ms));
        let sound = now.sound.filter(|sound| !sound.muted);
        let concealed = before
            .and_then(|before| before.sound)
            .zip(sound)
            .and_then(|(before, now)| per_second(now.concealed_ms, before.concealed_ms));
        let sound = sound.unwrap_or_default();
        for (line, value) in [
            (Line::Bitrate, Some(now.bitrate_bps)),
            (Line::FrameRate, picture.fps),
            (Line::Lines, picture.lines.map(f64::from)),
            (Line::Delay, picture.delay_ms),
            (Line::Frozen, frozen),
            (Line::Concealed, concealed),
            (Line::Loss, sound.loss_pct),
            (Line::Buffer, sound.buffer_ms),
            (Line::Target, sound.target_ms),
        ] {
            self.push(subject, line, value);
        }
    }

    fn push(&mut self, subject: Subject, line: Line, value: Option<f64>) {
        self.series
            .entry(subject)
            .or_default()
            .entry(line)
            .or_default()
            .push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::figures::{ConnectionFigures, PictureFigures, SentPicture, SoundFigures};

    fn session(number: u64) -> SessionId {
        SessionId::new(number).expect("not zero")
    }

    fn person(number: u64, frozen_ms: f64, concealed_ms: f64) -> PersonFigures {
        PersonFigures {
            session: session(number),
            bitrate_bps: 1000.0,
            picture: Some(PictureFigures {
                frozen_ms,
                ..PictureFigures::default()
            }),
            sound: Some(SoundFigures {
                concealed_ms,
                ..SoundFigures::default()
            }),
        }
    }

    fn look(at_ms: f64, people: Vec<PersonFigures>) -> Figures {
        Figures {
            at_ms,
            connection: ConnectionFigures {
                // 1000 bytes a second.
                bytes_sent: at_ms as u64,
                ..ConnectionFigures::default()
            },
            sent: Vec::new(),
            people,
        }
    }

    fn values(history: &History, subject: Subject, line: Line) -> Vec<Option<f32>> {
        let series = history.series(subject, line);
        series.map(|series| series.values().collect()).unwrap_or_default()
    }

    #[test]
    fn counters_become_rates() {
        let mut history = History::default();
        assert!(!history.record(look(0.0, vec![person(1, 0.0, 40.0)])));
        assert!(history.record(look(2000.0, vec![person(1, 500.0, 40.0)])));
        let sent = values(&history, Subject::Connection, Line::Sent);
        assert_eq!(sent, [None, Some(8000.0)]);
        let one = Subject::Person(session(1));
        assert_eq!(values(&history, one, Line::Frozen), [None, Some(250.0)]);
        assert_eq!(values(&history, one, Line::Concealed), [None, Some(0.0)]);
    }

    #[test]
    fn what_was_missed_is_a_gap_and_no_peak() {
        let mut history = History::default();
        history.record(look(0.0, vec![person(1, 0.0, 0.0)]));
        assert!(!history.record(look(60_000.0, vec![person(1, 9000.0, 0.0)])));
        let one = Subject::Person(session(1));
        assert_eq!(values(&history, one, Line::Frozen), [None, None]);
        assert_eq!(values(&history, Subject::Connection, Line::Sent), [None, None]);
    }

    #[test]
    fn a_counter_of_another_track_is_a_gap() {
        let mut history = History::default();
        history.record(look(0.0, vec![person(1, 800.0, 800.0)]));
        history.record(look(1000.0, vec![person(1, 0.0, 0.0)]));
        let one = Subject::Person(session(1));
        assert_eq!(values(&history, one, Line::Frozen), [None, None]);
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut history = History::default();
        for second in 0..LENGTH + 20 {
            let mut figures = look(second as f64 * 1000.0, Vec::new());
            figures.connection.rtt_ms = Some(second as f64);
            history.record(figures);
        }
        let rtt = history
            .series(Subject::Connection, Line::RoundTrip)
            .expect("recorded");
        assert_eq!(rtt.values().len(), LENGTH);
        assert_eq!(rtt.values().next(), Some(Some(20.0)));
        assert_eq!(rtt.last(), Some((LENGTH + 19) as f32));
        assert_eq!(rtt.largest(), rtt.last());
        assert_eq!(rtt.recent_mean(3), Some((LENGTH + 18) as f32));
    }

    #[test]
    fn whoever_is_gone_is_forgotten_and_a_crowd_is_bounded() {
        let mut history = History::default();
        let crowd = |from: u64| {
            (from..from + 100)
                .map(|number| person(number, 0.0, 0.0))
                .collect()
        };
        history.record(look(0.0, crowd(1)));
        assert_eq!(history.people(), MOST_PEOPLE);
        assert!(!values(&history, Subject::Person(session(1)), Line::Bitrate).is_empty());
        history.record(look(1000.0, crowd(90)));
        assert_eq!(history.people(), MOST_PEOPLE);
        assert!(values(&history, Subject::Person(session(1)), Line::Bitrate).is_empty());
    }

    #[test]
    fn a_camera_that_was_off_begins_anew() {
        let mut history = History::default();
        let sending = |at_ms| Figures {
            sent: vec![SentPicture::default()],
            ..look(at_ms, Vec::new())
        };
        history.record(sending(0.0));
        history.record(sending(1000.0));
        history.record(look(2000.0, Vec::new()));
        history.record(sending(3000.0));
        assert_eq!(values(&history, Subject::Camera, Line::Bitrate).len(), 1);
    }
}
