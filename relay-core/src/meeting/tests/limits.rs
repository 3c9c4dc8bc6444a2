//! What senders are told where those who watch are behind paths that carry less than is sent.

use videocall_types::LayerInfo;

use super::*;

/// Bits per second of the only layer.
const BITRATE: usize = 1_000_000;
/// What a path carries that does not carry that.
const CARRIED: usize = 650_000;
const MICROPHONE: TrackId = TrackId(1);
const FRAME: Duration = Duration::from_millis(40);
const FRAMES_PER_SECOND: usize = 25;
const A_WHILE: Duration = Duration::from_secs(5);

/// Relays that share a meeting.
struct Run {
    relays: Vec<Arc<Meeting>>,
    now: Timestamp,
    sequence: u64,
}

/// Somebody on the first relay who sends no more than they were told.
struct Sender {
    member: Arc<Member>,
    limit: Option<usize>,
}

/// Somebody who watches on a relay, behind a path of this rate, bits per second.
struct Viewer {
    relay: usize,
    member: Arc<Member>,
    rate: usize,
    /// Bytes that the path would carry now; below zero those that are on it.
    credit: isize,
    seen: usize,
}

impl Run {
    fn new(relays: Vec<Arc<Meeting>>) -> Self {
        Self {
            relays,
            now: START,
            sequence: 0,
        }
    }

    fn publish(&self, name: &str) -> Sender {
        let layer = LayerInfo {
            spatial: 0,
            temporal_layers: 1,
            width: 640,
            height: 360,
            frames_per_second: FRAMES_PER_SECOND as u32,
            bitrate_bps: BITRATE as u32,
        };
        let camera = TrackInfo {
            layers: vec![layer],
            ..camera(false)
        };
        let microphone = TrackInfo {
            track: MICROPHONE,
            kind: TrackKind::Microphone,
            layers: Vec::new(),
            ..camera.clone()
        };
        let mut request = request(name, vec![camera, microphone]);
        request.hello.capabilities.subscribe_automatically = false;
        Sender {
            member: join(&self.relays[0], request, self.now).expect("let in"),
            limit: None,
        }
    }

    fn watch(&self, relay: usize, name: &str, rate: usize) -> Viewer {
        Viewer {
            relay,
            member: join(&self.relays[relay], request(name, Vec::new()), self.now).expect("let in"),
            rate,
            credit: 0,
            seen: 0,
        }
    }

    /// For so long, these send pictures and those see what their paths carry.
    fn run(&mut self, time: Duration, senders: &mut [Sender], viewers: &mut [Viewer]) {
        viewers.iter_mut().for_each(|viewer| viewer.seen = 0);
        let end = self.now + time;
        while self.now < end {
            self.now += FRAME;
            self.sequence += 1;
            for sender in &mut *senders {
                self.send(sender);
            }
            if let [here, there] = self.relays.as_slice() {
                settle(here, there, self.now);
            }
            for viewer in &mut *viewers {
                self.take(viewer);
            }
            for relay in &self.relays {
                relay.on_timer(self.now);
            }
        }
    }

    fn send(&self, sender: &mut Sender) {
        for message in receive(&self.relays[0], &sender.member, self.now).messages {
            if let ServerMessage::BitrateLimit { max_bitrate_bps, .. } = message {
                sender.limit = max_bitrate_bps.map(|limit| limit.get() as usize);
            }
        }
        let sound = Frame {
            header: FrameHeader {
                sequence: self.sequence,
                audio_level: Some(20),
                ..FrameHeader::first(sender.member.session(), MICROPHONE, TrackKind::Microphone)
            },
            decoder: None,
            redundancy: Vec::new(),
            payload: Bytes::from_static(b"a word"),
        };
        let bitrate = sender.limit.unwrap_or(BITRATE).min(BITRATE);
        // Each can be decoded alone, so that what is left out costs nothing else.
        let alone = picture(sender.member.session(), self.sequence, true);
        let frame = Frame {
            header: FrameHeader::peek(&alone).expect("a frame"),
            decoder: None,
            redundancy: Vec::new(),
            payload: Bytes::from(vec![0; bitrate / 8 / FRAMES_PER_SECOND]),
        };
        for packet in [sound.encode(), frame.encode()] {
            self.relays[0]
                .media(&sender.member, &packet, self.now)
                .expect("honest");
        }
    }

