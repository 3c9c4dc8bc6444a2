//! Between the generated protobuf types and the ones this crate offers. Everything that comes from
//! outside is checked here.

mod client;
mod relay;
mod server;

use bytes::Bytes;
use protobuf::{EnumOrUnknown, Message};

use crate::frame::{kind_from_wire, kind_to_wire};
use crate::generated::videocall as wire;
use crate::limits::{
    MAX_CONTROL_BYTES, MAX_FRAME_BYTES, MAX_SERVER_CONTROL_BYTES, MAX_SPATIAL_LAYERS, MAX_SUBSCRIPTIONS,
    MAX_TEXT_LENGTH, MAX_TOKEN_LENGTH, MAX_TRACKS, MAX_VIDEO_CODECS,
};
use crate::message::*;
use crate::{CloseCode, RelayId, SessionId, TrackId, TrackRef, VideoCodec, VideoCodecs};

use wire::packet::Kind;
use wire::relay_change::Change;

type Result<T> = std::result::Result<T, MessageError>;

const fn bad<T>(field: &'static str) -> Result<T> {
    Err(MessageError::BadField(field))
}

/// Serialises a packet. Memory is the only thing that could fail here.
pub(crate) fn encode(packet: &wire::Packet) -> Bytes {
    packet
        .write_to_bytes()
        .map(Bytes::from)
        .expect("a packet without required fields always serialises")
}

fn parse(packet: &Bytes, limit: usize) -> Result<Option<Kind>> {
    if packet.len() > limit {
        return Err(MessageError::TooLarge(packet.len(), limit));
    }
    wire::Packet::parse_from_tokio_bytes(packet)
        .map(|packet| packet.kind)
        .map_err(|_| MessageError::Malformed)
}

impl From<Kind> for wire::Packet {
    fn from(kind: Kind) -> Self {
        Self {
            kind: Some(kind),
            ..Default::default()
        }
    }
}

fn text(value: String, field: &'static str) -> Result<String> {
    if value.chars().count() > MAX_TEXT_LENGTH || value.chars().any(char::is_control) {
        return bad(field);
    }
    Ok(value)
}

fn session(raw: u64) -> Result<SessionId> {
    SessionId::new(raw).ok_or(MessageError::BadField("session"))
}

fn track_ref(raw_session: u64, track: u32) -> Result<TrackRef> {
    Ok(TrackRef {
        session: session(raw_session)?,
        track: TrackId(track),
    })
}

fn spatial(raw: u32) -> Result<u8> {
    match u8::try_from(raw) {
        Ok(layer) if layer < MAX_SPATIAL_LAYERS => Ok(layer),
        _ => bad("spatial layer"),
    }
}

fn spatial_list(raw: Vec<u32>) -> Result<Vec<u8>> {
    if raw.len() > usize::from(MAX_SPATIAL_LAYERS) {
        return bad("spatial layers");
    }
    raw.into_iter().map(spatial).collect()
}

fn relay_id(raw: &str) -> Result<RelayId> {
    raw.parse().or(bad("relay id"))
}

fn track_infos(raw: Vec<wire::TrackInfo>) -> Result<Vec<TrackInfo>> {
    if raw.len() > MAX_TRACKS {
        return bad("number of tracks");
    }
    raw.into_iter().map(TrackInfo::try_from).collect()
}

impl TryFrom<wire::TrackInfo> for TrackInfo {
    type Error = MessageError;

    fn try_from(raw: wire::TrackInfo) -> Result<Self> {
        if raw.layers.len() > usize::from(MAX_SPATIAL_LAYERS) {
            return bad("layers");
        }
        Ok(Self {
            track: TrackId(raw.track),
            kind: kind_from_wire(raw.kind).ok_or(MessageError::BadField("track kind"))?,
            muted: raw.muted,
            codec: text(raw.codec, "codec")?,
            layers: raw
                .layers
                .into_iter()
                .map(LayerInfo::try_from)
                .collect::<Result<_>>()?,
        })
    }
}

impl From<TrackInfo> for wire::TrackInfo {
    fn from(info: TrackInfo) -> Self {
        Self {
            track: info.track.0,
            kind: kind_to_wire(info.kind).into(),
            muted: info.muted,
            codec: info.codec,
            layers: info.layers.into_iter().map(Into::into).collect(),
            ..Default::default()
        }
    }
}

