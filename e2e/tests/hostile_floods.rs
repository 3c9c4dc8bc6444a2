//! Clients that want to hurt: while each of them does its worst on a relay, a call on it goes on without
//! a gap that anybody would notice, and the members of the very meeting that they are in hear one another.
//!
//! A machine that runs servers, attackers and calls at once stalls by itself sometimes. So the same kind
//! of call runs on a second server, which nobody attacks, and what it has suffered is not held against
//! the relay.

#![expect(
    clippy::print_stdout,
    reason = "what the calls have been without is worth reading"
)]

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use e2e::{Call, Crowd, RawClient, Server, VideocallServer, endpoint, join};
use futures::future::{FutureExt as _, LocalBoxFuture, join_all};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, timeout};
use videocall_client::TransportPreference;
use videocall_types::api::{JoinResponse, RelayEndpoint, TransportKind};
use videocall_types::limits::MAX_SUBSCRIPTIONS;
use videocall_types::{
    ClientMessage, CloseCode, Frame, FrameHeader, Interest, SessionId, Subscription, TrackId, TrackKind,
    TrackRef,
};

const CARRIERS: [TransportKind; 2] = [TransportKind::WebSocket, TransportKind::WebTransport];

/// The meeting that the attackers are in.
const MEETING: &str = "attacked";

/// Another one on the same relay.
const OTHER_MEETING: &str = "bystanders";

/// The longest that a bystander may be without a frame.
const LARGEST_GAP: Duration = Duration::from_millis(200);

/// Attacks on one relay until the machine has kept up during one. When it never does, all that can be said
/// is that the call goes on.
const MOST_ATTEMPTS: usize = 4;

/// How long each attack lasts; long enough for a rate limit's burst and what comes after it.
const ATTACK: Duration = Duration::from_secs(4);

/// Between two attempts of an attacker whom the relay does not let in.
const REFUSED: Duration = Duration::from_millis(20);

/// Attackers at a time.
const ATTACKERS: usize = 4;

/// Where a crowd comes from that is to be taken for strangers.
const STRANGERS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 66));

/// Connections of one address on the relay that is attacked.
const PER_ADDRESS: usize = 200;

/// Two calls on a server that is attacked, one of them in the very meeting, and one on a server that is
/// not.
struct Arena {
    attacked: Server,
    members: Call,
    bystanders: Call,
    _spared: Server,
    control: Call,
}

impl Arena {
    async fn set() -> Self {
        // Here, this machine is a stranger like any other. A relay that is late because others use the
        // machine as well must not take that for overload and refuse those who are to come in.
        let limit = PER_ADDRESS.to_string();
        let suspicious = [
            ("unlimited-networks", "none"),
            ("max-connections-per-address", &limit),
            ("max-loop-delay-ms", "0"),
        ];
        let attacked = VideocallServer::start_with(&suspicious).await.expect("a server");
        let spared = VideocallServer::start().await.expect("a server");
        Self {
            members: call(&attacked, MEETING).await,
            bystanders: call(&attacked, OTHER_MEETING).await,
            control: call(&spared, OTHER_MEETING).await,
            attacked,
            _spared: spared,
        }
    }

    fn target(&self, transport: TransportKind) -> Target {
        Target {
            url: self.attacked.url.clone(),
            transport,
            victim: self.members.session(),
        }
    }

    /// Attacks over each of these carriers and looks at the calls.
    async fn survives<F>(&self, name: &str, carriers: &[TransportKind], attack: fn(Target) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        for carrier in carriers {
            let targets: Vec<_> = (0..ATTACKERS).map(|_| self.target(*carrier)).collect();
            let attack = move || {
                let targets = targets.clone();
                join_all(targets.into_iter().map(attack)).map(drop).boxed_local()
            };
            self.outlives(&format!("{name} over {carrier}"), attack).await;
        }
    }

