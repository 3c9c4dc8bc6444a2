//! Logs on standard error; progress and answers have standard output to themselves.

use tracing_subscriber::EnvFilter;

use crate::arguments::LogFormat;

/// Only what a person has to know, unless `RUST_LOG` asks for more.
const DEFAULT_FILTER: &str = "warn";

/// Starts logging; a second start changes nothing.
pub(crate) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| DEFAULT_FILTER.into());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Pretty => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging has already started");
    }
}
