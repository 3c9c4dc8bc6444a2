//! Tickets, from the REST interface, and the relay that a session goes to.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustls::{ClientConfig, RootCertStore};
use videocall_types::api::{ApiError, JoinResponse, RelayEndpoint, TransportKind};

/// A request that has not been answered by then is given up. A server under load may take seconds.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Who asks for tickets.
#[derive(Clone, Debug)]
pub(crate) struct Office {
    http: reqwest::Client,
    servers: Vec<String>,
    meeting: String,
    spread: bool,
}

impl Office {
    pub(crate) fn new(
        servers: Vec<String>,
        meeting: String,
        spread: bool,
        trust: &Arc<ClientConfig>,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(ClientConfig::clone(trust))
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self {
            http,
            servers,
            meeting,
            spread,
        })
    }

    /// A ticket for the n-th session of a meeting, and the relay it goes to.
    pub(crate) async fn ticket(
        &self,
        meeting: usize,
        turn: usize,
        transport: TransportKind,
    ) -> anyhow::Result<(String, RelayEndpoint)> {
        let server = &self.servers[turn % self.servers.len()];
        let address = format!("{server}/api/v1/meetings/{}-{meeting}/join", self.meeting);
        let body = serde_json::json!({ "user_id": format!("load-{turn}") });
        let answer = self.http.post(&address).json(&body).send().await;
        let answer = answer.with_context(|| format!("{server} does not answer; check --url"))?;
        let status = answer.status();
        if !status.is_success() {
            let refusal = answer
                .json::<ApiError>()
                .await
                .map_or_else(|_| String::new(), |e| e.message);
            bail!("{server} gives no ticket ({status}): {refusal}");
        }
        let ticket: JoinResponse = answer.json().await.context("the ticket is not as it should be")?;
        let relay = self.choose(&ticket, server, turn, transport)?;
        Ok((ticket.token, relay))
    }

    fn choose(
        &self,
        ticket: &JoinResponse,
        server: &str,
        turn: usize,
        transport: TransportKind,
    ) -> anyhow::Result<RelayEndpoint> {
        let absolute = |relay: &RelayEndpoint| {
            let mut relay = relay.clone();
            if relay.url.starts_with('/') {
                relay.url = format!("{}{}", server.replacen("http", "ws", 1), relay.url);
            }
            relay
        };
        let mut relays: Vec<RelayEndpoint> = ticket.relays.iter().map(absolute).collect();
        relays.retain(|relay| relay.transport == transport);
        if self.spread {
            // The order is the server's own, best first, and changes with the load.
            relays.sort_by(|a, b| a.url.cmp(&b.url));
            let first = turn % relays.len().max(1);
            relays.rotate_left(first);
        }
        let none = || format!("{server} names no {transport} relay");
        relays.into_iter().next().with_context(none)
    }
}

/// The certificates of this system, for HTTPS, WebSocket and WebTransport.
pub(crate) fn trust() -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
