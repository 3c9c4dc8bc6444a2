//! Control messages between relays: what is taken survives being written again, and counts in no other
//! direction.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use videocall_types::{ClientMessage, MessageError, RelayMessage, ServerMessage};

fuzz_target!(|data: &[u8]| {
    let packet = Bytes::copy_from_slice(data);
    let Ok(message) = RelayMessage::decode(&packet) else {
        return;
    };
    let again = message.clone().encode();
    assert_eq!(RelayMessage::decode(&again).as_ref(), Ok(&message));
    if message != RelayMessage::Unknown {
        assert_eq!(ClientMessage::decode(&packet), Err(MessageError::Forbidden));
        assert_eq!(ServerMessage::decode(&packet), Err(MessageError::Forbidden));
    }
});
