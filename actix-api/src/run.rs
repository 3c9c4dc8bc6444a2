//! The server as a process of its own.

use std::net::TcpListener;

use anyhow::Context as _;
use relay_runtime::{Relay, TokenService, Traces, logging, raise_file_limit, shutdown_on_signal};

use crate::{Database, Parts, Settings, serve};

/// Runs the server until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, with what to do about it.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    logging::init(&settings.common.logs)?;
    let traces = Traces::start(&settings.common.traces, "actix-api")?;
    raise_file_limit(&settings.common.relay);
    let shutdown = shutdown_on_signal()?;
    let listener = TcpListener::bind(settings.bind).with_context(|| {
        format!(
            "cannot listen on {}; choose another address with --bind",
            settings.bind
        )
    })?;
    let tokens = TokenService::new(&settings.common.tokens.required()?);
    let database = Database::open(&settings.database_url).await?;
    let bus = settings.common.bus.connect("actix-api").await?;
    let relay = Relay::start(settings.common.relay, tokens, bus, shutdown.clone());
    let parts = Parts {
        relay,
        database: database.clone(),
    };
    let served = serve(settings.http, settings.join, parts, listener, shutdown).await;
    database.close().await;
    traces.end().await;
    served
}
