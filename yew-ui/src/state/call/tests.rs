//! The call's reducer, change by change.

use videocall_types::TrackId;

use super::*;

fn session(number: u64) -> SessionId {
    SessionId::new(number).expect("not zero")
}

fn track(number: u64, track: u32) -> TrackRef {
    TrackRef {
        session: session(number),
        track: TrackId(track),
    }
}

fn info(track: u32, kind: TrackKind, muted: bool) -> TrackInfo {
    TrackInfo {
        track: TrackId(track),
        kind,
        muted,
        codec: String::new(),
        layers: Vec::new(),
    }
}

fn participant(number: u64, name: &str, tracks: &[TrackInfo]) -> Participant {
    Participant {
        session: session(number),
        user_id: name.parse().expect("allowed"),
        display_name: name.to_owned(),
        tracks: tracks.to_vec(),
        established_at_ms: 0,
        decodes: Default::default(),
    }
}

fn with_camera(number: u64, name: &str) -> Participant {
    participant(
        number,
        name,
        &[
            info(1, TrackKind::Microphone, false),
            info(2, TrackKind::Camera, false),
        ],
    )
}

fn after(actions: impl IntoIterator<Item = Action>) -> CallState {
    actions
        .into_iter()
        .fold(CallState::default(), |state, action| state.after(action))
}

#[test]
fn people_come_and_go() {
    let state = after([
        Action::Roster(vec![with_camera(1, "alice")]),
        Action::Joined(participant(2, "bob", &[])),
    ]);
    assert_eq!(state.count(), 3);
    assert_eq!(state.people[0].camera.state, PictureState::Waiting);
    assert_eq!(state.people[1].camera, Picture::NONE);
    assert_eq!(state.people[1].microphone, Sound::Off);
    let state = state.after(Action::Left(session(1)));
    assert_eq!(state.people.len(), 1);
    assert_eq!(state.people[0].name, "bob");
}

#[test]
fn equal_names_are_two_people() {
    let state = after([
        Action::Joined(participant(1, "alice", &[])),
        Action::Joined(participant(2, "alice", &[])),
    ]);
    let labels: Vec<&str> = state.people.iter().map(|person| person.label.as_str()).collect();
    assert_eq!(labels, ["alice", "alice (2)"]);
    let state = state.after(Action::Left(session(1)));
    assert_eq!(state.people[0].label, "alice");
}

#[test]
fn joining_twice_is_being_there_once() {
    let state = after([
        Action::Joined(with_camera(1, "alice")),
        Action::Joined(with_camera(1, "alice")),
    ]);
    assert_eq!(state.people.len(), 1);
}

#[test]
fn who_comes_back_is_still_seen() {
    let state = after([
        Action::Joined(with_camera(1, "alice")),
        Action::Picture(track(1, 2), PictureState::Live),
        Action::Joined(with_camera(1, "alice")),
    ]);
    assert_eq!(state.people[0].camera.state, PictureState::Live);
}

#[test]
fn a_camera_waits_lives_and_goes_off() {
    let state = after([Action::Joined(with_camera(1, "alice"))]);
    let state = state.after(Action::Picture(track(1, 2), PictureState::Live));
    assert_eq!(state.people[0].camera.state, PictureState::Live);
    let off = Action::TrackChanged(session(1), info(2, TrackKind::Camera, true));
    let state = state.after(off);
    assert_eq!(state.people[0].camera.state, PictureState::Off);
    let late = state.after(Action::Picture(track(1, 2), PictureState::Live));
    assert_eq!(late.people[0].camera.state, PictureState::Off);
    let on = Action::TrackChanged(session(1), info(2, TrackKind::Camera, false));
    assert_eq!(late.after(on).people[0].camera.state, PictureState::Waiting);
}

#[test]
fn a_new_roster_keeps_places_and_pictures() {
    let state = after([
        Action::Roster(vec![with_camera(1, "alice"), with_camera(2, "bob")]),
        Action::Picture(track(2, 2), PictureState::Live),
        Action::Roster(vec![with_camera(3, "carol"), with_camera(2, "bob")]),
    ]);
    let names: Vec<&str> = state.people.iter().map(|person| person.name.as_str()).collect();
    assert_eq!(names, ["bob", "carol"]);
    assert_eq!(state.people[0].camera.state, PictureState::Live);
}

