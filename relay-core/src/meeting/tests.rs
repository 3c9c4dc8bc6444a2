use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use videocall_types::limits::{KEYFRAME_REQUEST_INTERVAL, MIN_COUNTED_FRAME_BYTES, UPLOAD_RATE_WINDOW};
use videocall_types::{
    Capabilities, ClientMessage, CloseCode, Frame, FrameHeader, Interest, Subscription as Wish, TrackId,
    TrackInfo, TrackKind, is_frame,
};

use super::*;
use crate::ClassSet;

mod arrival;
mod layers;
mod limits;
mod roster;
mod speech;

const CAMERA: TrackId = TrackId(2);
const START: Timestamp = Timestamp::from_millis(1_000_000);

fn settings(relay: &str, bus: bool) -> MeetingSettings {
    let mut settings = MeetingSettings::new(relay.parse().expect("an id"));
    settings.bus = bus;
    settings
}

fn meeting(settings: MeetingSettings) -> Arc<Meeting> {
    let seed = settings.relay.as_str().len() as u64;
    Meeting::new("demo".parse().expect("an id"), Arc::new(settings), seed, START)
}

fn alone() -> Arc<Meeting> {
    meeting(settings("relay", false))
}

fn camera(muted: bool) -> TrackInfo {
    TrackInfo {
        track: CAMERA,
        kind: TrackKind::Camera,
        muted,
        codec: "vp8".into(),
        layers: Vec::new(),
    }
}

fn request(name: &str, tracks: Vec<TrackInfo>) -> JoinRequest {
    JoinRequest {
        user_id: name.parse().expect("a name"),
        display_name: name.into(),
        hello: Hello {
            protocol_version: 1,
            token: String::new(),
            capabilities: Capabilities {
                subscribe_automatically: true,
                ..Capabilities::default()
            },
            tracks,
            resume_token: String::new(),
        },
        resume: None,
    }
}

fn join(meeting: &Meeting, request: JoinRequest, now: Timestamp) -> Result<Arc<Member>, Closing> {
    meeting.join(request, &|session| format!("resume-{session}"), now)
}

fn enter(meeting: &Meeting, name: &str, now: Timestamp) -> Arc<Member> {
    join(meeting, request(name, vec![camera(false)]), now).expect("let in")
}

fn picture(session: SessionId, sequence: u64, keyframe: bool) -> Bytes {
    let header = FrameHeader {
        sequence,
        capture_time_us: sequence,
        keyframe,
        reference_distance: u32::from(!keyframe),
        ..FrameHeader::first(session, CAMERA, TrackKind::Camera)
    };
    Frame {
        header,
        decoder: None,
        redundancy: Vec::new(),
        payload: Bytes::from_static(b"picture"),
    }
    .encode()
}

#[derive(Default)]
struct Received {
    messages: Vec<ServerMessage>,
    sequences: Vec<u64>,
}

impl Received {
    /// What concerns who is there and what they publish.
    fn roster_changes(self) -> Vec<ServerMessage> {
        let other = |m: &ServerMessage| {
            matches!(
                m,
                ServerMessage::KeyframeWanted { .. }
                    | ServerMessage::LayersWanted { .. }
                    | ServerMessage::BitrateLimit { .. }
                    | ServerMessage::ArrivalReport { .. }
            )
        };
        self.messages.into_iter().filter(|m| !other(m)).collect()
    }
}

fn receive(meeting: &Meeting, member: &Arc<Member>, now: Timestamp) -> Received {
    let mut context = Context::from_waker(Waker::noop());
    let mut received = Received::default();
    while let Poll::Ready(Some(next)) = meeting.poll_outgoing(member, ClassSet::ALL, now, &mut context) {
        if is_frame(&next.packet) {
            received
                .sequences
                .push(FrameHeader::peek(&next.packet).expect("a frame").sequence);
        } else {
            received
                .messages
                .push(ServerMessage::decode(&next.packet).expect("a message"));
        }
    }
    received
}

