//! Puts the parts together.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_api::{Database, DatabaseUrl, HttpSettings, JoinSettings, Parts};
use anyhow::Context as _;
use relay_runtime::{Relay, TokenService, Traces, logging, raise_file_limit, shutdown_on_signal};
use tokio_util::sync::CancellationToken;
use webtransport_server::WebTransportServer;

use crate::Settings;

/// Runs everything until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, with what to do about it.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    logging::init(&settings.common.logs)?;
    let traces = Traces::start(&settings.common.traces, "videocall-server")?;
    raise_file_limit(&settings.common.relay);
    let shutdown = shutdown_on_signal()?;
    let server = Server::bind(settings, shutdown).await?;
    let url = page_url(server.http_address()?);
    writeln!(std::io::stdout(), "Open {url}").context("standard output is closed")?;
    let served = server.serve().await;
    traces.end().await;
    served
}

/// Where a browser on this machine opens the page. Browsers give camera and microphone to pages of
/// localhost without a certificate, and to no other.
fn page_url(address: SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => format!("http://localhost:{}/", address.port()),
        _ => format!("http://{address}/"),
    }
}

/// Everything, bound to its addresses.
pub struct Server {
    relay: Arc<Relay>,
    database: Database,
    http: HttpSettings,
    join: JoinSettings,
    listener: TcpListener,
    webtransport: WebTransportServer,
    shutdown: CancellationToken,
}

impl Server {
    /// Takes the addresses, opens the database, and finds or makes certificate and secret. It serves
    /// until `shutdown` is cancelled.
    ///
    /// # Errors
    /// When an address is taken or the data folder cannot be used.
    pub async fn bind(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<Self> {
        let data_dir = &settings.data_dir;
        let listener = TcpListener::bind(settings.bind).with_context(|| {
            format!(
                "cannot listen on {}; choose another address with --bind",
                settings.bind
            )
        })?;
        let webtransport =
            WebTransportServer::bind(settings.webtransport_bind, &settings.webtransport, data_dir)
                .await
                .context("WebTransport cannot be offered; look at --webtransport-bind and --certificate")?;
        let tokens = TokenService::new(&settings.common.tokens.or_generated(data_dir)?);
        let default_database = || DatabaseUrl::sqlite_file(&data_dir.join("videocall.db"));
        let database_url = settings.database_url.unwrap_or_else(default_database);
        let database = Database::open(&database_url).await?;
        let bus = settings.common.bus.connect("videocall-server").await?;
        Ok(Self {
            relay: Relay::start(settings.common.relay, tokens, bus, shutdown.clone()),
            database,
            http: settings.http,
            join: settings.join,
            listener,
            webtransport,
            shutdown,
        })
    }

    /// Where the page, the REST interface and WebSockets are.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn http_address(&self) -> anyhow::Result<SocketAddr> {
        self.listener.local_addr().context("the listener has no address")
    }

    /// Serves until the process is told to stop and everybody has left or was closed.
    ///
    /// # Errors
    /// When the HTTP side fails.
    pub async fn serve(self) -> anyhow::Result<()> {
        let parts = Parts {
            relay: self.relay.clone(),
            database: self.database.clone(),
        };
        let http = actix_api::serve(self.http, self.join, parts, self.listener, self.shutdown.clone());
        let http = async {
            let served = http.await;
            // Without its HTTP side nobody finds the server.
            self.shutdown.cancel();
            served
        };
        let (served, ()) = tokio::join!(http, self.webtransport.serve(self.relay));
        self.database.close().await;
        served
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_where_browsers_allow_cameras() {
        let url = |address: &str| page_url(address.parse().expect("an address"));
        assert_eq!(url("127.0.0.1:8081"), "http://localhost:8081/");
        assert_eq!(url("0.0.0.0:80"), "http://localhost:80/");
        assert_eq!(url("192.0.2.1:8081"), "http://192.0.2.1:8081/");
    }
}
