//! Each rule of the protocol is broken on each carrier: who breaks it gets its typed close, and a
//! call beside it loses nothing.

use std::time::Duration;

use bytes::Bytes;
use e2e::{Call, Metrics, RawClient, RawEnd, Server, VideocallServer, endpoint, join, join_status};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{interval, sleep, timeout};
use videocall_client::TransportPreference;
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::limits::{MAX_CONTROL_BYTES, MAX_FRAME_BYTES, MAX_TRACKS, PROTOCOL_VERSION};
use videocall_types::{
    ClientMessage, CloseCode, Frame, FrameHeader, RelayMessage, ServerMessage, SessionId, TrackId, TrackKind,
};

const CARRIERS: [TransportKind; 2] = [TransportKind::WebSocket, TransportKind::WebTransport];

const MEETING: &str = "bystanders";

/// A server, a call on it over both carriers, and the way in for one who means ill.
struct Scene {
    server: Server,
    call: Call,
}

impl Scene {
    async fn set() -> Self {
        let server = VideocallServer::start().await.expect("the server starts");
        let url = server.url.as_str();
        let carriers = [TransportPreference::WebSocket, TransportPreference::WebTransport];
        let call = Call::start([url, url], MEETING, carriers)
            .await
            .expect("the call works");
        Self { server, call }
    }

    async fn way_in(&self, transport: TransportKind) -> (RelayEndpoint, JoinResponse) {
        let ticket = join(&self.server.url, MEETING, "mallory")
            .await
            .expect("a ticket");
        let endpoint = endpoint(&self.server.url, &ticket, transport).expect("an endpoint");
        (endpoint, ticket)
    }

    /// Somebody who is in the meeting like anybody else, with a camera.
    async fn intruder(&self, transport: TransportKind) -> (RawClient, SessionId) {
        let (endpoint, ticket) = self.way_in(transport).await;
        let (mut client, welcome) = RawClient::join(&endpoint, &ticket).await.expect("let in");
        client.publish_camera(CAMERA).await.expect("accepted");
        (client, welcome.session)
    }

    /// The call has lost nothing, and goes on without loss.
    async fn is_undisturbed(&self) {
        self.call.goes_on().await.expect("the call goes on");
        self.call.check().expect("the call has lost nothing");
    }
}

const CAMERA: TrackId = TrackId(2);

fn picture(session: SessionId, sequence: u64, bytes: usize) -> Bytes {
    let header = FrameHeader {
        sequence,
        capture_time_us: sequence * 33_000,
        ..FrameHeader::first(session, CAMERA, TrackKind::Camera)
    };
    Frame {
        header,
        decoder: None,
        redundancy: Vec::new(),
        payload: vec![1; bytes].into(),
    }
    .encode()
}

/// Both the last message and the carrier's own close say why.
#[track_caller]
fn closed_with(end: &RawEnd, code: CloseCode) {
    let said = end.closing.as_ref().map(|closing| closing.code);
    assert_eq!((said, end.code), (Some(code), Some(code)), "{end:?}");
    assert!(
        end.closing
            .as_ref()
            .is_some_and(|closing| !closing.message.is_empty()),
        "no sentence"
    );
}

