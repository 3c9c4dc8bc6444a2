//! Which certificates a native program trusts: those of the system.

use std::sync::{Arc, LazyLock};

use rustls::{ClientConfig, RootCertStore};

static CONFIG: LazyLock<ClientConfig> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a trusted certificate of this system cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
});

/// For HTTPS and WebSocket; the roots are read once.
pub(super) fn config() -> ClientConfig {
    CONFIG.clone()
}
