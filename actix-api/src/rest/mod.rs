//! The REST interface under `/api/v1`, and its description in OpenAPI.

mod join;
mod meetings;
mod observed;
mod rate;
mod relays;

use actix_web::error::{JsonPayloadError, PathError};
use actix_web::{HttpResponse, web};
use utoipa::OpenApi;
use videocall_types::{IdError, MeetingId};

use crate::error::HttpError;
pub(crate) use join::Joining;
pub(crate) use meetings::Making;
pub(crate) use observed::announce_outcomes;
pub(crate) use rate::Clients;

/// What every path starts with.
pub(crate) const PREFIX: &str = "/api/v1";

/// Bytes of a request's body: names and ids, with room to spare.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The description that `/api/v1/openapi.json` gives.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "videocall",
        description = "Meetings and how to join them. Media does not pass here: a join answers with relays.",
        license(name = "MIT")
    ),
    servers((url = "/api/v1")),
    paths(meetings::create, meetings::get, join::join, relays::relays)
)]
struct Description;

/// All paths below [`PREFIX`]; to be mounted there.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    let description = Description::openapi()
        .to_json()
        .expect("a description made of constants");
    let description = web::Data::new(OpenApiDocument(description));
    config
        .app_data(description)
        .app_data(
            web::JsonConfig::default()
                .limit(MAX_BODY_BYTES)
                .error_handler(|error, _| bad_body(error).into()),
        )
        .app_data(web::PathConfig::default().error_handler(|error, _| bad_path(&error).into()))
        .service(resource("/openapi.json").route(web::get().to(openapi)))
        .service(resource("/meetings").route(web::post().to(meetings::create)))
        .service(resource("/meetings/{id}").route(web::get().to(meetings::get)))
        .service(resource("/meetings/{id}/join").route(web::post().to(observed::join)))
        .service(resource("/meetings/{id}/relays").route(web::get().to(relays::relays)))
        .default_service(web::to(unknown_path));
}

fn resource(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(bad_method))
}

struct OpenApiDocument(String);

async fn openapi(document: web::Data<OpenApiDocument>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document.0.clone())
}

/// Answers what nothing else answers.
pub(crate) async fn unknown_path() -> Result<HttpResponse, HttpError> {
    Err(HttpError::UnknownPath)
}

/// Answers methods that a path does not take.
pub(crate) async fn bad_method() -> Result<HttpResponse, HttpError> {
    Err(HttpError::BadMethod)
}

/// The meeting in the path. Parsed here and not by the router, so that the message can say what is
/// wrong with it.
fn meeting_id(path: &str) -> Result<MeetingId, IdError> {
    path.parse()
}

fn bad_body(error: JsonPayloadError) -> HttpError {
    match error {
        JsonPayloadError::ContentType => HttpError::NotDeclaredJson,
        JsonPayloadError::Overflow { limit } | JsonPayloadError::OverflowKnownLength { limit, .. } => {
            HttpError::TooLarge(limit)
        }
        JsonPayloadError::Deserialize(error) if error.is_data() => HttpError::BadRequest(error.to_string()),
        JsonPayloadError::Deserialize(error) => HttpError::NotJson(error.to_string()),
        other => HttpError::BadRequest(other.to_string()),
    }
}

fn bad_path(error: &PathError) -> HttpError {
    HttpError::BadRequest(error.to_string())
}
