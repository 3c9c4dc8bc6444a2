//! Between the generated protobuf types and the ones this crate offers. Everything that comes from
//! outside is checked here.

use bytes::Bytes;
use protobuf::Message;

use crate::frame::{kind_from_wire, kind_to_wire};
use crate::generated::videocall as wire;
use crate::limits::{
    MAX_CONTROL_BYTES, MAX_FRAME_BYTES, MAX_SERVER_CONTROL_BYTES, MAX_SPATIAL_LAYERS, MAX_SUBSCRIPTIONS,
    MAX_TEXT_LENGTH, MAX_TOKEN_LENGTH, MAX_TRACKS,
};
use crate::message::*;
use crate::{CloseCode, RelayId, SessionId, TrackId, TrackRef};

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
            ..Default::default()
        }
    }
}

fn participant(raw: protobuf::MessageField<wire::Participant>) -> Result<Participant> {
    match raw.into_option() {
        Some(raw) => raw.try_into(),
        None => bad("participant"),
    }
}

fn track_info(raw: protobuf::MessageField<wire::TrackInfo>) -> Result<TrackInfo> {
    match raw.into_option() {
        Some(raw) => raw.try_into(),
        None => bad("track"),
    }
}

// -------------------------------------------------------------------------------------------------
// Client to relay

impl ClientMessage {
    /// Reads a control packet from a client.
    ///
    /// # Errors
    /// When it is too large, not protobuf, of a kind that clients must not send (media frames are
    /// read by [`crate::FrameHeader::peek`] instead), or has a field out of range.
    pub fn decode(packet: &Bytes) -> Result<Self> {
        match parse(packet, MAX_CONTROL_BYTES)? {
            None => Ok(Self::Unknown),
            Some(kind) => Self::from_kind(kind),
        }
    }

    fn from_kind(kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::Hello(raw) => Self::Hello(Box::new(raw.try_into()?)),
            Kind::PublishTrack(raw) => Self::PublishTrack(track_info(raw.track)?),
            Kind::UnpublishTrack(raw) => Self::UnpublishTrack(TrackId(raw.track)),
            Kind::Subscribe(raw) => Self::Subscribe(raw.try_into()?),
            Kind::RequestKeyframe(raw) => Self::RequestKeyframe {
                track: track_ref(raw.session, raw.track)?,
                spatial: spatial(raw.spatial_layer)?,
            },
            Kind::Ping(raw) => Self::Ping {
                sent_at_us: raw.sent_at_us,
                rtt_us: raw.rtt_us,
            },
            Kind::Leave(_) => Self::Leave,
            _ => return Err(MessageError::Forbidden),
        })
    }
}

impl From<ClientMessage> for wire::Packet {
    fn from(message: ClientMessage) -> Self {
        let mut packet = Self::new();
        match message {
            ClientMessage::Hello(hello) => packet.set_hello((*hello).into()),
            ClientMessage::PublishTrack(track) => packet.set_publish_track(wire::PublishTrack {
                track: Some(track.into()).into(),
                ..Default::default()
            }),
            ClientMessage::UnpublishTrack(track) => {
                packet.set_unpublish_track(wire::UnpublishTrack {
                    track: track.0,
                    ..Default::default()
                });
            }
            ClientMessage::Subscribe(interest) => packet.set_subscribe(interest.into()),
            ClientMessage::RequestKeyframe { track, spatial } => {
                packet.set_request_keyframe(wire::RequestKeyframe {
                    session: track.session.get(),
                    track: track.track.0,
                    spatial_layer: spatial.into(),
                    ..Default::default()
                });
            }
            ClientMessage::Ping { sent_at_us, rtt_us } => packet.set_ping(wire::Ping {
                sent_at_us,
                rtt_us,
                ..Default::default()
            }),
            ClientMessage::Leave => packet.set_leave(wire::Leave::new()),
            ClientMessage::Unknown => {}
        }
        packet
    }
}

impl TryFrom<wire::Hello> for Hello {
    type Error = MessageError;

