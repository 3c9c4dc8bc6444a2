//! Media frames: the header that relays read and the payload that they do not.

use bytes::Bytes;
use protobuf::rt::WireType;
use protobuf::{CodedInputStream, Message};

use crate::generated::videocall as wire;
use crate::limits::{
    MAX_FRAME_BYTES, MAX_REDUNDANCY, MAX_SPATIAL_LAYERS, MAX_TEMPORAL_LAYERS, MAX_TEXT_LENGTH,
};
use crate::{LayerId, SessionId, TrackId, TrackKind, TrackRef};

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Above [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes is above the limit of {MAX_FRAME_BYTES}")]
    TooLarge(usize),
    /// Not protobuf, or not in the one order that the protocol allows.
    #[error("a frame is not encoded as the protocol demands")]
    Malformed,
    /// A field that must be there is not.
    #[error("a frame has no {0}")]
    Missing(&'static str),
    /// A field has a value outside its range.
    #[error("a frame's {0} is out of range")]
    OutOfRange(&'static str),
}

/// How urgent a packet is and what may be dropped first: the order is that of importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaClass {
    /// Membership and everything else that must arrive.
    Control,
    /// Voices.
    Audio,
    /// The base layer of a picture, without which nothing of it can be shown.
    VideoBase,
    /// What only makes a picture better.
    VideoEnhancement,
}

impl MediaClass {
    /// Every class, most important first.
    pub const ALL: [Self; 4] = [
        Self::Control,
        Self::Audio,
        Self::VideoBase,
        Self::VideoEnhancement,
    ];

    /// Position in [`MediaClass::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Audio => "audio",
            Self::VideoBase => "video_base",
            Self::VideoEnhancement => "video_enhancement",
        }
    }
}

/// What travels in the clear in front of every frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The sender's session.
    pub session: SessionId,
    /// The sender's number for the track.
    pub track: TrackId,
    /// What the track carries.
    pub kind: TrackKind,
    /// Simulcast layer, 0 is the smallest picture.
    pub spatial: u8,
    /// Temporal layer, 0 is the base.
    pub temporal: u8,
    /// Counts the frames of this track and spatial layer, from 0.
    pub sequence: u64,
    /// Capture time on the sender's monotonic clock, microseconds.
    pub capture_time_us: u64,
    /// Decodable on its own. True on every audio frame.
    pub keyframe: bool,
    /// How many sequence numbers back the newest frame is that this one refers to; 0 if none.
    pub reference_distance: u32,
    /// How long the frame lasts, microseconds; 0 when unknown.
    pub duration_us: u32,
    /// Audio level in -dBov after RFC 6464: 0 is loudest, 127 is silence.
    pub audio_level: Option<u8>,
}

impl FrameHeader {
    /// The first frame of a track, of which nothing else is known: a sound, or a keyframe of the smallest picture,
    /// captured at time 0.
    pub const fn first(session: SessionId, track: TrackId, kind: TrackKind) -> Self {
        Self {
            session,
            track,
            kind,
            spatial: 0,
            temporal: 0,
            sequence: 0,
            capture_time_us: 0,
            keyframe: true,
            reference_distance: 0,
            duration_us: 0,
            audio_level: None,
        }
    }

    /// The track within the meeting.
    pub const fn track_ref(&self) -> TrackRef {
        TrackRef {
            session: self.session,
            track: self.track,
        }
    }

    /// The layer within the meeting.
    pub const fn layer(&self) -> LayerId {
        LayerId {
            track: self.track_ref(),
            spatial: self.spatial,
        }
    }

    /// How urgent the frame is. Frames of the lowest temporal layer of the smallest picture are the
    /// base; where a track has one layer only, that is all of it.
    pub const fn class(&self) -> MediaClass {
        if self.kind.is_audio() {
            MediaClass::Audio
        } else if self.spatial == 0 && self.temporal == 0 {
            MediaClass::VideoBase
        } else {
            MediaClass::VideoEnhancement
        }
    }

    /// Reads the header of an encoded frame packet without touching its payload.
    ///
    /// Only the canonical encoding is taken: one frame that fills the packet, fields in ascending
    /// order, each at most once, the payload last. Otherwise a relay and a receiver might read
    /// different senders out of the same bytes, because protobuf lets the last of repeated fields
    /// win.
    ///
    /// # Errors
    /// When the bytes are not a frame in that encoding, or a field is out of range.
    pub fn peek(packet: &[u8]) -> Result<Self, FrameError> {
        if packet.len() > MAX_FRAME_BYTES {
            return Err(FrameError::TooLarge(packet.len()));
        }
        let fields = RawHeader::read(packet).map_err(|_| FrameError::Malformed)?;
        fields.ok_or(FrameError::Malformed)?.validate()
    }
}

/// The header's fields before their ranges are checked.
#[derive(Default)]
struct RawHeader {
    session: u64,
    track: u32,
    kind: u32,
    spatial: u32,
    temporal: u32,
    sequence: u64,
    capture_time_us: u64,
    keyframe: bool,
    reference_distance: u32,
    duration_us: u32,
    audio_level: u32,
    redundancy: usize,
    payload_length: u64,
}

