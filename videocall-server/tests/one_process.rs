//! The one process as a visitor finds it.

use clap::Parser as _;
use tokio_util::sync::CancellationToken;
use videocall_server::{Server, Settings};
use videocall_types::api::{JoinResponse, TransportKind};

async fn start(
    data: &std::path::Path,
) -> (
    String,
    CancellationToken,
    tokio::task::JoinHandle<anyhow::Result<()>>,
) {
    // The HTTP client's TLS has none of its own; another test of the process may have been first.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let shutdown = CancellationToken::new();
    let any = "127.0.0.1:0";
    let data = data.to_str().expect("UTF-8");
    let arguments = [
        "videocall-server",
        "--bind",
        any,
        "--webtransport-bind",
        any,
        "--data-dir",
        data,
    ];
    let settings = Settings::try_parse_from(arguments).expect("valid");
    let server = Server::bind(settings, shutdown.clone())
        .await
        .expect("free ports");
    let address = server.http_address().expect("bound");
    (
        format!("http://{address}"),
        shutdown,
        tokio::spawn(server.serve()),
    )
}

async fn join(base: &str) -> JoinResponse {
    let answer = reqwest::Client::new()
        .post(format!("{base}/api/v1/meetings/demo/join"))
        .json(&serde_json::json!({ "user_id": "alice" }))
        .send()
        .await
        .expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json().await.expect("a join")
}

#[tokio::test]
async fn a_join_names_both_relays_and_a_restart_keeps_secret_and_certificate() {
    let data = tempfile::tempdir().expect("a folder");
    let (base, shutdown, served) = start(data.path()).await;
    let first = join(&base).await;
    let transports: Vec<_> = first.relays.iter().map(|relay| relay.transport).collect();
    assert_eq!(
        transports,
        [TransportKind::WebTransport, TransportKind::WebSocket]
    );
    assert_eq!(first.relays[0].certificate_hashes.len(), 1);
    for page in ["healthz", "readyz", "metrics"] {
        let answer = reqwest::get(format!("{base}/{page}")).await.expect("an answer");
        assert!(answer.status().is_success(), "{page}: {}", answer.status());
    }
    shutdown.cancel();
    served.await.expect("no panic").expect("an orderly end");

    let (base, shutdown, served) = start(data.path()).await;
    let second = join(&base).await;
    assert_eq!(
        first.relays[0].certificate_hashes,
        second.relays[0].certificate_hashes
    );
    shutdown.cancel();
    served.await.expect("no panic").expect("an orderly end");
}
