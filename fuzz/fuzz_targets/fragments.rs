//! Fragments of packets between relays: what is put together is what was cut, and whatever else comes
//! stays within its bounds.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use videocall_types::fragment::{Reassembler, ReassemblyLimits, split};

const LIMITS: ReassemblyLimits = ReassemblyLimits {
    bytes: 4096,
    packets: 4,
    age: 64,
};

fuzz_target!(|data: &[u8]| {
    let mut reassembler = Reassembler::new(LIMITS);
    // The first byte of each piece is its length, the rest is a fragment, sound or not.
    let mut rest = data;
    while let Some((length, more)) = rest.split_first() {
        let (piece, behind) = more.split_at(more.len().min(usize::from(*length)));
        let _unusable = reassembler.push(&Bytes::copy_from_slice(piece));
        assert!(reassembler.waiting_bytes() <= LIMITS.bytes);
        assert!(reassembler.waiting_packets() <= LIMITS.packets);
        rest = behind;
    }
    let whole = Bytes::copy_from_slice(data);
    let Ok(parts) = split(&whole, 1, 200) else {
        return;
    };
    let mut reassembler = Reassembler::default();
    let joined = parts
        .filter_map(|part| reassembler.push(&part).expect("a fragment"))
        .last();
    assert_eq!(joined, Some(whole));
});
