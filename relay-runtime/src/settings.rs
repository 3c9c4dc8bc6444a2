//! Groups of settings that several servers share. Each is a clap group to be flattened into a
//! server's own settings; [`crate::config`] reads them from flags, environment and file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use videocall_types::limits::{
    HANDSHAKE_TIMEOUT, MAX_CONNECTIONS_PER_ADDRESS, MAX_CONTROL_PER_SECOND, MAX_DOWNLOAD_BPS, MAX_LOOP_DELAY,
    MAX_QUEUED_BYTES, MAX_RELAY_DOWNLOAD_BPS, MAX_RELAY_UPLOAD_BPS, MAX_SESSIONS_PER_MEETING,
    MAX_SESSIONS_PER_RELAY, MAX_TRACKS, MAX_UPLOAD_BPS, MIN_COUNTED_FRAME_BYTES,
};
use videocall_types::{RelayId, SessionLimits};

use crate::admin::AdminSettings;
use crate::bus::NatsBus;
use crate::connections::{ConnectionLimits, LimitNames};
use crate::network::Networks;
use crate::overload::OverloadLimits;
use crate::{Bus, TokenSecret, TraceSettings};

/// What a packet of QUIC carries on paths that carry no more than they must (RFC 9000 §14).
const FULL_PACKET_BYTES: u64 = 1200;

/// What a session may be sent where that has no limit, as far as its acknowledgements are concerned.
const FASTEST_DOWNLOAD_BPS: u64 = 1_000_000_000;

/// What every server has, beside what it serves.
#[derive(Args, Clone, Debug)]
pub struct CommonSettings {
    /// What the relay allows
    #[command(flatten)]
    pub relay: RelaySettings,

    /// The way to other relays
    #[command(flatten)]
    pub bus: BusSettings,

    /// The secret of tokens
    #[command(flatten)]
    pub tokens: TokenSettings,

    /// What is logged
    #[command(flatten)]
    pub logs: LogSettings,

    /// Where traces go
    #[command(flatten)]
    pub traces: TraceSettings,
}

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

    /// Connections from one address at most, counted before anything is known of them; 0 for no limit. A
    /// /64 of IPv6 counts as one address
    #[arg(long, env = "VIDEOCALL_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value_t = MAX_CONNECTIONS_PER_ADDRESS)]
    pub max_connections_per_address: usize,

    /// Networks that limits per address are not for, separated by commas, or none: offices, and proxies
    /// that are not in --trusted-proxies
    #[arg(long, env = "VIDEOCALL_UNLIMITED_NETWORKS", value_name = "NETWORKS", default_value_t = Networks::loopback())]
    pub unlimited_networks: Networks,

    /// Milliseconds from an accepted connection to the client's greeting at most
    #[arg(long, env = "VIDEOCALL_HANDSHAKE_TIMEOUT_MS", value_name = "MS", default_value_t = HANDSHAKE_TIMEOUT.as_millis() as u32)]
    pub handshake_timeout_ms: u32,

    /// Control messages per second that one session may send at most, averaged over some seconds
    #[arg(long, env = "VIDEOCALL_MAX_CONTROL_PER_SECOND", value_name = "N", default_value_t = MAX_CONTROL_PER_SECOND)]
    pub max_control_per_second: u32,

    /// Bits per second that one session may send at most; more ends its connection
    #[arg(long, env = "VIDEOCALL_MAX_UPLOAD_BPS", value_name = "BPS", default_value_t = MAX_UPLOAD_BPS)]
    pub max_upload_bps: u64,

    /// Bits per second that one session is sent at most; layers that do not fit are left out, sound never is
    #[arg(long, env = "VIDEOCALL_MAX_DOWNLOAD_BPS", value_name = "BPS", default_value_t = MAX_DOWNLOAD_BPS)]
    pub max_download_bps: u64,

    /// Bits per second that all sessions together may send before new ones are refused and layers left out
    /// for everybody; 0 for no limit
    #[arg(long, env = "VIDEOCALL_MAX_RELAY_UPLOAD_BPS", value_name = "BPS", default_value_t = MAX_RELAY_UPLOAD_BPS)]
    pub max_relay_upload_bps: u64,

    /// Bits per second that all sessions together are sent before new ones are refused and layers left out
    /// for everybody; 0 for no limit
    #[arg(long, env = "VIDEOCALL_MAX_RELAY_DOWNLOAD_BPS", value_name = "BPS", default_value_t = MAX_RELAY_DOWNLOAD_BPS)]
    pub max_relay_download_bps: u64,

    /// Bytes that wait for all receivers together at most; above, video waits no longer than it has to
    #[arg(long, env = "VIDEOCALL_MAX_QUEUED_BYTES", value_name = "BYTES", default_value_t = MAX_QUEUED_BYTES)]
    pub max_queued_bytes: usize,

    /// Milliseconds that event loops may be late, on average, before new sessions are refused and layers left
    /// out for everybody; 0 for no limit
    #[arg(long, env = "VIDEOCALL_MAX_LOOP_DELAY_MS", value_name = "MS", default_value_t = MAX_LOOP_DELAY.as_millis() as u32)]
    pub max_loop_delay_ms: u32,

    /// Milliseconds that clients are given to move elsewhere when the server stops
    #[arg(
        long,
        env = "VIDEOCALL_DRAIN_TIMEOUT_MS",
        value_name = "MS",
        default_value_t = 2000
    )]
    pub drain_timeout_ms: u32,

    /// Who may administer a running server
    #[command(flatten)]
    pub admin: AdminSettings,
}

