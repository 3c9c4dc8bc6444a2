//! The health pages of a process that has no HTTP server of its own.

mod support;

use relay_runtime::RelaySettings;
use relay_runtime::admin::AdminSettings;
use support::{TestRelay, soon, start, start_with};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

async fn ask(listener: &str, request: &str) -> String {
    ask_with(listener, request, "").await
}

async fn ask_with(listener: &str, request: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(listener).await.expect("it listens");
    let request = format!("{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn health_readiness_and_figures_are_served() {
    let relay = start("healthy", None);
    let (_alice, _) = relay.member("alice").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let served = tokio::spawn(relay_runtime::health::serve(listener, relay.relay.clone()));

    assert!(ask(&address, "GET /healthz").await.starts_with("HTTP/1.1 200"));
    let ready = ask(&address, "GET /readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    assert!(ready.contains("\"sessions\":\"1\""), "{ready}");
    let figures = ask(&address, "GET /metrics").await;
    assert!(
        figures.contains("videocall_sessions{transport=\"websocket\"} 1"),
        "{figures}"
    );
    assert!(figures.contains("videocall_build_info{version="), "{figures}");
    assert!(ask(&address, "GET /other").await.starts_with("HTTP/1.1 404"));
    assert!(ask(&address, "POST /healthz").await.starts_with("HTTP/1.1 405"));

    relay.shutdown.cancel();
    soon("draining to be seen", async {
        while !ask(&address, "GET /readyz").await.starts_with("HTTP/1.1 503") {}
    })
    .await;
    soon("the end", served).await.expect("no panic");
}

const ADMIN_TOKEN: &str = "an admin token for tests that is long enough";

async fn drain(listener: &str, authorization: &str) -> String {
    let header = match authorization {
        "" => String::new(),
        value => format!("authorization: {value}\r\n"),
    };
    ask_with(listener, "POST /admin/drain", &header).await
}

#[tokio::test]
async fn only_whoever_has_the_admin_token_drains_a_relay() {
    let serve = async |relay: &TestRelay| {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        tokio::spawn(relay_runtime::health::serve(listener, relay.relay.clone()));
        address
    };
    let without = start("without", None);
    let address = serve(&without).await;
    let refused = drain(&address, &format!("Bearer {ADMIN_TOKEN}")).await;
    assert!(
        refused.starts_with("HTTP/1.1 404") && refused.contains("--admin-token"),
        "{refused}"
    );

    let settings = RelaySettings {
        admin: AdminSettings {
            admin_token: Some(ADMIN_TOKEN.parse().expect("long enough")),
        },
        ..RelaySettings::default()
    };
    let with = start_with("with", None, settings);
    let address = serve(&with).await;
    let refused = drain(&address, "").await;
    assert!(
        refused.starts_with("HTTP/1.1 401") && refused.contains("www-authenticate"),
        "{refused}"
    );
    for wrong in [
        "Bearer ",
        "Bearer wrong",
        &format!("Basic {ADMIN_TOKEN}"),
        &format!("Bearer {ADMIN_TOKEN}x"),
    ] {
        let refused = drain(&address, wrong).await;
        assert!(refused.starts_with("HTTP/1.1 40"), "{refused}");
        assert!(!refused.contains(ADMIN_TOKEN), "{refused}");
    }
    assert!(!with.relay.is_draining() && !without.relay.is_draining());
    let done = drain(&address, &format!("Bearer {ADMIN_TOKEN}")).await;
    assert!(
        done.starts_with("HTTP/1.1 202") && done.contains("ends_within_ms"),
        "{done}"
    );
    soon("the end", with.relay.drained()).await;
}
