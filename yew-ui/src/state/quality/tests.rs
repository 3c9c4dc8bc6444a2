//! Second by second, as the figures come.

use super::*;
use crate::state::figures::{ConnectionFigures, Figures, PersonFigures, PictureFigures, SoundFigures};

fn session(number: u64) -> SessionId {
    SessionId::new(number).expect("not zero")
}

/// A call that is looked at every second.
#[derive(Default)]
struct Call {
    seconds: f64,
    history: History,
    quality: Quality,
    connection: ConnectionFigures,
    /// Milliseconds of each second that stand still or are made up, by person.
    frozen: Vec<f64>,
    concealed: Vec<f64>,
    totals: Vec<[f64; 2]>,
    /// Bytes.
    sent_per_second: u64,
    reconnecting: bool,
    /// Nobody's pictures are on the page.
    hidden: bool,
}

impl Call {
    fn with(people: usize) -> Self {
        let mut call = Self {
            frozen: vec![0.0; people],
            concealed: vec![0.0; people],
            totals: vec![[0.0; 2]; people],
            ..Self::default()
        };
        call.run(10);
        call
    }

    fn second(&mut self) -> Standing {
        self.seconds += 1.0;
        self.connection.bytes_sent += self.sent_per_second;
        let mut people = Vec::new();
        for (index, total) in self.totals.iter_mut().enumerate() {
            total[0] += self.frozen[index];
            total[1] += self.concealed[index];
            people.push(PersonFigures {
                session: session(index as u64 + 1),
                bitrate_bps: 0.0,
                picture: Some(PictureFigures {
                    frozen_ms: total[0],
                    ..PictureFigures::default()
                }),
                sound: Some(SoundFigures {
                    concealed_ms: total[1],
                    ..SoundFigures::default()
                }),
            });
        }
        self.history.record(Figures {
            at_ms: self.seconds * 1000.0,
            connection: self.connection,
            sent: Vec::new(),
            people,
        });
        let all: Vec<SessionId> = (1..=self.totals.len() as u64).map(session).collect();
        let situation = Situation {
            connected: !self.reconnecting,
            reconnecting: self.reconnecting,
            shown: if self.hidden { &[] } else { &all },
        };
        self.quality.judge(&self.history, situation)
    }

    fn run(&mut self, seconds: u32) -> Standing {
        (0..seconds).map(|_| self.second()).last().unwrap_or_default()
    }

    /// Seconds until it is shown.
    fn until(&mut self, condition: impl Fn(&Standing) -> bool) -> u32 {
        (1..60)
            .find(|_| condition(&self.second()))
            .expect("within a minute")
    }
}

fn own(grade: Grade, reason: Reason) -> Verdict {
    Verdict {
        grade,
        reason: Some(reason),
    }
}

#[test]
fn a_call_without_trouble_has_nothing_to_say() {
    let standing = Call::with(3).run(60);
    assert_eq!(standing, Standing::default());
}

#[test]
fn a_slow_upload_is_said_soon_and_taken_back_late() {
    let mut call = Call::with(1);
    call.sent_per_second = 40_000;
    call.run(10);
    call.connection.estimate_bps = 300_000.0;
    call.connection.wanted_bps = 1_000_000.0;
    call.connection.limit = Some(Limit::Network);
    let slow = own(Grade::Poor, Reason::SlowUpload);
    assert_eq!(call.until(|standing| standing.own == slow), DOWN_AFTER);
    call.connection.estimate_bps = 600_000.0;
    let fair = own(Grade::Fair, Reason::SlowUpload);
    assert_eq!(call.until(|standing| standing.own == fair), UP_AFTER);
    call.connection.limit = None;
    assert_eq!(call.until(|standing| standing.own == Verdict::GOOD), UP_AFTER);
}

#[test]
fn less_than_wanted_for_no_lack_of_network_is_no_trouble() {
    let mut call = Call::with(1);
    // Little is known above what was sent.
    call.connection.estimate_bps = 100_000.0;
    call.connection.wanted_bps = 1_000_000.0;
    assert_eq!(call.run(30).own, Verdict::GOOD);
}

#[test]
fn a_path_that_is_hardly_used_is_not_said_to_be_slow() {
    let mut call = Call::with(1);
    call.sent_per_second = 1_000;
    call.connection.estimate_bps = 50_000.0;
    call.connection.wanted_bps = 100_000.0;
    call.connection.limit = Some(Limit::Network);
    assert_eq!(call.run(30).own, Verdict::GOOD);
    call.sent_per_second = 6_000;
    assert_eq!(call.run(30).own, own(Grade::Fair, Reason::SlowUpload));
}

