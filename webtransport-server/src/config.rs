//! The settings of this server; the group about WebTransport is shared with videocall-server.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};
use relay_runtime::CommonSettings;
use relay_runtime::config::ConfigFile;

use crate::PATH;

const EXAMPLES: &str = "\
Examples:
  webtransport-server --token-secret \"$SECRET\" --nats-url nats://127.0.0.1:4222
      a relay on 127.0.0.1:4433 with a certificate of its own, beside an actix-api with the same secret
  webtransport-server --token-secret \"$SECRET\" --nats-url nats://nats:4222 --bind 0.0.0.0:443 \\
      --certificate fullchain.pem --key privkey.pem --public-url https://relay.meet.example/wt
      a relay for everybody, with a publicly trusted certificate";

/// WebTransport relay of videocall
#[derive(Clone, Debug, Parser)]
#[command(name = "webtransport-server", version, after_help = EXAMPLES)]
pub struct Settings {
    /// Address to listen on for WebTransport (UDP)
    #[arg(
        long,
        env = "VIDEOCALL_BIND",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:4433"
    )]
    pub bind: SocketAddr,

    /// Address to listen on for /healthz, /readyz and /metrics (HTTP)
    #[arg(
        long,
        env = "VIDEOCALL_HEALTH_BIND",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:4434"
    )]
    pub health_bind: SocketAddr,

    /// Folder for what the server keeps: its own certificate
    #[arg(
        long,
        env = "VIDEOCALL_DATA_DIR",
        value_name = "FOLDER",
        default_value = "data"
    )]
    pub data_dir: PathBuf,

    /// The file of settings
    #[command(flatten)]
    pub file: ConfigFile,

    /// How WebTransport is offered
    #[command(flatten)]
    pub webtransport: WebTransportSettings,

    /// What every server has
    #[command(flatten)]
    pub common: CommonSettings,
}

/// How WebTransport is offered to clients.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "WebTransport")]
pub struct WebTransportSettings {
    /// Address of this relay as clients reach it, such as https://relay.meet.example/wt [default: made of
    /// the address it listens on]
    #[arg(
        long = "public-webtransport-url",
        visible_alias = "public-url",
        env = "VIDEOCALL_PUBLIC_WEBTRANSPORT_URL",
        value_name = "URL",
        value_parser = public_url
    )]
    pub public_url: Option<String>,

    /// File with the certificate and its chain (PEM); without one the server makes its own, renews it
    /// before browsers would refuse it (14 days), and tells clients its hash
    #[arg(long, env = "VIDEOCALL_CERTIFICATE", value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,

    /// File with the private key of the certificate (PEM)
    #[arg(long, env = "VIDEOCALL_KEY", value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,

    /// Further host name or address in the server's own certificate; may be repeated. localhost,
    /// 127.0.0.1, ::1 and the host of the public address are in it anyway
    #[arg(
        long,
        env = "VIDEOCALL_CERTIFICATE_NAME",
        value_name = "HOST",
        value_delimiter = ','
    )]
    pub certificate_name: Vec<String>,

    /// How it is decided how much the network takes
    #[arg(
        long,
        env = "VIDEOCALL_CONGESTION_CONTROL",
        value_name = "ALGORITHM",
        value_enum,
        default_value_t
    )]
    pub congestion_control: CongestionControl,
}

/// What decides how much the network takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CongestionControl {
    /// Keeps queues short and bears loss that is no congestion; made for calls
    #[default]
    Media,
    /// The usual one of TCP (RFC 9438); fills the queues of the network
    Cubic,
    /// That of RFC 9002; fills the queues of the network
    Newreno,
    /// Measures the rate of the path; experimental
    Bbr,
}

/// A public address with the path of the relay, which may be left out.
fn public_url(text: &str) -> Result<String, String> {
    let base = text.trim_end_matches('/');
    let base = base.strip_suffix(PATH).unwrap_or(base);
    match host_of(base) {
        Some(host) if !host.is_empty() && !base["https://".len()..].contains('/') => {
            Ok(format!("{base}{PATH}"))
        }
        _ => Err("write it like https://relay.meet.example/wt".to_owned()),
    }
}

/// The host in an https address.
pub(crate) fn host_of(url: &str) -> Option<&str> {
    let authority = url.strip_prefix("https://")?.split(['/', '?', '#']).next()?;
    match authority.strip_prefix('[') {
        Some(address) => address.split_once(']').map(|(address, _)| address),
        None => authority.split(':').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_addresses() {
        assert_eq!(host_of("https://relay.example/wt"), Some("relay.example"));
        assert_eq!(host_of("https://relay.example:4433"), Some("relay.example"));
        assert_eq!(host_of("https://[::1]:4433/wt"), Some("::1"));
        assert_eq!(host_of("http://relay.example"), None);
    }

    #[test]
    fn public_addresses_have_the_path_of_the_relay() {
        for text in [
            "https://relay.example",
            "https://relay.example/",
            "https://relay.example/wt",
        ] {
            assert_eq!(public_url(text).as_deref(), Ok("https://relay.example/wt"));
        }
        for text in [
            "https:///wt",
            "relay.example",
            "http://relay.example/wt",
            "https://relay.example/x",
        ] {
            assert!(public_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_settings_are_consistent() {
        use clap::CommandFactory as _;
        Settings::command().debug_assert();
    }
}
