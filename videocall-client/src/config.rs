//! What a client is told before it starts.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use videocall_types::api::{JoinRequest, JoinResponse, RelaysResponse, TransportKind};
use videocall_types::{MeetingId, UserName};

/// Which carriers a client may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransportPreference {
    /// WebTransport, and WebSocket where that does not work.
    #[default]
    Auto,
    /// WebTransport and nothing else.
    WebTransport,
    /// WebSocket and nothing else.
    WebSocket,
}

impl TransportPreference {
    /// Whether the carrier may be used.
    pub const fn allows(self, transport: TransportKind) -> bool {
        matches!(
            (self, transport),
            (Self::Auto, _)
                | (Self::WebTransport, TransportKind::WebTransport)
                | (Self::WebSocket, TransportKind::WebSocket)
        )
    }
}

/// A token for a meeting. It does not show in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// A token as the REST interface or somebody with the server's key has made it.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// For the relay.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A ticket for these relays. When the token expires they will say.
    pub(crate) fn ticket(&self, relays: RelaysResponse) -> JoinResponse {
        JoinResponse {
            token: self.0.clone(),
            expires_at_ms: i64::MAX,
            relays: relays.relays,
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What the REST interface is asked for.
#[derive(Clone, Debug)]
pub enum TicketRequest {
    /// `POST`, JSON; the answer is a [`JoinResponse`].
    Join {
        /// Where.
        url: String,
        /// Who joins.
        body: JoinRequest,
    },
    /// `GET` with the token as bearer (RFC 6750 §2.1); the answer is a [`RelaysResponse`].
    Relays {
        /// Where.
        url: String,
        /// Of the program.
        token: Token,
    },
}

/// How a client behaves, and where it goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientConfig {
    /// Origin of the REST interface, for example `http://localhost:8081`; no slash at the end.
    pub server_url: String,
    /// Which meeting.
    pub meeting: MeetingId,
    /// Who joins.
    pub user: UserName,
    /// The name that others see; the user name when absent.
    pub display_name: Option<String>,
    /// Which carriers may be used.
    pub transport: TransportPreference,
    /// Name and version of the program, for the relay's logs.
    pub client_name: String,
    /// WebCodecs codec strings that the program decodes, for the Hello message.
    pub decodable_codecs: Vec<String>,
    /// Receive everything of everybody until [`crate::Client::subscribe`] says otherwise.
    pub subscribe_automatically: bool,
    /// A ticket that is there already. Without one, or when it has expired, the REST interface is
    /// asked for one.
    pub ticket: Option<JoinResponse>,
    /// A token from elsewhere. With it the REST interface is asked for the relays alone, and nobody
    /// joins; what it says counts, not `user` and `display_name`.
    pub token: Option<Token>,
    /// SHA-256 hashes, hexadecimal, of certificates that WebTransport relays may present besides those
    /// that the ticket names.
    pub certificate_hashes: Vec<String>,
    /// Tell the relay once how long joining took and how long the first picture, and then each minute how
    /// the call was ([`videocall_types::CallMinute`]), for the operator's metrics. Nothing in it is about a
    /// person.
    pub report_timing: bool,
    /// How long the first connection may take before the client gives up.
    pub give_up_connecting_after: Duration,
    /// How long a lost connection may stay lost before the client gives up.
    pub give_up_reconnecting_after: Duration,
}

impl ClientConfig {
    /// A client that receives everything and chooses the carrier itself.
    pub fn new(server_url: impl Into<String>, meeting: MeetingId, user: UserName) -> Self {
        Self {
            server_url: server_url.into().trim_end_matches('/').to_owned(),
            meeting,
            user,
            display_name: None,
            transport: TransportPreference::Auto,
            client_name: concat!("videocall-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            decodable_codecs: Vec::new(),
            subscribe_automatically: true,
            ticket: None,
            token: None,
            certificate_hashes: Vec::new(),
            report_timing: true,
            // Long enough for a server that is just starting.
            give_up_connecting_after: Duration::from_secs(15),
            // A laptop that was asleep, a train in a tunnel.
            give_up_reconnecting_after: Duration::from_secs(120),
        }
    }

    /// What the REST interface is asked for.
    pub fn ticket_request(&self) -> TicketRequest {
        let meeting = format!(
            "{}/api/v1/meetings/{}",
            self.server_url.trim_end_matches('/'),
            self.meeting
        );
        match &self.token {
            Some(token) => TicketRequest::Relays {
                url: format!("{meeting}/relays"),
                token: token.clone(),
            },
            None => TicketRequest::Join {
                url: format!("{meeting}/join"),
                body: JoinRequest {
                    user_id: self.user.clone(),
                    display_name: self.display_name.clone(),
                },
            },
        }
    }

    /// A relay's address as a whole: one that starts with `/` is on the REST interface's server.
    pub(crate) fn absolute_url(&self, url: &str) -> String {
        if !url.starts_with('/') {
            return url.to_owned();
        }
        let origin = match self.server_url.split_once("://") {
            Some(("https", rest)) => format!("wss://{rest}"),
            Some(("http", rest)) => format!("ws://{rest}"),
            _ => self.server_url.clone(),
        };
        let host_end = origin
            .find("://")
            .and_then(|scheme| origin[scheme + 3..].find('/').map(|path| scheme + 3 + path))
            .unwrap_or(origin.len());
        format!("{}{url}", &origin[..host_end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(server_url: &str) -> ClientConfig {
        let meeting = "demo".parse().expect("a meeting id");
        ClientConfig::new(server_url, meeting, "ann".parse().expect("a user name"))
    }

    #[test]
    fn relative_addresses_are_on_the_rest_server() {
        let absolute = |server: &str, url: &str| config(server).absolute_url(url);
        assert_eq!(absolute("http://a:8081", "/ws"), "ws://a:8081/ws");
        assert_eq!(absolute("https://a/", "/ws"), "wss://a/ws");
        assert_eq!(absolute("https://a/base", "/ws"), "wss://a/ws");
        assert_eq!(absolute("https://a", "wss://b/ws"), "wss://b/ws");
    }

    #[test]
    fn tickets_come_from_the_join_of_the_meeting() {
        let TicketRequest::Join { url, body } = config("http://a:8081/").ticket_request() else {
            panic!("without a token one joins");
        };
        assert_eq!(url, "http://a:8081/api/v1/meetings/demo/join");
        assert_eq!(body.user_id.as_str(), "ann");
    }

    #[test]
    fn who_has_a_token_asks_for_relays_and_keeps_it_secret() {
        let config = ClientConfig {
            token: Some(Token::new("secret")),
            ..config("http://a:8081")
        };
        let request = config.ticket_request();
        assert!(!format!("{config:?} {request:?}").contains("secret"));
        let TicketRequest::Relays { url, token } = request else {
            panic!("nobody joins");
        };
        assert_eq!(url, "http://a:8081/api/v1/meetings/demo/relays");
        assert_eq!(token.reveal(), "secret");
        let relays = RelaysResponse { relays: Vec::new() };
        assert_eq!(token.ticket(relays).token, "secret");
    }
}
