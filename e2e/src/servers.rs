//! The product's servers as processes on free ports of the loopback interface.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::process::{Process, free_port, program};
use crate::ticket::http;

/// Shared by the servers of one deployment; at least 32 bytes.
const TOKEN_SECRET: &str = "only-for-tests-0123456789abcdef0123456789abcdef";

/// What `POST /admin/drain` takes.
const ADMIN_TOKEN: &str = "only-for-tests-fedcba9876543210fedcba9876543210";

/// A server that can be killed and started again on the same ports with the same data.
#[derive(Debug)]
pub struct Server {
    /// Origin of its HTTP side, without a slash at the end.
    pub url: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
    process: Option<Process>,
}

impl Server {
    fn new(name: &str, url: String) -> anyhow::Result<Self> {
        Ok(Self {
            url,
            program: program(name)?,
            arguments: Vec::new(),
            environment: vec![("VIDEOCALL_ADMIN_TOKEN", ADMIN_TOKEN.to_owned())],
            folder: tempfile::tempdir()?,
            process: None,
        })
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn flag(mut self, name: &str, value: impl ToString) -> Self {
        self.arguments.extend([format!("--{name}"), value.to_string()]);
        self
    }

    fn flags(self, flags: &[(&str, &str)]) -> Self {
        let add = |server: Self, (name, value): &(&str, &str)| server.flag(name, value);
        flags.iter().fold(self, add)
    }

    /// By environment, because neither password nor secret belongs on a command line.
    fn variable(mut self, name: &'static str, value: impl ToString) -> Self {
        self.environment.push((name, value.to_string()));
        self
    }

    /// Starts it and waits until it takes clients.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let environment: Vec<_> = self
            .environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut process = Process::start(self.folder(), &self.program, &self.arguments, &environment)?;
        let address = format!("{}/readyz", self.url);
        process.ready(|| answers(&address)).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Ends it without a word to anybody.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// When it does not run, or takes longer than that.
    pub async fn terminate(&mut self, limit: Duration) -> anyhow::Result<()> {
        let mut process = self.process.take().context("it does not run")?;
        process.terminate(limit).await
    }

    /// Asks it to end over HTTP and waits until it has.
    ///
    /// # Errors
    /// When it says no, does not run, or takes longer than it says.
    pub async fn drain(&mut self) -> anyhow::Result<()> {
        let asked = http()
            .post(format!("{}/admin/drain", self.url))
            .bearer_auth(ADMIN_TOKEN);
        let answer = asked.send().await?.error_for_status()?;
        let said: serde_json::Value = answer.json().await?;
        let limit = said["ends_within_ms"]
            .as_u64()
            .context("it does not say when it ends")?;
        let mut process = self.process.take().context("it does not run")?;
        process.ended(Duration::from_millis(limit)).await
    }

    /// Takes tokens out of use: of one person in a meeting, or of everybody.
    ///
    /// # Errors
    /// When it says no.
    pub async fn revoke(&self, meeting: &str, user: Option<&str>) -> anyhow::Result<()> {
        let user = user.map(|user| format!("&user={user}")).unwrap_or_default();
        let address = format!("{}/admin/revoke?meeting={meeting}{user}", self.url);
        let asked = http().post(address).bearer_auth(ADMIN_TOKEN);
        asked.send().await?.error_for_status()?;
        Ok(())
    }

    /// What one of its pages says.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn page(&self, path: &str) -> anyhow::Result<String> {
        let answer = http().get(format!("{}{path}", self.url)).send().await?;
        Ok(answer.text().await?)
    }

    /// The running process.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }
}

async fn answers(address: &str) -> bool {
    http()
        .get(address)
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
}

/// Everything in one process.
#[derive(Debug)]
pub struct VideocallServer;

impl VideocallServer {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start() -> anyhow::Result<Server> {
        Self::start_with(&[]).await
    }