impl RawHeader {
    /// `None` when it is protobuf, but not canonical.
    fn read(packet: &[u8]) -> protobuf::Result<Option<Self>> {
        // By its first byte, as everybody else tells a frame: a tag may also be written in two.
        if !crate::is_frame(packet) {
            return Ok(None);
        }
        let mut input = CodedInputStream::from_bytes(packet);
        input.read_raw_byte()?;
        if u64::from(input.read_raw_varint32()?) != packet.len() as u64 - input.pos() {
            return Ok(None);
        }
        let mut header = Self::default();
        let mut last_field = 0;
        while let Some(tag) = input.read_raw_tag_or_eof()? {
            let field = tag >> 3;
            let repeated = field == 14 && last_field == 14;
            if field <= last_field && !repeated {
                return Ok(None);
            }
            last_field = field;
            if !header.read_field(&mut input, tag)? {
                return Ok(None);
            }
            if field >= 15 {
                break;
            }
        }
        let filled = input.pos() + header.payload_length == packet.len() as u64;
        Ok((last_field == 15 && filled).then_some(header))
    }

    /// `false` when the field is not where or what the protocol says.
    fn read_field(&mut self, input: &mut CodedInputStream<'_>, tag: u32) -> protobuf::Result<bool> {
        let Some(wire_type) = WireType::new(tag & 7) else {
            return Ok(false);
        };
        match (tag >> 3, wire_type) {
            (1, WireType::Fixed64) => self.session = input.read_fixed64()?,
            (2, WireType::Varint) => self.track = input.read_uint32()?,
            (3, WireType::Varint) => self.kind = input.read_uint32()?,
            (4, WireType::Varint) => self.spatial = input.read_uint32()?,
            (5, WireType::Varint) => self.temporal = input.read_uint32()?,
            (6, WireType::Varint) => self.sequence = input.read_uint64()?,
            (7, WireType::Varint) => self.capture_time_us = input.read_uint64()?,
            (8, WireType::Varint) => self.keyframe = input.read_bool()?,
            (9, WireType::Varint) => self.reference_distance = input.read_uint32()?,
            (10, WireType::Varint) => self.duration_us = input.read_uint32()?,
            (11, WireType::Varint) => self.audio_level = input.read_uint32()?,
            // The decoder's configuration is for receivers.
            (12, WireType::LengthDelimited) => input.skip_field(wire_type)?,
            // Free for later additions to the header.
            (13, _) => input.skip_field(wire_type)?,
            (14, WireType::LengthDelimited) => {
                self.redundancy += 1;
                input.skip_field(wire_type)?;
            }
            (15, WireType::LengthDelimited) => {
                self.payload_length = input.read_raw_varint32()?.into();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn validate(self) -> Result<FrameHeader, FrameError> {
        let session = SessionId::new(self.session).ok_or(FrameError::Missing("session"))?;
        let kind = kind_from_number(self.kind).ok_or(FrameError::Missing("track kind"))?;
        if self.payload_length == 0 {
            return Err(FrameError::Missing("payload"));
        }
        let layer = |value: u32, limit: u8, what| match u8::try_from(value) {
            Ok(value) if value < limit => Ok(value),
            _ => Err(FrameError::OutOfRange(what)),
        };
        let spatial = layer(self.spatial, MAX_SPATIAL_LAYERS, "spatial layer")?;
        let temporal = layer(self.temporal, MAX_TEMPORAL_LAYERS, "temporal layer")?;
        let audio_level = match self.audio_level {
            0 => None,
            level @ 1..=128 => Some((level - 1) as u8),
            _ => return Err(FrameError::OutOfRange("audio level")),
        };
        if self.redundancy > MAX_REDUNDANCY || (self.redundancy > 0 && !kind.is_audio()) {
            return Err(FrameError::OutOfRange("redundancy"));
        }
        // Sequence numbers and times are subtracted from one another; half their range is plenty.
        if self.sequence > u64::MAX / 2 || self.capture_time_us > u64::MAX / 2 {
            return Err(FrameError::OutOfRange("sequence or capture time"));
        }
        Ok(FrameHeader {
            session,
            track: TrackId(self.track),
            kind,
            spatial,
            temporal,
            sequence: self.sequence,
            capture_time_us: self.capture_time_us,
            keyframe: self.keyframe || kind.is_audio(),
            reference_distance: self.reference_distance,
            duration_us: self.duration_us,
            audio_level,
        })
    }
}

fn kind_from_number(number: u32) -> Option<TrackKind> {
    Some(match number {
        1 => TrackKind::Microphone,
        2 => TrackKind::Camera,
        3 => TrackKind::Screen,
        4 => TrackKind::ScreenAudio,
        _ => return None,
    })
}

/// What a decoder has to know before its first frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecoderConfig {
    /// A WebCodecs codec string, for example `vp8`, `vp09.00.10.08`, `opus`.
    pub codec: String,
    /// Pixels; 0 for audio.
    pub width: u32,
    /// Pixels; 0 for audio.
    pub height: u32,
    /// Hertz; 0 for video.
    pub sample_rate: u32,
    /// 0 for video.
    pub channels: u32,
    /// Out-of-band description (`avcC` and the like); empty where the codec has none.
    pub description: Bytes,
}

/// An earlier audio frame, repeated in case its own packet was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedundantFrame {
    /// Sequence of the carrying frame minus that of this one, at least 1.
    pub sequence_distance: u32,
    /// Capture time of the carrying frame minus that of this one, microseconds.
    pub capture_time_distance_us: u32,
    /// How long the frame lasts, microseconds.
    pub duration_us: u32,
    /// The encoded frame.
    pub payload: Bytes,
}

/// A whole media frame, for those who make or play it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What relays read.
    pub header: FrameHeader,
    /// On keyframes of video; on audio now and then.
    pub decoder: Option<DecoderConfig>,
    /// Earlier frames of the same audio track, newest first.
    pub redundancy: Vec<RedundantFrame>,
    /// The encoded (and perhaps encrypted) frame; never empty.
    pub payload: Bytes,
}