    fn try_from(raw: wire::Hello) -> Result<Self> {
        if raw.token.len() > MAX_TOKEN_LENGTH || raw.resume_token.len() > MAX_TOKEN_LENGTH {
            return bad("token");
        }
        let capabilities = raw.capabilities.into_option().unwrap_or_default();
        if capabilities.decodable_codecs.len() > 64 {
            return bad("decodable codecs");
        }
        Ok(Self {
            protocol_version: raw.protocol_version,
            token: raw.token,
            capabilities: Capabilities {
                client: text(capabilities.client, "client")?,
                decodable_codecs: capabilities
                    .decodable_codecs
                    .into_iter()
                    .map(|codec| text(codec, "codec"))
                    .collect::<Result<_>>()?,
                subscribe_automatically: capabilities.subscribe_automatically,
            },
            tracks: track_infos(raw.tracks)?,
            resume_token: raw.resume_token,
        })
    }
}

impl From<Hello> for wire::Hello {
    fn from(hello: Hello) -> Self {
        let capabilities = wire::Capabilities {
            client: hello.capabilities.client,
            decodable_codecs: hello.capabilities.decodable_codecs,
            subscribe_automatically: hello.capabilities.subscribe_automatically,
            ..Default::default()
        };
        Self {
            protocol_version: hello.protocol_version,
            token: hello.token,
            capabilities: Some(capabilities).into(),
            tracks: hello.tracks.into_iter().map(Into::into).collect(),
            resume_token: hello.resume_token,
            ..Default::default()
        }
    }
}

impl TryFrom<wire::Subscribe> for Interest {
    type Error = MessageError;

    fn try_from(raw: wire::Subscribe) -> Result<Self> {
        if raw.everything {
            return Ok(Self::Everything);
        }
        if raw.subscriptions.len() > MAX_SUBSCRIPTIONS {
            return bad("number of subscriptions");
        }
        let subscription = |raw: wire::Subscription| {
            Ok(Subscription {
                track: track_ref(raw.session, raw.track)?,
                width: raw.width,
                height: raw.height,
                priority: raw.priority,
            })
        };
        raw.subscriptions
            .into_iter()
            .map(subscription)
            .collect::<Result<_>>()
            .map(Self::Tracks)
    }
}

impl From<Interest> for wire::Subscribe {
    fn from(interest: Interest) -> Self {
        let subscription = |wish: Subscription| wire::Subscription {
            session: wish.track.session.get(),
            track: wish.track.track.0,
            width: wish.width,
            height: wish.height,
            priority: wish.priority,
            ..Default::default()
        };
        match interest {
            Interest::Everything => Self {
                everything: true,
                ..Default::default()
            },
            Interest::Tracks(tracks) => Self {
                subscriptions: tracks.into_iter().map(subscription).collect(),
                ..Default::default()
            },
        }
    }
}

// -------------------------------------------------------------------------------------------------
// Relay to client

impl ServerMessage {
    /// Reads a control packet from a relay.
    ///
    /// # Errors
    /// As [`ClientMessage::decode`], for the other direction.
    pub fn decode(packet: &Bytes) -> Result<Self> {
        match parse(packet, MAX_SERVER_CONTROL_BYTES)? {
            None => Ok(Self::Unknown),
            Some(kind) => Self::from_kind(kind),
        }
    }

    fn from_kind(kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::Welcome(raw) => Self::Welcome(Box::new(raw.try_into()?)),
            Kind::Closing(raw) => Self::Closing(raw.try_into()?),
            Kind::ParticipantJoined(raw) => Self::ParticipantJoined(participant(raw.participant)?),
            Kind::ParticipantLeft(raw) => Self::ParticipantLeft(session(raw.session)?),
            Kind::TrackChanged(raw) => Self::TrackChanged {
                session: session(raw.session)?,
                track: track_info(raw.track)?,
            },
            Kind::TrackRemoved(raw) => Self::TrackRemoved(track_ref(raw.session, raw.track)?),
            Kind::TrackAccepted(raw) => Self::TrackAccepted(TrackId(raw.track)),
            Kind::KeyframeWanted(raw) => Self::KeyframeWanted {
                track: TrackId(raw.track),
                spatial: spatial(raw.spatial_layer)?,
            },
            Kind::LayersWanted(raw) => Self::LayersWanted {
                track: TrackId(raw.track),
                spatial_layers: spatial_list(raw.spatial_layers)?,
            },
            Kind::ArrivalReport(raw) => Self::ArrivalReport {
                interval_ms: raw.interval_ms,
                received_bytes: raw.received_bytes,
                received_frames: raw.received_frames,
                missing_frames: raw.missing_frames,
                delay_growth_us: raw.delay_growth_us,
            },
            Kind::Pong(raw) => Self::Pong {
                sent_at_us: raw.sent_at_us,
                server_time_ms: raw.server_time_ms,
            },
            Kind::Draining(raw) => Self::Draining {
                alternate_url: raw.alternate_url,
                deadline_ms: raw.deadline_ms,
            },
            Kind::Reachability(raw) => Self::Reachability {
                other_relays_reachable: raw.other_relays_reachable,
            },
            _ => return Err(MessageError::Forbidden),
        })
    }
}

