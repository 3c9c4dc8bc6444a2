//! Child processes with a log, ended by their own process id when they go out of scope.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Lines of a log that are shown when a test fails.
const LOG_LINES: usize = 40;

/// A server gets this long to start; a debug build on a busy machine takes a while.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Between two looks at a process that starts.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; what it prints goes to a log in `folder`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<S: AsRef<OsStr>>(
        folder: &Path,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { name, child, log })
    }

    /// Waits until the probe succeeds.
    ///
    /// # Errors
    /// When the process ends before, or it takes too long.
    pub async fn ready<P, F>(&mut self, probe: P) -> anyhow::Result<()>
    where
        P: Fn() -> F,
        F: Future<Output = bool>,
    {
        let deadline = Instant::now() + READY_TIMEOUT;
        while !probe().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.log_tail());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} is not ready after {READY_TIMEOUT:?}:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// Ends it without a word to anybody.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it cannot be asked, takes longer than that, or ends with an error.
    pub async fn terminate(&mut self, limit: Duration) -> anyhow::Result<()> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
        anyhow::ensure!(asked.success(), "{} cannot be asked to end", self.name);
        self.ended(limit).await
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it takes longer than that, or ends with an error.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.log_tail()),
                None if Instant::now() > deadline => {
                    bail!(
                        "{} has not ended within {limit:?}:\n{}",
                        self.name,
                        self.log_tail()
                    )
                }
                None => tokio::time::sleep(LOOK_INTERVAL).await,
            }
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows what the servers have said"
    )]
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.kill();
        if std::thread::panicking() {
            eprintln!("── {}\n{}", self.name, self.log_tail());
        }
    }
}

/// One of the product's programs: from `VIDEOCALL_BIN_DIR`, or from where Cargo built this very
/// program.
///
/// # Errors
/// When it is in neither place.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("VIDEOCALL_BIN_DIR")
        .into_iter()
        .map(Into::into)
        .collect();
    let own = std::env::current_exe()?;
    // Tests are in `deps`, one below the programs.
    folders.extend(own.ancestors().skip(1).take(2).map(Path::to_owned));
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .with_context(|| {
            format!("{name} is not built; cargo build --workspace --exclude yew-ui --bins builds it")
        })
}

/// A port of the loopback interface on which nothing listens, neither on TCP nor on UDP.
///
/// # Errors
/// When the machine has none.
pub fn free_port() -> std::io::Result<u16> {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
}
