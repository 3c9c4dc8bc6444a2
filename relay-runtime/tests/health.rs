//! The health pages of a process that has no HTTP server of its own.

mod support;

use support::{soon, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

async fn ask(listener: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(listener).await.expect("it listens");
    let request = format!("{request} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
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