/// Carries what waits for the bus from one relay to another.
fn carry(from: &Meeting, to: &Meeting, now: Timestamp) -> Vec<Bytes> {
    let mut context = Context::from_waker(Waker::noop());
    let mut carried = Vec::new();
    while let Poll::Ready(Some(message)) = from.poll_bus(now, &mut context) {
        to.from_bus(&message.packet, now);
        carried.push(message.packet);
    }
    carried
}

fn settle(a: &Meeting, b: &Meeting, now: Timestamp) {
    while !carry(a, b, now).is_empty() || !carry(b, a, now).is_empty() {}
}

#[test]
fn the_first_packet_is_the_welcome_with_everybody_else() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let ben = enter(&meeting, "ben", START);
    let received = receive(&meeting, &ben, START);
    let [ServerMessage::Welcome(welcome)] = &received.messages[..] else {
        panic!("a welcome: {:?}", received.messages);
    };
    assert_eq!(welcome.session, ben.session());
    assert_eq!(welcome.resume_token, format!("resume-{}", ben.session()));
    assert_eq!(welcome.accepted_tracks, [CAMERA]);
    let others: Vec<_> = welcome.participants.iter().map(|p| p.session).collect();
    assert_eq!(others, [ann.session()]);
    let seen = receive(&meeting, &ann, START).messages;
    assert!(matches!(&seen[1], ServerMessage::ParticipantsJoined(p) if p[0].session == ben.session()));
}

#[test]
fn a_joiner_goes_on_from_what_is_kept_without_the_senders_help() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    for (sequence, keyframe) in [(0, true), (1, false), (2, true), (3, false)] {
        let packet = picture(ann.session(), sequence, keyframe);
        meeting.media(&ann, &packet, START).expect("honest");
    }
    receive(&meeting, &ann, START);
    let ben = enter(&meeting, "ben", START);
    let packet = picture(ann.session(), 4, false);
    meeting.media(&ann, &packet, START).expect("honest");
    assert_eq!(receive(&meeting, &ben, START).sequences, [2, 3, 4]);
    let asks = |m: &ServerMessage| matches!(m, ServerMessage::KeyframeWanted { .. });
    assert!(!receive(&meeting, &ann, START).messages.iter().any(asks));
}

#[test]
fn a_joiner_sees_an_old_picture_at_once_and_a_fresh_one_is_asked_for() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let send = |range: std::ops::Range<u64>, keyframe| {
        for sequence in range {
            let packet = picture(ann.session(), sequence, sequence == keyframe);
            meeting.media(&ann, &packet, START).expect("honest");
        }
    };
    // More than is kept.
    send(0..100, 0);
    receive(&meeting, &ann, START);
    let ben = enter(&meeting, "ben", START);
    assert_eq!(receive(&meeting, &ben, START).sequences, [0]);
    send(100..101, 0);
    assert!(receive(&meeting, &ben, START).sequences.is_empty());
    let wanted = ServerMessage::KeyframeWanted {
        track: CAMERA,
        spatial: 0,
    };
    assert!(receive(&meeting, &ann, START).messages.contains(&wanted));

    // What refers to frames the joiner never had stays away until the keyframe is there.
    send(101..104, 102);
    assert_eq!(receive(&meeting, &ben, START).sequences, [102, 103]);
}

#[test]
fn a_sender_that_begins_in_the_middle_is_asked_for_a_keyframe() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let ben = enter(&meeting, "ben", START);
    receive(&meeting, &ann, START);
    let later = START + KEYFRAME_REQUEST_INTERVAL;
    meeting
        .media(&ann, &picture(ann.session(), 0, false), later)
        .expect("honest");
    assert!(receive(&meeting, &ben, later).sequences.is_empty());
    let wanted = ServerMessage::KeyframeWanted {
        track: CAMERA,
        spatial: 0,
    };
    assert!(receive(&meeting, &ann, later).messages.contains(&wanted));
}