    /// Starts it with further flags and their values.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_with(flags: &[(&str, &str)]) -> anyhow::Result<Server> {
        Self::start_at(free_port()?, flags).await
    }

    /// Starts it with its WebTransport relay on this port.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_at(quic: u16, flags: &[(&str, &str)]) -> anyhow::Result<Server> {
        let http = free_port()?;
        let server = Server::new("videocall-server", format!("http://127.0.0.1:{http}"))?;
        let data = server.folder().join("data");
        let mut server = server
            .flag("bind", format!("127.0.0.1:{http}"))
            .flag("webtransport-bind", format!("127.0.0.1:{quic}"))
            .flag("data-dir", data.display())
            .flags(flags);
        server.start().await?;
        Ok(server)
    }
}

/// The WebSocket relay with the REST interface, on SQLite.
#[derive(Debug)]
pub struct ActixApi;

impl ActixApi {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(nats: &Nats) -> anyhow::Result<Server> {
        Self::start_with(nats, &[]).await
    }

    /// Starts it with further flags and their values.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_with(nats: &Nats, flags: &[(&str, &str)]) -> anyhow::Result<Server> {
        Self::start_at(free_port()?, nats, flags).await
    }

    /// Starts it with an address that other servers send clients to.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_public(nats: &Nats) -> anyhow::Result<Server> {
        let port = free_port()?;
        let address = format!("ws://127.0.0.1:{port}/ws");
        Self::start_at(port, nats, &[("public-websocket-url", &address)]).await
    }

    async fn start_at(port: u16, nats: &Nats, flags: &[(&str, &str)]) -> anyhow::Result<Server> {
        let server = Server::new("actix-api", format!("http://127.0.0.1:{port}"))?;
        let database = format!("sqlite://{}", server.folder().join("videocall.db").display());
        let mut server = server
            .flag("bind", format!("127.0.0.1:{port}"))
            .variable("DATABASE_URL", database)
            .variable("NATS_URL", &nats.url)
            .variable("VIDEOCALL_TOKEN_SECRET", TOKEN_SECRET)
            .flags(flags);
        server.start().await?;
        Ok(server)
    }
}

/// The WebTransport relay.
#[derive(Debug)]
pub struct WebTransportServer;

impl WebTransportServer {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(nats: &Nats) -> anyhow::Result<Server> {
        Self::start_with(nats, &[]).await
    }

    /// Starts it with further flags and their values.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_with(nats: &Nats, flags: &[(&str, &str)]) -> anyhow::Result<Server> {
        let (quic, health) = (free_port()?, free_port()?);
        let server = Server::new("webtransport-server", format!("http://127.0.0.1:{health}"))?;
        let data = server.folder().join("data");
        let mut server = server
            .flag("bind", format!("127.0.0.1:{quic}"))
            .flag("health-bind", format!("127.0.0.1:{health}"))
            .flag("data-dir", data.display())
            .variable("NATS_URL", &nats.url)
            .variable("VIDEOCALL_TOKEN_SECRET", TOKEN_SECRET)
            .flags(flags);
        server.start().await?;
        Ok(server)
    }
}

/// A NATS server.
#[derive(Debug)]
pub struct Nats {
    /// Its address.
    pub url: String,
    port: u16,
    folder: TempDir,
    process: Option<Process>,
}

impl Nats {
    /// Starts it.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub async fn start() -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut nats = Self {
            url: format!("nats://127.0.0.1:{port}"),
            port,
            folder: tempfile::tempdir()?,
            process: None,
        };
        nats.restart().await?;
        Ok(nats)
    }

    /// Starts it again on the same port.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let port = self.port;
        let arguments = [
            "-a".to_owned(),
            "127.0.0.1".to_owned(),
            "-p".to_owned(),
            port.to_string(),
        ];
        // Debian keeps it in /usr/sbin, which is not on everyone's path.
        let packaged = Path::new("/usr/sbin/nats-server");
        let program = if packaged.is_file() {
            packaged
        } else {
            Path::new("nats-server")
        };
        let mut process = Process::start(self.folder.path(), program, &arguments, &[])?;
        process
            .ready(|| async move { TcpStream::connect(("127.0.0.1", port)).await.is_ok() })
            .await?;
        self.process = Some(process);
        Ok(())
    }

    /// The running process.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Ends it without a word to anybody.
    pub fn kill(&mut self) {
        self.process = None;
    }
}
