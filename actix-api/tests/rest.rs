//! The REST interface on both databases.

use actix_api::HttpSettings;
use relay_runtime::TokenService;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use videocall_types::api::{ApiError, JoinResponse, Meeting, RelayEndpoint, RelaysResponse, TransportKind};
use videocall_types::token::{Claims, TokenUse};

use crate::common::postgres::Postgres;
use crate::common::{Options, SECRET, TestServer};

#[tokio::test]
async fn meetings_on_sqlite() {
    let server = TestServer::start(Options::default()).await;
    meetings(&server).await;
    joins(&server).await;
    relays_for_tokens(&server).await;
}

#[tokio::test]
async fn meetings_on_postgresql() {
    let cluster = tokio::task::spawn_blocking(Postgres::start)
        .await
        .expect("started");
    let server = TestServer::start(Options {
        database: Some(cluster.url()),
        ..Options::default()
    })
    .await;
    meetings(&server).await;
    joins(&server).await;
    relays_for_tokens(&server).await;
    // A second start finds the tables as they are, and the meeting that was made.
    let server = TestServer::start(Options {
        database: Some(cluster.url()),
        ..Options::default()
    })
    .await;
    let found = Client::new()
        .get(server.url("/api/v1/meetings/demo"))
        .send()
        .await
        .expect("answered");
    assert_eq!(found.status(), StatusCode::OK);
}

async fn meetings(server: &TestServer) {
    let client = Client::new();
    let meetings = server.url("/api/v1/meetings");
    let demo = format!("{meetings}/demo");

    refused(
        client.get(&demo),
        StatusCode::NOT_FOUND,
        "unknown_meeting",
        "demo",
    )
    .await;
    let made = client
        .post(&meetings)
        .json(&json!({"id": "demo"}))
        .send()
        .await
        .expect("answered");
    assert_eq!(made.status(), StatusCode::CREATED);
    assert_eq!(made.headers()["location"], "/api/v1/meetings/demo");
    assert_eq!(made.headers()["cache-control"], "no-store");
    assert_eq!(made.headers()["cross-origin-resource-policy"], "same-origin");
    let made: Meeting = made.json().await.expect("a meeting");
    assert_eq!(made.id.as_str(), "demo");
    let found: Meeting = client
        .get(&demo)
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("a meeting");
    assert_eq!(found, made);
    refused(
        client.post(&meetings).json(&json!({"id": "demo"})),
        StatusCode::CONFLICT,
        "meeting_taken",
        "choose another id",
    )
    .await;

    let random: Meeting = client
        .post(&meetings)
        .json(&json!({}))
        .send()
        .await
        .expect("answered")
        .json()
        .await
        .expect("a meeting");
    assert_eq!(random.id.as_str().len(), 14, "{random:?}");
}

async fn joins(server: &TestServer) {
    let client = Client::new();
    let joined = join(&client, server, "demo", &json!({"user_id": "alice"})).await;
    assert_eq!(joined.relays.len(), 1);
    let claims = tokens()
        .verify(&joined.token, TokenUse::Join)
        .expect("our own token");
    assert_eq!(
        (claims.sub.as_str(), claims.name.as_str(), claims.meeting.as_str()),
        ("alice", "alice", "demo")
    );
    assert_eq!(
        i64::try_from(claims.exp).expect("small") * 1000,
        joined.expires_at_ms
    );

    // A guest's link makes the meeting.
    let body = json!({"user_id": "bob.b", "display_name": " Bob Ä. "});
    let joined = join(&client, server, "new-one", &body).await;
    let claims = tokens()
        .verify(&joined.token, TokenUse::Join)
        .expect("our own token");
    assert_eq!((claims.sub.as_str(), claims.name.as_str()), ("bob.b", "Bob Ä."));
    let found = client
        .get(server.url("/api/v1/meetings/new-one"))
        .send()
        .await
        .expect("answered");
    assert_eq!(found.status(), StatusCode::OK);
}

