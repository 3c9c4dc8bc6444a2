//! A ticket with what the command line adds to the server's: a token from elsewhere, and
//! certificates to accept.

use anyhow::anyhow;
use videocall_client::ClientConfig;
use videocall_client::driver::Connector as _;
use videocall_client::transport::native::NativeConnector;
use videocall_types::api::{JoinResponse, TransportKind};

use crate::arguments::{Secret, StreamArguments};

/// `None` when the command line adds nothing: the client then asks for a ticket itself.
///
/// # Errors
/// When the server does not answer or refuses.
pub(crate) async fn fetch(
    arguments: &StreamArguments,
    config: &ClientConfig,
) -> anyhow::Result<Option<JoinResponse>> {
    if arguments.token.is_none() && arguments.certificate_hash.is_empty() {
        return Ok(None);
    }
    let connector = NativeConnector::new(config.clone());
    let mut ticket = connector
        .fetch_ticket()
        .await
        .map_err(|error| anyhow!("{} gives no access: {error}; check --url", arguments.url))?;
    if let Some(token) = arguments.token.as_ref().map(Secret::reveal) {
        ticket.token = token.to_owned();
    }
    for relay in &mut ticket.relays {
        if relay.transport == TransportKind::WebTransport {
            let hashes = arguments
                .certificate_hash
                .iter()
                .map(|hash| hash.as_str().to_owned());
            relay.certificate_hashes.extend(hashes);
        }
    }
    Ok(Some(ticket))
}
