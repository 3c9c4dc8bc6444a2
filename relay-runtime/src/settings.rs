//! Groups of settings that several servers share. Each is a clap group to be flattened into a
//! server's own settings; [`crate::config`] reads them from flags, environment and file.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use videocall_types::limits::{MAX_SESSIONS_PER_MEETING, MAX_SESSIONS_PER_RELAY, MAX_TRACKS, MAX_UPLOAD_BPS};
use videocall_types::{RelayId, SessionLimits};

use crate::bus::NatsBus;
use crate::{Bus, TokenSecret};

/// What a relay allows.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Relay")]
pub struct RelaySettings {
    /// Name of this relay among the others: 1 to 64 letters, digits, _ and - [default: a random one]
    #[arg(long, env = "VIDEOCALL_RELAY_ID", value_name = "ID")]
    pub relay_id: Option<RelayId>,

    /// Sessions on this relay at most
    #[arg(long, env = "VIDEOCALL_MAX_SESSIONS", value_name = "N", default_value_t = MAX_SESSIONS_PER_RELAY)]
    pub max_sessions: usize,

    /// Sessions of one meeting on this relay at most
    #[arg(long, env = "VIDEOCALL_MAX_SESSIONS_PER_MEETING", value_name = "N", default_value_t = MAX_SESSIONS_PER_MEETING)]
    pub max_sessions_per_meeting: usize,

    /// Tracks that one session may publish at most
    #[arg(long, env = "VIDEOCALL_MAX_TRACKS", value_name = "N", default_value_t = MAX_TRACKS as u32,
          value_parser = clap::value_parser!(u32).range(1..=MAX_TRACKS as i64))]
    pub max_tracks: u32,

    /// Bits per second that one session may send at most
    #[arg(long, env = "VIDEOCALL_MAX_UPLOAD_BPS", value_name = "BPS", default_value_t = MAX_UPLOAD_BPS)]
    pub max_upload_bps: u64,

    /// Milliseconds that clients are given to move elsewhere when the server stops
    #[arg(
        long,
        env = "VIDEOCALL_DRAIN_TIMEOUT_MS",
        value_name = "MS",
        default_value_t = 2000
    )]
    pub drain_timeout_ms: u32,
}

impl RelaySettings {
    pub(crate) fn session_limits(&self) -> SessionLimits {
        SessionLimits {
            max_tracks: self.max_tracks,
            max_upload_bps: self.max_upload_bps,
            ..SessionLimits::default()
        }
    }
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            relay_id: None,
            max_sessions: MAX_SESSIONS_PER_RELAY,
            max_sessions_per_meeting: MAX_SESSIONS_PER_MEETING,
            max_tracks: MAX_TRACKS as u32,
            max_upload_bps: MAX_UPLOAD_BPS,
            drain_timeout_ms: 2000,
        }
    }
}

/// The way to other relays.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Bus")]
pub struct BusSettings {
    /// NATS server that connects the relays of a deployment, or several separated by commas; without
    /// one this relay is alone
    #[arg(long, env = "NATS_URL", value_name = "URL")]
    pub nats_url: Option<String>,
}

impl BusSettings {
    /// Begins to connect to the bus that is set, if one is.
    ///
    /// # Errors
    /// When the address cannot be read. A bus that cannot be reached now is no error.
    pub async fn connect(&self, name: &str) -> anyhow::Result<Option<Arc<dyn Bus>>> {
        match self.nats_url.as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some(addresses) => NatsBus::connect(addresses, name).await.map(Some),
        }
    }
}

/// The secret that tokens are signed with.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Tokens")]
pub struct TokenSettings {
    /// Secret of at least 32 bytes that signs tokens, the same for all servers of a deployment
    #[arg(
        long,
        env = "VIDEOCALL_TOKEN_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub token_secret: Option<TokenSecret>,
}

impl TokenSettings {
    /// The secret that is set.
    ///
    /// # Errors
    /// When none is.
    pub fn required(&self) -> anyhow::Result<TokenSecret> {
        self.token_secret.clone().context(
            "no token secret is set; give all servers the same --token-secret or \
             VIDEOCALL_TOKEN_SECRET of at least 32 bytes (openssl rand -hex 32 makes one)",
        )
    }

    /// The secret that is set, or one that is made once and kept in the data folder.
    ///
    /// # Errors
    /// When the data folder cannot be used.
    pub fn or_generated(&self, data_dir: &Path) -> anyhow::Result<TokenSecret> {
        match &self.token_secret {
            Some(secret) => Ok(secret.clone()),
            None => TokenSecret::load_or_generate(data_dir),
        }
    }
}

/// What is logged and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs")]
pub struct LogSettings {
    /// Form of the log
    #[arg(long, env = "VIDEOCALL_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Pretty)]
    pub log_format: LogFormat,

    /// What is logged, in the directives of tracing's EnvFilter, such as info,relay_core=debug
    #[arg(long, env = "RUST_LOG", value_name = "DIRECTIVES", default_value = DEFAULT_LOG)]
    pub log: String,
}

/// Libraries that tell of every attempt and every thread are asked for warnings only.
const DEFAULT_LOG: &str = "info,async_nats=warn,actix_server=warn";

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Pretty,
    /// One JSON object per line.
    Json,
}