    /// Attacks on a thread of the attackers' own and looks at the calls; again while the machine is too
    /// busy to tell what the attack has done.
    async fn outlives<T: Send + 'static>(
        &self,
        name: &str,
        attack: impl Fn() -> LocalBoxFuture<'static, T> + Clone + Send + 'static,
    ) -> T {
        let mut attempt = 1;
        loop {
            let (outcome, seen) = self.attacked_with(attack.clone()).await;
            println!("{name}: {seen}");
            if seen.machine_keeps_up() {
                assert!(seen.is_harmless(), "{name}: {seen}");
            } else if attempt < MOST_ATTEMPTS {
                attempt += 1;
                continue;
            }
            self.goes_on().await;
            return outcome;
        }
    }

    async fn attacked_with<T: Send + 'static>(
        &self,
        attack: impl FnOnce() -> LocalBoxFuture<'static, T> + Send + 'static,
    ) -> (T, Seen) {
        let began = Instant::now();
        let attackers = tokio::task::spawn_blocking(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(attack())
        });
        let outcome = attackers.await.expect("the attackers have done what they could");
        let seen = Seen {
            gap: self.bystanders.longest_gap(began),
            silence: self.members.longest_silence(began),
            unattacked: self.control.longest_gap(began),
        };
        (outcome, seen)
    }

    async fn goes_on(&self) {
        self.bystanders.check_voices().expect("bystanders lose no voice");
        self.bystanders.goes_on().await.expect("the call goes on");
    }
}

/// What the calls have been without, at the longest.
struct Seen {
    /// Bystanders, of each other's frames.
    gap: Duration,
    /// Members of the attackers' meeting, of each other's voices.
    silence: Duration,
    /// The call where nobody attacks, of frames.
    unattacked: Duration,
}

impl Seen {
    /// What happens to the others is then the attackers' doing.
    fn machine_keeps_up(&self) -> bool {
        self.unattacked < LARGEST_GAP / 2
    }

    fn is_harmless(&self) -> bool {
        self.gap < LARGEST_GAP && self.silence < LARGEST_GAP
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            gap,
            silence,
            unattacked,
        } = self;
        write!(
            f,
            "bystanders {gap:.0?} without a frame, members {silence:.0?} without a voice, {unattacked:.0?} \
             where nobody attacks"
        )
    }
}

async fn call(server: &Server, meeting: &str) -> Call {
    let url = server.url.as_str();
    let carriers = [TransportPreference::WebSocket, TransportPreference::WebTransport];
    Call::start([url, url], meeting, carriers)
        .await
        .expect("the call works")
}

/// What an attacker knows.
#[derive(Clone)]
struct Target {
    url: String,
    transport: TransportKind,
    victim: SessionId,
}

impl Target {
    async fn way_in(&self) -> (RelayEndpoint, JoinResponse) {
        let ticket = join(&self.url, MEETING, "mallory").await.expect("a ticket");
        let endpoint = endpoint(&self.url, &ticket, self.transport).expect("an endpoint");
        (endpoint, ticket)
    }

    /// Comes in again and again as long as the attack lasts, and does this while it is in.
    async fn again_and_again(&self, worst: impl AsyncFn(&mut RawClient, SessionId) -> anyhow::Result<()>) {
        let _time_is_up = timeout(ATTACK, async {
            let (endpoint, ticket) = self.way_in().await;
            loop {
                let Ok((mut client, welcome)) = RawClient::join(&endpoint, &ticket).await else {
                    sleep(REFUSED).await;
                    continue;
                };
                // It ends with the connection.
                let _closed = worst(&mut client, welcome.session).await;
            }
        })
        .await;
    }
}

const CAMERA: TrackId = TrackId(2);
const MICROPHONE: TrackId = TrackId(1);

fn frame(session: SessionId, track: TrackId, sequence: u64, bytes: usize) -> Bytes {
    let kind = if track == CAMERA {
        TrackKind::Camera
    } else {
        TrackKind::Microphone
    };
    let header = FrameHeader {
        session,
        track,
        kind,
        spatial: 0,
        temporal: 0,
        sequence,
        capture_time_us: sequence * 20_000,
        keyframe: true,
        reference_distance: 0,
        duration_us: 0,
        audio_level: None,
    };
    Frame {
        header,
        decoder: None,
        redundancy: Vec::new(),
        payload: vec![1; bytes].into(),
    }
    .encode()
}

/// Pictures as fast as the connection takes them.
async fn flood_with_pictures(target: Target) {
    let worst = async |client: &mut RawClient, own| {
        client.publish_camera(CAMERA).await?;
        let mut sequence = 0;
        while !client.is_closing() {
            client.send_video(frame(own, CAMERA, sequence, 30_000)).await?;
            sequence += 1;
        }
        Ok(())
    };
    target.again_and_again(worst).await;
}

/// Streams as fast as the relay allows them, each with the beginning of a frame.
async fn flood_with_streams(target: Target) {
    let worst = async |client: &mut RawClient, _| {
        while !client.is_closing() {
            let opened = timeout(Duration::from_millis(200), client.write_half_a_frame()).await;
            if let Ok(opened) = opened {
                opened?;
            }
        }
        Ok(())
    };
    target.again_and_again(worst).await;
}

