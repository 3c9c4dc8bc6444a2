//! What an orchestrator and Prometheus ask: is the process alive, should it get new people, what does
//! it count.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use relay_runtime::health::METRICS_CONTENT_TYPE;
use relay_runtime::{Relay, render_metrics};

use crate::db::Database;

/// How long the database may take to answer before this server counts as not ready: less than an
/// orchestrator waits for the answer.
const DATABASE_TIMEOUT: Duration = Duration::from_millis(800);

/// The three paths.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/healthz", web::get().to(alive))
        .route("/readyz", web::get().to(ready))
        .route("/metrics", web::get().to(figures));
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
