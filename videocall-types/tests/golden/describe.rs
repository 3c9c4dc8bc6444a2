//! What a message says, in the words of the vectors: the field names of the schema, ids and bytes
//! in hexadecimal, enumerations by name.

use serde_json::{Value, json};
use videocall_types::{
    ClientMessage, ClientReport, DecoderConfig, Frame, Hello, Interest, LayerInfo, Participant,
    RedundantFrame, RelayChange, RelayInterest, RelayMessage, ServerMessage, SessionLimits, Speaker,
    Subscription, TrackInfo, TrackInterest, TrackRef, Welcome,
};

use crate::hex_of;

fn list<T>(items: &[T], describe: fn(&T) -> Value) -> Value {
    items.iter().map(describe).collect()
}

pub(crate) fn frame(frame: &Frame) -> Value {
    let h = &frame.header;
    json!({"frame": {
        "session": h.session,
        "track": h.track,
        "kind": h.kind,
        "spatial_layer": h.spatial,
        "temporal_layer": h.temporal,
        "sequence": h.sequence,
        "capture_time_us": h.capture_time_us,
        "keyframe": h.keyframe,
        "reference_distance": h.reference_distance,
        "duration_us": h.duration_us,
        "audio_level": h.audio_level,
        "decoder": frame.decoder.as_ref().map(decoder),
        "redundancy": list(&frame.redundancy, redundant),
        "payload": hex_of(&frame.payload),
    }})
}

fn decoder(config: &DecoderConfig) -> Value {
    json!({
        "codec": config.codec,
        "width": config.width,
        "height": config.height,
        "sample_rate": config.sample_rate,
        "channels": config.channels,
        "description": hex_of(&config.description),
    })
}

fn redundant(frame: &RedundantFrame) -> Value {
    json!({
        "sequence_distance": frame.sequence_distance,
        "capture_time_distance_us": frame.capture_time_distance_us,
        "duration_us": frame.duration_us,
        "payload": hex_of(&frame.payload),
    })
}

fn track(info: &TrackInfo) -> Value {
    json!({
        "track": info.track,
        "kind": info.kind,
        "muted": info.muted,
        "codec": info.codec,
        "layers": list(&info.layers, layer),
    })
}

fn layer(layer: &LayerInfo) -> Value {
    json!({
        "spatial_layer": layer.spatial,
        "temporal_layers": layer.temporal_layers,
        "width": layer.width,
        "height": layer.height,
        "frames_per_second": layer.frames_per_second,
        "bitrate_bps": layer.bitrate_bps,
    })
}

fn participant(who: &Participant) -> Value {
    json!({
        "session": who.session,
        "user_id": who.user_id,
        "display_name": who.display_name,
        "tracks": list(&who.tracks, track),
        "established_at_ms": who.established_at_ms,
        "decodes": who.decodes.iter().map(|codec| json!(codec)).collect::<Value>(),
    })
}

pub(crate) fn client(message: &ClientMessage) -> Value {
    match message {
        ClientMessage::Hello(message) => json!({"hello": hello(message)}),
        ClientMessage::PublishTrack(info) => json!({"publish_track": {"track": track(info)}}),
        ClientMessage::UnpublishTrack(track) => json!({"unpublish_track": {"track": track}}),
        ClientMessage::Subscribe(interest) => json!({"subscribe": subscribe(interest)}),
        ClientMessage::RequestKeyframe {
            track: TrackRef { session, track },
            spatial,
        } => json!({
            "request_keyframe": {"session": session, "track": track, "spatial_layer": spatial},
        }),
        ClientMessage::Ping { sent_at_us, rtt_us } => {
            json!({"ping": {"sent_at_us": sent_at_us, "rtt_us": rtt_us}})
        }
        ClientMessage::Leave => json!({"leave": {}}),
        ClientMessage::Report(report) => json!({"client_report": client_report(report)}),
        ClientMessage::Unknown => json!({}),
    }
}

