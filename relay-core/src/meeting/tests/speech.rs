//! Whose microphones are forwarded.

use super::*;

const MICROPHONE: TrackId = TrackId(1);

fn talker(meeting: &Meeting, name: &str, automatic: bool) -> Arc<Member> {
    let microphone = TrackInfo {
        track: MICROPHONE,
        kind: TrackKind::Microphone,
        muted: false,
        codec: "opus".into(),
        layers: Vec::new(),
    };
    let mut request = request(name, vec![microphone]);
    request.hello.capabilities.subscribe_automatically = automatic;
    join(meeting, request, START).expect("let in")
}

/// A frame of so many -dBov.
fn speak(meeting: &Meeting, member: &Arc<Member>, sequence: u64, level: u8, now: Timestamp) {
    let mut header = FrameHeader::peek(&picture(member.session(), sequence, true)).expect("a frame");
    header.track = MICROPHONE;
    header.kind = TrackKind::Microphone;
    header.audio_level = Some(level);
    let frame = Frame {
        header,
        decoder: None,
        redundancy: Vec::new(),
        payload: Bytes::from_static(b"sound"),
    };
    meeting.media(member, &frame.encode(), now).expect("honest");
}

fn at(tick: u64) -> Timestamp {
    START + Duration::from_millis(tick * 20)
}

#[test]
fn only_the_loudest_few_are_forwarded_and_they_are_announced() {
    let meeting = alone();
    let talkers: Vec<_> = (0..8).map(|n| talker(&meeting, &format!("t{n}"), true)).collect();
    let listener = talker(&meeting, "listener", true);
    let mut last = Vec::new();
    for tick in 0..200 {
        // Half of them whisper.
        for (n, talker) in talkers.iter().enumerate() {
            let level = if n % 2 == 0 { 20 } else { 54 };
            speak(&meeting, talker, tick, level, at(tick));
        }
        meeting.on_timer(at(tick));
        let received = receive(&meeting, &listener, at(tick));
        // One that takes another's slot may be heard besides it once.
        assert!(received.sequences.len() <= 6 && (tick < 100 || received.sequences.len() == 5));
        let order = received.messages.into_iter().filter_map(|message| match message {
            ServerMessage::Speakers(order) => Some(order),
            _ => None,
        });
        last = order.last().unwrap_or(last);
    }
    let loud: BTreeSet<_> = talkers.iter().step_by(2).map(|t| t.session()).collect();
    assert_eq!(last[..4].iter().copied().collect::<BTreeSet<_>>(), loud);
    let late = talker(&meeting, "late", true);
    let told = receive(&meeting, &late, at(200)).messages;
    assert!(told.contains(&ServerMessage::Speakers(last)), "{told:?}");
}

#[test]
fn a_microphone_asked_for_by_name_comes_once_whether_it_speaks_or_not() {
    let meeting = meeting(MeetingSettings {
        max_speakers: 1,
        ..settings("relay", false)
    });
    let (loud, quiet) = (talker(&meeting, "loud", true), talker(&meeting, "quiet", true));
    let fan = talker(&meeting, "fan", false);
    let wish = |of: &Member| Wish {
        track: TrackRef {
            session: of.session(),
            track: MICROPHONE,
        },
        width: 0,
        height: 0,
        priority: 0,
    };
    let subscribe = |speakers| {
        let interest = Interest::Chosen {
            speakers,
            tracks: vec![wish(&loud), wish(&quiet)],
        };
        let subscribe = ClientMessage::Subscribe(interest);
        meeting.control(&fan, subscribe, START).expect("allowed");
    };
    for (round, speakers) in [(0, false), (1, true)] {
        subscribe(speakers);
        speak(&meeting, &loud, round * 10 + 1, 20, START);
        speak(&meeting, &quiet, round * 10 + 2, 90, START);
        let expected = [round * 10 + 1, round * 10 + 2];
        assert_eq!(receive(&meeting, &fan, START).sequences, expected);
    }
}

#[test]
fn whoever_speaks_is_heard_and_announced_on_other_relays() {
    let (here, there) = (
        meeting(settings("here", true)),
        meeting(settings("there-2", true)),
    );
    let ann = talker(&here, "ann", true);
    let ben = talker(&there, "ben", true);
    settle(&here, &there, START);
    assert!(there.bus_subjects().contains("videocall.v1.m.demo.a.>"));
    let (mut heard, mut announced) = (0, Vec::new());
    for tick in 0..100 {
        speak(&here, &ann, tick, 20, at(tick));
        for meeting in [&here, &there] {
            meeting.on_timer(at(tick));
        }
        settle(&here, &there, at(tick));
        let received = receive(&there, &ben, at(tick));
        heard += received.sequences.len();
        announced.extend(received.messages.into_iter().filter_map(|message| match message {
            ServerMessage::Speakers(order) => Some(order),
            _ => None,
        }));
    }
    assert_eq!(heard, 100);
    assert_eq!(announced, [vec![ann.session()]]);
}
