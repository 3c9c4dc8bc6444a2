//! The WebSocket relay: packets over RFC 6455, one per binary message.
//!
//! Everything about WebSocket is in this module, and actix-web-actors (which its authors have
//! deprecated) is used for nothing but the upgrade's answer, so that it can be replaced here. Who
//! receives what is left to relay-core, the life of a session to relay-runtime.

mod carrier;
mod decoder;
mod writer;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use relay_runtime::Relay;
use videocall_types::CloseCode;

use crate::client_address::ClientAddresses;
use crate::error::HttpError;
use crate::origin::OriginPolicy;
use crate::upgrade::Takeover;
use carrier::WebSocketCarrier;

/// Where the relay is, on the server of the REST interface.
pub(crate) const PATH: &str = "/ws";

/// Opcodes of RFC 6455 §5.2.
mod opcode {
    pub(super) const CONTINUATION: u8 = 0x0;
    pub(super) const TEXT: u8 = 0x1;
    pub(super) const BINARY: u8 = 0x2;
    pub(super) const CLOSE: u8 = 0x8;
    pub(super) const PING: u8 = 0x9;
    pub(super) const PONG: u8 = 0xa;
}

/// Answers an upgrade request; the connection is then served until it ends.
pub(crate) async fn upgrade(
    request: HttpRequest,
    relay: web::Data<Relay>,
    origins: web::Data<OriginPolicy>,
    addresses: web::Data<ClientAddresses>,
) -> Result<HttpResponse, HttpError> {
    origins.check(&request)?;
    // No extension is offered back: media does not get smaller by permessage-deflate.
    let mut response = ws::handshake(&request).map_err(|error| HttpError::Upgrade(error.to_string()))?;
    let peer = addresses
        .of(&request)
        .ok_or(HttpError::Internal("a connection without an address"))?;
    let place = relay.connections().accept(peer).map_err(|reason| match reason {
        CloseCode::TooManyConnections => HttpError::TooManyConnections,
        _ => HttpError::RelayFull,
    })?;
    let relay = relay.into_inner();
    let serve = move |stream, read| async move {
        let carrier = WebSocketCarrier::new(stream, read, peer);
        relay.serve(carrier, place).await;
    };
    let mut response = response.finish();
    response.extensions_mut().insert(Takeover::new(serve));
    Ok(response)
}