/// What a member of the meeting must not send, and what it costs.
#[tokio::test(flavor = "multi_thread")]
async fn members_who_break_rules_are_closed_with_the_rule() {
    let scene = Scene::set().await;
    let victim = scene.call.session();
    let too_many = TrackId(100);
    let forged = [
        (
            ServerMessage::ParticipantsLeft(vec![victim]).encode(),
            CloseCode::ForbiddenMessage,
        ),
        (
            ServerMessage::TrackAccepted(CAMERA).encode(),
            CloseCode::ForbiddenMessage,
        ),
        (
            RelayMessage::Goodbye("relay".parse().expect("an id")).encode(),
            CloseCode::ForbiddenMessage,
        ),
        // A field of the wrong kind inside a known message.
        (
            Bytes::from_static(&[0x1a, 0x02, 0x0a, 0x7f]),
            CloseCode::MalformedPacket,
        ),
        (
            vec![0x12; MAX_CONTROL_BYTES + 1].into(),
            CloseCode::ControlTooLarge,
        ),
    ];
    for carrier in CARRIERS {
        for (packet, code) in &forged {
            let (mut client, _) = scene.intruder(carrier).await;
            client.send_control(packet.clone()).await.expect("sent");
            closed_with(&client.end().await.expect("closed"), *code);
        }
        let (mut client, _) = scene.intruder(carrier).await;
        client.send_video(picture(victim, 0, 100)).await.expect("sent");
        closed_with(&client.end().await.expect("closed"), CloseCode::WrongSession);

        let (mut client, own) = scene.intruder(carrier).await;
        // The relay may close before all of it is sent.
        let _sent = client.send_video(picture(own, 0, MAX_FRAME_BYTES + 1)).await;
        closed_with(&client.end().await.expect("closed"), CloseCode::FrameTooLarge);

        let (mut client, _) = scene.intruder(carrier).await;
        client.send_garbage().await.expect("sent");
        closed_with(&client.end().await.expect("closed"), CloseCode::MalformedPacket);

        let (mut client, _) = scene.intruder(carrier).await;
        for number in 0..MAX_TRACKS as u32 {
            let track = e2e::camera(TrackId(too_many.0 + number));
            client
                .send(ClientMessage::PublishTrack(track))
                .await
                .expect("sent");
        }
        closed_with(&client.end().await.expect("closed"), CloseCode::TooManyTracks);
    }
    scene.is_undisturbed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_are_closed() {
    let scene = Scene::set().await;
    for carrier in CARRIERS {
        let (mut client, _) = scene.intruder(carrier).await;
        let ping = ClientMessage::Ping {
            sent_at_us: 1,
            rtt_us: 0,
        }
        .encode();
        while client.send_control(ping.clone()).await.is_ok() && !client.is_closing() {}
        closed_with(&client.end().await.expect("closed"), CloseCode::RateExceeded);

        let (mut client, own) = scene.intruder(carrier).await;
        let mut sequence = 0;
        while client.send_video(picture(own, sequence, 100_000)).await.is_ok() && !client.is_closing() {
            sequence += 1;
        }
        closed_with(&client.end().await.expect("closed"), CloseCode::RateExceeded);
    }
    scene.call.goes_on().await.expect("the call goes on");
    scene.call.check_voices().expect("no voice is lost");
}

/// What somebody may send who is not in the meeting yet.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_greetings_are_refused() {
    let scene = Scene::set().await;
    for carrier in CARRIERS {
        let (endpoint, ticket) = scene.way_in(carrier).await;
        let right = e2e::hello(&ticket);
        let greet = async |message: ClientMessage| {
            let mut client = RawClient::connect(&endpoint).await.expect("connected");
            client.send(message).await.expect("sent");
            client.end().await.expect("closed")
        };
        let hello = |change: &dyn Fn(&mut videocall_types::Hello)| {
            let mut hello = right.clone();
            change(&mut hello);
            ClientMessage::Hello(Box::new(hello))
        };
        let forged = hello(&|hello| hello.token.push('x'));
        closed_with(&greet(forged).await, CloseCode::BadToken);
        let future = hello(&|hello| hello.protocol_version = PROTOCOL_VERSION + 1);
        closed_with(&greet(future).await, CloseCode::VersionUnsupported);
        let forged = hello(&|hello| hello.resume_token = "x".to_owned());
        // A session that cannot be resumed is no reason to be refused: the token still lets in.
        let mut client = RawClient::connect(&endpoint).await.expect("connected");
        client.send(forged).await.expect("sent");
        assert!(
            matches!(client.message().await, Ok(ServerMessage::Welcome(welcome)) if !welcome.resumed),
            "not let in"
        );
        closed_with(&greet(ClientMessage::Leave).await, CloseCode::ProtocolError);
        let mut client = RawClient::connect(&endpoint).await.expect("connected");
        client.send(hello(&|_| {})).await.expect("sent");
        client.send(hello(&|_| {})).await.expect("sent");
        closed_with(&client.end().await.expect("closed"), CloseCode::ProtocolError);
    }
    scene.is_undisturbed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_server_and_another_meeting_are_worth_nothing() {
    let scene = Scene::set().await;
    let other = VideocallServer::start().await.expect("the other server starts");
    let foreign = join(&other.url, MEETING, "mallory").await.expect("a ticket");
    for carrier in CARRIERS {
        let (endpoint, _) = scene.way_in(carrier).await;
        let mut client = RawClient::connect(&endpoint).await.expect("connected");
        client
            .send(ClientMessage::Hello(Box::new(e2e::hello(&foreign))))
            .await
            .expect("sent");
        closed_with(&client.end().await.expect("closed"), CloseCode::BadToken);
        // The meeting is the token's, not the sender's choice: somebody else's meeting stays unseen.
        let elsewhere = join(&scene.server.url, "elsewhere", "mallory")
            .await
            .expect("a ticket");
        let (_client, welcome) = RawClient::join(&endpoint, &elsewhere).await.expect("let in");
        assert!(
            welcome
                .participants
                .iter()
                .all(|person| person.session != scene.call.session())
        );
    }
    scene.is_undisturbed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_greet_are_closed() {
    let scene = Scene::set().await;
    let closed = CARRIERS.map(async |carrier| {
        let (endpoint, _) = scene.way_in(carrier).await;
        let mut client = RawClient::connect(&endpoint).await.expect("connected");
        if carrier == TransportKind::WebTransport {
            // A stream exists for the peer only once something was written on it: half a length.
            client.write_half_a_packet().await.expect("sent");
        }
        closed_with(&client.end().await.expect("closed"), CloseCode::HandshakeTimeout);
    });
    futures::future::join_all(closed).await;
    scene.is_undisturbed().await;
}

/// They show that they live, and take nothing.
#[tokio::test(flavor = "multi_thread")]
async fn receivers_that_never_read_are_closed_for_it() {
    const UNREAD: &str = "unread";
    let scene = Scene::set().await;
    let ticket = join(&scene.server.url, UNREAD, "mallory")
        .await
        .expect("a ticket");
    let way_in = |carrier| endpoint(&scene.server.url, &ticket, carrier).expect("an endpoint");
    let mut sleepers = Vec::new();
    for carrier in CARRIERS {
        let sleeper = RawClient::join_and_sleep(&way_in(carrier), &ticket).await;
        sleepers.push(sleeper.expect("let in"));
    }
    let (mut sender, welcome) = RawClient::join(&way_in(TransportKind::WebSocket), &ticket)
        .await
        .expect("let in");
    sender.publish_camera(CAMERA).await.expect("accepted");
    let ping = ClientMessage::Ping {
        sent_at_us: 1,
        rtt_us: 0,
    };
    let sending = async {
        // 16 Mbit/s: a little less than what may be sent.
        let mut pace = interval(Duration::from_millis(50));
        for sequence in 0_u64.. {
            pace.tick().await;
            let picture = picture(welcome.session, sequence, 100_000);
            sender.send_video(picture).await.expect("sent");
            if sequence.is_multiple_of(20) {
                for sleeper in &mut sleepers {
                    let _closed = sleeper.send(ping.clone()).await;
                }
            }
        }
    };
    let closed = async {
        for carrier in CARRIERS {
            while ends(&scene.server, carrier, CloseCode::SlowReceiver).await < 1.0 {
                sleep(Duration::from_millis(100)).await;
            }
        }
    };
    tokio::select! {
        () = sending => unreachable!("it sends for ever"),
        closed = timeout(Duration::from_secs(60), closed) => closed.expect("both are closed"),
    }
    scene.is_undisturbed().await;
}

/// Sessions over this carrier that the server has ended for this reason.
async fn ends(server: &Server, carrier: TransportKind, code: CloseCode) -> f64 {
    let metrics = Metrics::of(server).await.expect("metrics");
    let labels = [("transport", carrier.as_str()), ("reason", code.as_str())];
    metrics.sum("videocall_ends_total", &labels)
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_and_a_cut_connection_disturb_nobody() {
    let scene = Scene::set().await;
    let address = scene.server.url.trim_start_matches("http://").to_owned();
    let mut open = Vec::new();
    for _ in 0..50 {
        let mut stream = tokio::net::TcpStream::connect(&address).await.expect("connected");
        stream
            .write_all(b"GET /ws HTTP/1.1\r\nUpgrade: webso")
            .await
            .expect("sent");
        open.push(stream);
    }
    for carrier in CARRIERS {
        let (client, _) = scene.intruder(carrier).await;
        drop(client);
    }
    scene.call.goes_on().await.expect("the call goes on");
    drop(open);
    // A request that is no WebSocket gets an answer, not a relay.
    let mut stream = tokio::net::TcpStream::connect(&address).await.expect("connected");
    let request = format!("GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    scene.is_undisturbed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_could_be_subjects_open_nothing() {
    let server = VideocallServer::start().await.expect("the server starts");
    let long = "x".repeat(65);
    for bad in ["a.b", "a*", "*", "%3E", "a%2Fb", "a%20b", &long, "%C3%A4"] {
        let (status, error) = join_status(&server.url, bad, "mallory").await.expect(bad);
        assert!((400..500).contains(&status), "{bad}: {status}");
        assert!(
            !error.error.is_empty() && !error.message.is_empty(),
            "{bad}: {error:?}"
        );
    }
    for bad in ["", "a b", "a/b", "a*", ">", &long] {
        let (status, error) = join_status(&server.url, "demo", bad).await.expect(bad);
        assert!((400..500).contains(&status), "{bad}: {status}");
        assert!(!error.message.is_empty(), "{bad}: {error:?}");
    }
}
