use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

fn header() -> impl Strategy<Value = FrameHeader> {
    let kinds = prop::sample::select(vec![
        TrackKind::Microphone,
        TrackKind::Camera,
        TrackKind::Screen,
        TrackKind::ScreenAudio,
    ]);
    let ids = (1_u64.., any::<u32>(), kinds, 0_u8..4, 0_u8..4);
    let order = (0..u64::MAX / 2, 0..u64::MAX / 2, any::<bool>(), any::<u32>());
    let rest = (any::<u32>(), prop::option::of(0_u8..=127));
    (ids, order, rest).prop_map(|(ids, order, rest)| FrameHeader {
        session: SessionId::new(ids.0).expect("not zero"),
        track: TrackId(ids.1),
        kind: ids.2,
        spatial: ids.3,
        temporal: ids.4,
        sequence: order.0,
        capture_time_us: order.1,
        keyframe: order.2 || ids.2.is_audio(),
        reference_distance: order.3,
        duration_us: rest.0,
        audio_level: rest.1,
    })
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 1..200).prop_map(Bytes::from)
}

fn frame() -> impl Strategy<Value = Frame> {
    let decoder = prop::option::of(("[a-z0-9.]{1,20}", any::<u32>(), payload()));
    let redundancy = prop::collection::vec((1_u32.., any::<u32>(), payload()), 0..4);
    (header(), decoder, redundancy, payload()).prop_map(|(header, decoder, redundancy, payload)| {
        let redundancy = if header.kind.is_audio() {
            redundancy
        } else {
            Vec::new()
        };
        Frame {
            header,
            decoder: decoder.map(|(codec, width, description)| DecoderConfig {
                codec,
                width,
                description,
                ..Default::default()
            }),
            redundancy: redundancy
                .into_iter()
                .map(
                    |(sequence_distance, capture_time_distance_us, payload)| RedundantFrame {
                        sequence_distance,
                        capture_time_distance_us,
                        duration_us: 20_000,
                        payload,
                    },
                )
                .collect(),
            payload,
        }
    })
}

fn sample() -> Frame {
    Frame {
        header: FrameHeader {
            sequence: 3,
            capture_time_us: 100,
            keyframe: false,
            reference_distance: 1,
            ..FrameHeader::first(
                SessionId::new(7).expect("not zero"),
                TrackId(1),
                TrackKind::Camera,
            )
        },
        decoder: None,
        redundancy: Vec::new(),
        payload: Bytes::from_static(b"picture"),
    }
}

proptest! {
    #[test]
    fn frames_survive_the_wire(frame in frame()) {
        let packet = frame.clone().encode();
        prop_assert_eq!(FrameHeader::peek(&packet), Ok(frame.header));
        prop_assert_eq!(Frame::decode(&packet), Ok(frame));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Frame::decode(&Bytes::from(bytes));
    }

    #[test]
    fn damaged_frames_never_panic_and_never_disagree(
        frame in frame(), at in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let mut packet = BytesMut::from(&frame.encode()[..]);
        let index = at.index(packet.len());
        packet[index] = value;
        let packet = packet.freeze();
        if let Ok(frame) = Frame::decode(&packet) {
            let mut parsed = wire::Packet::parse_from_tokio_bytes(&packet).expect("decoded once");
            prop_assert_eq!(parsed.take_frame().session, frame.header.session.get());
        }
    }
}

#[test]
fn a_second_sender_cannot_hide_behind_the_first() {
    let honest = sample().encode();
    let mut forged = sample();
    forged.header.session = SessionId::new(8).expect("not zero");
    let forged = forged.encode();

    // Another frame after the first: a protobuf reader would take the last one.
    let mut two_frames = BytesMut::from(&honest[..]);
    two_frames.extend_from_slice(&forged);
    assert_eq!(FrameHeader::peek(&two_frames), Err(FrameError::Malformed));

    // Another session field behind the payload, within the one frame.
    let mut trailing = BytesMut::from(&honest[..]);
    trailing.extend_from_slice(&[0x09, 8, 0, 0, 0, 0, 0, 0, 0]);
    trailing[1] += 9;
    assert_eq!(FrameHeader::peek(&trailing), Err(FrameError::Malformed));
}

#[test]
fn a_tag_written_in_two_bytes_is_no_frame() {
    let packet = sample().encode();
    let mut overlong = BytesMut::from(&[0x8a, 0x00][..]);
    overlong.extend_from_slice(&packet[1..]);
    assert!(!crate::is_frame(&overlong));
    assert_eq!(FrameHeader::peek(&overlong), Err(FrameError::Malformed));
}

#[test]
fn every_rule_of_the_header_is_checked() {
    let reject = |change: fn(&mut Frame), error| {
        let mut frame = sample();
        change(&mut frame);
        assert_eq!(FrameHeader::peek(&frame.encode()), Err(error));
    };
    reject(|f| f.header.spatial = 4, FrameError::OutOfRange("spatial layer"));
    reject(
        |f| f.header.temporal = 4,
        FrameError::OutOfRange("temporal layer"),
    );
    reject(
        |f| f.header.audio_level = Some(128),
        FrameError::OutOfRange("audio level"),
    );
    reject(|f| f.payload = Bytes::new(), FrameError::Malformed);
    reject(
        |f| {
            f.redundancy.push(RedundantFrame {
                sequence_distance: 1,
                capture_time_distance_us: 0,
                duration_us: 0,
                payload: Bytes::from_static(b"x"),
            });
        },
        FrameError::OutOfRange("redundancy"),
    );
    assert_eq!(
        FrameHeader::peek(&vec![0; MAX_FRAME_BYTES + 1]),
        Err(FrameError::TooLarge(MAX_FRAME_BYTES + 1))
    );
}

#[test]
fn payloads_are_not_copied() {
    let packet = sample().encode();
    let frame = Frame::decode(&packet).expect("valid");
    assert!(packet.as_ptr_range().contains(&frame.payload.as_ptr()));
}