impl From<ServerMessage> for wire::Packet {
    fn from(message: ServerMessage) -> Self {
        match message {
            ServerMessage::Welcome(welcome) => Kind::Welcome((*welcome).into()).into(),
            ServerMessage::Closing(closing) => Kind::Closing(closing.into()).into(),
            ServerMessage::Unknown => Self::new(),
            ServerMessage::ParticipantJoined(_)
            | ServerMessage::ParticipantLeft(_)
            | ServerMessage::TrackChanged { .. }
            | ServerMessage::TrackRemoved(_) => roster_to_wire(message),
            ServerMessage::TrackAccepted(_)
            | ServerMessage::KeyframeWanted { .. }
            | ServerMessage::LayersWanted { .. }
            | ServerMessage::ArrivalReport { .. } => publisher_to_wire(message),
            ServerMessage::Pong { .. }
            | ServerMessage::Draining { .. }
            | ServerMessage::Reachability { .. } => connection_to_wire(message),
        }
    }
}

/// What concerns who is there and what they publish.
fn roster_to_wire(message: ServerMessage) -> wire::Packet {
    let mut packet = wire::Packet::new();
    match message {
        ServerMessage::ParticipantJoined(participant) => {
            packet.set_participant_joined(wire::ParticipantJoined {
                participant: Some(participant.into()).into(),
                ..Default::default()
            });
        }
        ServerMessage::ParticipantLeft(session) => {
            packet.set_participant_left(wire::ParticipantLeft {
                session: session.get(),
                ..Default::default()
            });
        }
        ServerMessage::TrackChanged { session, track } => {
            packet.set_track_changed(wire::TrackChanged {
                session: session.get(),
                track: Some(track.into()).into(),
                ..Default::default()
            });
        }
        ServerMessage::TrackRemoved(track) => packet.set_track_removed(wire::TrackRemoved {
            session: track.session.get(),
            track: track.track.0,
            ..Default::default()
        }),
        _ => {}
    }
    packet
}

/// What concerns the tracks of the receiving client.
fn publisher_to_wire(message: ServerMessage) -> wire::Packet {
    let mut packet = wire::Packet::new();
    match message {
        ServerMessage::TrackAccepted(track) => packet.set_track_accepted(wire::TrackAccepted {
            track: track.0,
            ..Default::default()
        }),
        ServerMessage::KeyframeWanted { track, spatial } => {
            packet.set_keyframe_wanted(wire::KeyframeWanted {
                track: track.0,
                spatial_layer: spatial.into(),
                ..Default::default()
            });
        }
        ServerMessage::LayersWanted {
            track,
            spatial_layers,
        } => {
            packet.set_layers_wanted(wire::LayersWanted {
                track: track.0,
                spatial_layers: spatial_layers.into_iter().map(Into::into).collect(),
                ..Default::default()
            });
        }
        ServerMessage::ArrivalReport {
            interval_ms,
            received_bytes,
            received_frames,
            missing_frames,
            delay_growth_us,
        } => packet.set_arrival_report(wire::ArrivalReport {
            interval_ms,
            received_bytes,
            received_frames,
            missing_frames,
            delay_growth_us,
            ..Default::default()
        }),
        _ => {}
    }
    packet
}

/// What concerns the connection itself.
fn connection_to_wire(message: ServerMessage) -> wire::Packet {
    let mut packet = wire::Packet::new();
    match message {
        ServerMessage::Pong {
            sent_at_us,
            server_time_ms,
        } => packet.set_pong(wire::Pong {
            sent_at_us,
            server_time_ms,
            ..Default::default()
        }),
        ServerMessage::Draining {
            alternate_url,
            deadline_ms,
        } => {
            packet.set_draining(wire::Draining {
                alternate_url,
                deadline_ms,
                ..Default::default()
            });
        }
        ServerMessage::Reachability {
            other_relays_reachable,
        } => {
            packet.set_reachability(wire::Reachability {
                other_relays_reachable,
                ..Default::default()
            });
        }
        _ => {}
    }
    packet
}

