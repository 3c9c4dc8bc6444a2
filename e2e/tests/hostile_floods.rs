//! Clients that want to hurt: while each of them does its worst on a relay, a call on it goes on without
//! a gap that anybody would notice, and the members of the very meeting that they are in hear one another.
//!
//! A machine that runs servers, attackers and calls at once stalls by itself sometimes. So the same kind
//! of call runs on a second server, which nobody attacks: while that one is in trouble as well, nothing is
//! held against the relay. Each attack goes on until it was looked at for long enough beside an untroubled
//! machine; where that never comes, the test fails, because it has shown nothing.

#![expect(
    clippy::print_stdout,
    reason = "what the calls have been without is worth reading"
)]

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use e2e::{Call, Crowd, Gap, RawClient, Server, VideocallServer, endpoint, join};
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

/// A gap of the call that nobody attacks from which on the machine does not keep up, and for how long before and
/// after it what happens to others may be the machine's doing too.
const TROUBLE: Duration = Duration::from_millis(100);
const AROUND_TROUBLE: Duration = Duration::from_millis(500);

/// Trouble so long before an attack may still be felt in it: calls that were without a frame for seconds take a while
/// to find their pace.
const HINDSIGHT: Duration = Duration::from_secs(10);

/// How much of an attack has to be seen without such trouble.
const SEEN: Duration = Duration::from_secs(2);

/// How long that may take before the machine counts as too busy to show anything.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long each attack lasts; long enough for a rate limit's burst and what comes after it.
const ATTACK: Duration = Duration::from_secs(4);

/// Between two attempts of an attacker whom the relay does not let in.
const REFUSED: Duration = Duration::from_millis(20);

/// Attackers at a time.
const ATTACKERS: usize = 4;

/// What each of those who flood datagrams sends, bits per second: the uplink of a good household, two and a half times
/// what the relay allows. Without a bound the test would measure who gets this machine's processor.
const UPLINK_BPS: u64 = 50_000_000;

/// Datagrams that such an attacker hands to QUIC in one go at most.
const AT_ONCE: u128 = 500;

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

    /// Attacks on a thread of the attackers' own and looks at the calls; again until enough was seen.
    async fn outlives<T: Send + 'static>(
        &self,
        name: &str,
        attack: impl Fn() -> LocalBoxFuture<'static, T> + Clone + Send + 'static,
    ) -> T {
        let (began, mut judged) = (Instant::now(), Duration::ZERO);
        loop {
            let (outcome, seen) = self.attacked_with(attack.clone()).await;
            println!("{name}: {seen}");
            assert!(seen.harm().is_zero(), "{name}: {seen}");
            assert!(seen.lost == 0 || !seen.troubles().is_empty(), "{name}: {seen}");
            judged += seen.judged();
            if judged >= SEEN {
                self.goes_on().await;
                return outcome;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{name}: the machine is too busy to show anything; {judged:.1?} were seen"
            );
        }
    }

    async fn attacked_with<T: Send + 'static>(
        &self,
        attack: impl FnOnce() -> LocalBoxFuture<'static, T> + Send + 'static,
    ) -> (T, Seen) {
        let (began, lost_before) = (Instant::now(), self.bystanders.missed_voices());
        let attackers = tokio::task::spawn_blocking(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(attack())
        });
        let outcome = attackers.await.expect("the attackers have done what they could");
        let seen = Seen {
            began,
            ended: Instant::now(),
            bystanders: self.bystanders.gaps(began),
            members: self.members.silences(began),
            unattacked: self.control.gaps(began.checked_sub(HINDSIGHT).unwrap_or(began)),
            lost: self.bystanders.missed_voices().saturating_sub(lost_before),
        };
        (outcome, seen)
    }

    async fn goes_on(&self) {
        self.bystanders
            .check_connections()
            .expect("bystanders are left alone");
        self.bystanders.goes_on().await.expect("the call goes on");
    }
}

/// What the calls have been without during an attack.
struct Seen {
    began: Instant,
    ended: Instant,
    /// Bystanders, of each other's frames.
    bystanders: Vec<Gap>,
    /// Members of the attackers' meeting, of each other's voices.
    members: Vec<Gap>,
    /// The call where nobody attacks, of frames.
    unattacked: Vec<Gap>,
    /// Voices that never came to bystanders.
    lost: u64,
}

impl Seen {
    /// When the machine did not keep up, with some time before and after, in order.
    fn troubles(&self) -> Vec<(Instant, Instant)> {
        let long = self.unattacked.iter().filter(|gap| gap.length >= TROUBLE);
        let around = long.map(|gap| {
            let began = gap.ended_at - gap.length - AROUND_TROUBLE;
            (began, gap.ended_at + AROUND_TROUBLE)
        });
        let mut troubles: Vec<_> = around.collect();
        troubles.sort();
        troubles
    }

    /// The longest gap that is too long and was not the machine's doing.
    fn harm(&self) -> Duration {
        let troubles = self.troubles();
        let excused = |gap: &&Gap| {
            let began = gap.ended_at - gap.length;
            troubles
                .iter()
                .any(|(from, to)| began < *to && *from < gap.ended_at)
        };
        let all = self.bystanders.iter().chain(&self.members);
        let harmful = all.filter(|gap| gap.length >= LARGEST_GAP && !excused(gap));
        harmful.map(|gap| gap.length).max().unwrap_or_default()
    }

