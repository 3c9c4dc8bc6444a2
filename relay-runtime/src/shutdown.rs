//! The signals that ask a server to stop.

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

/// A token that SIGTERM and SIGINT cancel. A second signal ends the process at once.
///
/// # Errors
/// When signals cannot be received.
#[cfg(unix)]
pub fn shutdown_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be received")?;
    let shutdown = CancellationToken::new();
    let cancelled = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if cancelled.is_cancelled() {
                tracing::warn!("stopping at once");
                std::process::exit(1);
            }
            tracing::info!("stopping; a second signal stops at once");
            cancelled.cancel();
        }
    });
    Ok(shutdown)
}

/// A token that Ctrl-C cancels.
///
/// # Errors
/// Never on this system.
#[cfg(not(unix))]
pub fn shutdown_on_signal() -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let cancelled = shutdown.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancelled.cancel();
        }
    });
    Ok(shutdown)
}

/// How a server's process ends: on failure with one line that says what to do, without a backtrace.
#[allow(
    clippy::print_stderr,
    reason = "the log may not have been set up when a server fails to start"
)]
pub fn exit_code(result: &anyhow::Result<()>) -> std::process::ExitCode {
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
