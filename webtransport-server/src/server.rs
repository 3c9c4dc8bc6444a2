//! Accepts connections and gives each to the session driver; keeps certificate and address known.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use relay_runtime::{Limit, Relay, RelayDirectory};
use tokio::time::{interval, timeout};
use videocall_types::api::{RelayEndpoint, TransportKind};
use wtransport::Connection;
use wtransport::endpoint::IncomingSessionFuture;
use wtransport::quinn::{Endpoint, Incoming, VarInt};

use crate::carrier::WebTransportCarrier;
use crate::certificate::{LOOK_INTERVAL, Offer, OwnCertificates, Source};
use crate::config::{CongestionControl, WebTransportSettings, host_of};
use crate::gate::Gate;
use crate::{PATH, endpoint, quic};

/// How long the last packets of closed connections may take to leave.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);

/// A relay's WebTransport side, bound to its address.
pub struct WebTransportServer {
    endpoint: Endpoint,
    gate: Arc<Gate>,
    source: Source,
    offer: Offer,
    url: String,
    congestion: CongestionControl,
}

impl WebTransportServer {
    /// Takes the address and finds or makes the certificate.
    ///
    /// # Errors
    /// When the address is taken or the certificate cannot be had.
    pub async fn bind(
        bind: SocketAddr,
        settings: &WebTransportSettings,
        data_dir: &Path,
    ) -> anyhow::Result<Self> {
        let mut source = source(settings, data_dir);
        let offer = source.look().await?.context("there is no certificate")?;
        let socket = quic::socket(bind)?;
        let congestion = settings.congestion_control;
        let config = quic::server_config(offer.identity.clone_identity(), congestion);
        let (endpoint, gate) = endpoint::open(&config, socket)?;
        let address = endpoint.local_addr().context("the socket has no address")?;
        let url = match &settings.public_url {
            Some(url) => url.clone(),
            None => {
                if address.ip().is_unspecified() {
                    tracing::warn!(
                        "clients on other machines do not know where this relay is; say it with \
                         --public-webtransport-url"
                    );
                }
                format!("https://{}{PATH}", reachable(address))
            }
        };
        Ok(Self {
            endpoint,
            gate,
            source,
            offer,
            url,
            congestion,
        })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Serves until the relay has drained.
    pub async fn serve(self, relay: Arc<Relay>) {
        tracing::info!(url = self.url, "serving WebTransport");
        let Self {
            endpoint,
            gate,
            source,
            offer,
            url,
            congestion,
        } = self;
        gate.limit(relay.settings());
        let renewing = Renewing {
            endpoint: endpoint.clone(),
            url,
            congestion,
        };
        renewing.announce(offer.hashes, relay.directory());
        tokio::select! {
            () = accept(&endpoint, &relay) => {}
            () = renewing.run(source, &relay) => {}
            () = relay.drained() => {}
        }
        endpoint.close(VarInt::from_u32(0), b"the server has stopped");
        let _some_peers_are_silent = timeout(FAREWELL_TIMEOUT, endpoint.wait_idle()).await;
    }
}

fn source(settings: &WebTransportSettings, data_dir: &Path) -> Source {
    if let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) {
        return Source::Files {
            certificate: certificate.clone(),
            key: key.clone(),
            read_at: None,
        };
    }
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    names.extend(
        settings
            .public_url
            .as_deref()
            .and_then(host_of)
            .map(str::to_owned),
    );
    names.extend(settings.certificate_name.iter().cloned());
    names.sort();
    names.dedup();
    Source::Own(OwnCertificates::new(data_dir, names))
}

/// Where a client on this machine finds a server that listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Never waits for anything of a single connection: whoever is slow keeps nobody else waiting. What is
/// turned away here has cost one packet each way and no handshake.
async fn accept(endpoint: &Endpoint, relay: &Arc<Relay>) {
    while let Some(incoming) = endpoint.accept().await {
        let address = incoming.remote_address().ip();
        // Whoever writes somebody else's address into its packets must not use up that one's places.
        if !incoming.remote_address_validated() && relay.connections().wants_proof(address) {
            let _already_validated = incoming.retry();
            continue;
        }
        match relay.connections().accept(address) {
            Ok(connection) => {
                tokio::spawn(converse(incoming, relay.clone(), connection));
            }
            Err(reason) => {
                tracing::debug!(peer = %address, %reason, "refused");
                incoming.refuse();
            }
        }
    }
}

