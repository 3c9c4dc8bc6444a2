//! The settings of this server: flags, environment and file, in groups that videocall-server shares.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser};
use relay_runtime::config::ConfigFile;
use relay_runtime::{CommonSettings, Networks};

use crate::client_address::ProxyHeader;
use crate::db::DatabaseUrl;

/// WebSocket relay, REST interface and web page of videocall
#[derive(Clone, Debug, Parser)]
#[command(name = "actix-api", version)]
pub struct Settings {
    /// Address to listen on
    #[arg(
        long,
        env = "VIDEOCALL_BIND",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080"
    )]
    pub bind: SocketAddr,

    /// Database: sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/NAME
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "URL",
        hide_env_values = true,
        default_value = "sqlite://data/videocall.db"
    )]
    pub database_url: DatabaseUrl,

    /// The file of settings
    #[command(flatten)]
    pub file: ConfigFile,

    /// What the HTTP side serves
    #[command(flatten)]
    pub http: HttpSettings,

    /// How people join
    #[command(flatten)]
    pub join: JoinSettings,

    /// What every server has
    #[command(flatten)]
    pub common: CommonSettings,
}

/// What the HTTP side serves, and to whom.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "HTTP")]
pub struct HttpSettings {
    /// Folder of the built web page; without it only the interfaces for programs are served
    #[arg(long, env = "VIDEOCALL_UI_DIR", value_name = "FOLDER")]
    pub ui_dir: Option<PathBuf>,

    /// Origin of a page served elsewhere that may use this server, such as http://localhost:8081;
    /// may be repeated; * allows every page
    #[arg(
        long,
        env = "VIDEOCALL_ALLOWED_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub allowed_origin: Vec<String>,

    /// Origin whose pages may show the web page in a frame, such as https://intranet.example; may be repeated. A
    /// page that may be embedded is not isolated from other origins, and hands its sound over by messages
    /// instead of shared memory
    #[arg(
        long,
        env = "VIDEOCALL_EMBEDDER",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub embedder: Vec<Embedder>,

    /// Networks of proxies in front of this server, separated by commas, or none: for whom they ask is read
    /// from the header they send, and limits per address are for those clients
    #[arg(long, env = "VIDEOCALL_TRUSTED_PROXIES", value_name = "NETWORKS", default_value_t = Networks::default())]
    pub trusted_proxies: Networks,

    /// Header in which these proxies say for whom they ask
    #[arg(
        long,
        env = "VIDEOCALL_PROXY_HEADER",
        value_name = "HEADER",
        value_enum,
        default_value_t = ProxyHeader::XForwardedFor
    )]
    pub proxy_header: ProxyHeader,

    /// Threads that serve connections [default: one per core]
    #[arg(long, env = "VIDEOCALL_HTTP_THREADS", value_name = "N")]
    pub http_threads: Option<NonZeroU32>,

    /// Congestion control of TCP connections, by the name that Linux has for it, or system for what the system uses;
    /// that is used, too, where there is none of this name (modprobe tcp_bbr loads bbr)
    #[arg(
        long,
        env = "VIDEOCALL_TCP_CONGESTION_CONTROL",
        value_name = "NAME",
        default_value_t = TcpCongestionControl::default()
    )]
    pub tcp_congestion_control: TcpCongestionControl,
}

/// A congestion control of TCP by the system's name for it, or `system`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpCongestionControl(String);

impl TcpCongestionControl {
    /// Its name, unless the choice is the system's.
    pub(crate) fn name(&self) -> Option<&str> {
        (self.0 != "system").then_some(&self.0)
    }
}

impl Default for TcpCongestionControl {
    /// Bears loss that is no congestion; how much waits on the way is bounded by the relay itself.
    fn default() -> Self {
        Self("bbr".to_owned())
    }
}

impl fmt::Display for TcpCongestionControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for TcpCongestionControl {
    fn from(name: String) -> Self {
        Self(name)
    }
}

/// An origin, as it stands in a Content-Security-Policy: scheme, host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedder(String);

impl Embedder {
    /// As it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Embedder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let is_host = |host: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:*[]".contains(&byte);
            !host.is_empty() && host.bytes().all(allowed)
        };
        if host.is_some_and(is_host) {
            return Ok(Self(text.to_owned()));
        }
        Err("an origin is https:// and a host, with nothing behind".to_owned())
    }
}

/// How people join.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Joining")]
pub struct JoinSettings {
    /// Address of the WebSocket relay as browsers reach it, such as wss://meet.example/ws [default: /ws on
    /// the server that answered the join]
    #[arg(long, env = "VIDEOCALL_PUBLIC_WEBSOCKET_URL", value_name = "URL", value_parser = websocket_url)]
    pub public_websocket_url: Option<String>,

    /// Seconds that the answer to a join can be used for entering
    #[arg(long, env = "VIDEOCALL_TOKEN_LIFETIME_S", value_name = "S", default_value_t = DEFAULT_TOKEN_LIFETIME_S)]
    pub token_lifetime_s: u32,

    /// Joins a minute from one address at most; 0 for no limit. Everybody behind one NAT has the same address,
    /// and so has everybody behind a proxy that is not in --trusted-proxies
    #[arg(long, env = "VIDEOCALL_JOINS_PER_MINUTE", value_name = "N", default_value_t = DEFAULT_JOINS_PER_MINUTE)]
    pub joins_per_minute: u32,

    /// Meetings a minute that one address makes at most; 0 for no limit. Joins that make one do not count
    #[arg(long, env = "VIDEOCALL_MEETINGS_PER_MINUTE", value_name = "N", default_value_t = DEFAULT_MEETINGS_PER_MINUTE)]
    pub meetings_per_minute: u32,
}

/// An hour: a page that was opened early still enters, and a copied token is soon worthless.
const DEFAULT_TOKEN_LIFETIME_S: u32 = 3600;

/// A school behind one address begins its lessons at the same minute.
const DEFAULT_JOINS_PER_MINUTE: u32 = 600;

/// Programs make a day's meetings in one go; each is a row that stays.
const DEFAULT_MEETINGS_PER_MINUTE: u32 = 60;

impl JoinSettings {
    /// How long a token can be used for entering.
    pub(crate) fn token_lifetime(&self) -> Duration {
        Duration::from_secs(self.token_lifetime_s.into())
    }
}

impl Default for JoinSettings {
    fn default() -> Self {
        Self {
            public_websocket_url: None,
            token_lifetime_s: DEFAULT_TOKEN_LIFETIME_S,
            joins_per_minute: DEFAULT_JOINS_PER_MINUTE,
            meetings_per_minute: DEFAULT_MEETINGS_PER_MINUTE,
        }
    }
}

fn websocket_url(text: &str) -> Result<String, String> {
    if text.starts_with("wss://") || text.starts_with("ws://") {
        return Ok(text.to_owned());
    }
    Err("a WebSocket address starts with wss:// or ws://".to_owned())
}
