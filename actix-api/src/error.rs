//! Every way a request can fail, as an answer that a person can act on.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use relay_runtime::TokenError;
use videocall_types::api::ApiError;
use videocall_types::{CloseCode, IdError, MeetingId};

use crate::db::DatabaseError;

/// Advice for requests that come too early, where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why a request is not answered with what it asks for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// An id in the path.
    #[error("This address has an id that is not valid: {0}.")]
    BadId(#[from] IdError),
    /// A body that is JSON but not what is expected.
    #[error("The request is not valid: {0}.")]
    BadRequest(String),
    /// A body that is not JSON.
    #[error("The body of the request is not JSON: {0}.")]
    NotJson(String),
    /// A body without the right type.
    #[error("Send the body as JSON, with the header `Content-Type: application/json`.")]
    NotDeclaredJson,
    /// A body above the limit.
    #[error("The body of the request is too large; at most {0} bytes are taken.")]
    TooLarge(usize),
    /// Nobody has made this meeting.
    #[error("There is no meeting {0}; make it with POST /api/v1/meetings, or join it to make it.")]
    UnknownMeeting(MeetingId),
    /// The meeting's id is in use.
    #[error("There is already a meeting {0}; choose another id, or leave it out to get a free one.")]
    MeetingTaken(MeetingId),
    /// Nothing has this path.
    #[error("There is nothing at this address; /api/v1/openapi.json describes what there is.")]
    UnknownPath,
    /// The path does not take this method.
    #[error("This address does not take this method; /api/v1/openapi.json describes what it takes.")]
    BadMethod,
    /// An upgrade that RFC 6455 does not allow.
    #[error("This address takes WebSocket connections only: {0}.")]
    Upgrade(String),
    /// A page that has not been allowed.
    #[error("Pages of {0} may not use this server; name it with --allowed-origin to allow it.")]
    ForeignOrigin(String),
    /// A request that takes a token came without one.
    #[error(
        "This address takes a token, in the header `Authorization: Bearer TOKEN`; join the meeting to get one."
    )]
    MissingToken,
    /// A token that is not good here.
    #[error("The token is not accepted: {0}.")]
    Token(#[from] TokenError),
    /// A token that opens another meeting.
    #[error("The token is for another meeting; join {0} to get one for it.")]
    TokenOfAnotherMeeting(MeetingId),
    /// More joins than one address may ask for.
    #[error("Too many people join from this address at once; try again in {} s.", seconds(*.0))]
    TooManyJoins(Duration),
    /// More meetings than one address may make.
    #[error("Too many meetings are made from this address; try again in {} s.", seconds(*.0))]
    TooManyMeetings(Duration),
    /// More connections than one address may have.
    #[error("{}", CloseCode::TooManyConnections)]
    TooManyConnections,
    /// More connections than the relay takes.
    #[error("{}", CloseCode::RelayFull)]
    RelayFull,
    /// The server stops.
    #[error("The server is restarting; try again in some seconds.")]
    Draining,
    /// The database does not answer.
    #[error("The server cannot reach its database; try again in a moment.")]
    Database(#[from] DatabaseError),
    /// Our fault.
    #[error("The server had a fault; try again.")]
    Internal(&'static str),
}

impl HttpError {
    /// The stable word for programs.
    pub(crate) fn word(&self) -> &'static str {
        self.kind().1
    }

    /// When to try again.
    fn retry_after(&self) -> Duration {
        match self {
            Self::TooManyJoins(time) | Self::TooManyMeetings(time) => *time,
            _ => RETRY_AFTER,
        }
    }

    /// The status and the stable word for programs.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadId(_) => (StatusCode::BAD_REQUEST, "bad_id"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::NotJson(_) => (StatusCode::BAD_REQUEST, "not_json"),
            Self::NotDeclaredJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::UnknownMeeting(_) => (StatusCode::NOT_FOUND, "unknown_meeting"),
            Self::MeetingTaken(_) => (StatusCode::CONFLICT, "meeting_taken"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "unknown_path"),
            Self::BadMethod => (StatusCode::METHOD_NOT_ALLOWED, "bad_method"),
            Self::Upgrade(_) => (StatusCode::UPGRADE_REQUIRED, "websocket_only"),
            Self::ForeignOrigin(_) => (StatusCode::FORBIDDEN, "foreign_origin"),
            Self::MissingToken => (StatusCode::UNAUTHORIZED, "missing_token"),
            Self::Token(TokenError::Expired) => (StatusCode::UNAUTHORIZED, "token_expired"),
            Self::Token(_) => (StatusCode::UNAUTHORIZED, "bad_token"),
            Self::TokenOfAnotherMeeting(_) => (StatusCode::FORBIDDEN, "wrong_meeting"),
            Self::TooManyJoins(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_joins"),
            Self::TooManyMeetings(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_meetings"),
            Self::TooManyConnections => (StatusCode::TOO_MANY_REQUESTS, "too_many_connections"),
            Self::RelayFull => (StatusCode::SERVICE_UNAVAILABLE, "relay_full"),
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            Self::Database(_) => (StatusCode::SERVICE_UNAVAILABLE, "database"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

/// Whole seconds, no fewer.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl ResponseError for HttpError {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, word) = self.kind();
        match self {
            Self::Database(error) => {
                tracing::error!(error = %error.report(), "a request failed at the database")
            }
            Self::Internal(what) => tracing::error!(what, "a request failed"),
            _ => {}
        }
        let mut response = HttpResponse::build(status).json(ApiError {
            error: word.to_owned(),
            message: self.to_string(),
        });
        let headers = response.headers_mut();
        match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(
                    header::RETRY_AFTER,
                    HeaderValue::from(seconds(self.retry_after())),
                );
            }
            // RFC 9110 §11.6.1: says how to authenticate.
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            }
            _ => {}
        }
        response
    }
}
