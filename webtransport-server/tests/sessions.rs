//! The server as a client sees it: joining, media both ways, and the typed end of every mistake.

mod support;

use relay_runtime::RelaySettings;
use support::{Server, frame, hello, send, soon, token, track};
use videocall_types::limits::{HANDSHAKE_TIMEOUT, MIN_COUNTED_FRAME_BYTES};
use videocall_types::{
    ClientMessage, CloseCode, Frame, ServerMessage, SessionId, TrackId, TrackKind, length_prefix,
};
use wtransport::VarInt;

#[tokio::test]
async fn two_people_exchange_pictures_by_stream_and_voices_by_datagram() {
    let server = Server::start().await;
    let (mut alice, alice_welcome) = server.member("alice").await;
    let (bob, bob_welcome) = server.member("bob").await;
    assert!(alice_welcome.participants.is_empty());
    assert_eq!(alice_welcome.accepted_tracks.len(), 2);
    assert_eq!(bob_welcome.participants[0].session, alice_welcome.session);
    assert_eq!(bob_welcome.participants[0].display_name, "ALICE");
    let joined = alice
        .find(|message| match message {
            ServerMessage::ParticipantsJoined(participants) => participants.first().map(|p| p.session),
            _ => None,
        })
        .await;
    assert_eq!(joined, bob_welcome.session);

    let session = alice_welcome.session;
    let mut pictures = alice.open_media().await;
    for sequence in 0..3 {
        // A keyframe of many packets, then small ones.
        let bytes = if sequence == 0 { 200_000 } else { 2000 };
        send(&mut pictures, &frame(session, TrackKind::Camera, sequence, bytes)).await;
    }
    let mut received = bob.accept_media().await;
    for sequence in 0..3 {
        let packet = soon("a picture", received.next()).await.expect("a picture");
        let frame = Frame::decode(&packet).expect("a frame");
        assert_eq!((frame.header.session, frame.header.sequence), (session, sequence));
    }

    let voice = frame(session, TrackKind::Microphone, 0, 120);
    alice.connection.send_datagram(&voice).expect("sent");
    assert_eq!(bob.next_datagram().await, voice);
}

#[tokio::test]
async fn a_voice_above_the_size_of_a_datagram_goes_by_stream() {
    let server = Server::start().await;
    let (alice, welcome) = server.member("alice").await;
    let (bob, _) = server.member("bob").await;
    let voice = frame(welcome.session, TrackKind::Microphone, 0, 5000);
    send(&mut alice.open_media().await, &voice).await;
    let mut received = bob.accept_media().await;
    assert_eq!(soon("the voice", received.next()).await.as_ref(), Some(&voice));
}

#[tokio::test]
async fn pings_are_answered_and_tracks_accepted() {
    let server = Server::start().await;
    let (mut alice, _) = server.member("alice").await;
    alice
        .say(ClientMessage::Ping {
            sent_at_us: 42,
            rtt_us: 0,
        })
        .await;
    let sent = alice
        .find(|message| match message {
            ServerMessage::Pong { sent_at_us, .. } => Some(sent_at_us),
            _ => None,
        })
        .await;
    assert_eq!(sent, 42);
    let screen = track(TrackId(3), TrackKind::Screen);
    alice.say(ClientMessage::PublishTrack(screen)).await;
    let accepted = alice
        .find(|message| match message {
            ServerMessage::TrackAccepted(track) => Some(track),
            _ => None,
        })
        .await;
    assert_eq!(accepted, TrackId(3));
}

