//! What a client is told before it starts.

use std::time::Duration;

use videocall_types::api::{JoinRequest, JoinResponse, TransportKind};
use videocall_types::{MeetingId, UserName};

/// Which carriers a client may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// How a client behaves, and where it goes.
#[derive(Clone, Debug)]
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
            // Long enough for a server that is just starting.
            give_up_connecting_after: Duration::from_secs(15),
            // A laptop that was asleep, a train in a tunnel.
            give_up_reconnecting_after: Duration::from_secs(120),
        }
    }

    /// Where to ask for a ticket, and with which body (`POST`, JSON).
    pub fn ticket_request(&self) -> (String, JoinRequest) {
        let url = format!(
            "{}/api/v1/meetings/{}/join",
            self.server_url.trim_end_matches('/'),
            self.meeting
        );
        let body = JoinRequest {
            user_id: self.user.clone(),
            display_name: self.display_name.clone(),
        };
        (url, body)
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
        let (url, body) = config("http://a:8081/").ticket_request();
        assert_eq!(url, "http://a:8081/api/v1/meetings/demo/join");
        assert_eq!(body.user_id.as_str(), "ann");
    }
}
