//! The shapes of the REST interface under `/api/v1`.

use serde::{Deserialize, Serialize};

use crate::{MeetingId, UserName};

/// `POST /api/v1/meetings`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreateMeetingRequest {
    /// The wanted id; a random one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MeetingId>,
}

/// `GET /api/v1/meetings/{id}` and the answer to creating one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Meeting {
    /// The meeting's id, as in its address.
    pub id: MeetingId,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// `POST /api/v1/meetings/{id}/join`; creates the meeting when it does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinRequest {
    /// Who joins, as in the address `/meeting/<username>/<meeting-id>`.
    pub user_id: UserName,
    /// The name that others see; the user name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

/// The answer to a join: a token and the relays that take it, best first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinResponse {
    /// The token for Hello.
    pub token: String,
    /// Milliseconds since the Unix epoch.
    pub expires_at_ms: i64,
    /// Where to connect, best first.
    pub relays: Vec<RelayEndpoint>,
}

/// The answer to `GET /api/v1/meetings/{id}/relays`: where a token that one has already is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RelaysResponse {
    /// Where to connect, best first.
    pub relays: Vec<RelayEndpoint>,
}

/// The carrier a relay speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// HTTP/3 over QUIC: `https://host:port/path`.
    WebTransport,
    /// RFC 6455: `ws://` or `wss://host:port/path`.
    WebSocket,
}

impl TransportKind {
    /// `webtransport` or `websocket`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebTransport => "webtransport",
            Self::WebSocket => "websocket",
        }
    }
}

impl std::fmt::Display for TransportKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a relay listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RelayEndpoint {
    /// What it speaks.
    pub transport: TransportKind,
    /// Where it speaks it. A WebSocket address that starts with `/` is relative to the page.
    pub url: String,
    /// SHA-256 hashes of the certificates it may present, hexadecimal, for the
    /// `serverCertificateHashes` of WebTransport; empty when the certificate is publicly trusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate_hashes: Vec<String>,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiError {
    /// A stable word for programs, in snake case.
    pub error: String,
    /// A sentence for people that says what to do.
    pub message: String,
}
