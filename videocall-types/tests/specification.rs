//! docs/protocol.md says what the code does: its tables are compared with the code they describe.

use std::collections::BTreeMap;
use std::time::Duration;

use videocall_types::{CloseCode, limits};

const SPECIFICATION: &str = include_str!("../../docs/protocol.md");
const SCHEMA: &str = include_str!("../proto/videocall.proto");
const LIMITS: &str = include_str!("../src/limits.rs");

/// The cells of the table that follows the marker, without its head.
fn table(marker: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = SPECIFICATION.split_once(marker).expect("the marker is there");
    rest.lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// A limit as the table writes it.
trait Written {
    fn written(&self) -> String;
}

impl Written for Duration {
    fn written(&self) -> String {
        format!("{} ms", self.as_millis())
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Written for $type {
            fn written(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
numbers!(u8, u32, u64, usize);

macro_rules! values {
    ($($name:ident),* $(,)?) => {
        BTreeMap::from([$((stringify!($name), limits::$name.written())),*])
    };
}

#[test]
fn the_limits_are_those_of_the_code() {
    let code = values![
        PROTOCOL_VERSION,
        MAX_FRAME_BYTES,
        MAX_CONTROL_BYTES,
        MAX_SERVER_CONTROL_BYTES,
        MAX_DATAGRAM_BYTES,
        MAX_TRACKS,
        MAX_SPATIAL_LAYERS,
        MAX_TEMPORAL_LAYERS,
        MAX_REDUNDANCY,
        MAX_VIDEO_CODECS,
        MAX_REPORT_MS,
        MAX_REPORTED_TRACKS,
        MAX_TEXT_LENGTH,
        MAX_TOKEN_LENGTH,
        MAX_SUBSCRIPTIONS,
        MAX_CONTROL_PER_SECOND,
        CONTROL_RATE_WINDOW,
        MAX_UPLOAD_BPS,
        UPLOAD_RATE_WINDOW,
        MIN_COUNTED_FRAME_BYTES,
        HANDSHAKE_TIMEOUT,
        PING_INTERVAL,
        LIVENESS,
        RESUME_GRACE,
        KEYFRAME_REQUEST_INTERVAL,
        MAX_SESSIONS_PER_MEETING,
        MAX_SPEAKERS,
        MAX_SESSIONS_PER_RELAY,
        RELAY_HEARTBEAT,
        RELAY_LIVENESS,
        MAX_FRAGMENTS,
        MAX_CONNECTIONS_PER_ADDRESS,
        MAX_DOWNLOAD_BPS,
        MAX_RELAY_UPLOAD_BPS,
        MAX_RELAY_DOWNLOAD_BPS,
        MAX_QUEUED_BYTES,
        MAX_LOOP_DELAY,
    ];
    let document: BTreeMap<&str, String> = table("<!-- limits")
        .into_iter()
        .map(|row| (row[0].trim_matches('`'), row[1].to_owned()))
        .collect();
    assert_eq!(document, code);

    // None is missing in both.
    for line in LIMITS.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let name = line.split(':').next().unwrap_or_default();
        assert!(
            code.contains_key(name),
            "{name} is not in the table of docs/protocol.md"
        );
    }
}

#[test]
fn the_close_codes_are_those_of_the_code() {
    let code: Vec<Vec<String>> = CloseCode::ALL
        .into_iter()
        .map(|code| {
            let name = serde_json::to_value(code).expect("a word");
            let again = if code.is_retryable() { "yes" } else { "no" };
            vec![
                code.number().to_string(),
                code.websocket().to_string(),
                format!("`{}`", name.as_str().expect("a word")),
                again.to_owned(),
                code.message().to_owned(),
            ]
        })
        .collect();
    assert_eq!(table("<!-- close codes"), code);
}

#[test]
fn every_kind_of_packet_is_described() {
    let (_, packet) = SCHEMA.split_once("oneof kind {").expect("the packet's kinds");
    let (packet, _) = packet.split_once("\n  }").expect("their end");
    let kinds = packet
        .lines()
        .map(str::trim)
        .filter(|line| line.ends_with(';'))
        .filter_map(|line| line.split_whitespace().nth(1));
    let mut count = 0;
    for kind in kinds {
        assert!(
            SPECIFICATION.contains(&format!("`{kind}`")),
            "{kind} is not in docs/protocol.md"
        );
        count += 1;
    }
    assert!(count > 20, "only {count} kinds found");
}
