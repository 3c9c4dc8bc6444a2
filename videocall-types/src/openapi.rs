//! What an OpenAPI document says about the ids in REST bodies.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{MAX_ID_LENGTH, MeetingId, UserName};

fn id_schema(description: &str, pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .min_length(Some(1))
        .max_length(Some(MAX_ID_LENGTH))
        .pattern(Some(pattern))
        .into()
}

impl PartialSchema for MeetingId {
    fn schema() -> RefOr<Schema> {
        id_schema("A meeting: letters, digits, `_` and `-`.", "^[A-Za-z0-9_-]+$")
    }
}

impl ToSchema for MeetingId {}

impl PartialSchema for UserName {
    fn schema() -> RefOr<Schema> {
        id_schema(
            "A person or device: letters, digits, `_`, `-` and `.`.",
            "^[A-Za-z0-9_.-]+$",
        )
    }
}

impl ToSchema for UserName {}