fn client_report(report: &ClientReport) -> Value {
    let mut described = json!({
        "join_ms": report.join_ms,
        "first_picture_ms": report.first_picture_ms,
    });
    if let Some(minute) = report.minute {
        described["minute"] = json!({
            "length_ms": minute.length_ms,
            "rtt_us": minute.rtt_us,
            "freezes": minute.freezes,
            "frozen_ms": minute.frozen_ms,
            "concealed_ms": minute.concealed_ms,
            "sounds": minute.sounds,
            "sounds_lost": minute.sounds_lost,
        });
    }
    described
}

fn hello(hello: &Hello) -> Value {
    json!({
        "protocol_version": hello.protocol_version,
        "token": hello.token,
        "capabilities": {
            "client": hello.capabilities.client,
            "decodable_codecs": hello.capabilities.decodable_codecs,
            "subscribe_automatically": hello.capabilities.subscribe_automatically,
        },
        "tracks": list(&hello.tracks, track),
        "resume_token": hello.resume_token,
    })
}

fn subscribe(interest: &Interest) -> Value {
    match interest {
        Interest::Everything => json!({"everything": true, "subscriptions": [], "speakers": false}),
        Interest::Chosen { speakers, tracks } => json!({
            "everything": false,
            "subscriptions": list(tracks, subscription),
            "speakers": speakers,
        }),
    }
}

fn subscription(wish: &Subscription) -> Value {
    json!({
        "session": wish.track.session,
        "track": wish.track.track,
        "width": wish.width,
        "height": wish.height,
        "priority": wish.priority,
    })
}

pub(crate) fn server(message: &ServerMessage) -> Value {
    match message {
        ServerMessage::Welcome(message) => json!({"welcome": welcome(message)}),
        ServerMessage::Closing(closing) => json!({"closing": {
            "code": closing.code,
            "message": closing.message,
            "retry_after_ms": closing.retry_after_ms,
            "alternate_url": closing.alternate_url,
        }}),
        ServerMessage::ParticipantsJoined(who) => {
            json!({"participants_joined": {"participants": list(who, participant)}})
        }
        ServerMessage::ParticipantsLeft(sessions) => json!({"participants_left": {"sessions": sessions}}),
        ServerMessage::Speakers(sessions) => json!({"speakers": {"sessions": sessions}}),
        ServerMessage::TrackChanged { session, track: info } => {
            json!({"track_changed": {"session": session, "track": track(info)}})
        }
        ServerMessage::TrackRemoved(TrackRef { session, track }) => {
            json!({"track_removed": {"session": session, "track": track}})
        }
        ServerMessage::TrackAccepted(track) => json!({"track_accepted": {"track": track}}),
        ServerMessage::KeyframeWanted { track, spatial } => {
            json!({"keyframe_wanted": {"track": track, "spatial_layer": spatial}})
        }
        ServerMessage::LayersWanted {
            track,
            spatial_layers,
        } => {
            json!({"layers_wanted": {"track": track, "spatial_layers": spatial_layers}})
        }
        ServerMessage::BitrateLimit {
            track,
            max_bitrate_bps,
        } => {
            json!({"bitrate_limit": {"track": track, "max_bitrate_bps": max_bitrate_bps}})
        }
        ServerMessage::Unknown => json!({}),
        _ => server_about_connection(message),
    }
}

