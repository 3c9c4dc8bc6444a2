//! Library clients against a real server: both carriers, falling back, and coming back.

use std::time::Duration;

use e2e::{Cable, Caller, VideocallServer};
use videocall_client::{ClientConfig, ConnectionState, TransportPreference};
use videocall_types::CloseCode;
use videocall_types::api::TransportKind;

const PREFERENCES: [TransportPreference; 2] =
    [TransportPreference::WebTransport, TransportPreference::WebSocket];

/// A relay that was killed and started again has everybody back within this.
const BACK: Duration = Duration::from_secs(5);

/// A call is up within this although WebTransport leads nowhere.
const UP: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_meet_over_each_pair_of_carriers() {
    let server = VideocallServer::start().await.expect("the server starts");
    for (number, first) in PREFERENCES.into_iter().enumerate() {
        for second in PREFERENCES {
            let meeting = format!("pair-{number}-{second:?}");
            let call = e2e::Call::start([&server.url, &server.url], &meeting, [first, second]).await;
            call.expect("frames pass").check().expect("none is lost");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_itself_a_client_uses_webtransport() {
    let server = VideocallServer::start().await.expect("the server starts");
    let ann = Caller::start(&server.url, "auto", "ann", TransportPreference::Auto).expect("allowed names");
    ann.session().await.expect("let in");
    let seen = ann
        .until("connected", |seen| {
            seen.status.state == ConnectionState::Connected
        })
        .await
        .expect("connected");
    assert_eq!(seen.status.transport, Some(TransportKind::WebTransport));
    assert_eq!(seen.status.notice, None);
    ann.leave().await.expect("left");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_udp_is_dropped_a_client_is_on_websocket_and_says_so() {
    let hole = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = format!("https://{}/wt", hole.local_addr().expect("an address"));
    let server = VideocallServer::start_with(&[("public-webtransport-url", &address)])
        .await
        .expect("it starts");
    let ann = Caller::start(&server.url, "hole", "ann", TransportPreference::Auto).expect("allowed names");
    let seen = ann
        .until_within(UP, "connected", |seen| {
            seen.status.state == ConnectionState::Connected
        })
        .await
        .expect("connected");
    assert_eq!(seen.status.transport, Some(TransportKind::WebSocket));
    assert!(
        seen.status
            .notice
            .is_some_and(|notice| notice.contains("WebSocket"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_gone_and_one_that_comes_is_seen() {
    let server = VideocallServer::start().await.expect("the server starts");
    let [ann, bob] = ["ann", "bob"].map(|name| {
        Caller::start(&server.url, "door", name, TransportPreference::Auto).expect("allowed names")
    });
    let (one, two) = (ann.session().await.expect("in"), bob.session().await.expect("in"));
    ann.until("bob is there", |seen| seen.roster.contains_key(&two))
        .await
        .expect("seen");
    bob.until("ann is there", |seen| seen.roster.contains_key(&one))
        .await
        .expect("seen");
    bob.leave().await.expect("left");
    ann.until("bob is gone", |seen| seen.roster.is_empty())
        .await
        .expect("seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_goes_on_without_anybody_leaving() {
    let server = VideocallServer::start().await.expect("the server starts");
    let cable = Cable::to(server.url.trim_start_matches("http://"))
        .await
        .expect("a port");
    let through = format!("http://{}", cable.address());
    let ann = Caller::start(&through, "cut", "ann", TransportPreference::WebSocket).expect("allowed names");
    let bob = Caller::start(&server.url, "cut", "bob", TransportPreference::Auto).expect("allowed names");
    let (one, two) = (ann.session().await.expect("in"), bob.session().await.expect("in"));
    ann.receives(10, two).await.expect("frames");
    bob.receives(10, one).await.expect("frames");
    for cut in 1..=3 {
        cable.cut();
        let back = ann
            .until("ann is back", |seen| seen.joins == cut + 1)
            .await
            .expect("back");
        assert!(back.resumed && back.session == Some(one), "{back:?}");
        ann.receives(10, two).await.expect("frames again");
        bob.receives(10, one).await.expect("frames again");
    }
    let seen = bob.seen();
    assert!(seen.left.is_empty() && seen.roster.contains_key(&one), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_relay_was_killed_everybody_is_back() {
    let mut server = VideocallServer::start().await.expect("the server starts");
    let callers = PREFERENCES.map(|preference| {
        let name = format!("{preference:?}");
        Caller::start(&server.url, "again", &name, preference).expect("allowed names")
    });
    let [first, second] = &callers;
    let (one, two) = (
        first.session().await.expect("in"),
        second.session().await.expect("in"),
    );
    first.receives(10, two).await.expect("frames");
    second.receives(10, one).await.expect("frames");
    server.kill();
    server.start().await.expect("it starts again");
    let back = async |caller: &Caller| {
        caller
            .until_within(BACK, "back, and hears the other", |seen| {
                seen.joins == 2 && seen.roster.len() == 1 && {
                    let other = seen.roster.keys().next().copied();
                    other.is_some_and(|other| {
                        seen.status.state == ConnectionState::Connected && seen.frames_of(other) > 0
                    })
                }
            })
            .await
    };
    let (first, second) = tokio::join!(back(first), back(second));
    first.expect("back over WebTransport");
    second.expect("back over WebSocket");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_ends_with_a_sentence() {
    let server = VideocallServer::start().await.expect("the server starts");
    let mut ticket = e2e::join(&server.url, "refused", "ann").await.expect("a ticket");
    ticket.token.push('x');
    let mut config = ClientConfig::new(
        server.url.as_str(),
        "refused".parse().expect("an id"),
        "ann".parse().expect("a name"),
    );
    config.ticket = Some(ticket);
    let ann = Caller::start_with(config);
    let seen = ann
        .until("the end", |seen| seen.closed.is_some())
        .await
        .expect("closed");
    let closing = seen.closed.expect("closed");
    assert_eq!(closing.code, CloseCode::BadToken);
    assert!(!closing.message.is_empty());
}
