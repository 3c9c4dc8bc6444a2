use proptest::prelude::*;
use videocall_types::TrackId;

use super::*;

const FRAME: Duration = Duration::from_millis(20);
const SILENT: Option<u8> = Some(127);

fn session(number: u64) -> SessionId {
    SessionId::new(number).expect("not zero")
}

fn speaker(number: u64, audio_level: u8, since_ms: u64) -> Speaker {
    Speaker {
        session: session(number),
        audio_level,
        since_ms,
    }
}

/// Microphones of one relay, numbered from 1, that send a frame every 20 ms.
struct Room {
    selection: Selection,
    levels: Vec<Arc<TrackLevel>>,
    now: Timestamp,
}

impl Room {
    fn new(max: usize, people: u64) -> Self {
        let level = |number| {
            let track = TrackRef {
                session: session(number),
                track: TrackId(1),
            };
            let level = TrackLevel::new(track);
            level.set_local(true);
            level
        };
        Self {
            selection: Selection::new(max),
            levels: (1..=people).map(level).collect(),
            now: Timestamp::from_millis(1_000_000),
        }
    }

    fn level(&self, number: u64) -> &Arc<TrackLevel> {
        &self.levels[number as usize - 1]
    }

    /// One frame of somebody; whether it is forwarded.
    fn frame(&self, number: u64, dbov: Option<u8>) -> bool {
        self.selection.observe(self.level(number), dbov, self.now)
    }

    /// For a while everybody sends at their level.
    fn pass(&mut self, time: Duration, levels: &[(u64, u8)]) {
        let end = self.now + time;
        while self.now < end {
            self.now += FRAME;
            for &(number, dbov) in levels {
                self.frame(number, Some(dbov));
            }
        }
    }

    fn selected(&self) -> Vec<u64> {
        let selected = self.levels.iter().filter(|level| level.is_selected());
        selected.map(|level| level.track.session.get()).collect()
    }

    fn tick(&mut self) -> Tick {
        self.now += TICK;
        self.selection.tick(|_| true, self.now)
    }