#[test]
fn keyframe_requests_of_many_are_one() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let viewers: Vec<_> = (0..5)
        .map(|i| enter(&meeting, &format!("viewer-{i}"), START))
        .collect();
    let ask = |now| {
        for viewer in &viewers {
            let track = TrackRef {
                session: ann.session(),
                track: CAMERA,
            };
            let message = ClientMessage::RequestKeyframe { track, spatial: 0 };
            meeting.control(viewer, message, now).expect("allowed");
        }
        let messages = receive(&meeting, &ann, now).messages;
        messages
            .iter()
            .filter(|m| matches!(m, ServerMessage::KeyframeWanted { .. }))
            .count()
    };
    receive(&meeting, &ann, START);
    let later = START + KEYFRAME_REQUEST_INTERVAL;
    assert_eq!(ask(later), 1);
    assert_eq!(ask(later + Duration::from_millis(100)), 0);
    assert_eq!(ask(later + KEYFRAME_REQUEST_INTERVAL), 1);
}

#[test]
fn rules_of_the_media_path_end_a_connection() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let ben = enter(&meeting, "ben", START);
    let code = |packet: &Bytes| meeting.media(&ann, packet, START).map_err(|c| c.code);
    assert_eq!(
        code(&picture(ben.session(), 0, true)),
        Err(CloseCode::WrongSession)
    );
    assert_eq!(
        code(&Bytes::from_static(b"\x0agarbage")),
        Err(CloseCode::MalformedPacket)
    );
    let huge = Bytes::from(vec![0; meeting.settings.limits.max_frame_bytes as usize + 1]);
    assert_eq!(code(&huge), Err(CloseCode::FrameTooLarge));
    // Nothing of that reached anybody.
    assert!(receive(&meeting, &ben, START).sequences.is_empty());
}

#[test]
fn a_sender_above_its_rate_is_closed() {
    let mut settings = settings("relay", false);
    settings.limits.max_upload_bps = 10_000;
    let meeting = meeting(settings);
    let ann = enter(&meeting, "ann", START);
    let sent = (0..1000).find_map(|sequence| {
        meeting
            .media(&ann, &picture(ann.session(), sequence, true), START)
            .err()
    });
    assert_eq!(sent.map(|closing| closing.code), Some(CloseCode::RateExceeded));
}

#[test]
fn small_frames_count_as_more_than_they_are() {
    let mut settings = settings("relay", false);
    settings.limits.max_upload_bps = 10 * 8 * MIN_COUNTED_FRAME_BYTES as u64;
    let meeting = meeting(settings);
    let ann = enter(&meeting, "ann", START);
    let passed = (0..1000).take_while(|&sequence| {
        let frame = picture(ann.session(), sequence, true);
        assert!(frame.len() < MIN_COUNTED_FRAME_BYTES / 2);
        meeting.media(&ann, &frame, START).is_ok()
    });
    assert_eq!(passed.count() as u64, 10 * UPLOAD_RATE_WINDOW.as_secs());
}

#[test]
fn muted_and_unknown_tracks_send_nothing() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let ben = join(&meeting, request("ben", Vec::new()), START).expect("let in");
    meeting
        .media(&ann, &picture(ann.session(), 0, true), START)
        .expect("honest");
    let mute = ClientMessage::PublishTrack(camera(true));
    meeting.control(&ann, mute, START).expect("allowed");
    meeting
        .media(&ann, &picture(ann.session(), 1, true), START)
        .expect("dropped");
    meeting
        .media(&ben, &picture(ben.session(), 0, true), START)
        .expect("dropped");
    let received = receive(&meeting, &ben, START);
    assert_eq!(received.sequences, [0]);
    let muted = ServerMessage::TrackChanged {
        session: ann.session(),
        track: camera(true),
    };
    assert!(received.messages.contains(&muted));
    // A joiner is not greeted with the picture from before.
    let cleo = enter(&meeting, "cleo", START);
    assert!(receive(&meeting, &cleo, START).sequences.is_empty());
}

