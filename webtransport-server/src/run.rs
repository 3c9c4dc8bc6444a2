//! The server as a process of its own.

use anyhow::Context as _;
use relay_runtime::{Relay, TokenService, Traces, health, logging, shutdown_on_signal};
use tokio::net::TcpListener;

use crate::{Settings, WebTransportServer};

/// Runs the server until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, with what to do about it.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    logging::init(&settings.common.logs)?;
    let traces = Traces::start(&settings.common.traces, "webtransport-server")?;
    let shutdown = shutdown_on_signal()?;
    let tokens = TokenService::new(&settings.common.tokens.required()?);
    let health = TcpListener::bind(settings.health_bind).await.with_context(|| {
        format!(
            "cannot listen on {}; choose another address with --health-bind",
            settings.health_bind
        )
    })?;
    let server = WebTransportServer::bind(settings.bind, &settings.webtransport, &settings.data_dir).await?;
    let bus = settings.common.bus.connect("webtransport-server").await?;
    let relay = Relay::start(settings.common.relay, tokens, bus, shutdown);
    tokio::join!(server.serve(relay.clone()), health::serve(health, relay));
    traces.end().await;
    Ok(())
}
