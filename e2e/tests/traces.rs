//! What a collector of OpenTelemetry learns of how people come into meetings.

use std::collections::BTreeMap;

use e2e::{ActixApi, Cable, Caller, Collector, Nats, RawClient, VideocallServer, WebTransportServer, join};
use opentelemetry_proto::tonic::trace::v1::Span;
use videocall_client::TransportPreference;
use videocall_types::api::TransportKind;

/// What precedes the first media, in this order.
const STEPS: [&str; 5] = [
    "waiting for Hello",
    "verifying the token",
    "joining the meeting",
    "writing Welcome",
    "waiting for media",
];

/// Spans of one trace, by name, with the service that sent each.
type Trace = BTreeMap<String, (String, Span)>;

fn traces(received: &e2e::Received) -> Vec<Trace> {
    let mut traces = BTreeMap::<Vec<u8>, Trace>::new();
    for (service, span) in &received.spans {
        let parent = received
            .spans
            .iter()
            .find(|(_, parent)| parent.span_id == span.parent_span_id);
        let name = match parent {
            Some((_, parent)) if STEPS.contains(&span.name.as_str()) => {
                format!("{}/{}", parent.name, span.name)
            }
            _ => span.name.clone(),
        };
        let trace = traces.entry(span.trace_id.clone()).or_default();
        trace.insert(name, (service.clone(), span.clone()));
    }
    traces.into_values().collect()
}

/// The span of a connection with all its steps, each of which begins when the one before ends.
fn connection<'a>(trace: &'a Trace, name: &str) -> Option<&'a Span> {
    let (_, connection) = trace.get(name)?;
    let mut began = connection.start_time_unix_nano;
    for step in STEPS {
        let (_, span) = trace.get(&format!("{name}/{step}"))?;
        if span.start_time_unix_nano != began || span.end_time_unix_nano < began {
            return None;
        }
        began = span.end_time_unix_nano;
    }
    Some(connection)
}

/// Whether an attribute has this text.
fn says(span: &Span, text: &str) -> bool {
    format!("{:?}", span.attributes).contains(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_and_a_resume_are_traced_without_a_word_about_people() {
    let collector = Collector::start().await.expect("a port");
    let server =
        VideocallServer::start_with(&[("otlp-endpoint", &collector.url), ("max-loop-delay-ms", "0")])
            .await
            .expect("the server starts");
    let cable = Cable::to(server.url.trim_start_matches("http://"))
        .await
        .expect("a port");
    let through = format!("http://{}", cable.address());
    let ann = Caller::start(
        &through,
        "secret-meeting",
        "annabel",
        TransportPreference::WebSocket,
    );
    let bob = Caller::start(
        &server.url,
        "secret-meeting",
        "bobby",
        TransportPreference::WebTransport,
    );
    let (ann, bob) = (ann.expect("allowed names"), bob.expect("allowed names"));
    let (one, two) = (ann.session().await.expect("in"), bob.session().await.expect("in"));
    ann.receives(10, two).await.expect("frames");
    cable.cut();
    ann.until("back", |seen| seen.joins == 2).await.expect("back");
    ann.receives(10, two).await.expect("frames again");

    for name in ["join", "resume"] {
        let complete = |received: &e2e::Received| {
            traces(received).into_iter().find_map(|trace| {
                let (_, request) = trace.get("join request")?;
                let span = connection(&trace, name)?;
                says(span, &one.to_string()).then(|| (request.clone(), span.clone()))
            })
        };
        let (request, span) = collector.until(name, complete).await.expect("complete");
        assert!(request.parent_span_id.is_empty(), "{request:?}");
        assert_eq!(span.parent_span_id, request.span_id, "{span:?}");
        assert!(
            span.start_time_unix_nano > request.start_time_unix_nano,
            "{request:?} {span:?}"
        );
        assert!(says(&span, "websocket"), "{span:?}");
    }
    let bytes = collector.received().bytes.concat();
    let said = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(
        said("videocall-server") && said(&one.to_string()),
        "the search finds texts"
    );
    for secret in ["annabel", "bobby", "secret-meeting", "eyJ", "127.0.0.1"] {
        assert!(!said(secret), "{secret} was sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_from_one_server_to_another_and_a_refusal_says_why() {
    let collector = Collector::start().await.expect("a port");
    let nats = Nats::start().await.expect("NATS starts");
    // However busy this machine is.
    let flags = [
        ("otlp-endpoint", collector.url.as_str()),
        ("max-loop-delay-ms", "0"),
    ];
    let api = ActixApi::start_with(&nats, &flags).await.expect("the API starts");
    let _relay = WebTransportServer::start_with(&nats, &flags)
        .await
        .expect("the relay starts");
    let ticket = async {
        loop {
            let ticket = join(&api.url, "two-servers", "ann").await.expect("a ticket");
            let offered = ticket
                .relays
                .iter()
                .any(|relay| relay.transport == TransportKind::WebTransport);
            if offered {
                return ticket;
            }
        }
    };
    let mut ticket = ticket.await;
    let endpoint = e2e::endpoint(&api.url, &ticket, TransportKind::WebTransport).expect("offered");
    let (_ann, welcome) = RawClient::join(&endpoint, &ticket).await.expect("let in");
    let session = welcome.session.to_string();
    let across = |received: &e2e::Received| {
        traces(received).into_iter().find_map(|trace| {
            let (first, request) = trace.get("join request")?;
            let (second, join) = trace.get("join")?;
            let here = says(join, &session);
            let linked = join.parent_span_id == request.span_id;
            (here && linked).then(|| [first.clone(), second.clone()])
        })
    };
    let services = collector
        .until("the trace of both", across)
        .await
        .expect("complete");
    assert_eq!(services, ["actix-api", "webtransport-server"]);

    ticket.token.push('x');
    let mut stranger = RawClient::connect(&endpoint).await.expect("connected");
    let greeting = videocall_types::ClientMessage::Hello(Box::new(e2e::hello(&ticket)));
    stranger.send(greeting).await.expect("sent");
    let refused = |received: &e2e::Received| {
        let mut spans = received.spans.iter();
        spans.find_map(|(_, span)| {
            let status = span.status.clone()?;
            (span.name == "connection refused").then_some(status.message)
        })
    };
    let reason = collector.until("the refusal", refused).await.expect("traced");
    assert_eq!(reason, "bad_token");
}