#[test]
fn a_screen_is_there_while_it_is_shared() {
    let state = after([
        Action::Joined(with_camera(1, "alice")),
        Action::TrackChanged(session(1), info(3, TrackKind::Screen, false)),
    ]);
    assert_eq!(state.presenters().count(), 1);
    let state = state.after(Action::Picture(track(1, 3), PictureState::Live));
    let live = Some(Picture {
        track: Some(track(1, 3)),
        state: PictureState::Live,
    });
    assert_eq!(state.people[0].screen, live);
    assert_eq!(state.people[0].camera.state, PictureState::Waiting);
    let state = state.after(Action::TrackRemoved(track(1, 3)));
    assert_eq!(state.presenters().count(), 0);
    assert!(state.people[0].camera.track.is_some());
}

#[test]
fn a_screen_with_sound_is_marked_as_such() {
    let sound = info(4, TrackKind::ScreenAudio, false);
    let state = after([
        Action::Joined(with_camera(1, "alice")),
        Action::TrackChanged(session(1), info(3, TrackKind::Screen, false)),
    ]);
    assert_eq!(state.people[0].screen_sound, None);
    let state = state.after(Action::TrackChanged(session(1), sound));
    assert_eq!(state.people[0].screen_sound, Some(track(1, 4)));
    let state = state.after(Action::TrackRemoved(track(1, 4)));
    assert_eq!(state.people[0].screen_sound, None);
    assert_eq!(state.people[0].microphone, Sound::On);
}

#[test]
fn who_speaks_while_muted_is_told_so_now_and_then() {
    let told = |state: &CallState| {
        state
            .notices
            .iter()
            .any(|notice| *notice == Notice::SpeakingWhileMuted)
    };
    let muted = after([Action::Own(false, true, false)]);
    let state = muted.after(Action::SpeakingWhileMuted(1000.0));
    assert!(told(&state));
    let state = state.after(Action::Dismiss(Notice::SpeakingWhileMuted));
    assert!(!told(&state.after(Action::SpeakingWhileMuted(10_900.0))));
    let again = state.after(Action::SpeakingWhileMuted(11_000.0));
    assert!(told(&again));
    assert!(!told(&again.after(Action::Own(true, true, false))), "unmuted");
    let open = after([Action::Own(true, true, false), Action::SpeakingWhileMuted(1000.0)]);
    assert!(!told(&open), "an event that comes late");
}

#[test]
fn muting_silences() {
    let state = after([
        Action::Joined(with_camera(1, "alice")),
        Action::Levels(0.0, vec![(session(1), 0.5)]),
    ]);
    assert!(state.people[0].speaking);
    let muted = Action::TrackChanged(session(1), info(1, TrackKind::Microphone, true));
    let state = state
        .after(muted)
        .after(Action::Levels(0.0, vec![(session(1), 0.5)]));
    assert!(!state.people[0].speaking);
    assert_eq!(state.people[0].microphone, Sound::Off);
}

#[test]
fn the_ring_does_not_flicker() {
    let state = after([
        Action::Joined(with_camera(1, "alice")),
        Action::Own(true, true, false),
    ]);
    let level = |state: &CallState, level: f32| state.after(Action::Levels(level, vec![(session(1), level)]));
    let between = (SPEAKING_FROM + SILENT_BELOW) / 2.0;
    assert!(!level(&state, between).people[0].speaking);
    let speaking = level(&state, 0.3);
    assert!(speaking.own.speaking && speaking.people[0].speaking);
    let still = level(&speaking, between);
    assert!(still.own.speaking && still.people[0].speaking);
    let silent = level(&still, 0.0);
    assert!(!silent.own.speaking && !silent.people[0].speaking);
}

#[test]
fn levels_of_silence_leave_everybody_as_they_are() {
    let state = after([Action::Joined(with_camera(1, "alice"))]);
    let next = state.after(Action::Levels(0.0, Vec::new()));
    assert!(Rc::ptr_eq(&state.people[0], &next.people[0]));
}

