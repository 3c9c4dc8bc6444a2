//! Asks the REST interface for a ticket, by fetch.

use serde::Serialize;
use serde::de::DeserializeOwned;
use videocall_types::api::{ApiError, JoinResponse};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Request, RequestInit, Response};

use crate::config::{ClientConfig, TicketRequest};
use crate::core::TicketError;
use crate::media::web::js;

/// Asks for a ticket.
pub(super) async fn fetch(config: &ClientConfig) -> Result<JoinResponse, TicketError> {
    match config.ticket_request() {
        TicketRequest::Join { url, body } => read(send(&url, post(&body)).await),
        TicketRequest::Relays { url, token } => {
            let authorization = format!("Bearer {}", token.reveal());
            let relays = read(send(&url, with_header("authorization", &authorization)).await)?;
            Ok(token.ticket(relays))
        }
    }
}

fn read<T: DeserializeOwned>(answer: Result<(u16, String), JsValue>) -> Result<T, TicketError> {
    let (status, text) = answer.map_err(|error| {
        let reason = js::describe(&error);
        TicketError::Unavailable(format!("the server does not answer: {reason}"))
    })?;
    if (200..300).contains(&status) {
        return serde_json::from_str(&text)
            .map_err(|_| TicketError::Unavailable("the server's answer cannot be read".into()));
    }
    let message = serde_json::from_str::<ApiError>(&text).map_or_else(
        |_| format!("the server answered with status {status}"),
        |error| error.message,
    );
    // RFC 6585 §4: too many requests for the moment.
    if (400..500).contains(&status) && status != 429 {
        Err(TicketError::Refused(message))
    } else {
        Err(TicketError::Unavailable(message))
    }
}

fn with_header(name: &str, value: &str) -> Result<RequestInit, JsValue> {
    let headers = Headers::new()?;
    headers.set(name, value)?;
    let init = RequestInit::new();
    init.set_headers(&headers);
    Ok(init)
}

fn post(body: &impl Serialize) -> Result<RequestInit, JsValue> {
    let init = with_header("content-type", "application/json")?;
    let body = serde_json::to_string(body).map_err(|error| error.to_string())?;
    init.set_method("POST");
    init.set_body(&body.into());
    Ok(init)
}

#[wasm_bindgen]
extern "C" {
    /// Of the page or worker that this runs in.
    #[wasm_bindgen(js_name = fetch)]
    fn fetch_request(request: &Request) -> js_sys::Promise;
}

async fn send(url: &str, init: Result<RequestInit, JsValue>) -> Result<(u16, String), JsValue> {
    let request = Request::new_with_str_and_init(url, &init?)?;
    let response = JsFuture::from(fetch_request(&request)).await?;
    let response: Response = response.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?;
    Ok((response.status(), text.as_string().unwrap_or_default()))
}
