//! Which layers are forwarded, and what senders and other relays are told of that.

use videocall_types::{LayerInfo, TrackInterest};

use super::*;

const SOON: Duration = Duration::from_millis(500);

fn simulcast() -> TrackInfo {
    let layer = |spatial: u8| LayerInfo {
        spatial,
        temporal_layers: 3,
        width: 320 << spatial,
        height: 180 << spatial,
        frames_per_second: 30,
        bitrate_bps: 0,
    };
    TrackInfo {
        layers: (0..3).map(layer).collect(),
        ..camera(false)
    }
}

fn publish(meeting: &Meeting) -> Arc<Member> {
    join(meeting, request("ann", vec![simulcast()]), START).expect("let in")
}

fn guest(meeting: &Meeting, name: &str) -> Arc<Member> {
    let mut request = request(name, Vec::new());
    request.hello.capabilities.subscribe_automatically = false;
    join(meeting, request, START).expect("let in")
}

fn show(meeting: &Meeting, viewer: &Arc<Member>, of: &Member, height: u32, now: Timestamp) {
    let wish = Wish {
        track: TrackRef {
            session: of.session(),
            track: CAMERA,
        },
        width: height * 16 / 9,
        height,
        priority: 0,
    };
    let tracks = if height == 0 { Vec::new() } else { vec![wish] };
    let interest = Interest::Chosen {
        speakers: false,
        tracks,
    };
    meeting
        .control(viewer, ClientMessage::Subscribe(interest), now)
        .expect("allowed");
}

/// One frame of every layer.
fn send(meeting: &Meeting, sender: &Arc<Member>, sequence: u64, keyframe: bool) {
    send_smallest(3, meeting, sender, (sequence, keyframe), START);
}

/// One frame of each of so many layers.
fn send_smallest(
    layers: u8,
    meeting: &Meeting,
    sender: &Arc<Member>,
    (sequence, keyframe): (u64, bool),
    now: Timestamp,
) {
    for spatial in 0..layers {
        let mut header = FrameHeader::peek(&picture(sender.session(), sequence, keyframe)).expect("a frame");
        header.spatial = spatial;
        let frame = Frame {
            header,
            decoder: None,
            redundancy: Vec::new(),
            payload: Bytes::from_static(b"picture"),
        };
        meeting.media(sender, &frame.encode(), now).expect("honest");
    }
}

fn layers_received(meeting: &Meeting, member: &Arc<Member>) -> Vec<u8> {
    let mut context = Context::from_waker(Waker::noop());
    let mut layers = Vec::new();
    while let Poll::Ready(Some(next)) = meeting.poll_outgoing(member, ClassSet::ALL, START, &mut context) {
        layers.extend(next.layer.map(|layer| layer.spatial));
    }
    layers
}

/// The last that the sender was told of its camera.
fn told(meeting: &Meeting, sender: &Arc<Member>, now: Timestamp) -> Option<Vec<u8>> {
    let messages = receive(meeting, sender, now).messages.into_iter();
    let layers = messages.filter_map(|message| match message {
        ServerMessage::LayersWanted { spatial_layers, .. } => Some(spatial_layers),
        _ => None,
    });
    layers.last()
}

#[test]
fn a_layer_that_the_camera_turns_out_not_to_have_is_not_wanted() {
    let meeting = alone();
    let ann = publish(&meeting);
    let ben = guest(&meeting, "ben");
    show(&meeting, &ben, &ann, 1080, START);
    meeting.on_timer(START + SOON);
    assert_eq!(told(&meeting, &ann, START + SOON), Some(vec![2]));
    let later = START + SOON;
    show(&meeting, &ben, &ann, 180, later);
    assert_eq!(told(&meeting, &ann, later), Some(vec![0, 2]));
    let mut small = simulcast();
    small.layers.truncate(2);
    meeting
        .control(&ann, ClientMessage::PublishTrack(small), later)
        .expect("allowed");
    assert_eq!(told(&meeting, &ann, later), Some(vec![0]));
}

