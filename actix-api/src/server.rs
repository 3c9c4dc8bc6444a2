//! Puts the parts together and serves them until it is told to stop.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_service::{ServiceFactory, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server, ServiceRequest, ServiceResponse};
use actix_web::rt::net::TcpStream;
use actix_web::{App, rt, web};
use anyhow::Context as _;
use relay_runtime::Relay;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use videocall_types::api::{RelayEndpoint, TransportKind};

use crate::client_address::ClientAddresses;
use crate::config::{Embedder, HttpSettings, JoinSettings};
use crate::db::Database;
use crate::origin::OriginPolicy;
use crate::rest::{Clients, Joining, Making};
use crate::socket::Doorkeeper;
use crate::ui::Ui;
use crate::{headers, health, rest, ui, upgrade, websocket};

/// How long an idle connection is kept: somebody reads the page before joining, and the join is then one
/// round trip.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How long a client may take for the head of its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take to take note of the end of its connection. So long what it still sends is
/// read and thrown away: closing on top of unread bytes would reset the connection, and the reason of the
/// end could be lost with it (RFC 1122 §4.2.2.13). A browser waits as long before its page hears of the end,
/// if the page has not taken the last message for it.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long requests may go on once the relay has drained, seconds. WebSockets are closed by then.
const SHUTDOWN_TIMEOUT_S: u64 = 3;

/// What the server needs besides its settings.
pub struct Parts {
    /// The relay that WebSocket connections are served by.
    pub relay: Arc<Relay>,
    /// The open database.
    pub database: Database,
}

/// Serves until `shutdown` is cancelled and the relay, which is to be drained by the same token, is
/// done. The listener decides on address and port.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    http: HttpSettings,
    join: JoinSettings,
    parts: Parts,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("the listener has no address")?;
    let relay = parts.relay.clone();
    rest::announce_outcomes();
    relay.directory().register(RelayEndpoint {
        transport: TransportKind::WebSocket,
        url: join
            .public_websocket_url
            .clone()
            .unwrap_or_else(|| websocket::PATH.to_owned()),
        certificate_hashes: Vec::new(),
    });
    let server = build(&http, &join, parts, listener).context("the HTTP server cannot start")?;
    let handle = server.handle();
    tracing::info!(%address, "serving HTTP and WebSocket");
    let mut server = std::pin::pin!(server);
    let drained = async {
        shutdown.cancelled().await;
        relay.drained().await;
    };
    tokio::select! {
        served = &mut server => return served.context("the HTTP server failed"),
        () = drained => {}
    }
    let (served, ()) = tokio::join!(server, handle.stop(true));
    served.context("the HTTP server failed")
}

fn build(
    http: &HttpSettings,
    join: &JoinSettings,
    parts: Parts,
    listener: TcpListener,
) -> std::io::Result<Server> {
    let clients = Clients {
        addresses: ClientAddresses::new(http.trusted_proxies.clone(), http.proxy_header),
        unlimited: parts.relay.settings().unlimited_networks.clone(),
    };
    let doorkeeper = Doorkeeper::new(&parts.relay, http);
    let overload = parts.relay.overload().clone();
    let shared = Shared {
        relay: web::Data::from(parts.relay),
        database: web::Data::new(parts.database),
        joining: web::Data::new(Joining::new(join, clients.clone())),
        making: web::Data::new(Making::new(join, clients.clone())),
        addresses: web::Data::new(clients.addresses),
        origins: web::Data::new(OriginPolicy::new(&http.allowed_origin)),
        ui: web::Data::new(Ui::new(http.ui_dir.clone())),
        embedders: http.embedder.clone(),
    };
    let mut server = Server::build()
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_TIMEOUT_S);
    if let Some(threads) = http.http_threads {
        server = server.workers(threads.get() as usize);
    }
    let (sessions, stopping) = (Handle::current(), server.graceful_shutdown_signal());
    let factory = move || {
        // Once on each thread that serves connections.
        rt::spawn(overload.clone().watch_event_loop());
        let (doorkeeper, stopping) = (doorkeeper.clone(), stopping.clone());
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(move |connection: &TcpStream, data| doorkeeper.admit(connection, data))
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(REQUEST_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .upgrade(upgrade::service(application(&shared), sessions.clone()))
            .h1(map_config(application(&shared), |()| AppConfig::default()))
            .tcp()
    };
    Ok(server.listen("http", listener, factory)?.run())
}

/// What answers requests.
fn application(
    shared: &Shared,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    let provided = shared.clone();
    App::new()
        .wrap(headers::security(&shared.embedders))
        .configure(move |config| provided.provide(config))
        .configure(health::routes)
        .route(websocket::PATH, web::get().to(websocket::upgrade))
        .service(
            web::scope(rest::PREFIX)
                .wrap(headers::never_stored())
                .wrap(shared.origins.cors())
                .configure(rest::routes),
        )
        .route("/api/{path:.*}", web::to(rest::unknown_path))
        .route("/{path:.*}", web::get().to(ui::serve))
        .route("/{path:.*}", web::head().to(ui::serve))
        .default_service(web::to(rest::bad_method))
}

/// What handlers ask for.
#[derive(Clone)]
struct Shared {
    relay: web::Data<Relay>,
    database: web::Data<Database>,
    joining: web::Data<Joining>,
    making: web::Data<Making>,
    addresses: web::Data<ClientAddresses>,
    origins: web::Data<OriginPolicy>,
    ui: web::Data<Ui>,
    embedders: Vec<Embedder>,
}

impl Shared {
    fn provide(self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.relay)
            .app_data(self.database)
            .app_data(self.joining)
            .app_data(self.making)
            .app_data(self.addresses)
            .app_data(self.origins)
            .app_data(self.ui);
    }
}
