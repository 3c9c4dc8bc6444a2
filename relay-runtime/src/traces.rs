//! Traces of how people come into meetings, for a collector of OpenTelemetry.
//!
//! The REST interface and the relays that somebody then connects to are separate processes, and what
//! they have in common is the join token. So both take the ids of the trace from a hash of it: a trace
//! begins with the answer to the join and goes on with each connection that was made with it, new or
//! resumed, without a word in the protocol. A hash of a token tells nothing about the token.
//!
//! Nothing here says who somebody is or which meeting it is; the session id finds the lines of the log
//! that do. Media is not traced.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider};
use sha2::{Digest as _, Sha256};
use videocall_types::api::TransportKind;
use videocall_types::{CloseCode, MediaClass, SessionId, Timestamp};

/// Where OTLP over HTTP takes traces, below the address of a collector (OTLP 1.0, "Endpoint URLs").
const TRACES_PATH: &str = "/v1/traces";

/// How long a collector may take for one batch. What it does not take is dropped.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the last batch may keep a server from ending.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Where traces go.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Traces")]
pub struct TraceSettings {
    /// Address of an OpenTelemetry collector that is sent traces of joins (OTLP over HTTP), such as
    /// http://127.0.0.1:4318; without one nothing is traced. OTEL_EXPORTER_OTLP_HEADERS in the environment
    /// holds what the collector wants to see, such as a key
    #[arg(long, env = "VIDEOCALL_OTLP_ENDPOINT", value_name = "URL", value_parser = endpoint)]
    pub otlp_endpoint: Option<String>,

    /// Percentage of joins that are traced
    #[arg(long, env = "VIDEOCALL_OTLP_SAMPLE_PERCENT", value_name = "PERCENT", default_value_t = 100,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub otlp_sample_percent: u8,
}

fn endpoint(text: &str) -> Result<String, String> {
    let known = text.starts_with("http://") || text.starts_with("https://");
    known
        .then(|| text.trim_end_matches('/').to_owned())
        .ok_or_else(|| "write it like http://127.0.0.1:4318".to_owned())
}

/// The sending of traces while a server runs.
#[must_use = "the last traces are sent by Traces::end"]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Begins to send traces, if that is set. Called once; `service` is the name of the program.
    ///
    /// # Errors
    /// When the address cannot be used. A collector that is not there is no error: traces are dropped.
    pub fn start(settings: &TraceSettings, service: &'static str) -> anyhow::Result<Self> {
        let Some(endpoint) = &settings.otlp_endpoint else {
            return Ok(Self(None));
        };
        // For https; it may have been chosen already.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}{TRACES_PATH}"))
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .context("traces cannot be sent; look at --otlp-endpoint")?;
        let resource = Resource::builder_empty()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        // By the id of the trace, so that all servers choose the same ones.
        let sampler = Sampler::TraceIdRatioBased(f64::from(settings.otlp_sample_percent) / 100.0);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_id_generator(GivenIds::default())
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        if TRACER.set(provider.tracer("videocall")).is_err() {
            tracing::warn!("traces are sent already");
        }
        tracing::info!("joins are traced");
        Ok(Self(Some(provider)))
    }

    /// Sends what is left.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        // The exporter waits on a thread.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// The `traceparent` (W3C Trace Context) of whoever has this token; `None` when nothing is traced.
pub fn traceparent(token: &str) -> Option<String> {
    TRACER.get()?;
    let (trace, span) = ids_of(token);
    Some(format!("00-{trace}-{span}-01"))
}

/// Traces the answer of the REST interface to a join: a token, or the word of the error.
pub fn trace_join_request(began: SystemTime, answer: Result<&str, &'static str>) {
    let Some(tracer) = TRACER.get() else { return };
    let builder = SpanBuilder::from_name("join request")
        .with_kind(SpanKind::Server)
        .with_start_time(began);
    match answer {
        Ok(token) => GivenIds::with(ids_of(token), || {
            tracer.build_with_context(builder, &Context::new()).end();
        }),
        Err(word) => {
            let mut span = tracer.build_with_context(builder, &Context::new());
            span.set_status(Status::error(word));
            span.end();
        }
    }
}

/// Trace and first span of a token.
fn ids_of(token: &str) -> (TraceId, SpanId) {
    let mut hash = Sha256::new_with_prefix(b"videocall trace\0");
    hash.update(token);
    let hash = hash.finalize();
    let (mut trace, mut span) = ([0; 16], [0; 8]);
    trace.copy_from_slice(&hash[..16]);
    span.copy_from_slice(&hash[16..24]);
    (TraceId::from_bytes(trace), SpanId::from_bytes(span))
}

