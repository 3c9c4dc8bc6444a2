//! Statistics of a call as `docs/statistics.md` describes them. The names of the fields are part of
//! what programs and tests rely on.

use serde::{Deserialize, Serialize};
use videocall_types::{SessionId, TrackId, TrackKind, api::TransportKind};

use crate::core::ConnectionState;

/// A whole call: what `window.videocall.stats()` returns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallStats {
    /// Our session, once we are in.
    pub session: Option<SessionId>,
    /// The connection to the relay.
    pub connection: ConnectionStats,
    /// What we send.
    pub local_tracks: Vec<LocalTrackStats>,
    /// What we receive: one entry per track of somebody else.
    pub remote_tracks: Vec<RemoteTrackStats>,
}

/// The connection to the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStats {
    /// Where it stands.
    pub state: ConnectionState,
    /// The carrier in use or being tried.
    pub transport: Option<TransportKind>,
    /// Smoothed round-trip time, milliseconds.
    pub rtt_ms: Option<f64>,
    /// What the path to the relay is taken to carry, bits per second; nothing is known above what was sent.
    pub upload_estimate_bps: u32,
    /// What all that anybody wants of us would take at its best, bits per second.
    pub upload_wanted_bps: u32,
    /// What keeps us from sending all of that, if something does.
    pub sending_limit: Option<SendingLimit>,
    /// Bytes of packets given to the carrier, all connections of the call together.
    pub bytes_sent: u64,
    /// Bytes of packets from the carrier, likewise.
    pub bytes_received: u64,
    /// Packets given to the carrier.
    pub packets_sent: u64,
    /// Packets from the carrier.
    pub packets_received: u64,
    /// Frames of ours that were dropped because they were late or nobody could use them.
    pub frames_dropped_sending: u64,
    /// Frames of others that were dropped because they were not valid or not of a known track.
    pub frames_ignored: u64,
    /// How often the connection was made again after it was lost.
    pub reconnects: u32,
    /// How often the call went to another relay without a break, because its own was stopping.
    pub moves: u32,
}

/// Why less is sent than what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SendingLimit {
    /// The path to the relay carries no more.
    Network,
    /// The machine encodes no more.
    Machine,
}

/// What arrived of one layer of somebody else's track, as the core sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerStats {
    /// Frames that arrived.
    pub frames_received: u64,
    /// Frames that arrived and were of no use: late, doubled or not decodable any more.
    pub frames_dropped: u64,
    /// Bytes of payload.
    pub bytes_received: u64,
    /// Keyframes asked for.
    pub keyframes_requested: u64,
}

/// A track that we receive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteTrackStats {
    /// Who sends it.
    pub session: SessionId,
    /// The sender's number for it.
    pub track: TrackId,
    /// What it carries.
    pub kind: TrackKind,
    /// The name of the sender.
    pub name: String,
    /// It exists and sends nothing.
    pub muted: bool,
    /// WebCodecs codec string, once a frame has come.
    pub codec: Option<String>,
    /// Frames that arrived.
    pub frames_received: u64,
    /// Frames that the decoder has put out.
    pub frames_decoded: u64,
    /// Frames that arrived and were not decoded: late, doubled, not decodable, or the decoder was behind.
    pub frames_dropped: u64,
    /// Bytes of payload.
    pub bytes_received: u64,
    /// Bits per second of payload, over the last second.
    pub bitrate_bps: f64,
    /// Video: pixels of the last decoded frame.
    pub width: Option<u32>,
    /// Video: pixels of the last decoded frame.
    pub height: Option<u32>,
    /// Video: decoded frames per second, over the last second.
    pub fps: Option<f64>,
    /// Video: the layer that was last received.
    pub layer: Option<LayerNumber>,
    /// Frames that the sender numbered and that did not come, of a hundred, in the last ten seconds.
    pub loss_pct: Option<f64>,
    /// Interarrival jitter (RFC 3550 §6.4.1), milliseconds.
    pub jitter_ms: Option<f64>,
    /// Camera: how often the picture stood still for much longer than usual.
    pub freeze_count: Option<u64>,
    /// Camera: how long it stood still in all, milliseconds.
    pub freeze_ms_total: Option<f64>,
    /// Video: how much later the picture is seen than the sound of the same moment is heard, milliseconds;
    /// negative when earlier.
    pub av_offset_ms: Option<f64>,
    /// Video: from the capture of a picture to its being drawn, milliseconds; an estimate.
    pub glass_to_glass_ms: Option<f64>,
    /// Audio: from the capture of a sound to its being heard, milliseconds; an estimate.
    pub mouth_to_ear_ms: Option<f64>,
    /// Audio: samples reach the audio thread through memory that it shares with the engine, not as messages.
    pub shared_memory: Option<bool>,
    /// Audio: what the jitter buffer holds, milliseconds.
    pub jitter_buffer_ms: Option<f64>,
    /// Audio: what the jitter buffer aims at, milliseconds.
    pub jitter_target_ms: Option<f64>,
    /// Audio: samples per channel that were made up because their frame was not there.
    pub concealed_samples: Option<u64>,
    /// Audio: the longest that was made up at a stretch, milliseconds.
    pub longest_gap_ms: Option<f64>,
    /// Audio: frames that came out of later packets because their own was lost.
    pub redundant_frames_used: Option<u64>,
    /// Audio: level of what is played, 0 (silence) to 1 (full scale).
    pub audio_level: Option<f64>,
    /// Audio: the loudest tone of the last 200 ms that were played, hertz; absent in silence. With it
    /// tests and support can tell that what arrives is what was sent.
    pub dominant_frequency_hz: Option<f64>,
}

/// Position of a frame among the layers of its track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerNumber {
    /// 0 is the smallest picture.
    pub spatial: u8,
    /// 0 is the base.
    pub temporal: u8,
}

/// A track that we send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalTrackStats {
    /// Our number for it.
    pub track: TrackId,
    /// What it carries.
    pub kind: TrackKind,
    /// It sends nothing.
    pub muted: bool,
    /// WebCodecs codec string.
    pub codec: Option<String>,
    /// Frames that the encoder has put out.
    pub frames_encoded: u64,
    /// Bytes of payload.
    pub bytes_encoded: u64,
    /// Bits per second, over the last second.
    pub bitrate_bps: f64,
    /// Video: encoded frames per second, over the last second.
    pub fps: Option<f64>,
    /// Video: pixels.
    pub width: Option<u32>,
    /// Video: pixels.
    pub height: Option<u32>,
    /// Video: pixels of what is captured; a camera is asked for no more than the largest layer that is encoded.
    pub capture_width: Option<u32>,
    /// Video: pixels.
    pub capture_height: Option<u32>,
    /// Audio: level of what is captured, 0 (silence) to 1 (full scale).
    pub audio_level: Option<f64>,
    /// Video: the spatial layers that anybody receives; the others are not encoded.
    pub layers_wanted: Option<Vec<u8>>,
}
