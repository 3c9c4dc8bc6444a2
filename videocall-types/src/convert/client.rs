//! What a client says to its relay.

use super::*;
use crate::limits::{MAX_REPORT_MS, MAX_REPORTED_TRACKS};

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
            Kind::ClientReport(raw) => Self::Report(ClientReport {
                join_ms: raw.join_ms,
                first_picture_ms: raw.first_picture_ms,
                minute: raw.minute.into_option().map(minute).transpose()?,
            }),
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
            ClientMessage::Report(report) => packet.set_client_report(wire::ClientReport {
                join_ms: report.join_ms,
                first_picture_ms: report.first_picture_ms,
                minute: report.minute.map(Into::into).into(),
                ..Default::default()
            }),
            ClientMessage::Unknown => {}
        }
        packet
    }
}

/// Nobody can say more of a minute than there was: what is beyond is a mistake, and would spoil the operator's sums.
fn minute(raw: wire::CallMinute) -> Result<CallMinute> {
    if !(1..=MAX_REPORT_MS).contains(&raw.length_ms) {
        return bad("length of a report");
    }
    let most = raw.length_ms.saturating_mul(MAX_REPORTED_TRACKS);
    let amounts = [
        raw.freezes,
        raw.frozen_ms,
        raw.concealed_ms,
        raw.sounds,
        raw.sounds_lost,
    ];
    if amounts.iter().any(|&amount| amount > most) {
        return bad("amount in a report");
    }
    Ok(CallMinute {
        length_ms: raw.length_ms,
        rtt_us: raw.rtt_us,
        freezes: raw.freezes,
        frozen_ms: raw.frozen_ms,
        concealed_ms: raw.concealed_ms,
        sounds: raw.sounds,
        sounds_lost: raw.sounds_lost,
    })
}

impl From<CallMinute> for wire::CallMinute {
    fn from(minute: CallMinute) -> Self {
        Self {
            length_ms: minute.length_ms,
            rtt_us: minute.rtt_us,
            freezes: minute.freezes,
            frozen_ms: minute.frozen_ms,
            concealed_ms: minute.concealed_ms,
            sounds: minute.sounds,
            sounds_lost: minute.sounds_lost,
            ..Default::default()
        }
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
        let tracks = raw.subscriptions.into_iter().map(subscription);
        Ok(Self::Chosen {
            speakers: raw.speakers,
            tracks: tracks.collect::<Result<_>>()?,
        })
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
            Interest::Chosen { speakers, tracks } => Self {
                subscriptions: tracks.into_iter().map(subscription).collect(),
                speakers,
                ..Default::default()
            },
        }
    }
}
