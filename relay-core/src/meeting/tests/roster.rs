//! What members are told of who comes and goes.

use super::*;

fn guest(meeting: &Meeting, now: Timestamp) -> Arc<Member> {
    join(meeting, request("guest", Vec::new()), now).expect("let in")
}

#[test]
fn joins_in_a_large_meeting_are_told_of_together() {
    let meeting = alone();
    let first = guest(&meeting, START);
    let mut others: Vec<_> = (0..60).map(|_| guest(&meeting, START)).collect();
    meeting.on_timer(START + Duration::from_millis(100));
    receive(&meeting, &first, START);
    let crowd: Vec<_> = (0..10).map(|_| guest(&meeting, START)).collect();
    assert_eq!(receive(&meeting, &first, START).roster_changes(), []);
    let leaves = others.pop().expect("somebody");
    meeting.depart(&leaves, Departure::Left, START);
    // Whoever has come and gone in between was never there.
    let brief = guest(&meeting, START);
    meeting.depart(&brief, Departure::Left, START);

    let due = meeting.on_timer(START).expect("news are due");
    meeting.on_timer(due);
    let told = receive(&meeting, &first, START).roster_changes();
    let [
        ServerMessage::ParticipantsLeft(left),
        ServerMessage::ParticipantsJoined(joined),
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(*left, [leaves.session()]);
    let joined: Vec<_> = joined.iter().map(|who| who.session).collect();
    let came: Vec<_> = crowd.iter().map(|member| member.session()).collect();
    assert_eq!(joined, came);
}

#[test]
fn nobody_is_told_twice_and_nobody_of_themselves() {
    let meeting = alone();
    let members: Vec<_> = (0..80).map(|_| guest(&meeting, START)).collect();
    meeting.on_timer(START + Duration::from_millis(100));
    for member in &members {
        let mut known = BTreeSet::new();
        for message in receive(&meeting, member, START).messages {
            let who = match message {
                ServerMessage::Welcome(welcome) => welcome.participants,
                ServerMessage::ParticipantsJoined(who) => who,
                other => panic!("{other:?}"),
            };
            for participant in who {
                assert_ne!(participant.session, member.session());
                assert!(known.insert(participant.session), "told twice");
            }
        }
        assert_eq!(known.len(), members.len() - 1);
    }
}

#[test]
fn who_brings_a_track_is_told_of_at_once() {
    let meeting = alone();
    let first = guest(&meeting, START);
    let _others: Vec<_> = (0..60).map(|_| guest(&meeting, START)).collect();
    let ann = enter(&meeting, "ann", START);
    let told = receive(&meeting, &first, START).roster_changes();
    let joined = told.iter().rev().find_map(|message| match message {
        ServerMessage::ParticipantsJoined(who) => who.last(),
        _ => None,
    });
    assert_eq!(joined.map(|who| who.session), Some(ann.session()));
}
