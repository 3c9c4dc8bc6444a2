//! What the servers export is what docs/metrics.md lists, what the dashboard shows and what the alerts
//! watch. `VIDEOCALL_WRITE_DOCS=1` in front of these tests writes the list anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use e2e::{
    ActixApi, Caller, Family, Metrics, Nats, RawClient, Server, VideocallServer, WebTransportServer,
    check_query, join,
};
use serde::Deserialize;
use videocall_client::TransportPreference;
use videocall_types::api::TransportKind;
use videocall_types::{CallMinute, ClientMessage, ClientReport};
use wtransport::Identity;

/// However busy the machine of the test is, people are let in.
const NEVER_BUSY: [(&str, &str); 1] = [("max-loop-delay-ms", "0")];

/// Longer than a busy machine takes to count something.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client may have to say.
const MINUTE: CallMinute = CallMinute {
    length_ms: 60_000,
    rtt_us: 25_000,
    freezes: 2,
    frozen_ms: 1_500,
    concealed_ms: 60,
    sounds: 2_990,
    sounds_lost: 10,
};

/// Between two readings.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Between this line and the end of the page is the list.
const LIST: &str = "## All metrics\n\n";

/// Values of these labels are left out of the list: they differ from build to build.
const BUILD: &str = "videocall_build_info";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What every kind of server exports before anything has happened.
async fn at_rest() -> BTreeMap<&'static str, Metrics> {
    let nats = Nats::start().await.expect("NATS starts");
    let api = ActixApi::start(&nats).await.expect("the API starts");
    let folder = tempfile::tempdir().expect("a folder");
    let [certificate, key] = certificate_in(folder.path()).await;
    let flags = [("certificate", certificate.as_str()), ("key", key.as_str())];
    let relay = WebTransportServer::start_with(&nats, &flags)
        .await
        .expect("the relay starts");
    let all = VideocallServer::start().await.expect("the server starts");
    let mut found = BTreeMap::new();
    for (name, server) in [
        ("actix-api", &api),
        ("webtransport-server", &relay),
        ("videocall-server", &all),
    ] {
        found.insert(name, Metrics::of(server).await.expect("metrics"));
    }
    found
}