#[tokio::test]
async fn bad_ids_are_told_what_is_allowed() {
    let server = TestServer::start(Options::default()).await;
    let client = Client::new();
    let long = "x".repeat(65);
    for bad in [
        "a.b",
        "a*",
        "%3E",
        "a%2Fb",
        "a%20b",
        "%2E%2E%2E",
        "%C3%A4",
        long.as_str(),
    ] {
        let get = client.get(server.url(&format!("/api/v1/meetings/{bad}")));
        refused(get, StatusCode::BAD_REQUEST, "bad_id", "a meeting id must").await;
        let join = client.post(server.url(&format!("/api/v1/meetings/{bad}/join")));
        let join = join.json(&json!({"user_id": "alice"}));
        refused(join, StatusCode::BAD_REQUEST, "bad_id", "a meeting id must").await;
        let create = client
            .post(server.url("/api/v1/meetings"))
            .json(&json!({"id": "a*b"}));
        refused(
            create,
            StatusCode::BAD_REQUEST,
            "bad_request",
            "letters, digits, _ and -",
        )
        .await;
    }
}

/// Only a token of ours that is good now and for this meeting tells the relays.
async fn relays_for_tokens(server: &TestServer) {
    let client = Client::new();
    let joined = join(&client, server, "demo", &json!({"user_id": "alice"})).await;
    let ask = |meeting: &str, token: &str| {
        let url = server.url(&format!("/api/v1/meetings/{meeting}/relays"));
        client.get(url).bearer_auth(token)
    };
    let answer = ask("demo", &joined.token).send().await.expect("answered");
    let known: RelaysResponse = answer.json().await.expect("relays");
    assert_eq!(known.relays, joined.relays);

    let sign = |secret: &str, meeting: &str, exp: u64, token_use: TokenUse| {
        TokenService::new(&secret.parse().expect("long enough")).sign(&Claims {
            sub: "alice".parse().expect("a name"),
            name: "alice".into(),
            meeting: meeting.parse().expect("an id"),
            token_use,
            session: None,
            exp,
            iat: 0,
            jti: String::new(),
        })
    };
    const LATER: u64 = 4_000_000_000;
    let foreign = sign(
        "a secret of somebody else entirely",
        "demo",
        LATER,
        TokenUse::Join,
    );
    let expired = sign(SECRET, "demo", 1_000_000_000, TokenUse::Join);
    let resume = sign(SECRET, "demo", LATER, TokenUse::Resume);
    let elsewhere = sign(SECRET, "nowhere", LATER, TokenUse::Join);
    let unauthorized = StatusCode::UNAUTHORIZED;
    refused(ask("demo", &foreign), unauthorized, "bad_token", "not valid here").await;
    refused(
        ask("demo", &expired),
        unauthorized,
        "token_expired",
        "has expired",
    )
    .await;
    refused(ask("demo", &resume), unauthorized, "bad_token", "not valid here").await;
    refused(
        ask("demo", &elsewhere),
        StatusCode::FORBIDDEN,
        "wrong_meeting",
        "join demo",
    )
    .await;
    refused(
        ask("nowhere", &elsewhere),
        StatusCode::NOT_FOUND,
        "unknown_meeting",
        "nowhere",
    )
    .await;
    refused(
        ask("a.b", &joined.token),
        StatusCode::BAD_REQUEST,
        "bad_id",
        "letters",
    )
    .await;
    let without = client.get(server.url("/api/v1/meetings/demo/relays"));
    refused(without, unauthorized, "missing_token", "Authorization").await;
}