thread_local! {
    static GIVEN: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Random ids, or those that are given on this thread.
#[derive(Debug, Default)]
struct GivenIds(RandomIdGenerator);

impl GivenIds {
    fn with(ids: (TraceId, SpanId), build: impl FnOnce()) {
        GIVEN.set(Some(ids));
        build();
        GIVEN.set(None);
    }
}

impl IdGenerator for GivenIds {
    fn new_trace_id(&self) -> TraceId {
        GIVEN
            .get()
            .map_or_else(|| self.0.new_trace_id(), |(trace, _)| trace)
    }

    fn new_span_id(&self) -> SpanId {
        GIVEN.get().map_or_else(|| self.0.new_span_id(), |(_, span)| span)
    }
}

/// One connection's way into its meeting.
#[derive(Debug)]
pub(crate) struct Entry {
    parent: SpanContext,
    transport: TransportKind,
    accepted_at: Timestamp,
    greeted_at: Timestamp,
    /// The time of day then. The relay's clock keeps to what that was when the process began.
    greeted_at_day: SystemTime,
    seated: Option<Seated>,
    /// The span of the connection, once Welcome was written.
    welcomed: Option<(SpanContext, Timestamp)>,
}

/// How a connection came to its seat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seated {
    pub(crate) session: SessionId,
    pub(crate) resumed: bool,
    pub(crate) verified_at: Timestamp,
    pub(crate) joined_at: Timestamp,
}

impl Entry {
    /// A connection whose first message was a Hello with this token; `None` when nothing is traced.
    pub(crate) fn begin(
        token: &str,
        transport: TransportKind,
        accepted_at: Timestamp,
        greeted_at: Timestamp,
    ) -> Option<Self> {
        TRACER.get()?;
        let (trace, span) = ids_of(token);
        Some(Self {
            parent: SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE),
            transport,
            accepted_at,
            greeted_at,
            greeted_at_day: SystemTime::now(),
            seated: None,
            welcomed: None,
        })
    }

    /// It was not let in.
    pub(crate) fn refused(self, code: CloseCode, now: Timestamp) {
        let connection = self.connection("connection refused", now, |span| {
            span.set_status(Status::error(code.as_str()));
        });
        self.step(
            &connection,
            "waiting for Hello",
            self.accepted_at,
            self.greeted_at,
        );
        self.step(&connection, "checking Hello", self.greeted_at, now);
    }

    pub(crate) fn seated(&mut self, seated: Seated) {
        self.seated = Some(seated);
    }

    /// A packet is with the socket. `true` once there is nothing more to trace.
    pub(crate) fn handed_over(&mut self, class: MediaClass, now: Timestamp) -> bool {
        match (&self.welcomed, class) {
            (None, _) => {
                self.welcomed = self.welcome(now).map(|connection| (connection, now));
                self.welcomed.is_none()
            }
            (Some(_), MediaClass::Control) => false,
            (Some((connection, welcomed_at)), _) => {
                self.step(connection, "waiting for media", *welcomed_at, now);
                true
            }
        }
    }

    /// Welcome, which is the first packet of every connection, was written.
    fn welcome(&self, now: Timestamp) -> Option<SpanContext> {
        let seated = self.seated?;
        let name = if seated.resumed { "resume" } else { "join" };
        let connection = self.connection(name, now, |span| {
            span.set_attribute(KeyValue::new("videocall.session", seated.session.to_string()));
        });
        let mut began = self.accepted_at;
        for (name, ended) in [
            ("waiting for Hello", self.greeted_at),
            ("verifying the token", seated.verified_at),
            ("joining the meeting", seated.joined_at),
            ("writing Welcome", now),
        ] {
            self.step(&connection, name, began, ended);
            began = ended;
        }
        Some(connection)
    }

    fn connection(
        &self,
        name: &'static str,
        ended: Timestamp,
        complete: impl FnOnce(&mut opentelemetry_sdk::trace::Span),
    ) -> SpanContext {
        let Some(tracer) = TRACER.get() else {
            return SpanContext::NONE;
        };
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Server)
            .with_start_time(self.time_of_day(self.accepted_at))
            .with_attributes([KeyValue::new("network.transport", self.transport.as_str())]);
        let parent = Context::new().with_remote_span_context(self.parent.clone());
        let mut span = tracer.build_with_context(builder, &parent);
        complete(&mut span);
        span.end_with_timestamp(self.time_of_day(ended));
        span.span_context().clone()
    }

    fn step(&self, connection: &SpanContext, name: &'static str, began: Timestamp, ended: Timestamp) {
        let Some(tracer) = TRACER.get() else { return };
        let builder = SpanBuilder::from_name(name).with_start_time(self.time_of_day(began));
        let parent = Context::new().with_remote_span_context(connection.clone());
        let mut span = tracer.build_with_context(builder, &parent);
        span.end_with_timestamp(self.time_of_day(ended));
    }

    fn time_of_day(&self, time: Timestamp) -> SystemTime {
        let (before, after) = (self.greeted_at.since(time), time.since(self.greeted_at));
        self.greeted_at_day - before + after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_token_and_of_no_other() {
        assert_eq!(ids_of("a token"), ids_of("a token"));
        assert_ne!(ids_of("a token").0, ids_of("another").0);
        let given = GivenIds::default();
        GivenIds::with(ids_of("a token"), || {
            assert_eq!((given.new_trace_id(), given.new_span_id()), ids_of("a token"));
        });
        assert_ne!(given.new_trace_id(), ids_of("a token").0);
    }

    #[test]
    fn an_address_is_taken_without_its_last_slash() {
        assert_eq!(endpoint("http://otel:4318/").as_deref(), Ok("http://otel:4318"));
        assert!(endpoint("otel:4318").is_err());
    }
}
