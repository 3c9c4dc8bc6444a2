//! A collector of traces, as OpenTelemetry's protocol has it (OTLP 1.0 over HTTP with protobuf).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Servers send what they have every five seconds.
const PATIENCE: Duration = Duration::from_secs(40);

/// Between two looks at what came.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Takes traces for as long as it lives.
#[derive(Debug)]
pub struct Collector {
    /// Where it listens.
    pub url: String,
    received: Arc<Mutex<Received>>,
    task: JoinHandle<()>,
}

/// What has come.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Every span and the service that sent it.
    pub spans: Vec<(String, Span)>,
    /// Every body.
    pub bytes: Vec<Bytes>,
}

impl Collector {
    /// Starts it.
    ///
    /// # Errors
    /// When the machine has no port left.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let received = Arc::<Mutex<Received>>::default();
        let task = tokio::spawn(accept(listener, received.clone()));
        Ok(Self { url, received, task })
    }

    /// What has come so far.
    pub fn received(&self) -> Received {
        self.received.lock().clone()
    }

    /// Waits for something in what has come.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn until<T>(&self, what: &str, find: impl Fn(&Received) -> Option<T>) -> anyhow::Result<T> {
        let found = async {
            loop {
                let found = find(&self.received.lock());
                if let Some(found) = found {
                    return found;
                }
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => Ok(found),
            Err(_) => bail!("{what}: not in {:?}", names(&self.received.lock())),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn names(received: &Received) -> Vec<String> {
    let spans = received.spans.iter();
    spans
        .map(|(service, span)| format!("{service}: {}", span.name))
        .collect()
}

async fn accept(listener: TcpListener, received: Arc<Mutex<Received>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let received = received.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| take(request, received.clone()));
            let connection = hyper::server::conn::http1::Builder::new();
            // The server under test may be killed.
            let _ended = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(
    request: Request<Incoming>,
    received: Arc<Mutex<Received>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let right = request.uri().path() == "/v1/traces"
        && request
            .headers()
            .get(hyper::header::CONTENT_TYPE)
            .is_some_and(|kind| kind == "application/x-protobuf");
    let body = request
        .into_body()
        .collect()
        .await
        .ok()
        .map(|body| body.to_bytes());
    let spans = body
        .as_ref()
        .and_then(|body| ExportTraceServiceRequest::decode(&body[..]).ok());
    let (Some(body), Some(export), true) = (body, spans, right) else {
        let mut refusal = Response::new(Full::default());
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    };
    let mut received = received.lock();
    received.bytes.push(body);
    for part in export.resource_spans {
        let service = service_name(part.resource.as_ref());
        let spans = part.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.spans.extend(spans.map(|span| (service.clone(), span)));
    }
    Ok(Response::new(Full::default()))
}

fn service_name(resource: Option<&opentelemetry_proto::tonic::resource::v1::Resource>) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let attributes = resource.into_iter().flat_map(|resource| &resource.attributes);
    attributes
        .filter(|attribute| attribute.key == "service.name")
        .find_map(|attribute| match attribute.value.as_ref()?.value.as_ref()? {
            Value::StringValue(name) => Some(name.clone()),
            _ => None,
        })
        .unwrap_or_default()
}
