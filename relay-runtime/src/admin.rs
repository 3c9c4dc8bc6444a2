//! What an operator asks of a running server: `POST /admin/drain` and `POST /admin/revoke`, with a token of
//! its own.
//!
//! The decision and the answer are made here; reading requests is left to the servers' HTTP sides.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use videocall_types::api::ApiError;

use crate::{Relay, Revoke};

/// Where a server is told to drain.
pub const DRAIN_PATH: &str = "/admin/drain";

/// Where tokens are taken out of use: `?meeting=ID` for everybody's in a meeting, `?meeting=ID&user=NAME`
/// for one person's.
pub const REVOKE_PATH: &str = "/admin/revoke";

/// Bytes of a token at least, so that guessing is hopeless at any rate.
const MIN_TOKEN_BYTES: usize = 32;

/// Who may administer a running server.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Administration")]
pub struct AdminSettings {
    /// Secret of at least 32 bytes that POST /admin/drain and POST /admin/revoke take, in the header
    /// `Authorization: Bearer TOKEN`; without one these addresses are off
    #[arg(
        long,
        env = "VIDEOCALL_ADMIN_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub admin_token: Option<AdminToken>,
}

/// The secret of administrators. Never printed.
#[derive(Clone)]
pub struct AdminToken(String);

/// A token that could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an admin token has at least {MIN_TOKEN_BYTES} bytes (openssl rand -hex 32 makes one)")]
pub struct ShortAdminToken;

impl FromStr for AdminToken {
    type Err = ShortAdminToken;

    fn from_str(text: &str) -> Result<Self, ShortAdminToken> {
        match text.len() >= MIN_TOKEN_BYTES {
            true => Ok(Self(text.to_owned())),
            false => Err(ShortAdminToken),
        }
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl AdminToken {
    /// Takes as long whatever the first difference is, so that it cannot be found byte by byte.
    fn is(&self, claimed: &str) -> bool {
        self.0.as_bytes().ct_eq(claimed.as_bytes()).into()
    }
}

/// Why an administrator's request is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// There is no token that could be right.
    #[error(
        "This server has no admin token; set --admin-token or VIDEOCALL_ADMIN_TOKEN to use this address."
    )]
    Off,
    /// The request has none.
    #[error(
        "This address takes the admin token of this server, in the header `Authorization: Bearer TOKEN`."
    )]
    Missing,
    /// It is not ours.
    #[error("The admin token is not that of this server.")]
    Wrong,
    /// It is not clear whose tokens are meant.
    #[error("Say whose tokens: ?meeting=ID for all of a meeting, ?meeting=ID&user=NAME for one person's.")]
    BadQuery,
}

impl AdminError {
    const fn word(self) -> &'static str {
        match self {
            Self::Off => "admin_off",
            Self::Missing => "missing_token",
            Self::Wrong => "bad_token",
            Self::BadQuery => "bad_request",
        }
    }

    const fn status(self) -> u16 {
        match self {
            Self::Off => 404,
            Self::Missing => 401,
            Self::Wrong => 403,
            Self::BadQuery => 400,
        }
    }
}

/// An answer, ready to be sent as JSON. One with status 401 has the header `WWW-Authenticate: Bearer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAnswer {
    /// The status of HTTP.
    pub status: u16,
    /// JSON.
    pub body: String,
}

#[derive(Serialize)]
struct Revoked {
    /// Sessions that were on this relay.
    closed: usize,
}

#[derive(Serialize)]
struct Draining {
    draining: bool,
    /// The process has ended by then.
    ends_within_ms: u128,
}

impl Relay {
    /// Answers `POST /admin/drain`: begins to stop, as SIGTERM does. Asking again changes nothing.
    pub fn answer_drain(&self, authorization: Option<&str>) -> AdminAnswer {
        match self.authorize(authorization) {
            Ok(()) => {
                tracing::info!("an administrator asks this server to drain");
                AdminAnswer::new(
                    202,
                    &Draining {
                        draining: true,
                        ends_within_ms: self.drain().as_millis(),
                    },
                )
            }
            Err(error) => error.into(),
        }
    }

    /// Answers `POST /admin/revoke`: tokens made until now are good no more, on all relays, and who came in
    /// with them is closed.
    pub fn answer_revoke(&self, authorization: Option<&str>, query: &str) -> AdminAnswer {
        let wanted = self
            .authorize(authorization)
            .and_then(|()| revocation(query).ok_or(AdminError::BadQuery));
        match wanted {
            Ok(revoke) => {
                let closed = self.revoke(revoke);
                AdminAnswer::new(200, &Revoked { closed })
            }
            Err(error) => error.into(),
        }
    }

    fn authorize(&self, authorization: Option<&str>) -> Result<(), AdminError> {
        let token = self.admin().admin_token.as_ref().ok_or(AdminError::Off)?;
        // RFC 6750 §2.1.
        let claimed = authorization.and_then(|value| value.strip_prefix("Bearer "));
        match token.is(claimed.ok_or(AdminError::Missing)?.trim()) {
            true => Ok(()),
            false => Err(AdminError::Wrong),
        }
    }
}

/// Ids have no characters that a query would have to escape.
fn revocation(query: &str) -> Option<Revoke> {
    let (mut meeting, mut user) = (None, None);
    for pair in query.split('&') {
        match pair.split_once('=')? {
            ("meeting", id) => meeting = Some(id.parse().ok()?),
            ("user", name) => user = Some(name.parse().ok()?),
            _ => return None,
        }
    }
    meeting.map(|meeting| Revoke { meeting, user })
}

impl From<AdminError> for AdminAnswer {
    fn from(error: AdminError) -> Self {
        let body = ApiError {
            error: error.word().to_owned(),
            message: error.to_string(),
        };
        Self::new(error.status(), &body)
    }
}

impl AdminAnswer {
    fn new(status: u16, body: &impl Serialize) -> Self {
        Self {
            status,
            body: serde_json::to_string(body).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_names_a_meeting_and_nothing_that_is_not_understood() {
        let of = |query| revocation(query).map(|revoke| (revoke.meeting.to_string(), revoke.user));
        assert_eq!(of("meeting=demo"), Some(("demo".to_owned(), None)));
        let mallory = "mallory".parse().ok();
        assert_eq!(
            of("user=mallory&meeting=demo"),
            Some(("demo".to_owned(), mallory))
        );
        for query in [
            "",
            "user=mallory",
            "meeting=",
            "meeting=a.b",
            "meeting=demo&users=mallory",
            "meeting=demo&",
        ] {
            assert_eq!(of(query), None, "{query}");
        }
    }

    #[test]
    fn tokens_are_long_secret_and_compared_as_a_whole() {
        assert_eq!("short".parse::<AdminToken>().err(), Some(ShortAdminToken));
        let text = "0123456789abcdef0123456789abcdef";
        let token: AdminToken = text.parse().expect("long enough");
        assert!(token.is(text));
        assert!(!token.is(&text[1..]) && !token.is(&text.to_uppercase()) && !token.is(""));
        assert_eq!(format!("{token:?}"), "(secret)");
    }
}
