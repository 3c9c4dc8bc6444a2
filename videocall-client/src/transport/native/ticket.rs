//! The ticket for a meeting, from the REST interface.

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use videocall_types::api::{ApiError, JoinResponse};

use super::tls;
use crate::config::{ClientConfig, TicketRequest};
use crate::core::TicketError;

/// A request that has not been answered by then is given up; the core does not wait longer either.
const TIMEOUT: Duration = Duration::from_secs(5);

static CLIENT: LazyLock<Result<reqwest::Client, String>> = LazyLock::new(|| {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::config())
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| describe(&error))
});

/// Asks for a ticket.
pub(super) async fn fetch(config: &ClientConfig) -> Result<JoinResponse, TicketError> {
    let client = CLIENT
        .as_ref()
        .map_err(|error| TicketError::Refused(error.clone()))?;
    match config.ticket_request() {
        TicketRequest::Join { url, body } => ask(&url, client.post(&url).json(&body)).await,
        TicketRequest::Relays { url, token } => {
            let relays = ask(&url, client.get(&url).bearer_auth(token.reveal())).await?;
            Ok(token.ticket(relays))
        }
    }
}

async fn ask<T: DeserializeOwned>(url: &str, request: reqwest::RequestBuilder) -> Result<T, TicketError> {
    let answer = request.send().await.map_err(|error| match error.is_builder() {
        true => TicketError::Refused(format!("{url:?} is not an address: {}", describe(&error))),
        false => TicketError::Unavailable(describe(&error)),
    })?;
    let status = answer.status();
    if status.is_success() {
        let answer = answer.json().await;
        return answer.map_err(|error| TicketError::Unavailable(describe(&error)));
    }
    let message = answer.json::<ApiError>().await.map_or_else(
        |_| format!("the server answered {status}; check that its address is {url}"),
        |error| error.message,
    );
    Err(refusal(status, message))
}

fn refusal(status: StatusCode, message: String) -> TicketError {
    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
        TicketError::Refused(message)
    } else {
        TicketError::Unavailable(message)
    }
}

/// The innermost cause says most: "connection refused" rather than "error sending request".
fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