/// A certificate and its key, as an operator has them.
async fn certificate_in(folder: &Path) -> [String; 2] {
    let paths = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
    let [certificate, key] = &paths;
    let identity = Identity::self_signed(["localhost"]).expect("a host name");
    let chain = identity.certificate_chain();
    chain.store_pemfile(certificate).await.expect("written");
    let private = identity.private_key();
    private.store_secret_pemfile(key).await.expect("written");
    paths.map(|path| path.to_str().expect("UTF-8").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_lists_what_the_servers_export() {
    let found = at_rest().await;
    let path = repository().join("docs/metrics.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let (text, _) = page.split_once(LIST).expect("the page has a list");
    let expected = format!("{text}{LIST}{}", list(&found));
    if std::env::var_os("VIDEOCALL_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).expect("the page is writable");
    }
    let page = std::fs::read_to_string(&path).expect("the page is there");
    assert!(
        page == expected,
        "docs/metrics.md is not what the servers export; run this test with VIDEOCALL_WRITE_DOCS=1"
    );
}

fn list(found: &BTreeMap<&str, Metrics>) -> String {
    let names: BTreeSet<&String> = found.values().flat_map(|metrics| metrics.0.keys()).collect();
    let mut list = "| Name | Type | Labels | Meaning | Servers |\n|---|---|---|---|---|\n".to_owned();
    for name in names {
        let families = found
            .iter()
            .filter_map(|(server, metrics)| Some((*server, metrics.0.get(name)?)));
        let families: Vec<(&str, &Family)> = families.collect();
        let servers = match families.len() == found.len() {
            true => "all".to_owned(),
            false => families
                .iter()
                .map(|(server, _)| *server)
                .collect::<Vec<_>>()
                .join(", "),
        };
        let family = families[0].1;
        let _infallible = writeln!(
            list,
            "| `{name}` | {} | {} | {} | {servers} |",
            family.kind,
            labels(name, &families),
            family.help,
        );
    }
    list
}

fn labels(name: &str, families: &[(&str, &Family)]) -> String {
    let mut labels = BTreeMap::<&str, BTreeSet<&str>>::new();
    for sample in families.iter().flat_map(|(_, family)| &family.samples) {
        for (label, value) in sample.labels.iter().filter(|(label, _)| *label != "le") {
            labels.entry(label).or_default().insert(value);
        }
    }
    let text = |(label, values): (&str, BTreeSet<&str>)| match name {
        BUILD => format!("`{label}`"),
        _ => format!("`{label}`: {}", values.into_iter().collect::<Vec<_>>().join(", ")),
    };
    labels.into_iter().map(text).collect::<Vec<_>>().join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_has_a_meaning_and_a_unit() {
    for (server, metrics) in at_rest().await {
        for (name, family) in &metrics.0 {
            assert!(!family.help.is_empty(), "{server}: {name} is not described");
            assert!(!family.samples.is_empty(), "{server}: {name} has no value");
            let ending = match family.kind.as_str() {
                "counter" => name.ends_with("_total"),
                "histogram" => name.ends_with("_seconds") || name.ends_with("_bytes"),
                _ => !name.ends_with("_total"),
            };
            assert!(ending, "{server}: {name} is not how a {} is called", family.kind);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted_and_nothing_appears_that_was_not_there_before() {
    let server = VideocallServer::start_with(&NEVER_BUSY)
        .await
        .expect("the server starts");
    let before = Metrics::of(&server).await.expect("metrics");
    let preferences = [TransportPreference::WebTransport, TransportPreference::WebSocket];
    let [ann, bob] = preferences.map(|preference| {
        Caller::start(&server.url, "counted", &format!("{preference:?}"), preference).expect("allowed names")
    });
    let (one, two) = (ann.session().await.expect("in"), bob.session().await.expect("in"));
    ann.receives(50, two).await.expect("frames");
    bob.receives(50, one).await.expect("frames");
    refuse_one(&server.url).await;

    let after = Metrics::of(&server).await.expect("metrics");
    for transport in ["webtransport", "websocket"] {
        let of = |name: &str, labels: &[(&str, &str)]| {
            let transport = [("transport", transport)];
            after.sum(name, &[&transport[..], labels].concat())
        };
        assert_eq!(of("videocall_sessions", &[]), 1.0);
        assert_eq!(of("videocall_joins_total", &[]), 1.0);
        for class in ["control", "audio", "video_base"] {
            let class = ("class", class);
            let sent = of("videocall_packets_total", &[class, ("direction", "out")]);
            assert!(sent > 0.0 && of("videocall_packets_total", &[class, ("direction", "in")]) > 0.0);
            assert!(
                of("videocall_bytes_total", &[class, ("direction", "out")]) > sent,
                "{class:?}"
            );
            // The call goes on while the page is written, from top to bottom.
            let taken = of("videocall_outbox_delay_seconds_count", &[class]);
            assert!(taken >= sent, "{class:?}: {taken} of {sent}");
            let forwarded = of("videocall_forwarding_delay_seconds_count", &[class]);
            assert!(forwarded > 0.0, "{class:?}");
        }
    }
    assert_eq!(
        after.sum("videocall_join_requests_total", &[("outcome", "ok")]),
        3.0
    );
    assert_eq!(after.sum("videocall_join_request_seconds_count", &[]), 3.0);
    assert_eq!(
        after.sum("videocall_refusals_total", &[("reason", "bad_token")]),
        1.0
    );
    assert!(after.sum("process_resident_memory_bytes", &[]) > 1e6);
    let expiry = after.sum(
        "videocall_certificate_expiry_timestamp_seconds",
        &[("source", "own")],
    );
    let now = UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64();
    // Browsers take one for two weeks at most.
    let days = (expiry - now) / 86_400.0;
    assert!(days > 1.0 && days < 14.0, "{days}");

    let series = |metrics: &Metrics| -> BTreeSet<String> {
        let samples = metrics.0.values().flat_map(|family| family.samples.clone());
        samples
            .map(|sample| format!("{}{:?}", sample.name, sample.labels))
            .collect()
    };
    let (before, after) = (series(&before), series(&after));
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "not there from the start: {new:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_report_is_shown() {
    let server = VideocallServer::start_with(&NEVER_BUSY)
        .await
        .expect("the server starts");
    let ticket = join(&server.url, "reports", "dan").await.expect("a ticket");
    for transport in [TransportKind::WebTransport, TransportKind::WebSocket] {
        let endpoint = e2e::endpoint(&server.url, &ticket, transport).expect("offered");
        let (mut dan, _) = RawClient::join(&endpoint, &ticket).await.expect("let in");
        let report = ClientReport {
            join_ms: 250,
            first_picture_ms: 0,
            minute: Some(MINUTE),
        };
        dan.send(ClientMessage::Report(report)).await.expect("sent");
        let metrics = until(&server, |metrics| {
            let transport = [("transport", transport.as_str())];
            metrics.sum("videocall_client_join_seconds_count", &transport) > 0.0
        });
        let metrics = metrics.await;
        let of = |name, labels: &[(&str, &str)]| {
            metrics.sum(name, &[&[("transport", transport.as_str())], labels].concat())
        };
        assert_eq!(of("videocall_client_join_seconds_sum", &[]), 0.25);
        assert_eq!(of("videocall_client_join_seconds_bucket", &[("le", "0.2")]), 0.0);
        assert_eq!(of("videocall_client_join_seconds_bucket", &[("le", "0.3")]), 1.0);
        // What a client does not know is not a time.
        assert_eq!(of("videocall_client_first_picture_seconds_count", &[]), 0.0);
        for (name, seconds) in [
            ("videocall_client_round_trip_seconds_sum", 0.025),
            ("videocall_client_frozen_seconds_sum", 1.5),
            ("videocall_client_concealed_seconds_sum", 0.06),
        ] {
            assert_eq!(of(name, &[]), seconds, "{name}");
        }
        assert_eq!(of("videocall_client_freezes_total", &[]), 2.0);
        let sounds = |outcome| of("videocall_client_sounds_total", &[("outcome", outcome)]);
        assert_eq!([sounds("received"), sounds("lost")], [2_990.0, 10.0]);
    }
}

/// Reads until something has been counted.
async fn until(server: &Server, condition: impl Fn(&Metrics) -> bool) -> Metrics {
    let counted = async {
        loop {
            let metrics = Metrics::of(server).await.expect("metrics");
            if condition(&metrics) {
                return metrics;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.expect("counted")
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_is_seen_to_come_and_go_and_come_back() {
    let mut nats = Nats::start().await.expect("NATS starts");
    let server = ActixApi::start(&nats).await.expect("the server starts");
    let reachable = |metrics: &Metrics| metrics.sum("videocall_bus_reachable", &[]) == 1.0;
    let reconnects = |metrics: &Metrics| metrics.sum("videocall_bus_reconnects_total", &[]);
    let first = until(&server, |metrics| {
        reachable(metrics) && metrics.sum("videocall_bus_lag_seconds_count", &[]) > 0.0
    });
    let first = first.await;
    assert_eq!(reconnects(&first), 0.0, "the first connection is none made again");
    assert_eq!(first.sum("videocall_bus_configured", &[]), 1.0);
    nats.kill();
    until(&server, |metrics| !reachable(metrics)).await;
    nats.restart().await.expect("NATS starts again");
    let back = until(&server, |metrics| reachable(metrics) && reconnects(metrics) > 0.0).await;
    assert_eq!(reconnects(&back), 1.0);
}

/// Connects with a token that is not good.
async fn refuse_one(url: &str) {
    let mut ticket = join(url, "counted", "eve").await.expect("a ticket");
    let endpoint = e2e::endpoint(url, &ticket, TransportKind::WebSocket).expect("offered");
    ticket.token.push('x');
    let mut eve = RawClient::connect(&endpoint).await.expect("connected");
    let greeting = ClientMessage::Hello(Box::new(e2e::hello(&ticket)));
    eve.send(greeting).await.expect("sent");
    eve.end().await.expect("refused");
}

/// The parts of a Prometheus rule file that queries are in.
#[derive(Debug, Deserialize)]
struct RuleFile {
    groups: Vec<RuleGroup>,
}

#[derive(Debug, Deserialize)]
struct RuleGroup {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// All that the three kinds of servers export together.
async fn exported() -> Metrics {
    let mut all = Metrics::default();
    for metrics in at_rest().await.into_values() {
        for (name, family) in metrics.0 {
            all.0.entry(name).or_default().samples.extend(family.samples);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_watch_what_is_exported() {
    let exported = exported().await;
    let path = repository().join("docker/grafana/prometheus/alerts.yaml");
    let text = std::fs::read_to_string(path).expect("the alerts are there");
    let file: RuleFile = serde_saphyr::from_str(&text).expect("a file of rules");
    let rules: Vec<&Rule> = file.groups.iter().flat_map(|group| &group.rules).collect();
    assert!(!rules.is_empty());
    for rule in rules {
        let asked = check_query(&rule.expr, &exported.names(), &["up"]);
        let asked = asked.unwrap_or_else(|error| panic!("{}: {error}", rule.alert));
        assert!(!asked.selectors.is_empty(), "{} watches nothing", rule.alert);
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("critical" | "warning")), "{}", rule.alert);
        for said in ["summary", "description"] {
            assert!(
                rule.annotations.contains_key(said),
                "{} has no {said}",
                rule.alert
            );
        }
    }
    assert!(file.groups.iter().all(|group| !group.name.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_show_what_is_exported() {
    let exported = exported().await;
    let folder = repository().join("docker/grafana/dashboards");
    let mut panels = 0;
    for file in std::fs::read_dir(folder).expect("the folder is there") {
        let path = file.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        let dashboard = serde_json::from_str(&text).expect("JSON");
        let mut queries = Vec::new();
        queries_in(&dashboard, &mut queries);
        panels += queries.len();
        for query in queries {
            shows(&query, &exported).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
        }
    }
    assert!(panels > 0, "no dashboard shows anything");
}

fn shows(query: &str, exported: &Metrics) -> anyhow::Result<()> {
    // A variable's values are those of a label: label_values(metric, label).
    let values = query
        .strip_prefix("label_values(")
        .and_then(|inner| inner.strip_suffix(')'));
    let Some(values) = values else {
        let asked = check_query(query, &exported.names(), &["up"])?;
        ensure!(!asked.selectors.is_empty(), "{query} shows nothing");
        return Ok(());
    };
    let (metric, label) = values.rsplit_once(',').context("no label")?;
    let names = exported.names();
    let labels = names.get(metric.trim()).context("no such metric")?;
    ensure!(
        matches!(label.trim(), "job" | "instance") || labels.contains_key(label.trim()),
        "{metric} has no label {label}"
    );
    Ok(())
}

/// Every `expr` of a panel and every `query` of a variable.
fn queries_in(value: &serde_json::Value, queries: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            let source = fields.get("type").is_some_and(|kind| kind == "datasource");
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == "expr" || (name == "query" && !source) => {
                        queries.push(text.to_owned());
                    }
                    _ => queries_in(value, queries),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| queries_in(value, queries)),
        _ => {}
    }
}
