//! A PostgreSQL cluster of its own in a temporary folder, reached over a Unix socket, so that tests need
//! no running service and disturb none.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use actix_api::DatabaseUrl;
use tempfile::TempDir;

/// A running cluster, stopped and removed when dropped.
pub(crate) struct Postgres {
    folder: TempDir,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        // A socket's path has room for a hundred characters: not every temporary folder leaves enough.
        let folder = tempfile::Builder::new()
            .prefix("pg")
            .tempdir_in("/tmp")
            .expect("a temporary folder");
        let cluster = Self { folder };
        let path = cluster.folder.path();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).expect("our own folder");
        let data = cluster.data();
        run(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "tester",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ],
        );
        let options = format!("-c listen_addresses= -c fsync=off -k {}", path.display());
        let log = path.join("log").display().to_string();
        run(
            "pg_ctl",
            &["-D", &data, "-w", "-l", &log, "-o", &options, "start"],
        );
        cluster
    }

    /// The address of the cluster's database.
    pub(crate) fn url(&self) -> DatabaseUrl {
        let host = self.folder.path().display();
        format!("postgres://tester@localhost/postgres?host={host}")
            .parse()
            .expect("a valid address")
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        run("pg_ctl", &["-D", &self.data(), "-w", "-m", "immediate", "stop"]);
        // Root may remove what belongs to another user; the folder's own removal follows.
        let _removed_below = std::fs::remove_dir_all(self.folder.path().join("data"));
    }
}

/// Runs one of PostgreSQL's programs; as the user `postgres` where we are root, which it refuses to be.
fn run(program: &str, arguments: &[&str]) {
    let program = binary(program);
    let mut command = if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(&program);
        command
    } else {
        Command::new(&program)
    };
    // The server that pg_ctl leaves behind must not hold on to our pipes, so there are none.
    let status = command
        .args(arguments)
        .current_dir("/tmp")
        .stdout(std::process::Stdio::null())
        .status()
        .expect("PostgreSQL is installed (apt-get install postgresql)");
    assert!(
        status.success(),
        "{} {arguments:?} failed: {status}",
        program.display()
    );
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Debian keeps the programs of each version in a folder that is not on PATH.
fn binary(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path().join("bin").join(name))
                .collect()
        })
        .unwrap_or_default();
    versions.sort();
    let found = versions.into_iter().rev().find(|path| path.is_file());
    found.unwrap_or_else(|| Path::new(name).to_path_buf())
}
