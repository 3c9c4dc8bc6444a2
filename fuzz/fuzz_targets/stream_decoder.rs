//! Packets on a stream: however the bytes arrive, the same packets come out, none above the limit.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use videocall_types::{StreamDecoder, StreamError};

fuzz_target!(|data: &[u8]| {
    let [limit, chunk, stream @ ..] = data else {
        return;
    };
    let limit = usize::from(*limit) * 4;
    let whole = read(stream, stream.len().max(1), limit);
    let pieces = read(stream, usize::from(*chunk).max(1), limit);
    assert_eq!(whole, pieces);
    assert!(whole.0.iter().all(|packet| packet.len() <= limit));
});

fn read(stream: &[u8], chunk: usize, limit: usize) -> (Vec<Bytes>, Option<StreamError>) {
    let mut decoder = StreamDecoder::new(limit);
    let mut packets = Vec::new();
    for piece in stream.chunks(chunk) {
        decoder.push(piece);
        loop {
            match decoder.next_packet() {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}
