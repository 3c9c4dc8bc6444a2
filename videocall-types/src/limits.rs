//! Every number of the protocol that bounds something, each with its reason.
//!
//! Those a client has to respect are announced in Welcome; a relay may be set to smaller ones.

use std::time::Duration;

/// The version a client and a relay must share. Additions that old peers can ignore keep it.
pub const PROTOCOL_VERSION: u32 = 1;

/// One media packet. A 4K screen keyframe at full quality stays below 3 MB.
pub const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;

/// One control packet from a client. A Subscribe of 1000 tracks takes 30 kB.
pub const MAX_CONTROL_BYTES: usize = 64 * 1024;

/// One control packet from a relay. A Welcome with 1000 participants takes about 150 kB.
pub const MAX_SERVER_CONTROL_BYTES: usize = 1024 * 1024;

/// The most a QUIC datagram with an audio frame may have: fits the smallest path that QUIC
/// requires (RFC 9000 §14: 1200 bytes of UDP payload) with packet and WebTransport overhead.
pub const MAX_DATAGRAM_BYTES: usize = 1150;

/// Camera, microphone, screen and screen audio, twice.
pub const MAX_TRACKS: usize = 8;

/// Spatial layers of one track.
pub const MAX_SPATIAL_LAYERS: u8 = 4;

/// Temporal layers of one spatial layer.
pub const MAX_TEMPORAL_LAYERS: u8 = 4;

/// Families of codecs that a participant says it decodes: those there are, and some to come.
pub const MAX_VIDEO_CODECS: usize = 16;

/// Redundant earlier frames in one audio packet.
pub const MAX_REDUNDANCY: usize = 4;

/// Characters of codec strings, client names and display names.
pub const MAX_TEXT_LENGTH: usize = 128;

/// The longest time that a client reports about at once, milliseconds: twice the usual minute, as clients in the
/// background are late.
pub const MAX_REPORT_MS: u32 = 120_000;

/// Tracks that a client can report about: what stood still or was made up is at most so many times the length of the
/// report. More are not received at the same time.
pub const MAX_REPORTED_TRACKS: u32 = 64;

/// Bytes of a token in Hello.
pub const MAX_TOKEN_LENGTH: usize = 4096;

/// Entries of a Subscribe: a meeting's worth of tracks.
pub const MAX_SUBSCRIPTIONS: usize = 2048;

/// Control messages a client may send per second, averaged over [`CONTROL_RATE_WINDOW`]. A layout
/// change sends one Subscribe; dragging a window's edge sends some ten a second.
pub const MAX_CONTROL_PER_SECOND: u32 = 50;

/// The window over which control messages are counted.
pub const CONTROL_RATE_WINDOW: Duration = Duration::from_secs(4);

/// What one session may send: three camera layers and a screen, with room to spare.
pub const MAX_UPLOAD_BPS: u64 = 20_000_000;

/// The window over which what a session sends is counted: a keyframe of a screen at full quality arrives at once,
/// but pays for it later.
pub const UPLOAD_RATE_WINDOW: Duration = Duration::from_secs(2);

/// Bytes that a frame counts as at least: passing it on costs by the frame, not by the byte. Voices of 50 frames a
/// second count as 160 kbit/s.
pub const MIN_COUNTED_FRAME_BYTES: usize = 400;

/// From the accepted connection to a complete Hello.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a client sends Ping: often enough for a useful round-trip time.
pub const PING_INTERVAL: Duration = Duration::from_millis(1000);

/// Nothing received for this long: the peer is dead. Five pings may be lost before.
pub const LIVENESS: Duration = Duration::from_millis(5000);

/// A session whose connection was lost (not left) can be resumed for this long; until then the
/// others keep its tile.
pub const RESUME_GRACE: Duration = Duration::from_millis(5000);

/// Between two keyframe requests for one layer: a keyframe costs several times a delta frame, and
/// one answers all who asked meanwhile.
pub const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// Sessions in one meeting on one relay, unless set otherwise.
pub const MAX_SESSIONS_PER_MEETING: usize = 1500;

/// Microphones that a relay forwards at a time, of those who speak: more voices at once than anybody
/// understands.
pub const MAX_SPEAKERS: usize = 5;

/// Sessions on one relay, unless set otherwise.
pub const MAX_SESSIONS_PER_RELAY: usize = 5000;

/// How often a relay tells the others of its meeting that it lives.
pub const RELAY_HEARTBEAT: Duration = Duration::from_millis(1000);

/// A relay not heard for this long is gone, and its participants with it.
pub const RELAY_LIVENESS: Duration = Duration::from_millis(5000);

/// Fragments of one packet, between relays or over a slow WebSocket. The largest packet takes this many at messages of 1 KiB;
/// NATS allows 1 MiB unless told otherwise.
pub const MAX_FRAGMENTS: u32 = 4400;

/// Connections from one network address at a time: a school behind one address, and no more of a
/// relay than a fifth.
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 1000;

/// What one session may be sent: a wall of 25 pictures and a screen, with room to spare.
pub const MAX_DOWNLOAD_BPS: u64 = 50_000_000;

/// What all sessions of a relay may send together, unless set otherwise: most of a gigabit.
pub const MAX_RELAY_UPLOAD_BPS: u64 = 900_000_000;

/// What all sessions of a relay may be sent together, unless set otherwise: most of ten gigabits, and
/// more than one core forwards.
pub const MAX_RELAY_DOWNLOAD_BPS: u64 = 9_000_000_000;

/// Bytes that may wait for all receivers of a relay together. A frame that waits for a hundred counts
/// a hundred times and is held once, so the memory behind it is less.
pub const MAX_QUEUED_BYTES: usize = 1024 * 1024 * 1024;

/// How late a relay's event loops may be, averaged over a second, before it protects the voices of
/// those who are in: half of what a jitter buffer hides.
pub const MAX_LOOP_DELAY: Duration = Duration::from_millis(100);