#[test]
fn reconnecting_is_told_until_it_is_over() {
    let connection = |phase| {
        Action::Connection(Connection {
            phase,
            ..Connection::default()
        })
    };
    let told = |state: &CallState| state.notices.iter().any(|notice| *notice == Notice::Reconnecting);
    let state = after([connection(Phase::Connected), connection(Phase::Reconnecting)]);
    assert!(told(&state));
    assert!(!told(&state.after(connection(Phase::Connected))));
    assert!(!told(&state.after(connection(Phase::Failed))));
}

#[test]
fn falling_back_is_told_once() {
    let connection = |rtt| {
        Action::Connection(Connection {
            phase: Phase::Connected,
            transport: Some(TransportKind::WebSocket),
            rtt_ms: Some(rtt),
            hint: Some("no answer over WebTransport".into()),
            refused: None,
        })
    };
    let told = |state: &CallState| state.notices.iter().any(|notice| *notice == Notice::FellBack);
    let state = after([connection(1)]);
    assert!(told(&state));
    let state = state
        .after(Action::Dismiss(Notice::FellBack))
        .after(connection(2));
    assert!(!told(&state));
}

#[test]
fn a_server_that_is_silent_is_told_until_it_answers() {
    let connected = Connection {
        phase: Phase::Connected,
        ..Connection::default()
    };
    let told = |state: &CallState| state.notices.iter().any(|notice| *notice == Notice::ServerSilent);
    let state = after([Action::StillConnecting]);
    assert!(told(&state));
    let state = state.after(Action::Connection(connected));
    assert!(!told(&state));
    assert!(!told(&state.after(Action::StillConnecting)));
}

#[test]
fn comings_and_goings_are_announced() {
    let state = after([Action::Roster(vec![with_camera(1, "alice")])]);
    assert_eq!(state.announcement, None);
    let state = state.after(Action::Joined(with_camera(2, "bob")));
    assert_eq!(state.announcement, Some(Announcement::Joined("bob".into())));
    let state = state.after(Action::Left(session(1)));
    assert_eq!(state.announcement, Some(Announcement::Left("alice".into())));
}

#[test]
fn a_device_that_fails_at_the_start_is_off() {
    let fault = |device| Action::DeviceFault(device, DeviceFault::NoPermission);
    let state = CallState::starting(true, true).after(fault(Device::Camera));
    assert!(state.own.microphone && !state.own.camera);
    let state = state.after(fault(Device::Microphone));
    assert!(!state.own.microphone);
    let running = CallState::default().after(Action::Own(true, true, false));
    assert!(
        running.after(fault(Device::Camera)).own.camera,
        "another camera failed, not this one"
    );
}

#[test]
fn a_device_that_works_needs_no_notice() {
    let state = after([Action::DeviceFault(Device::Camera, DeviceFault::InUse)]);
    assert_eq!(state.notices.iter().count(), 1);
    let state = state.after(Action::Own(true, false, false));
    assert_eq!(state.notices.iter().count(), 1);
    let state = state.after(Action::Own(true, true, false));
    assert_eq!(state.notices.iter().count(), 0);
}

#[test]
fn the_first_ending_counts() {
    let state = after([Action::Leave, Action::Closed("You have left the meeting.".into())]);
    assert_eq!(state.ended, Some(Ending::Left));
}

#[test]
fn a_call_that_never_began_was_refused() {
    let connected = Connection {
        phase: Phase::Connected,
        ..Connection::default()
    };
    let closed = || Action::Closed("full".into());
    assert_eq!(after([closed()]).ended, Some(Ending::Refused("full".into())));
    let state = after([Action::Connection(connected), closed()]);
    assert_eq!(state.ended, Some(Ending::Closed("full".into())));
}

fn shown(state: &CallState) -> Vec<&str> {
    state.tiles().map(|person| person.name.as_str()).collect()
}