impl TryFrom<wire::Welcome> for Welcome {
    type Error = MessageError;

    fn try_from(raw: wire::Welcome) -> Result<Self> {
        let limits = raw.limits.into_option().ok_or(MessageError::BadField("limits"))?;
        Ok(Self {
            session: session(raw.session)?,
            resume_token: raw.resume_token,
            relay_id: raw.relay_id,
            limits: limits.into(),
            participants: raw
                .participants
                .into_iter()
                .map(Participant::try_from)
                .collect::<Result<_>>()?,
            resumed: raw.resumed,
            server_time_ms: raw.server_time_ms,
            accepted_tracks: raw.accepted_tracks.into_iter().map(TrackId).collect(),
        })
    }
}

impl From<Welcome> for wire::Welcome {
    fn from(welcome: Welcome) -> Self {
        Self {
            session: welcome.session.get(),
            resume_token: welcome.resume_token,
            relay_id: welcome.relay_id,
            limits: Some(welcome.limits.into()).into(),
            participants: welcome.participants.into_iter().map(Into::into).collect(),
            resumed: welcome.resumed,
            server_time_ms: welcome.server_time_ms,
            accepted_tracks: welcome.accepted_tracks.into_iter().map(|t| t.0).collect(),
            ..Default::default()
        }
    }
}

impl From<wire::Limits> for SessionLimits {
    fn from(raw: wire::Limits) -> Self {
        Self {
            max_frame_bytes: raw.max_frame_bytes,
            max_control_bytes: raw.max_control_bytes,
            max_tracks: raw.max_tracks,
            max_control_per_second: raw.max_control_per_second,
            max_upload_bps: raw.max_upload_bps,
            ping_interval_ms: raw.ping_interval_ms,
            liveness_ms: raw.liveness_ms,
            resume_grace_ms: raw.resume_grace_ms,
        }
    }
}

impl From<SessionLimits> for wire::Limits {
    fn from(limits: SessionLimits) -> Self {
        Self {
            max_frame_bytes: limits.max_frame_bytes,
            max_control_bytes: limits.max_control_bytes,
            max_tracks: limits.max_tracks,
            max_control_per_second: limits.max_control_per_second,
            max_upload_bps: limits.max_upload_bps,
            ping_interval_ms: limits.ping_interval_ms,
            liveness_ms: limits.liveness_ms,
            resume_grace_ms: limits.resume_grace_ms,
            ..Default::default()
        }
    }
}

impl TryFrom<wire::Closing> for Closing {
    type Error = MessageError;

    fn try_from(raw: wire::Closing) -> Result<Self> {
        let number = u32::try_from(raw.code.value()).unwrap_or_default();
        Ok(Self {
            // A code of a later version still closes the connection.
            code: CloseCode::from_number(number).unwrap_or(CloseCode::ProtocolError),
            message: raw.message,
            retry_after_ms: raw.retry_after_ms,
            alternate_url: raw.alternate_url,
        })
    }
}

impl From<Closing> for wire::Closing {
    fn from(closing: Closing) -> Self {
        Self {
            code: protobuf::EnumOrUnknown::from_i32(closing.code.number().into()),
            message: closing.message,
            retry_after_ms: closing.retry_after_ms,
            alternate_url: closing.alternate_url,
            ..Default::default()
        }
    }
}

// -------------------------------------------------------------------------------------------------
// Between relays

impl RelayMessage {
    /// Reads a control packet from another relay.
    ///
    /// # Errors
    /// As [`ClientMessage::decode`], for packets between relays.
    pub fn decode(packet: &Bytes) -> Result<Self> {
        match parse(packet, MAX_FRAME_BYTES)? {
            None => Ok(Self::Unknown),
            Some(kind) => Self::from_kind(kind),
        }
    }

