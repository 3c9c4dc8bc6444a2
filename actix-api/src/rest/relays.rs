//! The relays of a meeting, for somebody who has a token already: a device that was given one, or a
//! client whose relay is gone.

use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, web};
use relay_runtime::Relay;
use videocall_types::MeetingId;
use videocall_types::api::{ApiError, RelaysResponse};
use videocall_types::token::TokenUse;

use super::meeting_id;
use crate::db::Database;
use crate::error::HttpError;

/// Tells where a token is taken, best relay first.
#[utoipa::path(
    get, path = "/meetings/{id}/relays", tag = "meetings", operation_id = "listRelays",
    params(
        ("id" = MeetingId, Path, description = "The meeting."),
        ("Authorization" = String, Header, description = "`Bearer` and the token of a join."),
    ),
    responses(
        (status = 200, description = "Where to connect.", body = RelaysResponse),
        (status = 400, description = "The id is not valid.", body = ApiError),
        (status = 401, description = "There is no token, it has expired, or it is not ours.", body = ApiError),
        (status = 403, description = "The token is for another meeting.", body = ApiError),
        (status = 404, description = "Nobody has made this meeting.", body = ApiError),
        (status = 503, description = "The server has no database.", body = ApiError),
    )
)]
pub(super) async fn relays(
    http: HttpRequest,
    database: web::Data<Database>,
    relay: web::Data<Relay>,
) -> Result<web::Json<RelaysResponse>, HttpError> {
    let meeting = meeting_id(http.match_info().query("id"))?;
    let claims = relay.tokens().verify(bearer(&http)?, TokenUse::Join)?;
    if claims.meeting != meeting {
        return Err(HttpError::TokenOfAnotherMeeting(meeting));
    }
    if database.find_meeting(&meeting).await?.is_none() {
        return Err(HttpError::UnknownMeeting(meeting));
    }
    Ok(web::Json(RelaysResponse {
        relays: relay.directory().endpoints(&meeting),
    }))
}

/// The token of the request (RFC 6750 §2.1).
fn bearer(http: &HttpRequest) -> Result<&str, HttpError> {
    http.headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::trim)
        .ok_or(HttpError::MissingToken)
}