    fn take(&self, viewer: &mut Viewer) {
        let carried = (viewer.rate / 8 / FRAMES_PER_SECOND) as isize;
        viewer.credit = (viewer.credit + carried).min(2 * carried);
        let mut context = Context::from_waker(Waker::noop());
        while viewer.credit > 0 {
            let relay = &self.relays[viewer.relay];
            let next = relay.poll_outgoing(&viewer.member, ClassSet::ALL, self.now, &mut context);
            let Poll::Ready(Some(next)) = next else { break };
            viewer.credit -= next.packet.len() as isize;
            viewer.seen += usize::from(next.layer.is_some_and(|layer| layer.track.track == CAMERA));
        }
    }
}

/// The sender was told a good part of what a path carries of its pictures.
#[track_caller]
fn assert_bounded(sender: &Sender, carried: usize) {
    let limit = sender.limit.expect("a limit was told");
    assert!(
        (carried / 2..=carried * 13 / 10).contains(&limit),
        "{limit} of {carried}"
    );
}

#[test]
fn a_sender_makes_no_more_than_the_only_viewer_can_take() {
    let mut run = Run::new(vec![alone()]);
    let mut senders = [run.publish("ann")];
    let mut viewers = [run.watch(0, "ben", 2 * BITRATE)];
    run.run(A_WHILE, &mut senders, &mut viewers);
    assert_eq!(senders[0].limit, None, "it suffices");
    viewers[0].rate = CARRIED;
    run.run(A_WHILE, &mut senders, &mut viewers);
    assert_bounded(&senders[0], CARRIED);
    run.run(A_WHILE, &mut senders, &mut viewers);
    let all = A_WHILE.as_secs() as usize * FRAMES_PER_SECOND;
    assert!(viewers[0].seen >= all * 9 / 10, "{} of {all}", viewers[0].seen);
}

#[test]
fn somebody_with_a_better_path_lifts_the_bound_and_leaves_it_behind() {
    let mut run = Run::new(vec![alone()]);
    let mut senders = [run.publish("ann")];
    let mut viewers = vec![run.watch(0, "ben", CARRIED)];
    run.run(A_WHILE, &mut senders, &mut viewers);
    assert_bounded(&senders[0], CARRIED);
    viewers.push(run.watch(0, "cleo", 2 * BITRATE));
    run.run(A_WHILE, &mut senders, &mut viewers);
    assert_eq!(senders[0].limit, None, "cleo sees all of it");
    let cleo = viewers.pop().expect("two");
    run.relays[0].depart(&cleo.member, Departure::Left, run.now);
    run.run(A_WHILE * 3, &mut senders, &mut viewers);
    assert_bounded(&senders[0], CARRIED);
}

#[test]
fn several_senders_share_what_a_path_carries() {
    let mut run = Run::new(vec![alone()]);
    let mut senders = [run.publish("ann"), run.publish("dan")];
    let mut viewers = [run.watch(0, "ben", 2 * CARRIED)];
    run.run(A_WHILE, &mut senders, &mut viewers);
    assert_bounded(&senders[0], CARRIED);
    assert_eq!(senders[0].limit, senders[1].limit);
}

#[test]
fn relays_tell_one_another_what_their_people_can_take() {
    let relays = vec![
        meeting(settings("here", true)),
        meeting(settings("there-2", true)),
    ];
    let mut run = Run::new(relays);
    let mut senders = [run.publish("ann")];
    settle(&run.relays[0], &run.relays[1], START);
    let mut viewers = vec![run.watch(1, "ben", CARRIED)];
    run.run(A_WHILE, &mut senders, &mut viewers);
    assert_bounded(&senders[0], CARRIED);
    viewers.push(run.watch(0, "cleo", 2 * BITRATE));
    run.run(A_WHILE, &mut senders, &mut viewers);
    assert_eq!(senders[0].limit, None, "somebody here sees all of it");
}
