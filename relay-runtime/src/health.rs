//! Whether a server lives, whether it takes clients, and what it counts: `/healthz`, `/readyz` and
//! `/metrics`, `POST /admin/drain` and `POST /admin/revoke`, for processes that have no HTTP server of their own.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::admin::{DRAIN_PATH, REVOKE_PATH};
use crate::{Relay, render_metrics};

/// The content type of [`render_metrics`].
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Connections at a time; more wait. Probes and one scraper need a few.
const MAX_CONNECTIONS: usize = 64;

/// A connection that does not say what it wants is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a server takes clients, and what stands behind that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// It takes clients.
    pub ready: bool,
    /// What is known of its parts, by name.
    pub details: BTreeMap<&'static str, String>,
}

impl Relay {
    /// Whether this relay takes clients. One that does not reach the bus does: people on it meet.
    pub fn readiness(&self) -> Readiness {
        let bus = match self.bus() {
            None => "none; this relay is alone".to_owned(),
            Some(bus) if *bus.reachable().borrow() => format!("{}: connected", bus.describe()),
            Some(bus) => format!("{}: not connected; local meetings go on", bus.describe()),
        };
        let draining = self.is_draining();
        let state = if draining { "draining" } else { "taking sessions" };
        Readiness {
            ready: !draining,
            details: BTreeMap::from([
                ("bus", bus),
                ("relay", format!("{}: {state}", self.id())),
                ("sessions", self.session_count().to_string()),
                ("meetings", self.meeting_count().to_string()),
            ]),
        }
    }
}

/// Answers until the relay has drained.
pub async fn serve(listener: TcpListener, relay: Arc<Relay>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = relay.drained() => return,
        };
        let relay = relay.clone();
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(async move {
                    let _slot = slot;
                    converse(stream, &relay).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection for health could not be accepted");
                // Out of file descriptors, most likely: trying at once would only burn time.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, relay: &Relay) {
    let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request, relay))));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection for health broke");
    }
}

fn answer<B>(request: &Request<B>, relay: &Relay) -> Response<Full<Bytes>> {
    if request.method() == Method::POST && [DRAIN_PATH, REVOKE_PATH].contains(&request.uri().path()) {
        return administer(request, relay);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".into());
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "text/plain", "ok\n".into()),
        "/readyz" => {
            let readiness = relay.readiness();
            let status = match readiness.ready {
                true => StatusCode::OK,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            let body = serde_json::to_string(&readiness).unwrap_or_default();
            text(status, "application/json", body)
        }
        "/metrics" => text(StatusCode::OK, METRICS_CONTENT_TYPE, render_metrics()),
        _ => text(
            StatusCode::NOT_FOUND,
            "text/plain",
            "there is /healthz, /readyz, /metrics, POST /admin/drain and POST /admin/revoke\n".into(),
        ),
    }
}

fn administer<B>(request: &Request<B>, relay: &Relay) -> Response<Full<Bytes>> {
    let authorization = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let answer = match request.uri().path() {
        REVOKE_PATH => relay.answer_revoke(authorization, request.uri().query().unwrap_or_default()),
        _ => relay.answer_drain(authorization),
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = text(status, "application/json", answer.body);
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 §11.6.1: says how to authenticate.
        let challenge = hyper::header::HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let value = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}
