//! What relays say to one another.

use std::num::NonZeroU32;

use super::*;

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
                participants: participants(raw.participants)?,
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
            Kind::RelaySpeakers(raw) => Self::Speakers {
                relay: relay_id(&raw.relay_id)?,
                speakers: raw
                    .speakers
                    .into_iter()
                    .map(Speaker::try_from)
                    .collect::<Result<_>>()?,
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
            RelayMessage::Speakers { relay, speakers } => {
                packet.set_relay_speakers(wire::RelaySpeakers {
                    relay_id: relay.to_string(),
                    speakers: speakers.into_iter().map(Into::into).collect(),
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
                max_bitrate_bps: NonZeroU32::new(raw.max_bitrate_bps),
            })
        };
        Ok(Self {
            speakers: raw.speakers,
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
            max_bitrate_bps: wish.max_bitrate_bps.map_or(0, NonZeroU32::get),
            ..Default::default()
        };
        Self {
            speakers: interest.speakers,
            tracks: interest.tracks.into_iter().map(track).collect(),
            ..Default::default()
        }
    }
}

impl TryFrom<wire::Speaker> for Speaker {
    type Error = MessageError;

    fn try_from(raw: wire::Speaker) -> Result<Self> {
        let audio_level = u8::try_from(raw.audio_level)
            .ok()
            .filter(|l| (1..=128).contains(l));
        Ok(Self {
            session: session(raw.session)?,
            audio_level: audio_level.ok_or(MessageError::BadField("audio level"))?,
            since_ms: raw.since_ms,
        })
    }
}

impl From<Speaker> for wire::Speaker {
    fn from(speaker: Speaker) -> Self {
        Self {
            session: speaker.session.get(),
            audio_level: speaker.audio_level.into(),
            since_ms: speaker.since_ms,
            ..Default::default()
        }
    }
}
