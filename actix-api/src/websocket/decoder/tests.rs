use actix_http::ws::{Codec, Item, Message};
use proptest::prelude::*;
use tokio_util::codec::Encoder;

use super::*;

const LIMITS: SizeLimits = SizeLimits {
    frame: 5000,
    control: 300,
};

/// What a client would send, by another implementation of the RFC.
fn client_bytes(messages: Vec<Message>) -> BytesMut {
    let mut codec = Codec::new().client_mode();
    let mut wire = BytesMut::new();
    for message in messages {
        codec
            .encode(message, &mut wire)
            .expect("a valid order of messages");
    }
    wire
}

fn decode(wire: &[u8], chunk: usize) -> Result<Vec<Event>, DecodeError> {
    let mut decoder = Decoder::new(LIMITS);
    let mut events = Vec::new();
    for piece in wire.chunks(chunk) {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(event) = decoder.next_event()? {
            events.push(event);
        }
    }
    Ok(events)
}

fn media(length: usize) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..length).map(|index| index as u8).collect();
    packet[0] = 0x0a;
    packet
}

fn binary(payload: Vec<u8>) -> Message {
    Message::Binary(payload.into())
}

proptest! {
    #[test]
    fn messages_survive_any_fragmentation_and_chunking(
        length in 1_usize..5000,
        cuts in prop::collection::vec(0_usize..5000, 0..5),
        chunk in 1_usize..700,
    ) {
        let packet = media(length);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % length).collect();
        cuts.sort_unstable();
        let mut rest = Bytes::from(packet.clone());
        let mut messages = Vec::new();
        let mut done = 0;
        for cut in cuts {
            let part = rest.split_to(cut - done);
            done = cut;
            let item = if messages.is_empty() { Item::FirstBinary(part) } else { Item::Continue(part) };
            messages.push(Message::Continuation(item));
            messages.push(Message::Ping(Bytes::from_static(b"between")));
        }
        messages.push(if messages.is_empty() {
            Message::Binary(rest)
        } else {
            Message::Continuation(Item::Last(rest))
        });
        let events = decode(&client_bytes(messages), chunk).expect("within limits");
        let packets: Vec<_> = events.iter().filter(|event| matches!(event, Event::Packet(_))).collect();
        let expected = Event::Packet(packet.into());
        prop_assert_eq!(packets, vec![&expected]);
        let pings = events.iter().filter(|event| matches!(event, Event::Ping(p) if p == "between")).count();
        prop_assert_eq!(pings, events.len() - 1);
    }

    #[test]
    fn garbage_never_panics_nor_grows_beyond_the_limits(
        wire in prop::collection::vec(any::<u8>(), 0..2000),
        chunk in 1_usize..300,
    ) {
        if let Ok(events) = decode(&wire, chunk) {
            for event in events {
                if let Event::Packet(packet) = event {
                    prop_assert!(packet.len() <= LIMITS.frame);
                }
            }
        }
    }
}

#[test]
fn sizes_are_judged_by_what_a_message_carries() {
    assert!(decode(&client_bytes(vec![binary(media(5000))]), 64).is_ok());
    assert_eq!(
        decode(&client_bytes(vec![binary(media(5001))]), 64),
        Err(DecodeError::FrameTooLarge {
            length: 5001,
            limit: 5000
        })
    );
    assert!(decode(&client_bytes(vec![binary(vec![0x12; 300])]), 64).is_ok());
    assert_eq!(
        decode(&client_bytes(vec![binary(vec![0x12; 301])]), 64),
        Err(DecodeError::ControlTooLarge {
            length: 301,
            limit: 300
        })
    );
}

#[test]
fn fragments_are_summed_up() {
    let wire = client_bytes(vec![
        Message::Continuation(Item::FirstBinary(vec![0x12; 200].into())),
        Message::Continuation(Item::Last(vec![0x12; 101].into())),
    ]);
    assert_eq!(
        decode(&wire, 64),
        Err(DecodeError::ControlTooLarge {
            length: 301,
            limit: 300
        })
    );
}

#[test]
fn an_announced_length_is_refused_before_the_bytes_come() {
    let mut wire = vec![0x82, 0xff];
    wire.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    wire.extend_from_slice(&[0, 0, 0, 0, 0x0a]);
    assert_eq!(
        decode(&wire, 1),
        Err(DecodeError::FrameTooLarge {
            length: 1 << 40,
            limit: 5000
        })
    );
}

#[test]
fn a_length_that_no_sum_can_hold_is_refused() {
    let mut wire = vec![0x02, 0x81, 0, 0, 0, 0, 0x12, 0x80, 0xff];
    wire.extend_from_slice(&u64::MAX.to_be_bytes());
    wire.extend_from_slice(&[0, 0, 0, 0, 1]);
    assert!(matches!(decode(&wire, 64), Err(DecodeError::Protocol(_))));
    wire[9] = 0x7f;
    let length = (u64::MAX >> 1) + 1;
    let refused = DecodeError::ControlTooLarge { length, limit: 300 };
    assert_eq!(decode(&wire, 64), Err(refused));
}

#[test]
fn violations_of_the_rfc_are_told_apart() {
    let text = client_bytes(vec![Message::Text("hello".into())]);
    assert_eq!(decode(&text, 64), Err(DecodeError::Text));
    for broken in [
        &[0x82, 0x01, 0x00][..],                           // not masked
        &[0xc2, 0x81, 0, 0, 0, 0, 0],                      // compressed
        &[0x83, 0x80, 0, 0, 0, 0],                         // unknown opcode
        &[0x80, 0x80, 0, 0, 0, 0],                         // a fragment of nothing
        &[0x09, 0x80, 0, 0, 0, 0],                         // a fragmented ping
        &[0x89, 0xfe, 0, 126, 0, 0, 0, 0],                 // a long ping
        &[0x88, 0x81, 0, 0, 0, 0, 3],                      // half a close code
        &[0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0], // a message within a message
    ] {
        assert!(
            matches!(decode(broken, 64), Err(DecodeError::Protocol(_))),
            "{broken:x?}"
        );
    }
}

#[test]
fn close_codes_are_read() {
    let close = |code: u16| Message::Close(Some(actix_http::ws::CloseCode::from(code).into()));
    for code in [1000, 1001, 4001] {
        assert_eq!(
            decode(&client_bytes(vec![close(code)]), 64),
            Ok(vec![Event::Close(Some(code))])
        );
    }
    assert_eq!(
        decode(&client_bytes(vec![Message::Close(None)]), 64),
        Ok(vec![Event::Close(None)])
    );
}
