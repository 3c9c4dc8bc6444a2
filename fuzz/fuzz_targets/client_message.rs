//! Control messages from a client: what is taken survives being written again, and counts in no other
//! direction.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use videocall_types::{ClientMessage, MessageError, RelayMessage, ServerMessage};

fuzz_target!(|data: &[u8]| {
    let packet = Bytes::copy_from_slice(data);
    let Ok(message) = ClientMessage::decode(&packet) else {
        return;
    };
    let again = message.clone().encode();
    assert_eq!(ClientMessage::decode(&again).as_ref(), Ok(&message));
    if message != ClientMessage::Unknown {
        assert_eq!(ServerMessage::decode(&packet), Err(MessageError::Forbidden));
        assert_eq!(RelayMessage::decode(&packet), Err(MessageError::Forbidden));
    }
});