    /// For how long the machine kept up.
    fn judged(&self) -> Duration {
        let (mut judged, mut seen_until) = (Duration::ZERO, self.began);
        for (from, to) in self.troubles() {
            judged += from.min(self.ended).saturating_duration_since(seen_until);
            seen_until = seen_until.max(to);
        }
        judged + self.ended.saturating_duration_since(seen_until)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = |gaps: &[Gap]| {
            let now = gaps.iter().filter(|gap| gap.ended_at > self.began);
            now.map(|gap| gap.length).max().unwrap_or_default()
        };
        write!(
            f,
            "bystanders {:.0?} without a frame, {} voices lost, members {:.0?} without a voice, {:.0?} where nobody \
             attacks; {:.1?} of {:.1?} judged",
            longest(&self.bystanders),
            self.lost,
            longest(&self.members),
            longest(&self.unattacked),
            self.judged(),
            self.ended - self.began,
        )
    }
}

#[test]
fn only_trouble_of_the_machine_excuses_a_gap() {
    let began = Instant::now();
    let at = |ms| began + Duration::from_millis(ms);
    let gap = |from, to| Gap {
        ended_at: at(to),
        length: Duration::from_millis(to - from),
    };
    let seen = |bystanders: &[Gap], unattacked: &[Gap]| Seen {
        began,
        ended: at(10_000),
        bystanders: bystanders.to_vec(),
        members: Vec::new(),
        unattacked: unattacked.to_vec(),
        lost: 0,
    };
    let calm = seen(&[gap(4000, 4150)], &[gap(5000, 5090)]);
    assert_eq!(
        (calm.harm(), calm.judged()),
        (Duration::ZERO, Duration::from_secs(10))
    );
    let hurt = seen(&[gap(4000, 4300)], &[gap(5000, 5200)]);
    assert_eq!(hurt.harm(), Duration::from_millis(300));
    let starved = seen(
        &[gap(4000, 4300)],
        &[gap(4700, 4900), gap(4800, 5000), gap(9900, 10_000)],
    );
    assert_eq!(starved.harm(), Duration::ZERO);
    // From 4.2 to 5.5 s and from 9.4 s on the machine is in trouble.
    assert_eq!(starved.judged(), Duration::from_millis(4200 + 3900));
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
        sequence,
        capture_time_us: sequence * 20_000,
        ..FrameHeader::first(session, track, kind)
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
async fn flood_with_voices(target: Target) {
    let worst = async |client: &mut RawClient, own| {
        let mut sequence = 0;
        while !client.is_closing() {
            client.send_audio(frame(own, MICROPHONE, sequence, 900)).await?;
            sequence += 1;
        }
        Ok(())
    };
    target.again_and_again(worst).await;
}

/// Voices in datagrams as large as they may be, whatever becomes of the network, as many as [`UPLINK_BPS`] carries.
async fn flood_with_datagrams(target: Target) {
    flood_uplink(target, 1000).await;
}

/// The same with as many datagrams as the attackers' own processor manages.
async fn flood_with_small_datagrams(target: Target) {
    flood_uplink(target, 1).await;
}

async fn flood_uplink(target: Target, payload: usize) {
    let worst = async |client: &mut RawClient, own| {
        let bits = 8 * frame(own, MICROPHONE, 0, payload).len() as u128;
        let (began, mut sequence) = (Instant::now(), 0);
        while !client.is_closing() {
            let due = u128::from(UPLINK_BPS) * began.elapsed().as_micros() / 1_000_000 / bits;
            for _ in 0..due.saturating_sub(sequence.into()).min(AT_ONCE) {
                client
                    .send_audio(frame(own, MICROPHONE, sequence, payload))
                    .await?;
                sequence += 1;
            }
            // What is handed over and not sent yet is replaced by what follows; let it leave.
            sleep(Duration::from_millis(1)).await;
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
    arena
        .survives("voices", &[TransportKind::WebSocket], flood_with_voices)
        .await;
    arena
        .survives("streams", &[TransportKind::WebTransport], flood_with_streams)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_datagrams_leaves_no_gap() {
    let arena = Arena::set().await;
    let carrier = [TransportKind::WebTransport];
    arena.survives("datagrams", &carrier, flood_with_datagrams).await;
    arena
        .survives("small datagrams", &carrier, flood_with_small_datagrams)
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
        // The same crowd comes again until enough was seen; then it may find that it has been too often.
        let largest = Arc::new(AtomicUsize::new(0));
        let come = largest.clone();
        let gather = move || {
            let (relay, come) = (relay.clone(), come.clone());
            async move {
                let crowd = Crowd::gather(&relay, STRANGERS, ATTEMPTS).await;
                come.fetch_max(crowd.as_ref().map_or(0, Crowd::size), Ordering::Relaxed);
                crowd
            }
            .boxed_local()
        };
        let crowd = arena.outlives(&format!("a crowd over {carrier}"), gather).await;
        let crowd = crowd.expect("a crowd");
        assert_eq!(crowd.size() + crowd.refused(), ATTEMPTS);
        let largest = largest.load(Ordering::Relaxed);
        assert!((1..=2 * PER_ADDRESS).contains(&largest), "{largest} were let in");
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