fn server_about_connection(message: &ServerMessage) -> Value {
    match message {
        ServerMessage::ArrivalReport {
            interval_ms,
            received_bytes,
            received_frames,
            missing_frames,
            delay_growth_us,
            layers,
        } => json!({"arrival_report": {
            "interval_ms": interval_ms,
            "received_bytes": received_bytes,
            "received_frames": received_frames,
            "missing_frames": missing_frames,
            "delay_growth_us": delay_growth_us,
            "layers": list(layers, |layer| json!({
                "track": layer.track,
                "spatial_layer": layer.spatial,
                "next_sequence": layer.next_sequence,
            })),
        }}),
        ServerMessage::Pong {
            sent_at_us,
            server_time_ms,
        } => {
            json!({"pong": {"sent_at_us": sent_at_us, "server_time_ms": server_time_ms}})
        }
        ServerMessage::Draining {
            alternate_url,
            deadline_ms,
        } => {
            json!({"draining": {"alternate_url": alternate_url, "deadline_ms": deadline_ms}})
        }
        ServerMessage::Reachability {
            other_relays_reachable,
        } => {
            json!({"reachability": {"other_relays_reachable": other_relays_reachable}})
        }
        other => panic!("no words for {other:?}"),
    }
}

fn welcome(welcome: &Welcome) -> Value {
    json!({
        "session": welcome.session,
        "resume_token": welcome.resume_token,
        "relay_id": welcome.relay_id,
        "limits": limits(&welcome.limits),
        "participants": list(&welcome.participants, participant),
        "resumed": welcome.resumed,
        "server_time_ms": welcome.server_time_ms,
        "accepted_tracks": welcome.accepted_tracks,
    })
}

fn limits(limits: &SessionLimits) -> Value {
    json!({
        "max_frame_bytes": limits.max_frame_bytes,
        "max_control_bytes": limits.max_control_bytes,
        "max_tracks": limits.max_tracks,
        "max_control_per_second": limits.max_control_per_second,
        "max_upload_bps": limits.max_upload_bps,
        "ping_interval_ms": limits.ping_interval_ms,
        "liveness_ms": limits.liveness_ms,
        "resume_grace_ms": limits.resume_grace_ms,
    })
}

pub(crate) fn relay(message: &RelayMessage) -> Value {
    match message {
        RelayMessage::State(state) => json!({"relay_state": {
            "relay_id": state.relay,
            "version": state.version,
            "participants": list(&state.participants, participant),
            "interest": interest(&state.interest),
        }}),
        RelayMessage::Change {
            relay,
            version,
            change,
        } => {
            let (name, value) = match change.as_ref() {
                RelayChange::Participant(who) => ("joined_or_updated", participant(who)),
                RelayChange::Left(session) => ("left", json!(session)),
                RelayChange::Interest(wish) => ("interest", interest(wish)),
            };
            json!({"relay_change": {"relay_id": relay, "version": version, name: value}})
        }
        RelayMessage::Heartbeat { relay, version } => {
            json!({"relay_heartbeat": {"relay_id": relay, "version": version}})
        }
        RelayMessage::StateRequest(relay) => json!({"relay_state_request": {"relay_id": relay}}),
        RelayMessage::Goodbye(relay) => json!({"relay_goodbye": {"relay_id": relay}}),
        RelayMessage::KeyframeRequest {
            relay,
            track: TrackRef { session, track },
            spatial,
        } => json!({
            "relay_keyframe_request": {
                "relay_id": relay, "session": session, "track": track, "spatial_layer": spatial,
            },
        }),
        RelayMessage::Speakers { relay, speakers } => {
            json!({"relay_speakers": {"relay_id": relay, "speakers": list(speakers, speaker)}})
        }
        RelayMessage::Unknown => json!({}),
    }
}

fn interest(interest: &RelayInterest) -> Value {
    json!({"speakers": interest.speakers, "tracks": list(&interest.tracks, track_interest)})
}

fn track_interest(wish: &TrackInterest) -> Value {
    let mut described = json!({
        "session": wish.track.session,
        "track": wish.track.track,
        "spatial_layers": wish.spatial_layers,
    });
    if let Some(max_bitrate_bps) = wish.max_bitrate_bps {
        described["max_bitrate_bps"] = json!(max_bitrate_bps);
    }
    described
}

fn speaker(speaker: &Speaker) -> Value {
    json!({
        "session": speaker.session,
        "audio_level": speaker.audio_level,
        "since_ms": speaker.since_ms,
    })
}