    fn from_kind(kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::RelayState(raw) => Self::State(RelayState {
                relay: relay_id(&raw.relay_id)?,
                version: raw.version,
                participants: raw
                    .participants
                    .into_iter()
                    .map(Participant::try_from)
                    .collect::<Result<_>>()?,
                interest: raw.interest.into_option().unwrap_or_default().try_into()?,
            }),
            Kind::RelayChange(raw) => Self::Change {
                relay: relay_id(&raw.relay_id)?,
                version: raw.version,
                change: Box::new(match raw.change {
                    Some(Change::JoinedOrUpdated(raw)) => RelayChange::Participant(raw.try_into()?),
                    Some(Change::Left(raw)) => RelayChange::Left(session(raw)?),
                    Some(Change::Interest(raw)) => RelayChange::Interest(raw.try_into()?),
                    _ => return Ok(Self::Unknown),
                }),
            },
            Kind::RelayHeartbeat(raw) => Self::Heartbeat {
                relay: relay_id(&raw.relay_id)?,
                version: raw.version,
            },
            Kind::RelayStateRequest(raw) => Self::StateRequest(relay_id(&raw.relay_id)?),
            Kind::RelayGoodbye(raw) => Self::Goodbye(relay_id(&raw.relay_id)?),
            Kind::RelayKeyframeRequest(raw) => Self::KeyframeRequest {
                relay: relay_id(&raw.relay_id)?,
                track: track_ref(raw.session, raw.track)?,
                spatial: spatial(raw.spatial_layer)?,
            },
            _ => return Err(MessageError::Forbidden),
        })
    }
}

impl From<RelayMessage> for wire::Packet {
    fn from(message: RelayMessage) -> Self {
        let mut packet = Self::new();
        match message {
            RelayMessage::State(state) => packet.set_relay_state(wire::RelayState {
                relay_id: state.relay.to_string(),
                version: state.version,
                participants: state.participants.into_iter().map(Into::into).collect(),
                interest: Some(state.interest.into()).into(),
                ..Default::default()
            }),
            RelayMessage::Change {
                relay,
                version,
                change,
            } => {
                packet.set_relay_change(wire::RelayChange {
                    relay_id: relay.to_string(),
                    version,
                    change: Some(match *change {
                        RelayChange::Participant(p) => Change::JoinedOrUpdated(p.into()),
                        RelayChange::Left(session) => Change::Left(session.get()),
                        RelayChange::Interest(interest) => Change::Interest(interest.into()),
                    }),
                    ..Default::default()
                });
            }
            RelayMessage::Heartbeat { relay, version } => {
                packet.set_relay_heartbeat(wire::RelayHeartbeat {
                    relay_id: relay.to_string(),
                    version,
                    ..Default::default()
                });
            }
            RelayMessage::StateRequest(relay) => {
                packet.set_relay_state_request(wire::RelayStateRequest {
                    relay_id: relay.to_string(),
                    ..Default::default()
                });
            }
            RelayMessage::Goodbye(relay) => packet.set_relay_goodbye(wire::RelayGoodbye {
                relay_id: relay.to_string(),
                ..Default::default()
            }),
            RelayMessage::KeyframeRequest {
                relay,
                track,
                spatial,
            } => {
                packet.set_relay_keyframe_request(wire::RelayKeyframeRequest {
                    relay_id: relay.to_string(),
                    session: track.session.get(),
                    track: track.track.0,
                    spatial_layer: spatial.into(),
                    ..Default::default()
                });
            }
            RelayMessage::Unknown => {}
        }
        packet
    }
}

impl TryFrom<wire::Interest> for RelayInterest {
    type Error = MessageError;

    fn try_from(raw: wire::Interest) -> Result<Self> {
        let track = |raw: wire::TrackInterest| {
            Ok(TrackInterest {
                track: track_ref(raw.session, raw.track)?,
                spatial_layers: spatial_list(raw.spatial_layers)?,
            })
        };
        Ok(Self {
            everything: raw.everything,
            tracks: raw.tracks.into_iter().map(track).collect::<Result<_>>()?,
        })
    }
}

impl From<RelayInterest> for wire::Interest {
    fn from(interest: RelayInterest) -> Self {
        let track = |wish: TrackInterest| wire::TrackInterest {
            session: wish.track.session.get(),
            track: wish.track.track.0,
            spatial_layers: wish.spatial_layers.into_iter().map(Into::into).collect(),
            ..Default::default()
        };
        Self {
            everything: interest.everything,
            tracks: interest.tracks.into_iter().map(track).collect(),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests;