#[test]
fn a_moment_is_not_mentioned() {
    let mut call = Call::with(1);
    for _ in 0..20 {
        call.connection.limit = Some(Limit::Machine);
        assert_eq!(call.run(DOWN_AFTER - 1), Standing::default());
        call.connection.limit = None;
        assert_eq!(call.run(1), Standing::default());
    }
    call.connection.limit = Some(Limit::Machine);
    assert_eq!(call.run(DOWN_AFTER).own, own(Grade::Fair, Reason::BusyComputer));
}

#[test]
fn a_lost_connection_is_said_at_once_and_over_at_once() {
    let mut call = Call::with(1);
    call.reconnecting = true;
    assert_eq!(call.second().own, own(Grade::Poor, Reason::Reconnecting));
    call.reconnecting = false;
    assert_eq!(call.second().own, Verdict::GOOD);
}

#[test]
fn one_whose_picture_stands_has_a_weak_connection() {
    let mut call = Call::with(3);
    call.frozen[1] = 500.0;
    let took = call.until(|standing| !standing.people.is_empty());
    assert!(took <= DOWN_AFTER + 1, "{took}");
    call.frozen[1] = 1000.0;
    let standing = call.run(20);
    assert_eq!(standing.of(session(2)), own(Grade::Poor, Reason::TheirConnection));
    assert_eq!(standing.people.len(), 1);
    assert_eq!(standing.own, Verdict::GOOD);
    call.frozen[1] = 0.0;
    assert_eq!(call.run(30), Standing::default());
}

#[test]
fn a_picture_that_is_not_on_the_page_cannot_stand_still() {
    let mut call = Call::with(2);
    call.hidden = true;
    call.frozen[0] = 1000.0;
    assert_eq!(call.run(30), Standing::default());
    call.concealed[0] = 400.0;
    assert_eq!(
        call.run(30).of(session(1)).grade,
        Grade::Poor,
        "they are heard all the same"
    );
}

#[test]
fn when_most_come_badly_it_is_the_own_connection() {
    let mut call = Call::with(3);
    call.concealed = vec![200.0, 200.0, 0.0];
    let standing = call.run(30);
    assert_eq!(standing.own, own(Grade::Poor, Reason::WeakDownload));
    assert_eq!(standing.of(session(1)).reason, Some(Reason::WeakDownload));
    assert_eq!(standing.of(session(3)), Verdict::GOOD);
}

#[test]
fn with_one_other_it_is_theirs() {
    let mut call = Call::with(1);
    call.concealed = vec![200.0];
    let standing = call.run(30);
    assert_eq!(standing.of(session(1)).reason, Some(Reason::TheirConnection));
    assert_eq!(standing.own, Verdict::GOOD);
}

#[test]
fn a_long_way_is_said() {
    let mut call = Call::with(1);
    call.connection.rtt_ms = Some(400.0);
    assert_eq!(call.run(20).own, own(Grade::Fair, Reason::LongWay));
}

/// SplitMix64: the same numbers in every run.
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

#[test]
fn figures_that_swing_about_a_limit_do_not_make_it_flicker() {
    for seed in 0..50 {
        let mut state = seed;
        let mut call = Call::with(1);
        let mut before = Verdict::GOOD;
        let mut changes = 0;
        for _ in 0..600 {
            call.connection.rtt_ms = Some(ROUND_TRIP[0] * (0.85 + 0.3 * random(&mut state)));
            let now = call.second().own;
            changes += u32::from(now != before);
            before = now;
        }
        assert!(changes <= 1, "{changes} changes in ten minutes, seed {seed}");
    }
}

#[test]
fn however_wild_the_figures_changes_are_seconds_apart() {
    for seed in 0..50 {
        let mut state = seed;
        let mut call = Call::with(2);
        let mut before = Standing::default();
        let mut changed_at = 0;
        for second in 1..=300 {
            call.frozen[0] = 1000.0 * (random(&mut state) > 0.7) as u8 as f64;
            call.concealed[1] = 300.0 * random(&mut state) * random(&mut state);
            let limits = [None, Some(Limit::Machine), Some(Limit::Network)];
            call.connection.limit = limits[(random(&mut state) * 3.0) as usize];
            call.connection.wanted_bps = 100_000.0;
            let now = call.second();
            if now.of(session(1)) != before.of(session(1)) {
                assert!(second - changed_at >= DOWN_AFTER, "seed {seed}, second {second}");
                changed_at = second;
            }
            before = now;
        }
    }
}