#[test]
fn limits_of_tracks_and_sessions_are_typed() {
    let mut settings = settings("relay", false);
    settings.max_sessions = 1;
    let meeting = meeting(settings);
    let many = |count| {
        (0..count)
            .map(|n| TrackInfo {
                track: TrackId(n),
                ..camera(false)
            })
            .collect()
    };
    let code = |result: Result<Arc<Member>, Closing>| result.map(|_| ()).map_err(|c| c.code);
    let too_many = join(&meeting, request("ann", many(9)), START);
    assert_eq!(code(too_many), Err(CloseCode::TooManyTracks));
    let twice = join(&meeting, request("ann", vec![camera(false); 2]), START);
    assert_eq!(code(twice), Err(CloseCode::ProtocolError));
    let ann = join(&meeting, request("ann", many(8)), START).expect("let in");
    let ninth = ClientMessage::PublishTrack(TrackInfo {
        track: TrackId(9),
        ..camera(false)
    });
    let refused = meeting.control(&ann, ninth, START).map_err(|c| c.code);
    assert_eq!(refused, Err(CloseCode::TooManyTracks));
    let full = join(&meeting, request("ben", Vec::new()), START);
    assert_eq!(code(full), Err(CloseCode::MeetingFull));
}

#[test]
fn a_lost_session_comes_back_without_the_others_noticing() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let ben = enter(&meeting, "ben", START);
    receive(&meeting, &ben, START);
    meeting.depart(&ann, Departure::Lost, START);
    let soon = START + Duration::from_secs(2);
    meeting.on_timer(soon);
    let mut back = request("ann", vec![camera(false)]);
    back.resume = Some(ann.session());
    let again = join(&meeting, back, soon).expect("let in");
    assert_eq!(again.session(), ann.session());
    assert_eq!(receive(&meeting, &ben, soon).roster_changes(), []);
    let ServerMessage::Welcome(welcome) = &receive(&meeting, &again, soon).messages[0] else {
        panic!("a welcome");
    };
    assert!(welcome.resumed);
    // The old connection has no say any more.
    meeting.depart(&ann, Departure::Left, soon);
    assert_eq!(meeting.member_count(), 2);
}

#[test]
fn a_lost_session_that_stays_away_has_left() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let ben = enter(&meeting, "ben", START);
    receive(&meeting, &ben, START);
    meeting.depart(&ann, Departure::Lost, START);
    let grace = Duration::from_millis(u64::from(meeting.settings.limits.resume_grace_ms));
    let mut deadline = START;
    while deadline < START + grace {
        assert_eq!(receive(&meeting, &ben, deadline).roster_changes(), []);
        deadline = meeting.on_timer(deadline).expect("something is due");
    }
    meeting.on_timer(deadline);
    let left = ServerMessage::ParticipantsLeft(vec![ann.session()]);
    assert_eq!(receive(&meeting, &ben, deadline).roster_changes(), [left]);
    meeting.depart(&ben, Departure::Left, deadline);
    assert!(meeting.is_empty());
}

#[test]
fn a_resume_token_of_somebody_else_opens_nothing() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let mut thief = request("ben", Vec::new());
    thief.resume = Some(ann.session());
    let refused = join(&meeting, thief, START).map(|_| ()).map_err(|c| c.code);
    assert_eq!(refused, Err(CloseCode::BadToken));
    assert_eq!(ann.closing(), None);
}

#[test]
fn nobody_joins_a_draining_relay_and_everybody_is_told() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let announcement = ServerMessage::Draining {
        alternate_url: String::new(),
        deadline_ms: 500,
    };
    meeting.drain(announcement.clone(), Closing::new(CloseCode::Draining), START);
    assert!(receive(&meeting, &ann, START).messages.contains(&announcement));
    let refused = join(&meeting, request("ben", Vec::new()), START).map(|_| ());
    assert_eq!(refused.map_err(|c| c.code), Err(CloseCode::Draining));
    meeting.close_all(&Closing::new(CloseCode::Draining), START);
    assert_eq!(ann.closing().map(|c| c.code), Some(CloseCode::Draining));
}

