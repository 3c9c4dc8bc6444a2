//! Logs: lines for people, or JSON for machines, on standard error.

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::{LogFormat, LogSettings};

/// Starts logging for the process. Called once, first.
///
/// # Errors
/// When the directives cannot be read, or logging was started before.
pub fn init(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log)
        .context("the setting --log cannot be read; write it like info,relay_core=debug")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Pretty => builder.compact().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("logging cannot be started: {error}"))
}