/// Voices as fast as the connection takes them.
async fn flood_with_datagrams(target: Target) {
    let worst = async |client: &mut RawClient, own| {
        client.publish_camera(CAMERA).await?;
        let mut sequence = 0;
        while !client.is_closing() {
            client.send_audio(frame(own, MICROPHONE, sequence, 900)).await?;
            sequence += 1;
            // What is handed over and not sent yet is replaced by what follows; let it leave.
            tokio::task::yield_now().await;
        }
        Ok(())
    };
    target.again_and_again(worst).await;
}

/// The longest lists of what is wanted, each another: at first all at once and then as fast as allowed.
async fn flood_with_subscriptions(target: Target) {
    let victim = target.victim;
    let worst = async |client: &mut RawClient, _| {
        let mut round = 0;
        while !client.is_closing() {
            client.send(subscribe(victim, round)).await?;
            round += 1;
            if round > 100 {
                sleep(Duration::from_millis(21)).await;
            }
        }
        Ok(())
    };
    target.again_and_again(worst).await;
}

/// The victim's tracks, which come and go, among very many that do not exist.
fn subscribe(victim: SessionId, round: usize) -> ClientMessage {
    let wish = |session, number: usize| Subscription {
        track: TrackRef {
            session,
            track: TrackId(number as u32),
        },
        width: 320 + round as u32 % 7,
        height: 180,
        priority: number as u32,
    };
    let stranger = SessionId::new(round as u64 + 1).expect("not zero");
    let mut tracks: Vec<_> = (0..MAX_SUBSCRIPTIONS - 2)
        .map(|number| wish(stranger, number))
        .collect();
    if round.is_multiple_of(2) {
        tracks.extend([MICROPHONE, CAMERA].map(|track| wish(victim, track.0 as usize)));
    }
    ClientMessage::Subscribe(Interest::Chosen {
        speakers: true,
        tracks,
    })
}

/// Keyframes of the victim's camera: at first all at once and then as fast as allowed.
async fn flood_with_keyframe_requests(target: Target) {
    let track = TrackRef {
        session: target.victim,
        track: CAMERA,
    };
    let worst = async |client: &mut RawClient, _| {
        let mut asked = 0;
        while !client.is_closing() {
            client
                .send(ClientMessage::RequestKeyframe { track, spatial: 0 })
                .await?;
            asked += 1;
            if asked > 100 {
                sleep(Duration::from_millis(21)).await;
            }
        }
        Ok(())
    };
    target.again_and_again(worst).await;
}

/// Messages that mean nothing, above what is allowed.
async fn flood_with_messages(target: Target) {
    let ping = ClientMessage::Ping {
        sent_at_us: 1,
        rtt_us: 0,
    }
    .encode();
    let worst = async |client: &mut RawClient, _| {
        while !client.is_closing() {
            client.send_control(ping.clone()).await?;
        }
        Ok(())
    };
    target.again_and_again(worst).await;
}