#[tokio::test]
async fn who_leaves_is_gone_and_who_is_lost_comes_back() {
    let server = Server::start().await;
    let (mut alice, _) = server.member("alice").await;
    let (bob, bob_welcome) = server.member("bob").await;
    let (mut carol, carol_welcome) = server.member("carol").await;

    bob.connection
        .close(VarInt::from_u32(77), b"as if the network broke");
    let mut again = server.client().await;
    let mut greeting = hello(token("bob", 60));
    greeting.resume_token = bob_welcome.resume_token.clone();
    let resumed = again.enter(greeting).await;
    assert!(resumed.resumed);
    assert_eq!(resumed.session, bob_welcome.session);

    carol.say(ClientMessage::Leave).await;
    let (closing, code) = carol.closing().await;
    assert_eq!((closing.code, code), (CloseCode::Left, 1));
    again.connection.close(VarInt::from_u32(0), b"");
    let mut left = Vec::new();
    while left.len() < 2 {
        let gone = alice.find(|message| match message {
            ServerMessage::ParticipantsLeft(sessions) => sessions.first().copied(),
            _ => None,
        });
        left.push(gone.await);
    }
    left.sort_unstable();
    let mut expected = vec![bob_welcome.session, carol_welcome.session];
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn a_foreign_resume_token_gives_a_new_session() {
    let server = Server::start().await;
    let (_alice, welcome) = server.member("alice").await;
    let mut mallory = server.client().await;
    let mut greeting = hello(token("mallory", 60));
    greeting.resume_token = welcome.resume_token;
    let fresh = mallory.enter(greeting).await;
    assert!(!fresh.resumed);
    assert_ne!(fresh.session, welcome.session);
}

#[tokio::test]
async fn refused_greetings_say_why() {
    let server = Server::start().await;
    let expect = async |greeting, expected: CloseCode| {
        let mut client = server.client().await;
        client.say(ClientMessage::Hello(Box::new(greeting))).await;
        let (closing, code) = client.closing().await;
        assert_eq!(closing.code, expected);
        assert_eq!(code, u64::from(expected.number()));
        assert!(!closing.message.is_empty());
    };
    expect(hello("not.a.token".into()), CloseCode::BadToken).await;
    expect(hello(token("alice", -5)), CloseCode::TokenExpired).await;
    let mut old = hello(token("alice", 60));
    old.protocol_version = 99;
    expect(old, CloseCode::VersionUnsupported).await;
}

#[tokio::test]
async fn whoever_does_not_greet_is_closed() {
    let server = Server::start().await;
    let mut silent = server.client().await;
    // The stream exists for the server only once something is on it.
    silent.control.write_all(&[0x05]).await.expect("written");
    let (closing, code) = silent.closing().await;
    assert_eq!((closing.code, code), (CloseCode::HandshakeTimeout, 10));
}

#[tokio::test]
async fn every_mistake_has_its_close_code_and_disturbs_nobody() {
    let server = Server::start().await;
    let (watcher, _) = server.member("watcher").await;
    let (speaker, speaking) = server.member("speaker").await;

    let (mut forger, _) = server.member("forger").await;
    let stolen = frame(speaking.session, TrackKind::Microphone, 0, 50);
    forger.connection.send_datagram(&stolen).expect("sent");
    assert_eq!(forger.closing().await.1, 4);

    let (mut babbler, _) = server.member("babbler").await;
    babbler
        .connection
        .send_datagram(b"\xff\xff\xff garbage")
        .expect("sent");
    assert_eq!(babbler.closing().await.1, 3);

    let (mut babbler, _) = server.member("babbler").await;
    babbler.send_control(b"\xff\xff\xff garbage").await;
    assert_eq!(babbler.closing().await.1, 3);

    let (mut pretender, _) = server.member("pretender").await;
    let forged = ServerMessage::ParticipantsLeft(vec![speaking.session]).encode();
    pretender.send_control(&forged).await;
    assert_eq!(pretender.closing().await.1, 5);

    let (mut sender, _) = server.member("sender").await;
    announce_length(&mut sender.open_media().await, 5 * 1024 * 1024).await;
    assert_eq!(sender.closing().await.1, 6);

    let (mut talker, _) = server.member("talker").await;
    announce_length(&mut talker.control, 100_000).await;
    assert_eq!(talker.closing().await.1, 7);

    let (mut hasty, _) = server.member("hasty").await;
    for number in 0..400 {
        let ping = ClientMessage::Ping {
            sent_at_us: number,
            rtt_us: 0,
        }
        .encode();
        let (prefix, used) = length_prefix(ping.len() as u32);
        let packet = [&prefix[..used], &ping].concat();
        if hasty.control.write_all(&packet).await.is_err() {
            break;
        }
    }
    assert_eq!(hasty.closing().await.1, 8);

    let (mut greedy, _) = server.member("greedy").await;
    for number in 10..20 {
        let more = track(TrackId(number), TrackKind::Camera);
        let packet = ClientMessage::PublishTrack(more).encode();
        let (prefix, used) = length_prefix(packet.len() as u32);
        if greedy
            .control
            .write_all(&[&prefix[..used], &packet].concat())
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(greedy.closing().await.1, 9);

    let voice = frame(speaking.session, TrackKind::Microphone, 1, 50);
    speaker.connection.send_datagram(&voice).expect("sent");
    assert_eq!(watcher.next_datagram().await, voice);
}

async fn announce_length(stream: &mut wtransport::SendStream, length: u32) {
    let (prefix, used) = length_prefix(length);
    stream.write_all(&prefix[..used]).await.expect("written");
}

#[tokio::test]
async fn media_before_the_greeting_is_an_error() {
    let server = Server::start().await;
    let mut hasty = server.client().await;
    let stranger = SessionId::new(1).expect("not zero");
    hasty
        .send_control(&frame(stranger, TrackKind::Camera, 0, 10))
        .await;
    assert_eq!(hasty.closing().await.1, 2);
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let server = Server::start().await;
    assert!(soon("an answer", server.connect_to("/other")).await.is_err());
    assert!(soon("an answer", server.connect_to("/wt?x=1")).await.is_ok());
}

#[tokio::test]
async fn a_full_relay_says_so() {
    let server = Server::start_with(RelaySettings {
        max_sessions: 1,
        ..Default::default()
    })
    .await;
    let (alice, _) = server.member("alice").await;
    let mut bob = server.client().await;
    bob.say(ClientMessage::Hello(Box::new(hello(token("bob", 60)))))
        .await;
    assert_eq!(bob.closing().await.1, 15);
    alice.connection.close(VarInt::from_u32(0), b"");
    soon("the place to be free", async {
        while server.relay.session_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.member("bob").await;
}

#[tokio::test]
async fn an_address_with_too_many_connections_is_refused_without_a_handshake() {
    let server = Server::start_with(RelaySettings {
        max_connections_per_address: 3,
        unlimited_networks: relay_runtime::Networks::default(),
        ..Default::default()
    })
    .await;
    let (alice, _) = server.member("alice").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(
            soon("an answer", server.connect_to("/wt"))
                .await
                .expect("a session"),
        );
    }
    let began = std::time::Instant::now();
    let refused = soon("an answer", server.connect_to("/wt"))
        .await
        .expect_err("refused");
    assert!(
        format!("{refused:?}").contains("CONNECTION_REFUSED"),
        "{refused:?}"
    );
    assert!(
        began.elapsed() < HANDSHAKE_TIMEOUT,
        "it was left without an answer"
    );
    assert_eq!(server.relay.connections().count(), 3);
    // Whoever is in goes on, and a place that is free is given again, if not at any pace.
    drop(held);
    soon("a place", async {
        while server.connect_to("/wt").await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(alice.connection.quic_connection().close_reason().is_none());
}

#[tokio::test]
async fn a_stopping_server_announces_it_and_closes() {
    let server = Server::start().await;
    let (mut alice, _) = server.member("alice").await;
    server.shutdown.cancel();
    alice
        .find(|message| match message {
            ServerMessage::Draining { deadline_ms, .. } => Some(deadline_ms),
            _ => None,
        })
        .await;
    let (closing, code) = alice.closing().await;
    assert_eq!((closing.code, code), (CloseCode::Draining, 19));
    soon("the server's end", server.task).await.expect("no panic");
    assert_eq!(server.relay.session_count(), 0);
}

#[tokio::test]
async fn a_picture_that_is_not_read_goes_on_with_a_keyframe_on_another_stream() {
    let server = Server::start().await;
    let (alice, welcome) = server.member("alice").await;
    let (bob, _) = server.member("bob").await;
    let mut pictures = alice.open_media().await;
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(150));
    let sending = async {
        for sequence in 0.. {
            pace.tick().await;
            let mut header =
                Frame::decode(&frame(welcome.session, TrackKind::Camera, sequence, 1)).expect("ours");
            header.header.keyframe = true;
            header.header.reference_distance = 0;
            header.payload = vec![0; 250_000].into();
            send(&mut pictures, &header.encode()).await;
        }
    };
    let receiving = async {
        let unread = bob.accept_media().await;
        let mut second = bob.accept_media().await;
        let packet = second.next().await.expect("a picture");
        drop(unread);
        Frame::decode(&packet).expect("a frame").header
    };
    let header = tokio::select! {
        () = sending => unreachable!("it sends for ever"),
        header = soon("another stream", receiving) => header,
    };
    assert!(header.keyframe);
    assert_eq!(header.session, welcome.session);
}

#[tokio::test]
async fn who_sends_packets_without_end_is_closed_even_if_nothing_is_in_them() {
    let settings = RelaySettings {
        // Twenty packets per second.
        max_upload_bps: 10 * 8 * MIN_COUNTED_FRAME_BYTES as u64,
        max_download_bps: 10 * 8 * 1200,
        ..RelaySettings::default()
    };
    let server = Server::start_with(settings).await;
    let (mut alice, _) = server.member("alice").await;
    let quic = alice.connection.quic_connection().clone();
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(1));
    let sending = async {
        loop {
            pace.tick().await;
            // The datagram of a session that there is not.
            let _closed = quic.send_datagram(bytes::Bytes::from_static(&[0x3f]));
        }
    };
    let (closing, code) = tokio::select! {
        () = sending => unreachable!("it sends for ever"),
        closing = alice.closing() => closing,
    };
    assert_eq!(closing.code, CloseCode::RateExceeded);
    assert_eq!(code, u64::from(CloseCode::RateExceeded.number()));
}
