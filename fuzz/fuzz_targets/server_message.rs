//! Control messages from a relay to a client: what is taken survives being written again, and counts in no other
//! direction.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use videocall_types::{ClientMessage, MessageError, RelayMessage, ServerMessage};

fuzz_target!(|data: &[u8]| {
    let packet = Bytes::copy_from_slice(data);
    let Ok(message) = ServerMessage::decode(&packet) else {
        return;
    };
    let again = message.clone().encode();
    assert_eq!(ServerMessage::decode(&again).as_ref(), Ok(&message));
    if message != ServerMessage::Unknown {
        assert_eq!(ClientMessage::decode(&packet), Err(MessageError::Forbidden));
        assert_eq!(RelayMessage::decode(&packet), Err(MessageError::Forbidden));
    }
});