#[test]
fn a_subscriber_gets_the_tracks_it_named_and_no_others() {
    let meeting = alone();
    let ann = enter(&meeting, "ann", START);
    let ben = enter(&meeting, "ben", START);
    let mut picky = request("cleo", Vec::new());
    picky.hello.capabilities.subscribe_automatically = false;
    let cleo = join(&meeting, picky, START).expect("let in");
    let send = |sequence| {
        for sender in [&ann, &ben] {
            let packet = picture(sender.session(), sequence, true);
            meeting.media(sender, &packet, START).expect("honest");
        }
    };
    send(0);
    assert!(receive(&meeting, &cleo, START).sequences.is_empty());
    let wish = Wish {
        track: TrackRef {
            session: ann.session(),
            track: CAMERA,
        },
        width: 320,
        height: 180,
        priority: 0,
    };
    let subscribe = ClientMessage::Subscribe(Interest::Chosen {
        speakers: false,
        tracks: vec![wish],
    });
    meeting.control(&cleo, subscribe, START).expect("allowed");
    send(1);
    assert_eq!(receive(&meeting, &cleo, START).sequences, [0, 1]);
}

#[test]
fn relays_share_a_meeting_and_carry_what_is_wanted_only() {
    let (here, there) = (
        meeting(settings("here", true)),
        meeting(settings("there-2", true)),
    );
    let ann = enter(&here, "ann", START);
    settle(&here, &there, START);
    meeting_media(&here, &ann, 0);
    assert!(carry(&here, &there, START).is_empty(), "nobody there wants it");

    let ben = enter(&there, "ben", START);
    settle(&here, &there, START);
    meeting_media(&here, &ann, 1);
    let carried = carry(&here, &there, START);
    assert_eq!(carried.len(), 1);
    assert_eq!(carried[0], picture(ann.session(), 1, true), "the very same bytes");
    assert_eq!(
        receive(&there, &ben, START).sequences,
        [0, 1],
        "the cached keyframe came first"
    );

    there.depart(&ben, Departure::Left, START);
    let later = START + Duration::from_millis(500);
    there.on_timer(later);
    settle(&here, &there, later);
    meeting_media(&here, &ann, 2);
    assert!(carry(&here, &there, later).is_empty());
}

fn meeting_media(meeting: &Meeting, member: &Arc<Member>, sequence: u64) {
    let packet = picture(member.session(), sequence, true);
    meeting.media(member, &packet, START).expect("honest");
}

#[test]
fn a_session_can_be_resumed_on_another_relay() {
    let (here, there) = (
        meeting(settings("here", true)),
        meeting(settings("there-2", true)),
    );
    let ann = enter(&here, "ann", START);
    let ben = enter(&there, "ben", START);
    settle(&here, &there, START);
    receive(&there, &ben, START);
    here.depart(&ann, Departure::Lost, START);
    let soon = START + Duration::from_secs(1);
    let mut back = request("ann", vec![camera(false)]);
    back.resume = Some(ann.session());
    let again = join(&there, back, soon).expect("let in");
    assert_eq!(again.session(), ann.session());
    settle(&here, &there, soon);
    here.on_timer(soon + Duration::from_secs(10));
    settle(&here, &there, soon);
    assert_eq!(
        receive(&there, &ben, soon).roster_changes(),
        [],
        "nothing flickers"
    );
    assert!(here.is_empty());
}

#[test]
fn a_silent_relay_is_gone_with_its_people() {
    let (here, there) = (
        meeting(settings("here", true)),
        meeting(settings("there-2", true)),
    );
    let ann = enter(&here, "ann", START);
    let ben = enter(&there, "ben", START);
    settle(&here, &there, START);
    receive(&there, &ben, START);
    let later = START + videocall_types::limits::RELAY_LIVENESS;
    there.on_timer(later);
    let left = ServerMessage::ParticipantsLeft(vec![ann.session()]);
    assert_eq!(receive(&there, &ben, later).messages, [left]);
}

#[test]
fn members_hear_whether_other_relays_can_be_reached() {
    let here = meeting(settings("here", true));
    let ann = enter(&here, "ann", START);
    receive(&here, &ann, START);
    here.set_bus_reachable(false, START);
    here.set_bus_reachable(false, START);
    here.set_bus_reachable(true, START);
    let heard = |reachable| ServerMessage::Reachability {
        other_relays_reachable: reachable,
    };
    assert_eq!(receive(&here, &ann, START).messages, [heard(false), heard(true)]);
}