#[tokio::test]
async fn bad_bodies_and_addresses_are_told_what_is_wrong() {
    let server = TestServer::start(Options::default()).await;
    let client = Client::new();
    let join = || client.post(server.url("/api/v1/meetings/demo/join"));
    let bad = StatusCode::BAD_REQUEST;
    refused(
        join().json(&json!({"user_id": "a b"})),
        bad,
        "bad_request",
        "letters, digits, _ - and .",
    )
    .await;
    refused(join().json(&json!({})), bad, "bad_request", "user_id").await;
    let name = json!({"user_id": "a", "display_name": "x".repeat(129)});
    refused(join().json(&name), bad, "bad_request", "128 characters").await;
    let name = json!({"user_id": "a", "display_name": "a\nb"});
    refused(join().json(&name), bad, "bad_request", "control characters").await;
    let json_type = ("content-type", "application/json");
    refused(
        join().header(json_type.0, json_type.1).body("{"),
        bad,
        "not_json",
        "not JSON",
    )
    .await;
    refused(
        join().body("user_id=a"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "application/json",
    )
    .await;
    let huge = json!({"user_id": "a", "display_name": "x".repeat(20_000)});
    refused(
        join().json(&huge),
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        "16384 bytes",
    )
    .await;
    let unknown = client.get(server.url("/api/v1/nothing"));
    refused(unknown, StatusCode::NOT_FOUND, "unknown_path", "openapi.json").await;
    let unknown = client.get(server.url("/api/v2/meetings"));
    refused(unknown, StatusCode::NOT_FOUND, "unknown_path", "openapi.json").await;
    let method = client.delete(server.url("/api/v1/meetings/demo"));
    refused(method, StatusCode::METHOD_NOT_ALLOWED, "bad_method", "method").await;
}

#[tokio::test]
async fn relays_are_listed_best_first() {
    let server = TestServer::start(Options::default()).await;
    let webtransport = RelayEndpoint {
        transport: TransportKind::WebTransport,
        url: "https://127.0.0.1:4433/wt".into(),
        certificate_hashes: vec!["ab".repeat(32)],
    };
    server.relay.directory().register(webtransport.clone());
    let joined = join(&Client::new(), &server, "demo", &json!({"user_id": "alice"})).await;
    assert_eq!(joined.relays[0], webtransport);
    assert_eq!(joined.relays[1].transport, TransportKind::WebSocket);
    assert_eq!(joined.relays[1].url, "/ws");
    assert_eq!(joined.relays.len(), 2);
}

#[tokio::test]
async fn the_state_of_the_server_can_be_asked() {
    let server = TestServer::start(Options::default()).await;
    let client = Client::new();
    join(&client, &server, "demo", &json!({"user_id": "alice"})).await;
    let ready = client.get(server.url("/readyz")).send().await.expect("answered");
    assert_eq!(ready.status(), StatusCode::OK);
    let ready: Value = ready.json().await.expect("JSON");
    assert_eq!(ready["details"]["database"], "answers", "{ready}");
    let metrics = client
        .get(server.url("/metrics"))
        .send()
        .await
        .expect("answered")
        .text()
        .await
        .expect("text");
    assert!(metrics.contains("videocall_sessions"), "{metrics}");
    assert_eq!(
        client
            .get(server.url("/healthz"))
            .send()
            .await
            .expect("answered")
            .status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn other_pages_are_let_in_by_name_only() {
    let http = HttpSettings {
        allowed_origin: vec!["http://localhost:8081".into()],
        ..HttpSettings::default()
    };
    let server = TestServer::start(Options {
        http,
        ..Options::default()
    })
    .await;
    let client = Client::new();
    let preflight = |origin: &'static str| {
        client
            .request(reqwest::Method::OPTIONS, server.url("/api/v1/meetings/demo/join"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .send()
    };
    let allowed = preflight("http://localhost:8081").await.expect("answered");
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(
        allowed.headers()["access-control-allow-origin"],
        "http://localhost:8081"
    );
    let refused = preflight("http://evil.example").await.expect("answered");
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn the_interface_describes_itself() {
    let server = TestServer::start(Options::default()).await;
    let answer = reqwest::get(server.url("/api/v1/openapi.json"))
        .await
        .expect("answered");
    let document: Value = answer.json().await.expect("JSON");
    for path in ["/meetings", "/meetings/{id}", "/meetings/{id}/join"] {
        assert!(document["paths"].get(path).is_some(), "{path} is missing");
    }
    let schemas = &document["components"]["schemas"];
    for schema in [
        "Meeting",
        "MeetingId",
        "JoinRequest",
        "JoinResponse",
        "RelayEndpoint",
        "ApiError",
    ] {
        assert!(schemas.get(schema).is_some(), "{schema} is missing");
    }
    assert_eq!(schemas["MeetingId"]["maxLength"], 64);
}

fn tokens() -> TokenService {
    TokenService::new(&SECRET.parse().expect("long enough"))
}

pub(crate) async fn join(client: &Client, server: &TestServer, meeting: &str, body: &Value) -> JoinResponse {
    let request = client
        .post(server.url(&format!("/api/v1/meetings/{meeting}/join")))
        .json(body);
    let answer = request.send().await.expect("answered");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.expect("a join answer")
}

async fn refused(request: RequestBuilder, status: StatusCode, word: &str, says: &str) {
    let answer = request.send().await.expect("answered");
    let (got, url) = (answer.status(), answer.url().clone());
    let error: ApiError = answer.json().await.expect("an error with a message");
    assert_eq!(
        (got, error.error.as_str()),
        (status, word),
        "{url}: {}",
        error.message
    );
    assert!(error.message.contains(says), "{url}: {}", error.message);
}
