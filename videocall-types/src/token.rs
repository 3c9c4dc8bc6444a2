//! What a token says. Signing and verifying are left to the servers.

use serde::{Deserialize, Serialize};

use crate::{MeetingId, SessionId, UserName};

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenUse {
    /// Entering a meeting; answered by the REST interface's join.
    Join,
    /// Resuming one session; given in Welcome.
    Resume,
}

/// The claims of a token (a JWT, RFC 7519).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who may enter.
    pub sub: UserName,
    /// The name that others see.
    pub name: String,
    /// The meeting it opens; no other.
    pub meeting: MeetingId,
    /// What it is good for.
    #[serde(rename = "use")]
    pub token_use: TokenUse,
    /// The session to resume; on resume tokens only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Expiry, seconds since the Unix epoch.
    pub exp: u64,
    /// When it was made, seconds since the Unix epoch: what is revoked is everything made before. A
    /// token that does not say counts as the oldest.
    #[serde(default)]
    pub iat: u64,
    /// Makes each token another one, though it says the same within the same second (RFC 7519 §4.1.7).
    #[serde(default)]
    pub jti: String,
}
