//! Media frames: what a relay reads out of a packet is what a receiver reads out of it.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use videocall_types::{Frame, FrameHeader, is_frame};

fuzz_target!(|data: &[u8]| {
    let packet = Bytes::copy_from_slice(data);
    let header = FrameHeader::peek(&packet);
    assert!(header.is_err() || is_frame(&packet));
    match Frame::decode(&packet) {
        Ok(frame) => {
            assert_eq!(header, Ok(frame.header));
            assert!(packet.ends_with(&frame.payload), "the payload comes last");
            let again = frame.clone().encode();
            assert_eq!(Frame::decode(&again), Ok(frame));
        }
        // A receiver may refuse more than a relay: it also looks at what is opaque to relays.
        Err(error) => assert!(header.is_ok() || header == Err(error)),
    }
});
