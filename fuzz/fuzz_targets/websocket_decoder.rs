//! Frames of WebSocket clients: however the bytes arrive, the same events come out, none above the limits.

#![no_main]

// Its crate is a whole web server; this part of it stands alone.
#[path = "../../actix-api/src/websocket/decoder.rs"]
#[expect(
    dead_code,
    reason = "what the server does with errors is not of interest here"
)]
mod decoder;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

use decoder::{DecodeError, Decoder, Event, SizeLimits};

/// Opcodes of RFC 6455 §5.2.
mod opcode {
    pub(crate) const CONTINUATION: u8 = 0x0;
    pub(crate) const TEXT: u8 = 0x1;
    pub(crate) const BINARY: u8 = 0x2;
    pub(crate) const CLOSE: u8 = 0x8;
    pub(crate) const PING: u8 = 0x9;
    pub(crate) const PONG: u8 = 0xa;
}

const LIMITS: SizeLimits = SizeLimits {
    frame: 2000,
    control: 300,
};

fuzz_target!(|data: &[u8]| {
    let [chunk, wire @ ..] = data else {
        return;
    };
    let whole = read(wire, wire.len().max(1));
    let pieces = read(wire, usize::from(*chunk).max(1));
    assert_eq!(whole, pieces);
    for event in whole.0 {
        match event {
            Event::Packet(packet) => assert!(packet.len() <= LIMITS.frame),
            Event::Ping(payload) | Event::Pong(payload) => assert!(payload.len() <= 125),
            Event::Close(_) => {}
        }
    }
});

fn read(wire: &[u8], chunk: usize) -> (Vec<Event>, Option<DecodeError>) {
    let mut decoder = Decoder::new(LIMITS);
    let mut events = Vec::new();
    for piece in wire.chunks(chunk) {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}
