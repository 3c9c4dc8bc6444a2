//! The golden vectors in `tests/vectors`: bytes as another protobuf implementation wrote them, and
//! what they mean. Every decoder has to agree, and every encoder to write the same bytes.

mod describe;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use videocall_types::fragment::{Reassembler, split};
use videocall_types::{ClientMessage, Frame, RelayMessage, ServerMessage, StreamDecoder};

/// Bytes with a meaning.
#[derive(Deserialize)]
struct Vector {
    name: String,
    hex: String,
    meaning: Value,
    /// Whether an encoder writes exactly these bytes.
    #[serde(default = "yes")]
    canonical: bool,
}

const fn yes() -> bool {
    true
}

/// Bytes that one of the decoders refuses.
#[derive(Deserialize)]
struct Malformed {
    name: String,
    decode: String,
    hex: String,
    error: String,
}

/// Bytes of a stream and the packets in it.
#[derive(Deserialize)]
struct Stream {
    name: String,
    hex: String,
    limit: usize,
    packets: Vec<String>,
    error: Option<String>,
}

/// A packet, and the packets that carry its parts.
#[derive(Deserialize)]
struct Cut {
    name: String,
    id: String,
    packet: String,
    part_bytes: usize,
    fragments: Vec<String>,
}

/// What a fragment has besides its part when a relay reckons with the longest of all lengths.
const FRAGMENT_OVERHEAD: usize = 34;

fn bytes_of(hex: &str) -> Bytes {
    assert!(hex.len().is_multiple_of(2), "an even number of digits: {hex}");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits"))
        .collect::<Vec<u8>>()
        .into()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes, describes and encodes again every vector of a file.
fn check<M, E: std::fmt::Debug>(
    file: &str,
    decode: fn(&Bytes) -> Result<M, E>,
    describe: fn(&M) -> Value,
    encode: fn(M) -> Bytes,
) {
    let vectors: Vec<Vector> = serde_json::from_str(file).expect("a list of vectors");
    assert!(!vectors.is_empty());
    for vector in vectors {
        let name = &vector.name;
        let message = decode(&bytes_of(&vector.hex)).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(describe(&message), vector.meaning, "{name}");
        if vector.canonical {
            assert_eq!(hex_of(&encode(message)), vector.hex, "{name}");
        } else {
            let again = decode(&encode(message)).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert_eq!(describe(&again), vector.meaning, "{name}, written anew");
        }
    }
}

#[test]
fn frames() {
    let file = include_str!("../vectors/frames.json");
    check(file, Frame::decode, describe::frame, Frame::encode);
}

#[test]
fn client_messages() {
    let file = include_str!("../vectors/client.json");
    check(
        file,
        ClientMessage::decode,
        describe::client,
        ClientMessage::encode,
    );
}

#[test]
fn server_messages() {
    let file = include_str!("../vectors/server.json");
    check(
        file,
        ServerMessage::decode,
        describe::server,
        ServerMessage::encode,
    );
}

#[test]
fn relay_messages() {
    let file = include_str!("../vectors/relay.json");
    check(file, RelayMessage::decode, describe::relay, RelayMessage::encode);
}

#[test]
fn packets_are_cut_for_the_bus_and_put_together_in_any_order() {
    let file = include_str!("../vectors/fragments.json");
    let vectors: Vec<Cut> = serde_json::from_str(file).expect("a list of vectors");
    assert!(!vectors.is_empty());
    for cut in vectors {
        let packet = bytes_of(&cut.packet);
        let id = u64::from_str_radix(&cut.id, 16).expect("hexadecimal digits");
        let max_message = cut.part_bytes + FRAGMENT_OVERHEAD;
        let fragments = split(&packet, id, max_message).expect("small enough");
        let fragments: Vec<String> = fragments.map(|fragment| hex_of(&fragment)).collect();
        assert_eq!(fragments, cut.fragments, "{}", cut.name);
        let mut reassembler = Reassembler::default();
        let (last, others) = cut.fragments.split_first().expect("at least one");
        for fragment in others.iter().rev() {
            assert_eq!(reassembler.push(&bytes_of(fragment)), Ok(None), "{}", cut.name);
        }
        assert_eq!(
            reassembler.push(&bytes_of(last)),
            Ok(Some(packet)),
            "{}",
            cut.name
        );
    }
}

#[test]
fn malformed_packets_are_refused_for_the_stated_reason() {
    let file = include_str!("../vectors/malformed.json");
    let vectors: Vec<Malformed> = serde_json::from_str(file).expect("a list of vectors");
    for Malformed {
        name,
        decode,
        hex,
        error,
    } in vectors
    {
        let packet = bytes_of(&hex);
        let outcome = match decode.as_str() {
            "frame" => Frame::decode(&packet).map(drop).map_err(|e| e.to_string()),
            "client" => ClientMessage::decode(&packet)
                .map(drop)
                .map_err(|e| e.to_string()),
            "server" => ServerMessage::decode(&packet)
                .map(drop)
                .map_err(|e| e.to_string()),
            "relay" => RelayMessage::decode(&packet).map(drop).map_err(|e| e.to_string()),
            other => panic!("{name}: no decoder {other}"),
        };
        assert_eq!(outcome, Err(error), "{name}");
    }
}

#[test]
fn streams_are_cut_into_packets_however_they_arrive() {
    let file = include_str!("../vectors/stream.json");
    let vectors: Vec<Stream> = serde_json::from_str(file).expect("a list of vectors");
    for vector in vectors {
        let bytes = bytes_of(&vector.hex);
        for chunk in [1, 3, bytes.len()] {
            let mut decoder = StreamDecoder::new(vector.limit);
            let (mut packets, mut error) = (Vec::new(), None);
            for piece in bytes.chunks(chunk) {
                decoder.push(piece);
                loop {
                    match decoder.next_packet() {
                        Ok(Some(packet)) => packets.push(hex_of(&packet)),
                        Ok(None) => break,
                        Err(e) => {
                            error = Some(e.to_string());
                            break;
                        }
                    }
                }
            }
            assert_eq!(
                (&packets, &error),
                (&vector.packets, &vector.error),
                "{}",
                vector.name
            );
        }
    }
}
