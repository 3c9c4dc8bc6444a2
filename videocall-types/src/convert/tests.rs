use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn someone() -> Participant {
    Participant {
        session: SessionId::new(5).expect("not zero"),
        user_id: "ann".parse().expect("a name"),
        display_name: "Ann Lee".into(),
        tracks: vec![TrackInfo {
            track: TrackId(1),
            kind: crate::TrackKind::Camera,
            muted: true,
            codec: "vp8".into(),
            layers: vec![LayerInfo {
                spatial: 1,
                temporal_layers: 3,
                width: 640,
                height: 360,
                frames_per_second: 30,
                bitrate_bps: 400_000,
            }],
        }],
        decodes: VideoCodecs::ALL,
        established_at_ms: 17,
    }
}

#[test]
fn client_messages_survive_the_wire() {
    let track = track_ref(9, 2).expect("a track");
    let messages = [
        ClientMessage::Hello(Box::new(Hello {
            protocol_version: 1,
            token: "t".into(),
            capabilities: Capabilities {
                client: "test/1".into(),
                decodable_codecs: vec!["vp8".into()],
                subscribe_automatically: true,
            },
            tracks: someone().tracks,
            resume_token: "r".into(),
        })),
        ClientMessage::PublishTrack(someone().tracks.remove(0)),
        ClientMessage::UnpublishTrack(TrackId(3)),
        ClientMessage::Subscribe(Interest::Everything),
        ClientMessage::Subscribe(Interest::Chosen {
            speakers: true,
            tracks: vec![Subscription {
                track,
                width: 320,
                height: 180,
                priority: 1,
            }],
        }),
        ClientMessage::RequestKeyframe { track, spatial: 1 },
        ClientMessage::Ping {
            sent_at_us: 5,
            rtt_us: 6,
        },
        ClientMessage::Leave,
    ];
    for message in messages {
        let packet = message.clone().encode();
        assert_eq!(ClientMessage::decode(&packet), Ok(message));
        assert_eq!(ServerMessage::decode(&packet), Err(MessageError::Forbidden));
        assert_eq!(RelayMessage::decode(&packet), Err(MessageError::Forbidden));
    }
}

#[test]
fn server_messages_survive_the_wire_and_are_forbidden_to_clients() {
    let session = someone().session;
    let messages = [
        ServerMessage::Welcome(Box::new(Welcome {
            session,
            resume_token: "r".into(),
            relay_id: "relay-1".into(),
            limits: SessionLimits::default(),
            participants: vec![someone()],
            resumed: true,
            server_time_ms: 1,
            accepted_tracks: vec![TrackId(1)],
        })),
        ServerMessage::Closing(Closing::new(CloseCode::MeetingFull)),
        ServerMessage::ParticipantsJoined(vec![someone()]),
        ServerMessage::ParticipantsLeft(vec![session]),
        ServerMessage::TrackChanged {
            session,
            track: someone().tracks.remove(0),
        },
        ServerMessage::TrackRemoved(track_ref(5, 1).expect("a track")),
        ServerMessage::TrackAccepted(TrackId(1)),
        ServerMessage::KeyframeWanted {
            track: TrackId(1),
            spatial: 2,
        },
        ServerMessage::LayersWanted {
            track: TrackId(1),
            spatial_layers: vec![0, 2],
        },
        ServerMessage::BitrateLimit {
            track: TrackId(1),
            max_bitrate_bps: NonZeroU32::new(250_000),
        },
        ServerMessage::BitrateLimit {
            track: TrackId(1),
            max_bitrate_bps: None,
        },
        ServerMessage::ArrivalReport {
            interval_ms: 200,
            received_bytes: 1,
            received_frames: 2,
            missing_frames: 3,
            delay_growth_us: -4,
            layers: vec![LayerArrival {
                track: TrackId(2),
                spatial: 1,
                next_sequence: 77,
            }],
        },
        ServerMessage::Pong {
            sent_at_us: 5,
            server_time_ms: 6,
        },
        ServerMessage::Draining {
            alternate_url: "x".into(),
            deadline_ms: 7,
        },
        ServerMessage::Reachability {
            other_relays_reachable: true,
        },
    ];
    for message in messages {
        let packet = message.clone().encode();
        assert_eq!(ServerMessage::decode(&packet), Ok(message));
        assert_eq!(ClientMessage::decode(&packet), Err(MessageError::Forbidden));
    }
}

#[test]
fn relay_messages_survive_the_wire_and_are_forbidden_to_clients() {
    let relay: RelayId = "relay-1".parse().expect("an id");
    let interest = RelayInterest {
        speakers: false,
        tracks: vec![TrackInterest {
            track: track_ref(5, 1).expect("a track"),
            spatial_layers: vec![0, 1],
            max_bitrate_bps: NonZeroU32::new(400_000),
        }],
    };
    let change = |change| RelayMessage::Change {
        relay: relay.clone(),
        version: 3,
        change: Box::new(change),
    };
    let messages = [
        RelayMessage::State(RelayState {
            relay: relay.clone(),
            version: 2,
            participants: vec![someone()],
            interest: interest.clone(),
        }),
        change(RelayChange::Participant(someone())),
        change(RelayChange::Left(someone().session)),
        change(RelayChange::Interest(interest)),
        RelayMessage::Heartbeat {
            relay: relay.clone(),
            version: 4,
        },
        RelayMessage::StateRequest(relay.clone()),
        RelayMessage::Goodbye(relay.clone()),
        RelayMessage::KeyframeRequest {
            relay: relay.clone(),
            track: track_ref(5, 1).expect("a track"),
            spatial: 0,
        },
    ];
    for message in messages {
        let packet = message.clone().encode();
        assert_eq!(RelayMessage::decode(&packet), Ok(message));
        assert_eq!(ClientMessage::decode(&packet), Err(MessageError::Forbidden));
    }
}

#[test]
fn fields_out_of_range_are_named() {
    let mut hello = Hello {
        protocol_version: 1,
        token: "x".repeat(MAX_TOKEN_LENGTH + 1),
        capabilities: Capabilities::default(),
        tracks: Vec::new(),
        resume_token: String::new(),
    };
    let decode =
        |hello: &Hello| ClientMessage::decode(&ClientMessage::Hello(Box::new(hello.clone())).encode());
    assert_eq!(decode(&hello), Err(MessageError::BadField("token")));
    hello.token.clear();
    hello.capabilities.client = "bell\u{7}".into();
    assert_eq!(decode(&hello), Err(MessageError::BadField("client")));
    hello.capabilities.client.clear();
    hello.tracks = vec![someone().tracks.remove(0); MAX_TRACKS + 1];
    assert_eq!(decode(&hello), Err(MessageError::BadField("number of tracks")));

    let large = Bytes::from(vec![0; MAX_CONTROL_BYTES + 1]);
    let error = ClientMessage::decode(&large).expect_err("too large");
    assert_eq!(error.close_code(), CloseCode::ControlTooLarge);
}

#[test]
fn kinds_of_later_versions_are_ignored() {
    // Field 100, length-delimited, one byte.
    let packet = Bytes::from_static(&[0xa2, 0x06, 0x01, 0x00]);
    assert_eq!(ClientMessage::decode(&packet), Ok(ClientMessage::Unknown));
    assert_eq!(ServerMessage::decode(&packet), Ok(ServerMessage::Unknown));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = ClientMessage::decode(&bytes);
        let _ = ServerMessage::decode(&bytes);
        let _ = RelayMessage::decode(&bytes);
    }
}
