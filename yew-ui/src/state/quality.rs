//! How good the call is, for oneself and for everybody else, and why, as the page says it.
//!
//! Raw judgements come from the last seconds of the figures. What is shown follows them with hysteresis in both
//! directions: in value (a limit that was crossed has to be left by a margin) and in time (worse after a few seconds, better
//! after more), so that nothing flickers.

use std::collections::BTreeMap;

use videocall_types::SessionId;

use super::figures::Limit;
use super::history::{History, Line, Subject};

/// How many seconds a judgement looks back.
const WINDOW: usize = 5;

/// How many seconds it has to be worse than shown before that is said: a hiccup is none of anybody's business.
pub const DOWN_AFTER: u32 = 3;

/// How many seconds it has to be better: longer, because trouble comes in groups.
pub const UP_AFTER: u32 = 8;

/// A limit that was crossed counts as crossed down to this share of it.
const MARGIN: f64 = 0.7;

/// From where on something is fair, and poor.
type Limits = [f64; 2];

/// Milliseconds. People begin to talk at the same time from 400 ms from mouth to ear on (ITU-T G.114: 150 ms is good, 400 ms
/// the limit); most of the rest of the way takes another 100.
const ROUND_TRIP: Limits = [300.0, 600.0];
/// Share of the wanted upload that is missing.
const UPLOAD_MISSING: Limits = [0.25, 0.6];
/// Share of what a path is taken to carry from which on it is used.
const USED: f64 = 0.5;
/// Frames of ours that are not sent, per second.
const DROPPED: Limits = [2.0, 10.0];
/// Milliseconds of each second in which a picture stands.
const FROZEN: Limits = [60.0, 300.0];
/// Milliseconds of each second of sound that are made up. A twentieth is heard.
const CONCEALED: Limits = [50.0, 150.0];
/// Frames of sound of a hundred. With redundancy fewer are healed without a trace.
const LOSS: Limits = [8.0, 20.0];

/// How good something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing to say.
    #[default]
    Good,
    /// It is noticed.
    Fair,
    /// It is in the way.
    Poor,
}

impl Grade {
    /// The word in `data-quality`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Poor => "poor",
        }
    }
}

/// Why it is not better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// One's own connection is being made again.
    Reconnecting,
    /// One's own way to the relay carries less than what is wanted.
    SlowUpload,
    /// What comes from everybody comes badly.
    WeakDownload,
    /// Answers of the relay take long.
    LongWay,
    /// This machine does not encode as much as is wanted.
    BusyComputer,
    /// The other's pictures or sound come badly, and those of the rest do not.
    TheirConnection,
}

/// A grade with its reason; good needs none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How good.
    pub grade: Grade,
    /// Why not better.
    pub reason: Option<Reason>,
}

impl Verdict {
    /// Nothing to say.
    pub const GOOD: Self = Self {
        grade: Grade::Good,
        reason: None,
    };

    fn new(grade: Grade, reason: Reason) -> Self {
        let reason = (grade > Grade::Good).then_some(reason);
        Self { grade, reason }
    }
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Of oneself.
    pub own: Verdict,
    /// Of the others; those who are not in it are good.
    pub people: BTreeMap<SessionId, Verdict>,
}

impl Standing {
    /// Of somebody else.
    pub fn of(&self, session: SessionId) -> Verdict {
        self.people.get(&session).copied().unwrap_or_default()
    }
}

/// What the figures do not tell.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The relay has let us in, and the connection is there.
    pub connected: bool,
    /// It was there before, and is being made again.
    pub reconnecting: bool,
    /// Whose pictures are on the page; of the others nothing can stand still.
    pub shown: &'a [SessionId],
}

/// Follows the figures.
#[derive(Clone, Debug, Default)]
pub struct Quality {
    own: Judge,
    people: BTreeMap<SessionId, Judge>,
}

impl Quality {
    /// Judges anew; to be called once a second, after each look that followed the last one closely.
    pub fn judge(&mut self, history: &History, situation: Situation<'_>) -> Standing {
        if !situation.connected {
            *self = Self::default();
            let own = Verdict::new(Grade::Poor, Reason::Reconnecting);
            return Standing {
                own: if situation.reconnecting {
                    own
                } else {
                    Verdict::GOOD
                },
                people: BTreeMap::new(),
            };
        }
        self.judge_people(history, situation.shown);
        let raw = self.own_now(history);
        let own = self.own.hear(raw);
        let shown = |(&session, judge): (&SessionId, &Judge)| {
            (judge.shown.grade > Grade::Good).then_some((session, judge.shown))
        };
        Standing {
            own,
            people: self.people.iter().filter_map(shown).collect(),
        }
    }

