//! What the tests share: a running server, a database cluster, a client.

pub(crate) mod guest;
pub(crate) mod postgres;
pub(crate) mod slow_line;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_api::{Database, DatabaseUrl, HttpSettings, JoinSettings, Parts, serve};
use relay_runtime::{Relay, RelaySettings, TokenService};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Of every server in the tests.
pub(crate) const SECRET: &str = "a secret that is long enough for tests";

/// What a test sets.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) http: HttpSettings,
    pub(crate) join: JoinSettings,
    pub(crate) relay: RelaySettings,
    /// An SQLite file of its own when absent.
    pub(crate) database: Option<DatabaseUrl>,
}

/// A server on a free port, stopped when dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) relay: Arc<Relay>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: JoinHandle<anyhow::Result<()>>,
    _folder: TempDir,
}

impl TestServer {
    pub(crate) async fn start(options: Options) -> Self {
        // The HTTP client's TLS has none of its own; another test of the process may have been first.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = options
            .database
            .unwrap_or_else(|| DatabaseUrl::sqlite_file(&folder.path().join("test.db")));
        let database = Database::open(&url).await.expect("the database opens");
        let shutdown = CancellationToken::new();
        let tokens = TokenService::new(&SECRET.parse().expect("long enough"));
        let relay = Relay::start(options.relay, tokens, None, shutdown.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let http = HttpSettings {
            http_threads: std::num::NonZeroU32::new(2),
            ..options.http
        };
        let parts = Parts {
            relay: relay.clone(),
            database,
        };
        let served = tokio::spawn(serve(http, options.join, parts, listener, shutdown.clone()));
        Self {
            address,
            relay,
            shutdown,
            served,
            _folder: folder,
        }
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