async fn converse(incoming: Incoming, relay: Arc<Relay>, place: relay_runtime::Connection) {
    match timeout(relay.settings().handshake_timeout(), handshake(incoming)).await {
        Ok(Ok(Some(connection))) => relay.serve(WebTransportCarrier::new(connection), place).await,
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_) => {
            relay.note_exceeded(Limit::HandshakeTime);
            tracing::debug!("a handshake took too long");
        }
    }
}

async fn handshake(incoming: Incoming) -> Result<Option<Connection>, wtransport::error::ConnectionError> {
    let request = IncomingSessionFuture::with_quic_incoming(incoming).await?;
    let path = request.path().split('?').next().unwrap_or_default();
    if path != PATH {
        tracing::debug!(path, "a session was asked for on another path");
        request.not_found().await;
        return Ok(None);
    }
    request.accept().await.map(Some)
}

/// Keeps the certificate fresh and the directory true.
struct Renewing {
    endpoint: Endpoint,
    url: String,
    congestion: CongestionControl,
}

impl Renewing {
    async fn run(&self, mut source: Source, relay: &Relay) {
        let mut looks = interval(LOOK_INTERVAL);
        loop {
            looks.tick().await;
            match source.look().await {
                Ok(Some(offer)) => self.take(offer, relay.directory()),
                Ok(None) => {}
                Err(error) => tracing::error!("the certificate cannot be renewed: {error:#}"),
            }
        }
    }

    /// New handshakes see the new certificate; open connections go on with the old one.
    fn take(&self, offer: Offer, directory: &RelayDirectory) {
        let config = quic::server_config(offer.identity, self.congestion);
        self.endpoint
            .set_server_config(Some(config.quic_config().clone()));
        tracing::info!(hashes = ?offer.hashes, "the certificate is renewed");
        self.announce(offer.hashes, directory);
    }

    fn announce(&self, certificate_hashes: Vec<String>, directory: &RelayDirectory) {
        directory.register(RelayEndpoint {
            transport: TransportKind::WebTransport,
            url: self.url.clone(),
            certificate_hashes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wtransport::ClientConfig;
    use wtransport::tls::Sha256Digest;

    async fn offer() -> Offer {
        let folder = tempfile::tempdir().expect("a folder");
        let mut source = source(&WebTransportSettings::default(), folder.path());
        source.look().await.expect("writable").expect("the first look")
    }

    /// Whether a client that knows only the certificate with this hash completes a handshake.
    async fn trusts(hash: &str, address: SocketAddr) -> bool {
        let byte = |at: usize| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).expect("digits");
        let config = ClientConfig::builder()
            .with_bind_address("127.0.0.1:0".parse().expect("an address"))
            .with_server_certificate_hashes([Sha256Digest::new(std::array::from_fn(byte))])
            .build();
        let mut endpoint = Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a socket");
        endpoint.set_default_client_config(config.quic_config().clone());
        let connecting = endpoint.connect(address, "localhost").expect("a valid name");
        connecting.await.is_ok()
    }

    #[tokio::test]
    async fn new_handshakes_see_a_renewed_certificate_at_once() {
        let data = tempfile::tempdir().expect("a folder");
        let any_port = "127.0.0.1:0".parse().expect("an address");
        let server = WebTransportServer::bind(any_port, &WebTransportSettings::default(), data.path())
            .await
            .expect("a free port");
        let address = server.local_addr().expect("bound");
        let (endpoint, old) = (server.endpoint.clone(), server.offer.hashes[0].clone());
        let relay = Relay::start(
            relay_runtime::RelaySettings::default(),
            relay_runtime::TokenService::new(&"x".repeat(32).parse().expect("long enough")),
            None,
            tokio_util::sync::CancellationToken::new(),
        );
        tokio::spawn(server.serve(relay.clone()));
        assert!(trusts(&old, address).await);

        let renewing = Renewing {
            endpoint,
            url: "https://localhost/wt".into(),
            congestion: CongestionControl::default(),
        };
        let offer = offer().await;
        let new = offer.hashes[0].clone();
        renewing.take(offer, relay.directory());
        assert!(trusts(&new, address).await);
        assert!(!trusts(&old, address).await);
        let announced = relay.directory().endpoints(&"demo".parse().expect("an id"));
        assert_eq!(announced[0].certificate_hashes, [new]);
    }
}