#[test]
fn each_viewer_gets_the_layer_of_its_size() {
    let meeting = alone();
    let ann = publish(&meeting);
    let viewers = [(180, 0), (360, 1), (1080, 2)];
    let guests = viewers.map(|(height, layer)| {
        let viewer = guest(&meeting, "guest");
        show(&meeting, &viewer, &ann, height, START);
        (viewer, layer)
    });
    send(&meeting, &ann, 0, true);
    for (viewer, layer) in &guests {
        // A smaller picture may come first.
        assert_eq!(layers_received(&meeting, viewer).last(), Some(layer));
    }
    send(&meeting, &ann, 1, false);
    send(&meeting, &ann, 2, true);
    for (viewer, layer) in &guests {
        assert_eq!(layers_received(&meeting, viewer), [*layer; 2]);
    }
}

#[test]
fn a_sender_learns_what_is_wanted_and_later_what_is_not() {
    let meeting = alone();
    let ann = publish(&meeting);
    assert_eq!(told(&meeting, &ann, START), None, "all, until something is said");
    let ben = guest(&meeting, "ben");
    show(&meeting, &ben, &ann, 180, START);
    meeting.on_timer(START + SOON);
    assert_eq!(told(&meeting, &ann, START + SOON), Some(vec![0]));

    let later = START + SOON * 2;
    show(&meeting, &ben, &ann, 720, later);
    let messages = receive(&meeting, &ann, later).messages;
    let wanted = messages.iter().position(
        |m| matches!(m, ServerMessage::LayersWanted { spatial_layers, .. } if *spatial_layers == [0, 2]),
    );
    let keyframe = messages
        .iter()
        .position(|m| matches!(m, ServerMessage::KeyframeWanted { spatial: 2, .. }));
    assert!(wanted.is_some() && wanted < keyframe, "{messages:?}");
    meeting.on_timer(later + SOON);
    assert_eq!(told(&meeting, &ann, later + SOON), Some(vec![2]));

    meeting.depart(&ben, Departure::Left, later + SOON);
    meeting.on_timer(later + SOON * 2);
    assert_eq!(told(&meeting, &ann, later + SOON * 2), Some(vec![]));
}

#[test]
fn nobody_is_greeted_with_a_picture_from_before_a_break() {
    let meeting = alone();
    let ann = publish(&meeting);
    let ben = guest(&meeting, "ben");
    show(&meeting, &ben, &ann, 180, START);
    send(&meeting, &ann, 0, true);
    assert_eq!(layers_received(&meeting, &ben).len(), 1);
    meeting.depart(&ben, Departure::Left, START);
    meeting.on_timer(START + SOON);
    let cleo = guest(&meeting, "cleo");
    show(&meeting, &cleo, &ann, 180, START + SOON);
    assert!(layers_received(&meeting, &cleo).is_empty());
}

#[test]
fn a_tile_that_moves_about_costs_no_keyframe() {
    let meeting = alone();
    let ann = publish(&meeting);
    let ben = guest(&meeting, "ben");
    show(&meeting, &ben, &ann, 180, START);
    meeting.on_timer(START + SOON);
    receive(&meeting, &ann, START + SOON);
    let later = START + SOON;
    show(&meeting, &ben, &ann, 0, later);
    show(&meeting, &ben, &ann, 180, later + SOON / 2);
    meeting.on_timer(later + SOON);
    assert_eq!(told(&meeting, &ann, later + SOON), None);
}

#[test]
fn relays_ask_one_another_for_the_layers_that_are_shown() {
    let (here, there) = (
        meeting(settings("here", true)),
        meeting(settings("there-2", true)),
    );
    let ann = publish(&here);
    let ben = guest(&there, "ben");
    settle(&here, &there, START);
    show(&there, &ben, &ann, 360, START);
    settle(&here, &there, START);
    let layer = format!("videocall.v1.m.demo.v.{}.2.1.*", ann.session());
    assert_eq!(*there.bus_subjects(), BTreeSet::from([layer]));
    here.on_timer(START + SOON);
    assert_eq!(told(&here, &ann, START + SOON), Some(vec![1]));
    send(&here, &ann, 0, true);
    let carried = carry(&here, &there, START);
    let frames = carried.iter().filter(|packet| is_frame(packet)).count();
    assert_eq!(
        frames, 2,
        "the layer, and the smaller one as long as that is not there"
    );
    send(&here, &ann, 1, true);
    let carried = carry(&here, &there, START);
    let frames = carried.iter().filter(|packet| is_frame(packet)).count();
    assert_eq!(frames, 1, "one layer, once");
    assert_eq!(layers_received(&there, &ben).last(), Some(&1));

    there.set_bus_pressure(1, START);
    let base = format!("videocall.v1.m.demo.v.{}.2.1.0", ann.session());
    assert_eq!(*there.bus_subjects(), BTreeSet::from([base]));
    there.set_bus_pressure(2, START);
    let smallest = format!("videocall.v1.m.demo.v.{}.2.0.0", ann.session());
    assert_eq!(*there.bus_subjects(), BTreeSet::from([smallest]));
    there.set_bus_pressure(3, START);
    assert!(there.bus_subjects().is_empty());
    settle(&here, &there, START);
    send(&here, &ann, 2, true);
    assert!(carry(&here, &there, START).is_empty());
}