impl RelaySettings {
    pub(crate) fn session_limits(&self) -> SessionLimits {
        SessionLimits {
            max_tracks: self.max_tracks,
            max_upload_bps: self.max_upload_bps,
            max_control_per_second: self.max_control_per_second,
            ..SessionLimits::default()
        }
    }

    /// Packets below frames, such as QUIC's, that one session may send per second: the smallest frames that
    /// count as such, and an acknowledgement of each full packet that it is sent.
    pub fn max_packets_per_second(&self) -> u64 {
        let download = match self.max_download_bps {
            0 => FASTEST_DOWNLOAD_BPS,
            bounded => bounded,
        };
        self.max_upload_bps / (8 * MIN_COUNTED_FRAME_BYTES as u64) + download / (8 * FULL_PACKET_BYTES)
    }

    /// From an accepted connection to its greeting.
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms.into())
    }

    pub(crate) fn connection_limits(&self) -> ConnectionLimits {
        ConnectionLimits {
            sessions: self.max_sessions,
            per_address: self.max_connections_per_address,
            unlimited: self.unlimited_networks.clone(),
            names: LimitNames::SESSIONS,
        }
    }

    pub(crate) fn overload_limits(&self) -> OverloadLimits {
        OverloadLimits {
            loop_delay: Duration::from_millis(self.max_loop_delay_ms.into()),
            upload_bps: self.max_relay_upload_bps,
            download_bps: self.max_relay_download_bps,
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
            max_connections_per_address: MAX_CONNECTIONS_PER_ADDRESS,
            unlimited_networks: Networks::loopback(),
            handshake_timeout_ms: HANDSHAKE_TIMEOUT.as_millis() as u32,
            max_control_per_second: MAX_CONTROL_PER_SECOND,
            max_upload_bps: MAX_UPLOAD_BPS,
            max_download_bps: MAX_DOWNLOAD_BPS,
            max_relay_upload_bps: MAX_RELAY_UPLOAD_BPS,
            max_relay_download_bps: MAX_RELAY_DOWNLOAD_BPS,
            max_queued_bytes: MAX_QUEUED_BYTES,
            max_loop_delay_ms: MAX_LOOP_DELAY.as_millis() as u32,
            drain_timeout_ms: 2000,
            admin: AdminSettings::default(),
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