impl Frame {
    /// The packet that carries this frame.
    pub fn encode(self) -> Bytes {
        let header = self.header;
        let frame = wire::Frame {
            session: header.session.get(),
            track: header.track.0,
            kind: kind_to_wire(header.kind).into(),
            spatial_layer: header.spatial.into(),
            temporal_layer: header.temporal.into(),
            sequence: header.sequence,
            capture_time_us: header.capture_time_us,
            keyframe: header.keyframe,
            reference_distance: header.reference_distance,
            duration_us: header.duration_us,
            audio_level: header.audio_level.map_or(0, |level| u32::from(level) + 1),
            decoder: self.decoder.map(decoder_to_wire).into(),
            redundancy: self.redundancy.into_iter().map(redundant_to_wire).collect(),
            payload: self.payload,
            ..Default::default()
        };
        let mut packet = wire::Packet::new();
        packet.set_frame(frame);
        crate::convert::encode(&packet)
    }

    /// Reads a packet that carries a frame; the payloads share the packet's memory.
    ///
    /// # Errors
    /// As [`FrameHeader::peek`].
    pub fn decode(packet: &Bytes) -> Result<Self, FrameError> {
        let header = FrameHeader::peek(packet)?;
        let mut parsed = wire::Packet::parse_from_tokio_bytes(packet).map_err(|_| FrameError::Malformed)?;
        if !parsed.has_frame() {
            return Err(FrameError::Malformed);
        }
        let frame = parsed.take_frame();
        let redundancy = frame
            .redundancy
            .into_iter()
            .map(redundant_from_wire)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            header,
            decoder: frame.decoder.into_option().map(decoder_from_wire).transpose()?,
            redundancy,
            payload: frame.payload,
        })
    }
}

pub(crate) fn kind_to_wire(kind: TrackKind) -> wire::TrackKind {
    match kind {
        TrackKind::Microphone => wire::TrackKind::TRACK_KIND_MICROPHONE,
        TrackKind::Camera => wire::TrackKind::TRACK_KIND_CAMERA,
        TrackKind::Screen => wire::TrackKind::TRACK_KIND_SCREEN,
        TrackKind::ScreenAudio => wire::TrackKind::TRACK_KIND_SCREEN_AUDIO,
    }
}

pub(crate) fn kind_from_wire(kind: protobuf::EnumOrUnknown<wire::TrackKind>) -> Option<TrackKind> {
    u32::try_from(kind.value()).ok().and_then(kind_from_number)
}

fn decoder_to_wire(config: DecoderConfig) -> wire::DecoderConfig {
    wire::DecoderConfig {
        codec: config.codec,
        width: config.width,
        height: config.height,
        sample_rate: config.sample_rate,
        channels: config.channels,
        description: config.description,
        ..Default::default()
    }
}

fn decoder_from_wire(config: wire::DecoderConfig) -> Result<DecoderConfig, FrameError> {
    if config.codec.is_empty() || config.codec.len() > MAX_TEXT_LENGTH {
        return Err(FrameError::OutOfRange("codec"));
    }
    Ok(DecoderConfig {
        codec: config.codec,
        width: config.width,
        height: config.height,
        sample_rate: config.sample_rate,
        channels: config.channels,
        description: config.description,
    })
}

fn redundant_to_wire(frame: RedundantFrame) -> wire::RedundantFrame {
    wire::RedundantFrame {
        sequence_distance: frame.sequence_distance,
        capture_time_distance_us: frame.capture_time_distance_us,
        duration_us: frame.duration_us,
        payload: frame.payload,
        ..Default::default()
    }
}

fn redundant_from_wire(frame: wire::RedundantFrame) -> Result<RedundantFrame, FrameError> {
    if frame.sequence_distance == 0 {
        return Err(FrameError::OutOfRange("redundancy"));
    }
    Ok(RedundantFrame {
        sequence_distance: frame.sequence_distance,
        capture_time_distance_us: frame.capture_time_distance_us,
        duration_us: frame.duration_us,
        payload: frame.payload,
    })
}

#[cfg(test)]
mod tests;
