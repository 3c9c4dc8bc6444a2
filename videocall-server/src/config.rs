//! The settings of the one process: the groups of its parts, with defaults for a laptop.

use std::net::SocketAddr;
use std::path::PathBuf;

use actix_api::{DatabaseUrl, HttpSettings, JoinSettings};
use clap::Parser;
use relay_runtime::CommonSettings;
use relay_runtime::config::ConfigFile;
use webtransport_server::WebTransportSettings;

const EXAMPLES: &str = "\
Examples:
  videocall-server --ui-dir yew-ui/dist
      everything on this machine; open http://localhost:8081/
  videocall-server --ui-dir yew-ui/dist --data-dir /var/lib/videocall --bind 127.0.0.1:8081 \\
      --webtransport-bind 0.0.0.0:4433 --public-webtransport-url https://meet.example:4433/wt \\
      --certificate fullchain.pem --key privkey.pem
      for everybody, behind a web server that serves https://meet.example/ and passes it on to port 8081";

/// Video meetings in one process: both relays, the REST interface and the web page
#[derive(Clone, Debug, Parser)]
#[command(name = "videocall-server", version, after_help = EXAMPLES)]
pub struct Settings {
    /// Address to listen on for the web page, the REST interface and WebSockets (HTTP)
    #[arg(
        long,
        env = "VIDEOCALL_BIND",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8081"
    )]
    pub bind: SocketAddr,

    /// Address to listen on for WebTransport (UDP)
    #[arg(
        long,
        env = "VIDEOCALL_WEBTRANSPORT_BIND",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:4433"
    )]
    pub webtransport_bind: SocketAddr,

    /// Folder for what the server keeps: its database, certificate and token secret
    #[arg(
        long,
        env = "VIDEOCALL_DATA_DIR",
        value_name = "FOLDER",
        default_value = "data"
    )]
    pub data_dir: PathBuf,

    /// Database: sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/NAME [default: videocall.db in the
    /// data folder]
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<DatabaseUrl>,

    /// The file of settings
    #[command(flatten)]
    pub file: ConfigFile,

    /// What the HTTP side serves
    #[command(flatten)]
    pub http: HttpSettings,

    /// How people join
    #[command(flatten)]
    pub join: JoinSettings,

    /// How WebTransport is offered
    #[command(flatten)]
    pub webtransport: WebTransportSettings,

    /// What every server has
    #[command(flatten)]
    pub common: CommonSettings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_consistent() {
        use clap::CommandFactory as _;
        Settings::command().debug_assert();
    }
}