    /// After looks that were too far apart to be compared.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn judge_people(&mut self, history: &History, shown: &[SessionId]) {
        let people = history.latest().map(|figures| figures.people.as_slice());
        let sessions = || people.unwrap_or_default().iter().map(|person| person.session);
        self.people
            .retain(|session, _| sessions().any(|other| other == *session));
        let raw: Vec<(SessionId, Grade)> = sessions()
            .map(|session| {
                let before = self
                    .people
                    .get(&session)
                    .map_or(Grade::Good, |judge| judge.shown.grade);
                (
                    session,
                    received(history, session, shown.contains(&session), before),
                )
            })
            .collect();
        let reason = if blame_download(raw.iter().map(|&(_, grade)| grade)) {
            Reason::WeakDownload
        } else {
            Reason::TheirConnection
        };
        for (session, grade) in raw {
            self.people
                .entry(session)
                .or_default()
                .hear(Verdict::new(grade, reason));
        }
    }

    /// The worst of what concerns oneself; of equals what can be done something about comes first.
    fn own_now(&self, history: &History) -> Verdict {
        let before = self.own.shown;
        let graded = |value: Option<f64>, limits, reason| {
            let shown = if before.reason == Some(reason) {
                before.grade
            } else {
                Grade::Good
            };
            let grade = value.map_or(Grade::Good, |value| grade(value, limits, shown));
            Verdict::new(grade, reason)
        };
        let recent = |line| recent(history, Subject::Connection, line);
        let connection = history
            .latest()
            .map(|figures| figures.connection)
            .unwrap_or_default();
        // Little is known above what was sent: a path that is hardly used is no path that is too narrow.
        let used = recent(Line::Sent).is_some_and(|sent| sent >= connection.estimate_bps * USED);
        let is_narrow = connection.limit == Some(Limit::Network) && connection.wanted_bps > 0.0;
        let missing = (is_narrow && used).then(|| 1.0 - connection.estimate_bps / connection.wanted_bps);
        let busy = if connection.limit == Some(Limit::Machine) {
            Verdict::new(Grade::Fair, Reason::BusyComputer)
        } else {
            Verdict::GOOD
        };
        let people: Vec<Verdict> = self.people.values().map(|judge| judge.shown).collect();
        let blamed = people
            .iter()
            .filter(|verdict| verdict.reason == Some(Reason::WeakDownload));
        let download = blamed.map(|verdict| verdict.grade).min().unwrap_or_default();
        let verdicts = [
            graded(missing, UPLOAD_MISSING, Reason::SlowUpload),
            graded(recent(Line::Dropped), DROPPED, Reason::SlowUpload),
            busy,
            Verdict::new(download, Reason::WeakDownload),
            graded(recent(Line::RoundTrip), ROUND_TRIP, Reason::LongWay),
        ];
        let worse = |worst: Verdict, verdict: Verdict| {
            if verdict.grade > worst.grade {
                verdict
            } else {
                worst
            }
        };
        verdicts.into_iter().fold(Verdict::GOOD, worse)
    }
}

/// How well somebody's pictures and sound come.
fn received(history: &History, session: SessionId, shown: bool, before: Grade) -> Grade {
    let person = Subject::Person(session);
    let graded = |line, limits| {
        let value = recent(history, person, line);
        value.map_or(Grade::Good, |value| grade(value, limits, before))
    };
    let picture = if shown {
        graded(Line::Frozen, FROZEN)
    } else {
        Grade::Good
    };
    picture
        .max(graded(Line::Concealed, CONCEALED))
        .max(graded(Line::Loss, LOSS))
}

/// Whether it is one's own way down: two people or more are received, and most of them badly.
fn blame_download(grades: impl Iterator<Item = Grade> + Clone) -> bool {
    let all = grades.clone().count();
    let bad = grades.filter(|&grade| grade > Grade::Good).count();
    all >= 2 && bad * 2 > all
}

fn recent(history: &History, subject: Subject, line: Line) -> Option<f64> {
    let series = history.series(subject, line)?;
    series.recent_mean(WINDOW).map(f64::from)
}

/// The grade of a value; what has brought the grade that is shown holds on a little longer.
fn grade(value: f64, [fair, poor]: Limits, shown: Grade) -> Grade {
    let over = |limit: f64, grade: Grade| value >= limit * if shown >= grade { MARGIN } else { 1.0 };
    if over(poor, Grade::Poor) {
        Grade::Poor
    } else if over(fair, Grade::Fair) {
        Grade::Fair
    } else {
        Grade::Good
    }
}

/// Makes of raw judgements what is shown.
#[derive(Clone, Copy, Debug, Default)]
struct Judge {
    shown: Verdict,
    /// For how long it has been worse than shown, and the best of that time.
    worse: Option<(u32, Verdict)>,
    /// For how long it has been better than shown, and the worst of that time.
    better: Option<(u32, Verdict)>,
    /// For how long there has been another reason for the same grade.
    otherwise: u32,
}

impl Judge {
    /// Takes the judgement of a second; returns what is shown from now on.
    fn hear(&mut self, raw: Verdict) -> Verdict {
        let grade = raw.grade;
        self.worse = (grade > self.shown.grade).then(|| match self.worse {
            Some((count, best)) if best.grade <= grade => (count + 1, best),
            Some((count, _)) => (count + 1, raw),
            None => (1, raw),
        });
        self.better = (grade < self.shown.grade).then(|| match self.better {
            Some((count, worst)) if worst.grade >= grade => (count + 1, worst),
            Some((count, _)) => (count + 1, raw),
            None => (1, raw),
        });
        self.otherwise = if grade == self.shown.grade && raw.reason != self.shown.reason {
            self.otherwise + 1
        } else {
            0
        };
        let next = match (self.worse, self.better) {
            (Some((DOWN_AFTER.., best)), _) => Some(best),
            (_, Some((UP_AFTER.., worst))) => Some(worst),
            _ if self.otherwise >= UP_AFTER => Some(raw),
            _ => None,
        };
        if let Some(next) = next {
            *self = Self {
                shown: next,
                ..Self::default()
            };
        }
        self.shown
    }
}

#[cfg(test)]
mod tests;