#[test]
fn what_is_sent_in_place_of_a_wanted_layer_reaches_other_relays() {
    let (here, there) = (
        meeting(settings("here", true)),
        meeting(settings("there-2", true)),
    );
    let ann = publish(&here);
    let ben = guest(&there, "ben");
    settle(&here, &there, START);
    show(&there, &ben, &ann, 1080, START);
    settle(&here, &there, START);
    let mut seen = Vec::new();
    for tenth in 0..20 {
        let now = START + Duration::from_millis(100) * tenth;
        // Ann's path carries the smaller two.
        send_smallest(2, &here, &ann, (tenth.into(), true), now);
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(message)) = here.poll_bus(now, &mut context) {
            let subjects = there.bus_subjects();
            let heard = subjects.iter().any(|subject| {
                let all = subject.strip_suffix('*').or_else(|| subject.strip_suffix('>'));
                message.subject == *subject || all.is_some_and(|all| message.subject.starts_with(all))
            });
            if heard || !is_frame(&message.packet) {
                there.from_bus(&message.packet, now);
            }
        }
        carry(&there, &here, now);
        here.on_timer(now);
        there.on_timer(now);
        seen.extend(layers_received(&there, &ben));
    }
    assert!(seen.len() >= 5, "{seen:?}");
    assert!(
        seen.iter().all(|layer| *layer == 1),
        "the larger of them: {seen:?}"
    );
}

#[test]
fn another_relays_list_may_be_in_any_order() {
    let here = meeting(settings("here", true));
    let ann = publish(&here);
    let wish = |session: SessionId, layers: Vec<u8>| TrackInterest {
        max_bitrate_bps: None,
        track: TrackRef {
            session,
            track: CAMERA,
        },
        spatial_layers: layers,
    };
    let other = |raw| SessionId::new(raw).expect("not zero");
    let state = videocall_types::RelayState {
        relay: "there".parse().expect("an id"),
        version: 1,
        participants: Vec::new(),
        interest: RelayInterest {
            speakers: false,
            tracks: vec![
                wish(other(u64::MAX), vec![0]),
                wish(ann.session(), vec![2]),
                wish(other(1), vec![0]),
            ],
        },
    };
    here.from_bus(&videocall_types::RelayMessage::State(state).encode(), START);
    here.on_timer(START + SOON);
    assert_eq!(told(&here, &ann, START + SOON), Some(vec![2]));
}

#[test]
fn pressure_leaves_out_pictures_for_everybody_and_never_sound() {
    let settings = settings("relay", false);
    let pressure = settings.pressure.clone();
    let meeting = meeting(settings);
    let ann = publish(&meeting);
    let ben = guest(&meeting, "ben");
    show(&meeting, &ben, &ann, 720, START);
    send(&meeting, &ann, 0, true);
    assert_eq!(layers_received(&meeting, &ben).last(), Some(&2));
    pressure.set(2);
    send(&meeting, &ann, 1, true);
    assert_eq!(layers_received(&meeting, &ben).last(), Some(&0));
    pressure.set(3);
    send(&meeting, &ann, 2, true);
    assert!(layers_received(&meeting, &ben).is_empty());
    meeting.on_timer(START);
    meeting.on_timer(START + SOON);
    assert_eq!(told(&meeting, &ann, START + SOON), Some(vec![]));
}
