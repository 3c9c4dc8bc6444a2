//! Asks the REST interface for a ticket, by fetch.

use videocall_types::api::{ApiError, JoinRequest, JoinResponse};
use wasm_bindgen::JsCast;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Headers, Request, RequestInit, Response};

use crate::core::TicketError;
use crate::media::web::js;

/// Posts the request and reads the answer.
pub(super) async fn fetch(url: &str, body: &JoinRequest) -> Result<JoinResponse, TicketError> {
    let body = serde_json::to_string(body).map_err(|error| TicketError::Refused(error.to_string()))?;
    let (status, text) = post(url, &body).await.map_err(|error| {
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

async fn post(url: &str, body: &str) -> Result<(u16, String), JsValue> {
    let headers = Headers::new()?;
    headers.set("content-type", "application/json")?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(&headers);
    init.set_body(&body.into());
    let request = Request::new_with_str_and_init(url, &init)?;
    let window = js::window().ok_or("there is no window")?;
    let response = JsFuture::from(window.fetch_with_request(&request)).await?;
    let response: Response = response.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?;
    Ok((response.status(), text.as_string().unwrap_or_default()))
}