impl TryFrom<wire::LayerInfo> for LayerInfo {
    type Error = MessageError;

    fn try_from(raw: wire::LayerInfo) -> Result<Self> {
        Ok(Self {
            spatial: spatial(raw.spatial_layer)?,
            temporal_layers: u8::try_from(raw.temporal_layers).or(bad("number of temporal layers"))?,
            width: raw.width,
            height: raw.height,
            frames_per_second: raw.frames_per_second,
            bitrate_bps: raw.bitrate_bps,
        })
    }
}

impl From<LayerInfo> for wire::LayerInfo {
    fn from(layer: LayerInfo) -> Self {
        Self {
            spatial_layer: layer.spatial.into(),
            temporal_layers: layer.temporal_layers.into(),
            width: layer.width,
            height: layer.height,
            frames_per_second: layer.frames_per_second,
            bitrate_bps: layer.bitrate_bps,
            ..Default::default()
        }
    }
}

impl TryFrom<wire::Participant> for Participant {
    type Error = MessageError;

    fn try_from(raw: wire::Participant) -> Result<Self> {
        Ok(Self {
            session: session(raw.session)?,
            user_id: raw.user_id.parse().or(bad("user id"))?,
            display_name: text(raw.display_name, "display name")?,
            tracks: track_infos(raw.tracks)?,
            established_at_ms: raw.established_at_ms,
            decodes: video_codecs(&raw.decodes)?,
        })
    }
}

impl From<Participant> for wire::Participant {
    fn from(participant: Participant) -> Self {
        Self {
            session: participant.session.get(),
            user_id: participant.user_id.to_string(),
            display_name: participant.display_name,
            tracks: participant.tracks.into_iter().map(Into::into).collect(),
            established_at_ms: participant.established_at_ms,
            decodes: video_codecs_to_wire(participant.decodes),
            ..Default::default()
        }
    }
}

/// Families that this version does not know are left out.
fn video_codecs(raw: &[EnumOrUnknown<wire::VideoCodec>]) -> Result<VideoCodecs> {
    if raw.len() > MAX_VIDEO_CODECS {
        return bad("codecs");
    }
    let known = raw.iter().filter_map(|codec| match codec.enum_value().ok()? {
        wire::VideoCodec::VIDEO_CODEC_VP8 => Some(VideoCodec::Vp8),
        wire::VideoCodec::VIDEO_CODEC_VP9 => Some(VideoCodec::Vp9),
        wire::VideoCodec::VIDEO_CODEC_H264 => Some(VideoCodec::H264),
        wire::VideoCodec::VIDEO_CODEC_AV1 => Some(VideoCodec::Av1),
        wire::VideoCodec::VIDEO_CODEC_UNSPECIFIED => None,
    });
    Ok(VideoCodecs::said(known))
}

fn video_codecs_to_wire(codecs: VideoCodecs) -> Vec<EnumOrUnknown<wire::VideoCodec>> {
    if codecs == VideoCodecs::UNSAID {
        return Vec::new();
    }
    let to_wire = |codec| match codec {
        VideoCodec::Vp8 => wire::VideoCodec::VIDEO_CODEC_VP8,
        VideoCodec::Vp9 => wire::VideoCodec::VIDEO_CODEC_VP9,
        VideoCodec::H264 => wire::VideoCodec::VIDEO_CODEC_H264,
        VideoCodec::Av1 => wire::VideoCodec::VIDEO_CODEC_AV1,
    };
    codecs.iter().map(to_wire).map(EnumOrUnknown::new).collect()
}

fn participants(raw: Vec<wire::Participant>) -> Result<Vec<Participant>> {
    raw.into_iter().map(Participant::try_from).collect()
}

fn sessions(raw: Vec<u64>) -> Result<Vec<SessionId>> {
    raw.into_iter().map(session).collect()
}

fn track_info(raw: protobuf::MessageField<wire::TrackInfo>) -> Result<TrackInfo> {
    match raw.into_option() {
        Some(raw) => raw.try_into(),
        None => bad("track"),
    }
}

#[cfg(test)]
mod tests;
