//! Joining by the REST interface, as any client does.

use std::sync::Once;

use anyhow::Context as _;
use videocall_types::api::{ApiError, JoinResponse, RelayEndpoint, TransportKind};

/// A client of the REST interface.
pub(crate) fn http() -> reqwest::Client {
    static CRYPTOGRAPHY: Once = Once::new();
    CRYPTOGRAPHY.call_once(|| {
        // Something else in the process may have chosen one already.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::new()
}

/// Asks for a ticket.
///
/// # Errors
/// When the server says no.
pub async fn join(url: &str, meeting: &str, user: &str) -> anyhow::Result<JoinResponse> {
    let answer = post(url, meeting, user).await?.error_for_status()?;
    Ok(answer.json().await?)
}

/// Asks for a ticket that must be refused: the status and the body. Ids go as they are, so that
/// forbidden ones can be tried; percent-encode what would change the path.
///
/// # Errors
/// When the answer is not that of this interface.
pub async fn join_status(url: &str, meeting: &str, user: &str) -> anyhow::Result<(u16, ApiError)> {
    let answer = post(url, meeting, user).await?;
    let status = answer.status().as_u16();
    Ok((
        status,
        answer
            .json()
            .await
            .with_context(|| format!("the body of a {status}"))?,
    ))
}

async fn post(url: &str, meeting: &str, user: &str) -> anyhow::Result<reqwest::Response> {
    let body = serde_json::json!({ "user_id": user });
    let address = format!("{url}/api/v1/meetings/{meeting}/join");
    Ok(reqwest::Client::new().post(address).json(&body).send().await?)
}

/// The relay of this carrier, with an absolute address.
///
/// # Errors
/// When the ticket names none.
pub fn endpoint(url: &str, ticket: &JoinResponse, transport: TransportKind) -> anyhow::Result<RelayEndpoint> {
    let found = ticket.relays.iter().find(|relay| relay.transport == transport);
    let mut endpoint = found
        .with_context(|| format!("the ticket names no {transport} relay"))?
        .clone();
    if endpoint.url.starts_with('/') {
        let origin = url.replacen("http", "ws", 1);
        endpoint.url = format!("{origin}{}", endpoint.url);
    }
    Ok(endpoint)
}
