//! How many files a process may have open, of which each TCP connection is one.

use crate::RelaySettings;

/// Files beside connections: the database, the bus, the log, and what the page is made of.
#[cfg(unix)]
const OTHER_FILES: usize = 512;

/// Raises the limit of this process as far as it may, and says so when that is less than the relay's
/// sessions over TCP need.
#[cfg(unix)]
pub fn raise_file_limit(settings: &RelaySettings) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::debug!(%error, "the number of open files stays as it was");
    }
    let needed = settings.max_sessions.saturating_add(OTHER_FILES) as u64;
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => tracing::warn!(
            allowed,
            needed,
            "this process may open too few files for its sessions; raise the limit (ulimit -n, or \
             LimitNOFILE= of systemd) or lower --max-sessions"
        ),
        Some(_) | None => {}
    }
}

/// Where there is no such limit.
#[cfg(not(unix))]
pub fn raise_file_limit(_settings: &RelaySettings) {}
