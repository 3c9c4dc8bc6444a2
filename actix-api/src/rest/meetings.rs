//! Making and looking up meetings.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{HttpRequest, HttpResponse, web};
use rand::RngExt as _;
use relay_runtime::{Limit, Relay};
use videocall_types::MeetingId;
use videocall_types::api::{ApiError, CreateMeetingRequest, Meeting};

use super::meeting_id;
use super::rate::{AddressRate, Clients};
use crate::config::JoinSettings;
use crate::db::Database;
use crate::error::HttpError;

/// Letters and digits that are not mistaken for one another when read out.
const ID_ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// Three groups of four of 31 characters: 59 bits, too many to guess a meeting.
const ID_GROUPS: usize = 3;
const ID_GROUP_LENGTH: usize = 4;

/// A free id is found at the first attempt, unless the machine has no randomness.
const ID_ATTEMPTS: usize = 3;

/// Makes a meeting.
#[utoipa::path(
    post, path = "/meetings", tag = "meetings", operation_id = "createMeeting",
    request_body = CreateMeetingRequest,
    responses(
        (status = 201, description = "The new meeting.", body = Meeting),
        (status = 400, description = "The wanted id is not valid, or the body is not JSON.", body = ApiError),
        (status = 409, description = "The wanted id is in use.", body = ApiError),
        (status = 413, description = "The body is too large.", body = ApiError),
        (status = 429, description = "Too many meetings from one address.", body = ApiError),
    )
)]
pub(super) async fn create(
    http: HttpRequest,
    database: web::Data<Database>,
    relay: web::Data<Relay>,
    making: web::Data<Making>,
    request: web::Json<CreateMeetingRequest>,
) -> Result<HttpResponse, HttpError> {
    making.0.take(&http).map_err(|too_often| {
        relay.note_exceeded(Limit::MeetingsPerAddress);
        HttpError::TooManyMeetings(too_often.retry_after)
    })?;
    let meeting = match request.into_inner().id {
        Some(id) => {
            let made = database.create_meeting(&id, None, now_ms()).await?;
            made.ok_or(HttpError::MeetingTaken(id))?
        }
        None => create_with_random_id(&database).await?,
    };
    let location = format!("{}/meetings/{}", super::PREFIX, meeting.id);
    Ok(HttpResponse::Created()
        .insert_header(("Location", location))
        .json(meeting))
}

/// Looks a meeting up.
#[utoipa::path(
    get, path = "/meetings/{id}", tag = "meetings", operation_id = "getMeeting",
    params(("id" = MeetingId, Path, description = "The meeting.")),
    responses(
        (status = 200, description = "The meeting.", body = Meeting),
        (status = 400, description = "The id is not valid.", body = ApiError),
        (status = 404, description = "There is no such meeting.", body = ApiError),
    )
)]
pub(super) async fn get(
    database: web::Data<Database>,
    path: web::Path<String>,
) -> Result<web::Json<Meeting>, HttpError> {
    let id = meeting_id(&path)?;
    let found = database.find_meeting(&id).await?;
    found.map(web::Json).ok_or(HttpError::UnknownMeeting(id))
}

/// How often one address may make a meeting.
pub(crate) struct Making(AddressRate);

impl Making {
    pub(crate) fn new(settings: &JoinSettings, clients: Clients) -> Self {
        Self(AddressRate::new(settings.meetings_per_minute, clients))
    }
}

/// The clock of everything that is stored.
pub(super) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

async fn create_with_random_id(database: &Database) -> Result<Meeting, HttpError> {
    for _ in 0..ID_ATTEMPTS {
        if let Some(meeting) = database.create_meeting(&random_id(), None, now_ms()).await? {
            return Ok(meeting);
        }
    }
    Err(HttpError::Internal("no random meeting id is free"))
}

fn random_id() -> MeetingId {
    let mut random = rand::rng();
    let mut group = || -> String {
        let letter = |_| char::from(ID_ALPHABET[random.random_range(0..ID_ALPHABET.len())]);
        (0..ID_GROUP_LENGTH).map(letter).collect()
    };
    let groups: Vec<String> = (0..ID_GROUPS).map(|_| group()).collect();
    groups
        .join("-")
        .parse()
        .expect("letters, digits and hyphens make an id")
}
