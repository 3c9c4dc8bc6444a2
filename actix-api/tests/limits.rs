//! What one address may ask of the server, directly and through proxies.

use std::time::Duration;

use actix_api::{HttpSettings, JoinSettings};
use relay_runtime::{Networks, RelaySettings};
use reqwest::{Client, Response, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use videocall_types::CloseCode;
use videocall_types::api::ApiError;

use crate::common::guest::{closing, hello};
use crate::common::{Options, TestServer};

/// A server for which this machine is a stranger like any other.
fn suspicious() -> RelaySettings {
    RelaySettings {
        unlimited_networks: Networks::default(),
        max_connections_per_address: 5,
        ..RelaySettings::default()
    }
}

/// A server behind a proxy on this machine.
fn behind_proxy() -> HttpSettings {
    HttpSettings {
        trusted_proxies: Networks::loopback(),
        ..HttpSettings::default()
    }
}

const FORWARDED: &str = "x-forwarded-for";

async fn post(server: &TestServer, path: &str, client: Option<&str>) -> Response {
    let mut request = Client::new()
        .post(server.url(path))
        .json(&json!({"user_id": "alice"}));
    if let Some(client) = client {
        request = request.header(FORWARDED, client);
    }
    request.send().await.expect("answered")
}

/// The answer says what to do, and when to try again.
async fn too_many(answer: Response, word: &str) {
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let after = answer.headers()["retry-after"]
        .to_str()
        .expect("a number")
        .to_owned();
    let seconds: u64 = after.parse().expect("a number");
    assert!((1..=60).contains(&seconds), "{seconds}");
    let error: ApiError = answer.json().await.expect("an error with a message");
    assert_eq!(error.error, word);
    assert!(
        error.message.contains(&format!("try again in {after} s")),
        "{}",
        error.message
    );
}

const JOIN: &str = "/api/v1/meetings/demo/join";
const MAKE: &str = "/api/v1/meetings";

#[tokio::test]
async fn joins_and_meetings_are_limited_per_address() {
    let server = TestServer::start(Options {
        join: JoinSettings {
            joins_per_minute: 3,
            meetings_per_minute: 2,
            ..JoinSettings::default()
        },
        relay: suspicious(),
        ..Options::default()
    })
    .await;
    for _ in 0..3 {
        assert_eq!(post(&server, JOIN, None).await.status(), StatusCode::OK);
    }
    // Nobody has named a proxy, so what a client says of itself changes nothing.
    too_many(post(&server, JOIN, Some("192.0.2.1")).await, "too_many_joins").await;
    for _ in 0..2 {
        assert_eq!(post(&server, MAKE, None).await.status(), StatusCode::CREATED);
    }
    too_many(post(&server, MAKE, None).await, "too_many_meetings").await;
}

#[tokio::test]
async fn clients_behind_a_proxy_are_told_apart() {
    let server = TestServer::start(Options {
        join: JoinSettings {
            joins_per_minute: 1,
            ..JoinSettings::default()
        },
        http: behind_proxy(),
        ..Options::default()
    })
    .await;
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        assert_eq!(post(&server, JOIN, Some(client)).await.status(), StatusCode::OK);
        too_many(post(&server, JOIN, Some(client)).await, "too_many_joins").await;
    }
    // What the client itself has put before the address that the proxy saw does not make it another.
    too_many(
        post(&server, JOIN, Some("198.51.100.1, 192.0.2.1")).await,
        "too_many_joins",
    )
    .await;
    // A network of IPv6 is one client.
    too_many(post(&server, JOIN, Some("2001:db8::2")).await, "too_many_joins").await;
    assert_eq!(
        post(&server, JOIN, Some("2001:db8:0:1::1")).await.status(),
        StatusCode::OK
    );
}

async fn open(server: &TestServer, client: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    let mut request = format!("ws://{}/ws", server.address).into_client_request()?;
    request
        .headers_mut()
        .insert(FORWARDED, client.parse().expect("a header"));
    let stream = TcpStream::connect(server.address).await?;
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    Ok(socket)
}

fn status(refused: &Error) -> Option<StatusCode> {
    match refused {
        Error::Http(answer) => StatusCode::from_u16(answer.status().as_u16()).ok(),
        _ => None,
    }
}

#[tokio::test]
async fn connections_are_limited_before_they_say_anything() {
    let server = TestServer::start(Options {
        relay: suspicious(),
        http: behind_proxy(),
        ..Options::default()
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(open(&server, "192.0.2.1").await.expect("within the limit"));
    }
    let refused = open(&server, "192.0.2.1").await.expect_err("above the limit");
    assert_eq!(status(&refused), Some(StatusCode::TOO_MANY_REQUESTS), "{refused}");
    assert!(open(&server, "192.0.2.2").await.is_ok(), "somebody else");
    // Once it does not come so fast any more, a page is told what is wrong in words.
    let mut told = loop {
        match open(&server, "192.0.2.1").await {
            Ok(socket) => break socket,
            Err(refused) => assert_eq!(status(&refused), Some(StatusCode::TOO_MANY_REQUESTS)),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let ticket: videocall_types::api::JoinResponse = post(&server, JOIN, Some("192.0.2.1"))
        .await
        .json()
        .await
        .expect("a ticket");
    let greeting = tokio_tungstenite::tungstenite::Message::Binary(hello(ticket.token, String::new()));
    futures::SinkExt::send(&mut told, greeting).await.expect("sent");
    let code = CloseCode::TooManyConnections;
    assert_eq!(closing(&mut told).await, (Some(code), code.websocket()));
    drop(held);
    while server.relay.connections().count() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn tcp_connections_are_limited_before_a_byte_is_read() {
    let server = TestServer::start(Options {
        relay: suspicious(),
        ..Options::default()
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..30 {
        silent.push(
            TcpStream::connect(server.address)
                .await
                .expect("the kernel accepts"),
        );
    }
    let mut open = Vec::new();
    for mut stream in silent {
        // Whoever is turned away is so at once; a request of the others would be waited for.
        let end = timeout(Duration::from_millis(300), stream.read(&mut [0; 1])).await;
        if end.is_err() {
            open.push(stream);
        }
    }
    assert_eq!(open.len(), 10, "two for each session of an address");
    let request = format!(
        "GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        server.address
    );
    let mut stream = open.pop().expect("one is open");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
