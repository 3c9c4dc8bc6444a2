//! What a relay says to its clients.

use std::num::NonZeroU32;

use super::*;

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
            Kind::ParticipantsJoined(raw) => Self::ParticipantsJoined(participants(raw.participants)?),
            Kind::ParticipantsLeft(raw) => Self::ParticipantsLeft(sessions(raw.sessions)?),
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
            Kind::BitrateLimit(raw) => Self::BitrateLimit {
                track: TrackId(raw.track),
                max_bitrate_bps: NonZeroU32::new(raw.max_bitrate_bps),
            },
            Kind::ArrivalReport(raw) => Self::ArrivalReport {
                interval_ms: raw.interval_ms,
                received_bytes: raw.received_bytes,
                received_frames: raw.received_frames,
                missing_frames: raw.missing_frames,
                delay_growth_us: raw.delay_growth_us,
                layers: layer_arrivals(raw.layers)?,
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
            Kind::Speakers(raw) => Self::Speakers(sessions(raw.sessions)?),
            _ => return Err(MessageError::Forbidden),
        })
    }
}

fn layer_arrivals(raw: Vec<wire::LayerArrival>) -> Result<Vec<LayerArrival>> {
    if raw.len() > MAX_TRACKS * usize::from(MAX_SPATIAL_LAYERS) {
        return bad("layers that have arrived");
    }
    let layers = raw.into_iter().map(|layer| {
        Ok(LayerArrival {
            track: TrackId(layer.track),
            spatial: spatial(layer.spatial_layer)?,
            next_sequence: layer.next_sequence,
        })
    });
    layers.collect()
}

impl From<LayerArrival> for wire::LayerArrival {
    fn from(layer: LayerArrival) -> Self {
        Self {
            track: layer.track.0,
            spatial_layer: layer.spatial.into(),
            next_sequence: layer.next_sequence,
            ..Default::default()
        }
    }
}

impl From<ServerMessage> for wire::Packet {
    fn from(message: ServerMessage) -> Self {
        match message {
            ServerMessage::Welcome(welcome) => Kind::Welcome((*welcome).into()).into(),
            ServerMessage::Closing(closing) => Kind::Closing(closing.into()).into(),
            ServerMessage::Unknown => Self::new(),
            ServerMessage::ParticipantsJoined(_)
            | ServerMessage::ParticipantsLeft(_)
            | ServerMessage::Speakers(_)
            | ServerMessage::TrackChanged { .. }
            | ServerMessage::TrackRemoved(_) => roster_to_wire(message),
            ServerMessage::TrackAccepted(_)
            | ServerMessage::KeyframeWanted { .. }
            | ServerMessage::LayersWanted { .. }
            | ServerMessage::BitrateLimit { .. }
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
        ServerMessage::ParticipantsJoined(participants) => {
            packet.set_participants_joined(wire::ParticipantsJoined {
                participants: participants.into_iter().map(Into::into).collect(),
                ..Default::default()
            });
        }
        ServerMessage::ParticipantsLeft(sessions) => {
            packet.set_participants_left(wire::ParticipantsLeft {
                sessions: sessions.into_iter().map(SessionId::get).collect(),
                ..Default::default()
            });
        }
        ServerMessage::Speakers(sessions) => packet.set_speakers(wire::Speakers {
            sessions: sessions.into_iter().map(SessionId::get).collect(),
            ..Default::default()
        }),
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
        ServerMessage::BitrateLimit {
            track,
            max_bitrate_bps,
        } => packet.set_bitrate_limit(wire::BitrateLimit {
            track: track.0,
            max_bitrate_bps: max_bitrate_bps.map_or(0, NonZeroU32::get),
            ..Default::default()
        }),
        ServerMessage::ArrivalReport {
            interval_ms,
            received_bytes,
            received_frames,
            missing_frames,
            delay_growth_us,
            layers,
        } => packet.set_arrival_report(wire::ArrivalReport {
            interval_ms,
            received_bytes,
            received_frames,
            missing_frames,
            delay_growth_us,
            layers: layers.into_iter().map(Into::into).collect(),
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
            participants: participants(raw.participants)?,
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
            code: EnumOrUnknown::from_i32(closing.code.number().into()),
            message: closing.message,
            retry_after_ms: closing.retry_after_ms,
            alternate_url: closing.alternate_url,
            ..Default::default()
        }
    }
}
