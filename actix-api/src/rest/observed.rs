//! Joins as metrics and traces see them. How one is answered is left to [`super::join`].

use std::time::{Instant, SystemTime};

use actix_web::{HttpRequest, HttpResponse, web};
use relay_runtime::{Relay, announce_join_requests, record_join_request, trace_join_request, traceparent};
use videocall_types::api::JoinRequest;

use super::join::{self, Joining};
use crate::db::Database;
use crate::error::HttpError;

/// The outcomes that an operator looks for, shown before they happen.
const OUTCOMES: [&str; 8] = [
    "ok",
    "bad_id",
    "bad_request",
    "too_many_joins",
    "busy",
    "draining",
    "database",
    "internal",
];

/// Where a client that traces itself finds its trace (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

/// Makes the metrics of joins known.
pub(crate) fn announce_outcomes() {
    announce_join_requests(OUTCOMES);
}

/// Answers as [`join::join`] does and takes note of it.
pub(super) async fn join(
    http: HttpRequest,
    database: web::Data<Database>,
    relay: web::Data<Relay>,
    joining: web::Data<Joining>,
    request: web::Json<JoinRequest>,
) -> Result<HttpResponse, HttpError> {
    let (began_at, began) = (SystemTime::now(), Instant::now());
    let answer = join::join(http, database, relay, joining, request).await;
    let outcome = answer.as_ref().map_or_else(HttpError::word, |_| "ok");
    record_join_request(outcome, began.elapsed());
    let token = answer.as_ref().map(|answer| answer.token.as_str());
    trace_join_request(began_at, token.map_err(HttpError::word));
    let answer = answer?.into_inner();
    let mut response = HttpResponse::Ok();
    if let Some(traceparent) = traceparent(&answer.token) {
        response.insert_header((TRACEPARENT, traceparent));
    }
    Ok(response.json(answer))
}
