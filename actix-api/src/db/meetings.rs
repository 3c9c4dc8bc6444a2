//! The table of meetings.

use sqlx::Row;
use sqlx::any::AnyRow;
use videocall_types::api::Meeting;
use videocall_types::{MeetingId, UserName};

use super::{Database, DatabaseError};

impl Database {
    /// Adds a meeting; `None` when the id is taken.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn create_meeting(
        &self,
        id: &MeetingId,
        created_by: Option<&UserName>,
        created_at_ms: i64,
    ) -> Result<Option<Meeting>, DatabaseError> {
        let done = sqlx::query(
            "INSERT INTO meetings (id, created_at_ms, created_by) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(created_at_ms)
        .bind(created_by.map(UserName::as_str))
        .execute(&self.pool)
        .await?;
        let meeting = || Meeting {
            id: id.clone(),
            created_at_ms,
        };
        Ok((done.rows_affected() == 1).then(meeting))
    }

    /// The meeting with this id.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn find_meeting(&self, id: &MeetingId) -> Result<Option<Meeting>, DatabaseError> {
        let row = sqlx::query("SELECT id, created_at_ms FROM meetings WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| meeting_from_row(&row)).transpose()?)
    }
}

fn meeting_from_row(row: &AnyRow) -> Result<Meeting, sqlx::Error> {
    let id: String = row.try_get("id")?;
    Ok(Meeting {
        id: id.parse().map_err(|error| sqlx::Error::ColumnDecode {
            index: "id".into(),
            source: Box::<dyn std::error::Error + Send + Sync>::from(videocall_types::IdError::to_string(
                &error,
            )),
        })?,
        created_at_ms: row.try_get("created_at_ms")?,
    })
}
