//! Where the database is. Never shows a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::any::AnyConnectOptions;

/// Why a text does not say where a database is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a database is named sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/NAME; this is neither{0}")]
pub struct DatabaseUrlError(String);

/// `sqlite://PATH` or `postgres://…`.
#[derive(Clone)]
pub struct DatabaseUrl {
    options: AnyConnectOptions,
}

impl DatabaseUrl {
    /// The database in this file, which is made when it does not exist.
    pub fn sqlite_file(path: &Path) -> Self {
        let mut encoded = String::new();
        for character in path.to_string_lossy().chars() {
            match character {
                '%' | '?' | '#' | ' ' => encoded.push_str(&format!("%{:02X}", u32::from(character))),
                other => encoded.push(other),
            }
        }
        format!("sqlite://{encoded}")
            .parse()
            .expect("an encoded path is valid in a URL")
    }

    pub(super) fn options(&self) -> &AnyConnectOptions {
        &self.options
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.options.database_url.scheme() == "sqlite"
    }

    pub(super) fn is_in_memory(&self) -> bool {
        let url = self.options.database_url.as_str();
        self.is_sqlite() && (url.contains(":memory:") || url.contains("mode=memory"))
    }

    /// Makes the folder of an SQLite file.
    pub(super) fn make_folder(&self) -> std::io::Result<()> {
        match self.file().as_deref().and_then(Path::parent) {
            Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder),
            _ => Ok(()),
        }
    }

    fn file(&self) -> Option<PathBuf> {
        if !self.is_sqlite() || self.is_in_memory() {
            return None;
        }
        let options = sqlx::sqlite::SqliteConnectOptions::from_str(self.options.database_url.as_str());
        options.ok().map(|options| options.get_filename().to_path_buf())
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let mut options: AnyConnectOptions = text
            .parse()
            .map_err(|error: sqlx::Error| DatabaseUrlError(format!(" ({error})")))?;
        match options.database_url.scheme() {
            "postgres" | "postgresql" => {}
            "sqlite" => {
                let url = &mut options.database_url;
                // A file that does not exist is made, unless the address says otherwise.
                if !url.as_str().contains("mode=") && !url.as_str().contains(":memory:") {
                    url.query_pairs_mut().append_pair("mode", "rwc");
                }
            }
            _ => return Err(DatabaseUrlError(String::new())),
        }
        Ok(Self { options })
    }
}

/// Without the password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.options.database_url.clone();
        if url.password().is_some() {
            // Only addresses without a host cannot have a password, and those have none.
            let _ = url.set_password(Some("***"));
        }
        // The query may hold a password too.
        url.set_query(None);
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let url: DatabaseUrl = "postgres://me:secret@db:5432/x?password=secret"
            .parse()
            .expect("valid");
        for text in [url.to_string(), format!("{url:?}")] {
            assert_eq!(text, "postgres://me:***@db:5432/x");
        }
        let error = "mysql://me:secret@db/x"
            .parse::<DatabaseUrl>()
            .expect_err("neither");
        assert!(!error.to_string().contains("secret"), "{error}");
        let error = "me:secret@db".parse::<DatabaseUrl>().expect_err("neither");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn files_keep_their_names() {
        for name in ["/tmp/a b/50%?.db", "data/x#1.db", "plain.db"] {
            let url = DatabaseUrl::sqlite_file(Path::new(name));
            assert_eq!(url.file(), Some(PathBuf::from(name)));
        }
        let url: DatabaseUrl = "sqlite::memory:".parse().expect("valid");
        assert!(url.is_in_memory());
        assert_eq!(url.file(), None);
    }
}