    fn announced(&mut self) -> Vec<u64> {
        self.tick();
        self.selection
            .announced()
            .iter()
            .map(|session| session.get())
            .collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn in_a_small_meeting_everybody_is_heard_even_silent() {
    let room = Room::new(3, 3);
    assert!((1..=3).all(|number| room.frame(number, SILENT)));
}

#[test]
fn the_first_word_passes_when_a_slot_is_free_or_held_by_somebody_silent() {
    let mut room = Room::new(2, 3);
    room.pass(SECOND * 2, &[(1, 127), (2, 127)]);
    assert!(!room.frame(3, SILENT), "silence takes nobody's slot");
    assert!(room.frame(3, Some(30)));
    assert_eq!(room.selected().len(), 2);
}

#[test]
fn the_slot_of_the_longest_silent_goes_first() {
    let mut room = Room::new(3, 4);
    room.pass(SECOND, &[(1, 30), (2, 30), (3, 30)]);
    room.pass(SECOND * 2, &[(1, 30), (2, 127), (3, 30)]);
    room.pass(SECOND * 2, &[(1, 30), (2, 127), (3, 127)]);
    room.frame(4, Some(30));
    assert_eq!(room.selected(), [1, 3, 4]);
}

#[test]
fn two_equally_loud_voices_do_not_alternate() {
    let mut room = Room::new(1, 2);
    for _ in 0..100 {
        room.pass(Duration::from_millis(100), &[(1, 28), (2, 28)]);
        assert_eq!(room.selected(), [1]);
    }
}

#[test]
fn who_is_clearly_louder_gets_in_but_a_knock_does_not() {
    let mut room = Room::new(1, 2);
    room.pass(SECOND * 3, &[(1, 45)]);
    room.pass(Duration::from_millis(200), &[(1, 45), (2, 10)]);
    assert_eq!(room.selected(), [1], "a knock");
    room.pass(SECOND * 3, &[(1, 45), (2, 127)]);
    room.pass(Duration::from_millis(400), &[(1, 45), (2, 20)]);
    assert_eq!(room.selected(), [2], "a voice");
}

#[test]
fn a_keyboard_is_no_speaker() {
    let mut room = Room::new(2, 1);
    for _ in 0..50 {
        room.pass(Duration::from_millis(40), &[(1, 20)]);
        room.pass(Duration::from_millis(160), &[(1, 90)]);
        assert_eq!(room.announced(), [0_u64; 0]);
    }
}

#[test]
fn speech_with_pauses_stays_announced_and_silence_leaves() {
    let mut room = Room::new(2, 1);
    for _ in 0..10 {
        room.pass(Duration::from_millis(400), &[(1, 25)]);
        room.pass(Duration::from_millis(250), &[(1, 80)]);
    }
    assert_eq!(room.announced(), [1]);
    room.pass(SECOND, &[(1, 80)]);
    assert_eq!(room.announced(), [1], "a pause for thought");
    room.pass(SECOND * 3, &[(1, 80)]);
    assert_eq!(room.announced(), [0_u64; 0]);
    assert_eq!(room.selected(), [1], "what is quiet is still heard");
}

#[test]
fn somebody_whose_frames_end_leaves_too() {
    let mut room = Room::new(2, 1);
    room.pass(SECOND * 5, &[(1, 25)]);
    assert_eq!(room.announced(), [1]);
    room.now += SECOND * 4;
    assert_eq!(room.announced(), [0_u64; 0]);
}

#[test]
fn the_louder_come_first_then_who_began_first() {
    let mut room = Room::new(5, 4);
    room.pass(SECOND, &[(3, 30)]);
    room.pass(SECOND, &[(3, 30), (2, 30)]);
    room.pass(SECOND, &[(3, 30), (2, 30), (1, 18)]);
    assert_eq!(room.announced(), [1, 3, 2]);
}

#[test]
fn a_microphone_without_levels_is_a_quiet_voice() {
    let mut room = Room::new(1, 2);
    for _ in 0..50 {
        room.now += FRAME;
        assert!(room.frame(1, None));
    }
    assert_eq!(room.announced(), [1]);
    room.pass(SECOND, &[(2, 30)]);
    assert_eq!(room.selected(), [2]);
}

#[test]
fn who_leaves_frees_the_slot() {
    let mut room = Room::new(1, 2);
    room.pass(SECOND, &[(1, 20)]);
    assert!(!room.frame(2, SILENT));
    room.selection.release(room.level(1));
    assert!(room.frame(2, SILENT), "there is room again");
    assert!(!room.level(1).is_selected());
    assert_eq!(room.announced(), [0_u64; 0]);
}

#[test]
fn a_report_goes_out_on_changes_and_is_repeated_while_it_says_something() {
    let mut room = Room::new(5, 1);
    assert_eq!(room.tick(), Tick::default());
    room.pass(SECOND, &[(1, 20)]);
    let tick = room.tick();
    assert_eq!(tick.announce, Some(vec![session(1)]));
    assert_eq!(tick.publish.expect("news").len(), 1);
    let published = (0..8).filter(|_| {
        room.pass(TICK * 3 / 4, &[(1, 20)]);
        let tick = room.tick();
        assert_eq!(tick.announce, None);
        tick.publish.is_some()
    });
    let published = published.count();
    assert!((2..=4).contains(&published), "about once a second: {published}");
    room.now += SECOND * 5;
    assert_eq!(room.tick().publish, Some(Vec::new()));
    room.now += SECOND * 5;
    assert_eq!(room.tick(), Tick::default());
}

#[test]
fn small_changes_of_loudness_are_not_told() {
    let mut room = Room::new(5, 1);
    let mut told = 0;
    for turn in 0..200_u32 {
        let dbov = if turn.is_multiple_of(2) { 28 } else { 32 };
        room.pass(Duration::from_millis(240), &[(1, dbov)]);
        let before = room.selection.state.lock().published.clone();
        room.selection.tick(|_| true, room.now);
        told += usize::from(before != room.selection.state.lock().published);
    }
    assert_eq!(told, 1);
}

#[test]
fn other_relays_are_announced_until_they_fall_silent_or_go() {
    let mut room = Room::new(5, 1);
    let relay = || "relay-b".parse::<RelayId>().expect("an id");
    room.selection
        .take_report(relay(), vec![speaker(9, 20, 0)], room.now);
    assert_eq!(room.announced(), [9]);
    room.now += SECOND * 4;
    assert_eq!(room.announced(), [0_u64; 0], "not repeated");
    room.selection
        .take_report(relay(), vec![speaker(9, 20, 0)], room.now);
    assert_eq!(room.announced(), [9]);
    room.selection.forget_relay(&relay());
    assert_eq!(room.announced(), [0_u64; 0]);
}

#[test]
fn who_is_not_present_is_not_announced() {
    let mut room = Room::new(5, 2);
    room.pass(SECOND, &[(1, 20), (2, 20)]);
    room.now += TICK;
    room.selection.tick(|present| present == session(2), room.now);
    assert_eq!(room.selection.announced(), [session(2)]);
}

/// Two relays, on each of which as many speak as there are slots: both end up with the same.
#[test]
fn relays_agree_on_whom_to_forward() {
    let tracks = |local: fn(u64) -> bool| {
        let room = Room::new(2, 4);
        for level in &room.levels {
            level.set_local(local(level.track.session.get()));
        }
        room
    };
    let mut relays = [tracks(|number| number <= 2), tracks(|number| number > 2)];
    // Second 1: everybody speaks, the second relay's people were first.
    for step in 0..400 {
        let speaks = |number: u64| if number > 2 { step >= 5 } else { step >= 20 };
        for number in (1..=4).filter(|&number| speaks(number)) {
            let home = usize::from(number > 2);
            if relays[home].frame(number, Some(30)) {
                relays[1 - home].frame(number, Some(30));
            }
        }
        let ticks = [
            relays[0].selection.tick(|_| true, relays[0].now),
            relays[1].selection.tick(|_| true, relays[1].now),
        ];
        for (from, tick) in ticks.into_iter().enumerate() {
            let name = format!("relay-{from}").parse::<RelayId>().expect("an id");
            if let Some(speakers) = tick.publish {
                let now = relays[1 - from].now;
                relays[1 - from].selection.take_report(name, speakers, now);
            }
        }
        relays.iter_mut().for_each(|room| room.now += FRAME);
        assert!(relays.iter().all(|room| room.selected().len() <= 2));
    }
    assert_eq!(relays[0].selected(), [3, 4]);
    assert_eq!(relays[1].selected(), [3, 4]);
    assert_eq!(relays[0].announced(), relays[1].announced());
}

#[test]
fn senders_on_many_threads_never_hold_too_many_slots() {
    let room = Room::new(3, 64);
    let start = room.now;
    std::thread::scope(|scope| {
        for worker in 0..4_u64 {
            let room = &room;
            scope.spawn(move || {
                for step in 0..4000_u64 {
                    let number = (step * 7 + worker) % 16 * 4 + worker + 1;
                    let now = start + FRAME * (step as u32 / 4);
                    let dbov = (step * 13 + worker * 5) % 128;
                    room.selection.observe(room.level(number), Some(dbov as u8), now);
                    if step % 97 == worker {
                        room.selection.release(room.level(number));
                    }
                    let state = room.selection.state.lock();
                    let selected = room.levels.iter().filter(|level| level.is_selected()).count();
                    assert_eq!(selected, state.slots.len());
                    assert!(selected <= 3);
                }
            });
        }
    });
}

#[derive(Clone, Debug)]
enum Act {
    Frame(u64, Option<u8>),
    Leave(u64),
    Wait(u64),
    Tick,
    Report(u64, u8),
}

fn act() -> impl Strategy<Value = Act> {
    let level = prop_oneof![
        Just(None),
        (0..=127_u8).prop_map(Some),
        (10..=40_u8).prop_map(Some)
    ];
    prop_oneof![
        20 => (1..=12_u64, level).prop_map(|(number, level)| Act::Frame(number, level)),
        1 => (1..=12_u64).prop_map(Act::Leave),
        6 => (1..=400_u64).prop_map(Act::Wait),
        2 => Just(Act::Tick),
        1 => (1..=20_u64, 1..=128_u8).prop_map(|(number, level)| Act::Report(number, level)),
    ]
}

proptest! {
    #[test]
    fn never_more_than_the_slots_are_selected(max in 0..5_usize, acts in prop::collection::vec(act(), 0..400)) {
        let mut room = Room::new(max, 12);
        room.levels.iter().for_each(|level| level.set_local(level.track.session.get() <= 8));
        for act in acts {
            match act {
                Act::Frame(number, level) => {
                    let room_before = room.selected().len() < max;
                    let passed = room.frame(number, level);
                    prop_assert_eq!(passed, room.level(number).is_selected());
                    prop_assert!(passed || !room_before, "there was room");
                }
                Act::Leave(number) => room.selection.release(room.level(number)),
                Act::Wait(ms) => room.now += Duration::from_millis(ms),
                Act::Tick => {
                    room.selection.tick(|_| true, room.now);
                    prop_assert!(room.selection.announced().len() <= max);
                }
                Act::Report(number, level) => {
                    let relay = "other".parse::<RelayId>().expect("an id");
                    room.selection.take_report(relay, vec![speaker(number, level, 5)], room.now);
                }
            }
            prop_assert!(room.selected().len() <= max);
        }
    }

    #[test]
    fn merging_does_not_depend_on_the_order(
        speakers in prop::collection::vec((1..8_u64, 1..5_u8, 0..4_u64), 0..20),
        cuts in prop::collection::vec(0..20_usize, 0..4),
        n in 0..6_usize,
        turn in 0..20_usize,
    ) {
        let speakers: Vec<_> = speakers.into_iter().map(|(s, l, t)| speaker(s, l, t)).collect();
        let mut reports = vec![Vec::new(); cuts.len() + 1];
        for (index, speaker) in speakers.iter().enumerate() {
            let report = cuts.iter().filter(|&&cut| cut <= index).count();
            reports[report].push(*speaker);
        }
        let order = merge(&reports, n);
        let mut turned = speakers.clone();
        turned.rotate_left(turn.min(speakers.len()));
        prop_assert_eq!(&merge([&turned], n), &order);
        reports.reverse();
        prop_assert_eq!(&merge(&reports, n), &order);
        prop_assert!(order.len() <= n);
    }

    /// Voices that are equally loud, with syllables and pauses, keep their slots.
    #[test]
    fn equal_voices_keep_their_slots(base in 20..40_u8, noise in prop::collection::vec((0..9_u8, 0..9_u8), 1000)) {
        let mut room = Room::new(1, 2);
        room.pass(SECOND, &[(1, base + 4)]);
        for (one, two) in noise {
            room.now += FRAME;
            room.frame(1, Some(base + one));
            room.frame(2, Some(base + two));
            prop_assert_eq!(room.selected(), vec![1]);
        }
    }
}