/// Connections that say nothing, a few hundred at a time.
async fn greet_slowly(target: Target) {
    let _time_is_up = timeout(ATTACK, async {
        let (endpoint, _) = target.way_in().await;
        let mut silent = Vec::new();
        loop {
            let opened = join_all((0..10).map(|_| RawClient::connect(&endpoint))).await;
            silent.extend(opened.into_iter().flatten());
            for client in &mut silent {
                // A WebSocket message is whole; there its first byte is enough.
                let _closed = client.write_half_a_packet().await;
            }
            silent.truncate(50);
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

/// Tries until the relay takes one more from this address: those of the last attack take a moment to go.
async fn let_in<T, F>(attempt: impl Fn() -> F) -> T
where
    F: Future<Output = anyhow::Result<T>>,
{
    loop {
        match attempt().await {
            Ok(client) => return client,
            Err(_) => sleep(REFUSED).await,
        }
    }
}

/// Members that never read.
async fn never_read(target: Target) {
    let _time_is_up = timeout(ATTACK, async {
        let (endpoint, ticket) = target.way_in().await;
        let sleepers = (0..5).map(|_| let_in(|| RawClient::join_and_sleep(&endpoint, &ticket)));
        let sleepers = join_all(sleepers).await;
        sleep(ATTACK).await;
        drop(sleepers);
    })
    .await;
}

/// Members that have begun a frame on every channel they may open.
async fn write_halves(target: Target) {
    let _time_is_up = timeout(ATTACK, async {
        let (endpoint, ticket) = target.way_in().await;
        let mut clients = Vec::new();
        for _ in 0..5 {
            let (mut client, _) = let_in(|| RawClient::join(&endpoint, &ticket)).await;
            for _ in 0..20 {
                let _blocked = timeout(Duration::from_millis(20), client.write_half_a_frame()).await;
            }
            clients.push(client);
        }
        sleep(ATTACK).await;
        drop(clients);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn media_floods_leave_no_gap() {
    let arena = Arena::set().await;
    arena.survives("pictures", &CARRIERS, flood_with_pictures).await;
    arena.survives("voices", &CARRIERS, flood_with_datagrams).await;
    arena
        .survives("streams", &[TransportKind::WebTransport], flood_with_streams)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_floods_leave_no_gap() {
    let arena = Arena::set().await;
    arena
        .survives("subscriptions", &CARRIERS, flood_with_subscriptions)
        .await;
    arena
        .survives("keyframe requests", &CARRIERS, flood_with_keyframe_requests)
        .await;
    arena.survives("messages", &CARRIERS, flood_with_messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_too_little_leave_no_gap() {
    let arena = Arena::set().await;
    arena.survives("slow greetings", &CARRIERS, greet_slowly).await;
    arena.survives("sleepers", &CARRIERS, never_read).await;
    arena.survives("half frames", &CARRIERS, write_halves).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_from_one_address_leave_no_gap_and_keep_nobody_out() {
    const ATTEMPTS: usize = 10_000;
    let arena = Arena::set().await;
    for carrier in CARRIERS {
        let (endpoint, ticket) = arena.target(carrier).way_in().await;
        let relay = endpoint.clone();
        let gather = move || {
            let relay = relay.clone();
            async move { Crowd::gather(&relay, STRANGERS, ATTEMPTS).await }.boxed_local()
        };
        let crowd = arena.outlives(&format!("a crowd over {carrier}"), gather).await;
        let crowd = crowd.expect("a crowd");
        assert_eq!(crowd.size() + crowd.refused(), ATTEMPTS);
        assert!(crowd.size() <= 2 * PER_ADDRESS, "{} were let in", crowd.size());
        // Everybody else is welcome as ever, with the crowd at the door.
        let began = Instant::now();
        let (client, _) = RawClient::join(&endpoint, &ticket).await.expect("let in");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        drop((client, crowd));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_lets_nobody_in() {
    let arena = Arena::set().await;
    for carrier in CARRIERS {
        let target = arena.target(carrier);
        let (endpoint, ticket) = target.way_in().await;
        let (mut client, welcome) = RawClient::join(&endpoint, &ticket).await.expect("let in");
        arena
            .attacked
            .revoke(MEETING, Some("mallory"))
            .await
            .expect("revoked");
        let end = client.end().await.expect("closed");
        assert_eq!(end.code, Some(CloseCode::Removed), "{end:?}");
        let replay = move || {
            let (endpoint, ticket, welcome) = (endpoint.clone(), ticket.clone(), welcome.clone());
            async move {
                let mut refusals = Vec::new();
                let began = Instant::now();
                while began.elapsed() < ATTACK {
                    let mut hello = e2e::hello(&ticket);
                    hello.resume_token = welcome.resume_token.clone();
                    let Ok(mut client) = RawClient::connect(&endpoint).await else {
                        sleep(REFUSED).await;
                        continue;
                    };
                    client
                        .send(ClientMessage::Hello(Box::new(hello)))
                        .await
                        .expect("sent");
                    refusals.push(client.end().await.expect("closed").code);
                }
                refusals
            }
            .boxed_local()
        };
        let refusals = arena.outlives(&format!("a replay over {carrier}"), replay).await;
        assert!(
            !refusals.is_empty() && refusals.iter().all(|code| *code == Some(CloseCode::BadToken)),
            "{refusals:?}"
        );
        // Who is given a new ticket is welcome: seconds are what tokens count in.
        let again = async {
            loop {
                let (endpoint, ticket) = target.way_in().await;
                if RawClient::join(&endpoint, &ticket).await.is_ok() {
                    return;
                }
                sleep(REFUSED).await;
            }
        };
        timeout(Duration::from_secs(30), again)
            .await
            .expect("let in with a new ticket");
    }
}
