//! The database: SQLite for one server, PostgreSQL for several. All SQL of the project is here.
//!
//! One SQL text serves both, in the portable subset that sqlx's `any` driver carries: ids are text,
//! times are integer milliseconds since the Unix epoch, parameters are `$1`, `$2`, ….

mod meetings;
mod url;

use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyPool, ConnectOptions, Connection, Executor};

pub use url::{DatabaseUrl, DatabaseUrlError};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Connections of one process: REST requests are short, and PostgreSQL takes 100 in all by default.
const MAX_CONNECTIONS: u32 = 8;

/// How long a request may wait for a connection: longer than any query takes, shorter than a person
/// waits.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a server waits at its start for a database that starts at the same time.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Between two attempts to connect at the start.
const START_RETRY: Duration = Duration::from_millis(500);

/// Why the database does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It could not be reached at the start.
    #[error("the database {url} cannot be reached; start it, or correct --database-url (DATABASE_URL)")]
    Unreachable {
        /// Without the password.
        url: String,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// Its tables could not be brought up to date.
    #[error("the tables of the database {url} cannot be brought up to date")]
    Migration {
        /// Without the password.
        url: String,
        /// What the driver says.
        source: Box<MigrateError>,
    },
    /// The folder of an SQLite file cannot be made.
    #[error("the folder of the database {url} cannot be made; correct --database-url or its rights")]
    Folder {
        /// The file's address.
        url: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A query failed.
    #[error("a query failed")]
    Query(#[from] sqlx::Error),
}

impl DatabaseError {
    /// The error and its causes in one line, for logs.
    pub fn report(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line = format!("{line}: {error}");
            cause = error.source();
        }
        line
    }
}

/// An open database with tables as this version expects them. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
}

impl Database {
    /// Connects, waiting a while for a database that is only starting, and brings the tables up to date.
    ///
    /// # Errors
    /// When that is not possible, with what to do about it.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, DatabaseError> {
        Self::open_within(url, START_TIMEOUT).await
    }

    /// As [`Database::open`], with the time that the database may take to answer.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open_within(url: &DatabaseUrl, patience: Duration) -> Result<Self, DatabaseError> {
        sqlx::any::install_default_drivers();
        url.make_folder().map_err(|source| DatabaseError::Folder {
            url: url.to_string(),
            source,
        })?;
        await_server(url, patience).await?;
        let pool = pool_options(url).connect_lazy_with(url.options().clone());
        MIGRATIONS
            .run(&pool)
            .await
            .map_err(|source| DatabaseError::Migration {
                url: url.to_string(),
                source: Box::new(source),
            })?;
        tracing::info!(%url, "the database is ready");
        Ok(Self { pool })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Ends all connections once their queries are done.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn pool_options(url: &DatabaseUrl) -> AnyPoolOptions {
    let sqlite = url.is_sqlite();
    let options = AnyPoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT);
    let options = if url.is_in_memory() {
        // Such a database lives in its one connection.
        options
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
    } else {
        options.max_connections(MAX_CONNECTIONS)
    };
    options.after_connect(move |connection, _| {
        Box::pin(async move {
            if sqlite {
                // Readers do not wait for the writer, and a commit costs one write to the disk.
                connection.execute("PRAGMA journal_mode = WAL").await?;
                connection.execute("PRAGMA synchronous = NORMAL").await?;
            }
            Ok(())
        })
    })
}

/// Waits until the database takes connections. The pool would say no more than that it timed out.
async fn await_server(url: &DatabaseUrl, patience: Duration) -> Result<(), DatabaseError> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match tokio::time::timeout_at(deadline, connect_once(url.options())).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error))
                if is_transient(&error) && tokio::time::Instant::now() + START_RETRY < deadline =>
            {
                tracing::warn!(%url, %error, "the database does not answer yet");
                tokio::time::sleep(START_RETRY).await;
            }
            Ok(Err(source)) => {
                return Err(DatabaseError::Unreachable {
                    url: url.to_string(),
                    source,
                });
            }
            Err(_) => {
                let source = sqlx::Error::PoolTimedOut;
                return Err(DatabaseError::Unreachable {
                    url: url.to_string(),
                    source,
                });
            }
        }
    }
}

async fn connect_once(options: &AnyConnectOptions) -> Result<(), sqlx::Error> {
    options.connect().await?.close().await
}

/// Whether waiting may help: the server is not up, or says that it is starting.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // PostgreSQL's `cannot_connect_now`.
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P03"),
        _ => false,
    }
}