#[test]
fn who_speaks_is_on_the_page_when_not_all_fit() {
    let people = ["a", "b", "c", "d", "e"].iter().zip(1..);
    let people = people.map(|(name, number)| with_camera(number, name)).collect();
    let state = after([Action::Roster(people), Action::Room(3)]);
    assert_eq!(shown(&state), ["a", "b"]);
    let state = state.after(Action::Speakers(vec![session(5)]));
    assert_eq!(shown(&state), ["a", "e"]);
    assert!(state.is_speaker(session(5)));
    let state = state.after(Action::Left(session(5)));
    assert_eq!(shown(&state), ["a", "b"]);
    assert_eq!(shown(&state.after(Action::Room(9))), ["a", "b", "c", "d"]);
}

#[test]
fn those_who_are_not_on_the_first_page_are_on_the_next() {
    let people = (1..=5).map(|number| with_camera(number, "p")).collect();
    let state = after([Action::Roster(people), Action::Room(3)]);
    assert_eq!((state.page().index, state.page().count), (0, 2));
    let next = state.after(Action::Turn(Turn::Next));
    let sessions = |state: &CallState| state.tiles().map(|person| person.session).collect::<Vec<_>>();
    assert_eq!(sessions(&next), [session(3), session(4), session(5)]);
    let back = next.after(Action::Turn(Turn::Previous));
    assert_eq!(sessions(&back), [session(1), session(2)]);
    let grown = next.after(Action::Room(9));
    assert_eq!(grown.page().count, 1);
    assert_eq!(grown.tiles().count(), 5);
}

#[test]
fn a_pin_holds_until_it_is_let_go_or_its_person_leaves() {
    let people = (1..=5).map(|number| with_camera(number, "p")).collect();
    let state = after([
        Action::Roster(people),
        Action::Room(3),
        Action::TogglePin(session(4)),
    ]);
    assert_eq!(state.large(), Some(session(4)));
    let state = state.after(Action::Speakers(vec![session(1), session(2), session(3)]));
    let tiles: Vec<_> = state.tiles().map(|person| person.session).collect();
    assert!(tiles.contains(&session(4)), "{tiles:?}");
    let presented = state.after(Action::TrackChanged(
        session(2),
        info(3, TrackKind::Screen, false),
    ));
    assert_eq!((presented.large(), presented.pinned), (None, Some(session(4))));
    assert_eq!(state.after(Action::TogglePin(session(4))).pinned, None);
    assert_eq!(
        state.after(Action::TogglePin(session(2))).pinned,
        Some(session(2))
    );
    assert_eq!(state.after(Action::Left(session(4))).pinned, None);
}

#[test]
fn those_on_other_servers_are_told_of_when_they_go_and_when_they_are_back() {
    let notices = |state: &CallState| state.notices.iter().cloned().collect::<Vec<_>>();
    let state = CallState::default().after(Action::Reachable(true));
    assert_eq!(notices(&state), [], "nobody was missed");
    let state = state.after(Action::Reachable(false));
    assert_eq!(notices(&state), [Notice::RelaysUnreachable]);
    let state = state.after(Action::Dismiss(Notice::RelaysUnreachable));
    let state = state.after(Action::Reachable(true));
    assert_eq!(notices(&state), [Notice::RelaysReachable]);
    let state = state.after(Action::Reachable(false));
    assert_eq!(notices(&state), [Notice::RelaysUnreachable]);
}

#[test]
fn servers_that_refuse_are_not_silent() {
    let refused = |refused| {
        Action::Connection(Connection {
            refused,
            ..Connection::default()
        })
    };
    let state = after([Action::StillConnecting]);
    let notices = |state: &CallState| state.notices.iter().cloned().collect::<Vec<_>>();
    assert_eq!(notices(&state), [Notice::ServerSilent]);
    let state = state
        .after(refused(Some(Refusal::Full)))
        .after(Action::StillConnecting);
    assert_eq!(notices(&state), [Notice::ServerRefuses(Refusal::Full)]);
    let state = state.after(refused(Some(Refusal::Busy)));
    assert_eq!(notices(&state), [Notice::ServerRefuses(Refusal::Busy)]);
    assert_eq!(notices(&state.after(refused(None))), []);
}
