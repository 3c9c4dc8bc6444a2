//! Joining a meeting: a token, and the relays that take it.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use relay_runtime::{Limit, Relay};
use videocall_types::MeetingId;
use videocall_types::api::{ApiError, JoinRequest, JoinResponse};
use videocall_types::limits::MAX_TEXT_LENGTH;

use super::meeting_id;
use super::meetings::now_ms;
use super::rate::{AddressRate, Clients};
use crate::config::JoinSettings;
use crate::db::Database;
use crate::error::HttpError;

/// Opens a meeting to somebody: answers with a token and with the relays that take it, best first. A
/// meeting that does not exist is made.
#[utoipa::path(
    post, path = "/meetings/{id}/join", tag = "meetings", operation_id = "joinMeeting",
    params(("id" = MeetingId, Path, description = "The meeting.")),
    request_body = JoinRequest,
    responses(
        (status = 200, description = "How to enter.", body = JoinResponse),
        (status = 400, description = "An id or a name is not valid, or the body is not JSON.", body = ApiError),
        (status = 413, description = "The body is too large.", body = ApiError),
        (status = 429, description = "Too many joins from one address.", body = ApiError),
        (status = 503, description = "The server is restarting or has no database.", body = ApiError),
    )
)]
pub(super) async fn join(
    http: HttpRequest,
    database: web::Data<Database>,
    relay: web::Data<Relay>,
    joining: web::Data<Joining>,
    request: web::Json<JoinRequest>,
) -> Result<web::Json<JoinResponse>, HttpError> {
    let meeting = meeting_id(http.match_info().query("id"))?;
    let request = request.into_inner();
    let name = display_name(&request)?;
    joining.rate.take(&http).map_err(|too_often| {
        relay.note_exceeded(Limit::JoinsPerAddress);
        HttpError::TooManyJoins(too_often.retry_after)
    })?;
    if relay.is_draining() {
        return Err(HttpError::Draining);
    }
    if database.find_meeting(&meeting).await?.is_none() {
        database
            .create_meeting(&meeting, Some(&request.user_id), now_ms())
            .await?;
    }
    let relays = relay.directory().endpoints(&meeting);
    let (token, expires_at) =
        relay
            .tokens()
            .sign_join(request.user_id, name, meeting, joining.token_lifetime);
    Ok(web::Json(JoinResponse {
        token,
        expires_at_ms: i64::try_from(expires_at.saturating_mul(1000)).unwrap_or(i64::MAX),
        relays,
    }))
}

/// The name that others see: what was asked for, or the user name.
fn display_name(request: &JoinRequest) -> Result<String, HttpError> {
    let name = request.display_name.as_deref().unwrap_or_default().trim();
    if name.is_empty() {
        return Ok(request.user_id.to_string());
    }
    if name.chars().count() > MAX_TEXT_LENGTH || name.chars().any(char::is_control) {
        let rule =
            format!("a display name has at most {MAX_TEXT_LENGTH} characters and no control characters");
        return Err(HttpError::BadRequest(rule));
    }
    Ok(name.to_owned())
}

/// The rules of joining.
pub(crate) struct Joining {
    token_lifetime: Duration,
    rate: AddressRate,
}

impl Joining {
    pub(crate) fn new(settings: &JoinSettings, clients: Clients) -> Self {
        Self {
            token_lifetime: settings.token_lifetime(),
            rate: AddressRate::new(settings.joins_per_minute, clients),
        }
    }
}
