//! What an orchestrator, Prometheus and an operator ask: is the process alive, should it get new people,
//! what does it count; and that it should stop.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use relay_runtime::admin::{AdminAnswer, DRAIN_PATH, REVOKE_PATH};
use relay_runtime::health::METRICS_CONTENT_TYPE;
use relay_runtime::{Relay, render_metrics};

use crate::db::Database;

/// How long the database may take to answer before this server counts as not ready: less than an
/// orchestrator waits for the answer.
const DATABASE_TIMEOUT: Duration = Duration::from_millis(800);

/// The paths.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/healthz", web::get().to(alive))
        .route("/readyz", web::get().to(ready))
        .route("/metrics", web::get().to(figures))
        .route(DRAIN_PATH, web::post().to(drain))
        .route(REVOKE_PATH, web::post().to(revoke));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

async fn figures() -> HttpResponse {
    HttpResponse::Ok()
        .content_type(METRICS_CONTENT_TYPE)
        .body(render_metrics())
}

async fn ready(relay: web::Data<Relay>, database: web::Data<Database>) -> HttpResponse {
    let mut readiness = relay.readiness();
    let answered = tokio::time::timeout(DATABASE_TIMEOUT, database.ping()).await;
    let state = match &answered {
        Ok(Ok(())) => "answers".to_owned(),
        Ok(Err(error)) => error.report(),
        Err(_) => format!("does not answer within {DATABASE_TIMEOUT:?}"),
    };
    readiness.ready &= matches!(answered, Ok(Ok(())));
    readiness.details.insert("database", state);
    let mut response = match readiness.ready {
        true => HttpResponse::Ok(),
        false => HttpResponse::ServiceUnavailable(),
    };
    response.json(readiness)
}

async fn drain(request: HttpRequest, relay: web::Data<Relay>) -> HttpResponse {
    administered(relay.answer_drain(authorization(&request)))
}

async fn revoke(request: HttpRequest, relay: web::Data<Relay>) -> HttpResponse {
    administered(relay.answer_revoke(authorization(&request), request.query_string()))
}

fn authorization(request: &HttpRequest) -> Option<&str> {
    request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
}

fn administered(answer: AdminAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status)
        .content_type("application/json")
        .body(answer.body);
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110 §11.6.1: says how to authenticate.
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
