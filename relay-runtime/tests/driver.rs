//! The session driver over a carrier within the process. Time is tokio's paused clock, so waiting for
//! timeouts takes none.

mod support;

use relay_runtime::Disconnect;
use support::{hello, start, token, voice};
use tokio::time::Instant;
use videocall_types::limits::{HANDSHAKE_TIMEOUT, LIVENESS, RESUME_GRACE};
use videocall_types::{ClientMessage, CloseCode, ServerMessage, SessionId};

#[tokio::test(start_paused = true)]
async fn people_meet_speak_and_leave() {
    let relay = start("one", None);
    let (mut alice, alice_is) = relay.member("alice").await;
    let (mut bob, bob_is) = relay.member("bob").await;
    assert_eq!(bob_is.participants[0].session, alice_is.session);
    assert_eq!(alice.joined().await, bob_is.session);
    assert_eq!(relay.relay.session_count(), 2);
    assert_eq!(relay.relay.meeting_count(), 1);
    let said = voice(bob_is.session, 0);
    bob.send(said.clone()).await;
    assert_eq!(alice.next_frame().await, said);
    bob.say(ClientMessage::Leave).await;
    assert_eq!(alice.left().await, bob_is.session);
    assert_eq!(bob.find(closing).await, CloseCode::Left);
    alice.end(Disconnect::Clean).await;
    while relay.relay.session_count() + relay.relay.meeting_count() > 0 {
        tokio::task::yield_now().await;
    }
}

fn closing(message: ServerMessage) -> Option<CloseCode> {
    match message {
        ServerMessage::Closing(closing) => Some(closing.code),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_greet_in_time_is_closed() {
    let relay = start("one", None);
    let began = Instant::now();
    assert_eq!(relay.connect().closed().await, CloseCode::HandshakeTimeout);
    assert_eq!(began.elapsed(), HANDSHAKE_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn greetings_are_refused_with_their_reason() {
    let relay = start("one", None);
    let refused = async |greeting| {
        let client = relay.connect();
        client.say(ClientMessage::Hello(Box::new(greeting))).await;
        client.closed().await
    };
    let mut greeting = hello("alice");
    greeting.token = token("alice", -1);
    assert_eq!(refused(greeting.clone()).await, CloseCode::TokenExpired);
    greeting.token.push('x');
    assert_eq!(refused(greeting).await, CloseCode::BadToken);
    let mut greeting = hello("alice");
    greeting.protocol_version = 0;
    assert_eq!(refused(greeting).await, CloseCode::VersionUnsupported);
    let client = relay.connect();
    client.say(ClientMessage::Leave).await;
    assert_eq!(client.closed().await, CloseCode::ProtocolError);
}

#[tokio::test(start_paused = true)]
async fn silence_is_death_and_the_session_can_be_resumed_for_a_while() {
    let relay = start("one", None);
    let (mut alice, _) = relay.member("alice").await;
    let (bob, bob_is) = relay.member("bob").await;
    let stays = tokio::spawn(async move {
        loop {
            alice
                .say(ClientMessage::Ping {
                    sent_at_us: 1,
                    rtt_us: 0,
                })
                .await;
            tokio::time::advance(std::time::Duration::from_millis(400)).await;
            if let Some(gone) = alice.find(left_or_pong).await {
                return gone;
            }
        }
    });
    let began = Instant::now();
    assert_eq!(bob.closed().await, CloseCode::LivenessTimeout);
    assert!(began.elapsed() >= LIVENESS);
    assert_eq!(stays.await.expect("no panic"), bob_is.session);
    assert!(began.elapsed() >= LIVENESS + RESUME_GRACE);
}

/// The session that left; `None` within for a pong.
fn left_or_pong(message: ServerMessage) -> Option<Option<SessionId>> {
    match message {
        ServerMessage::ParticipantsLeft(sessions) => Some(sessions.first().copied()),
        ServerMessage::Pong { .. } => Some(None),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_connection_takes_the_session_over() {
    let relay = start("one", None);
    let (alice, alice_is) = relay.member("alice").await;
    let mut greeting = hello("alice");
    greeting.resume_token = alice_is.resume_token;
    let resumed = relay.connect().enter(greeting).await;
    assert!(resumed.resumed);
    assert_eq!(resumed.session, alice_is.session);
    assert_eq!(alice.closed().await, CloseCode::SessionReplaced);
}

#[tokio::test(start_paused = true)]
async fn mistakes_close_their_author_only() {
    let relay = start("one", None);
    let (mut bystander, bystander_is) = relay.member("bystander").await;
    let (forger, _) = relay.member("forger").await;
    forger.send(voice(bystander_is.session, 0)).await;
    assert_eq!(forger.closed().await, CloseCode::WrongSession);
    let (hasty, _) = relay.member("hasty").await;
    let ping = ClientMessage::Ping {
        sent_at_us: 1,
        rtt_us: 0,
    }
    .encode();
    for _ in 0..300 {
        if !hasty.try_send(ping.clone()).await {
            break;
        }
    }
    assert_eq!(hasty.close_code().await, CloseCode::RateExceeded);
    let (speaker, speaker_is) = relay.member("speaker").await;
    let said = voice(speaker_is.session, 0);
    speaker.send(said.clone()).await;
    assert_eq!(bystander.next_frame().await, said);
}

#[tokio::test(start_paused = true)]
async fn a_stopping_relay_lets_clients_move_and_closes_the_rest() {
    let relay = start("one", None);
    let (mut alice, _) = relay.member("alice").await;
    relay.shutdown.cancel();
    let deadline = alice
        .find(|message| match message {
            ServerMessage::Draining { deadline_ms, .. } => Some(deadline_ms),
            _ => None,
        })
        .await;
    assert_eq!(deadline, 2000);
    assert!(!relay.relay.readiness().ready);
    let late = relay.connect();
    late.say(ClientMessage::Hello(Box::new(hello("late")))).await;
    assert_eq!(late.closed().await, CloseCode::Draining);
    assert_eq!(alice.closed().await, CloseCode::Draining);
    relay.relay.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_does_not_read_is_closed_and_slows_nobody() {
    let relay = start("one", None);
    let (stuck, _) = relay.member("stuck").await;
    let (mut reader, _) = relay.member("reader").await;
    let (speaker, speaker_is) = relay.member("speaker").await;
    for sequence in 0..800 {
        let said = voice(speaker_is.session, sequence);
        speaker.send(said.clone()).await;
        assert_eq!(reader.next_frame().await, said);
        tokio::time::advance(std::time::Duration::from_millis(20)).await;
        // Pings, so that only the one that is stuck has a reason to be closed.
        if sequence % 50 == 0 {
            for client in [&stuck, &reader, &speaker] {
                client
                    .try_send(
                        ClientMessage::Ping {
                            sent_at_us: 1,
                            rtt_us: 0,
                        }
                        .encode(),
                    )
                    .await;
            }
        }
    }
    assert_eq!(stuck.close_code().await, CloseCode::SlowReceiver);
}
