//! The server's certificate: from files, or made by the server itself and renewed in time.
//!
//! Browsers take a certificate by its hash only when it is ECDSA and valid for at most 14 days (W3C
//! WebTransport §6.6, custom certificate requirements). Clients learn the hash with the answer to a
//! join, perhaps long before they connect; so the next certificate is announced days before it is
//! used, and old answers stay good.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use relay_runtime::{show_certificate_expiry, write_private};
use serde::{Deserialize, Serialize};
use wtransport::Identity;
use wtransport::tls::self_signed::SelfSignedIdentityBuilder;
use wtransport::tls::self_signed::time::OffsetDateTime;
use wtransport::tls::{Certificate, CertificateChain, PrivateKey};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Seconds a certificate is valid, from backdating to expiry: below the 14 days of browsers.
const VALIDITY: u64 = 13 * DAY;

/// Clocks of clients may be behind by this much, seconds.
const BACKDATING: u64 = HOUR;

/// The next certificate is made and announced when the current one has less than this left, seconds.
const ANNOUNCE_BEFORE: u64 = 4 * DAY;

/// The next certificate is used when the current one has less than this left, seconds.
const SWITCH_BEFORE: u64 = DAY;

/// How often the server looks at its certificate.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(60);

const FILE: &str = "webtransport-certificate.json";

/// Where the certificate comes from.
pub(crate) enum Source {
    /// Files of the operator, read again when they change.
    Files {
        certificate: PathBuf,
        key: PathBuf,
        read_at: Option<SystemTime>,
    },
    /// Made here.
    Own(OwnCertificates),
}

/// What to serve, and what to tell clients.
pub(crate) struct Offer {
    pub(crate) identity: Identity,
    /// SHA-256 hashes, hexadecimal; none when the certificate is trusted by others.
    pub(crate) hashes: Vec<String>,
}

impl Source {
    /// What to serve from now on; `None` when nothing has changed since the last call.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub(crate) async fn look(&mut self) -> anyhow::Result<Option<Offer>> {
        let offer = self.find().await?;
        if let Some(expiry) = offer.as_ref().and_then(|offer| expiry(&offer.identity)) {
            let source = match self {
                Self::Files { .. } => "files",
                Self::Own(_) => "own",
            };
            show_certificate_expiry(source, expiry);
        }
        Ok(offer)
    }

    async fn find(&mut self) -> anyhow::Result<Option<Offer>> {
        match self {
            Self::Files {
                certificate,
                key,
                read_at,
            } => {
                let modified = modified(certificate, key);
                if *read_at == Some(modified) {
                    return Ok(None);
                }
                let identity = Identity::load_pemfiles(&*certificate, &*key)
                    .await
                    .with_context(|| {
                        format!(
                            "the certificate {} and its key {} cannot be used",
                            certificate.display(),
                            key.display()
                        )
                    })?;
                *read_at = Some(modified);
                Ok(Some(Offer {
                    identity,
                    hashes: Vec::new(),
                }))
            }
            Self::Own(own) => own.look(unix_seconds()),
        }
    }
}

/// When the certificate that is shown to clients expires, seconds since the Unix epoch.
fn expiry(identity: &Identity) -> Option<i64> {
    let certificate = identity.certificate_chain().as_slice().first()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

fn modified(certificate: &Path, key: &Path) -> SystemTime {
    [certificate, key]
        .into_iter()
        .filter_map(|path| path.metadata().ok()?.modified().ok())
        .max()
        .unwrap_or(UNIX_EPOCH)
}

/// Certificates made by this server, kept in its data folder.
pub(crate) struct OwnCertificates {
    file: PathBuf,
    names: Vec<String>,
    offered: Option<Kept>,
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    current: Option<KeptCertificate>,
    next: Option<KeptCertificate>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptCertificate {
    certificate_der: Vec<u8>,
    key_der: Vec<u8>,
    names: Vec<String>,
    /// Seconds since the Unix epoch.
    not_after: u64,
}

impl OwnCertificates {
    /// Certificates for these host names and addresses.
    pub(crate) fn new(data_dir: &Path, names: Vec<String>) -> Self {
        Self {
            file: data_dir.join(FILE),
            names,
            offered: None,
        }
    }

    fn look(&mut self, now: u64) -> anyhow::Result<Option<Offer>> {
        let before = match &self.offered {
            Some(kept) => kept.clone(),
            None => self.load(),
        };
        let kept = self.renew(before.clone(), now)?;
        if self.offered.as_ref() == Some(&kept) {
            return Ok(None);
        }
        if kept != before || !self.file.exists() {
            self.store(&kept)?;
        }
        let offer = offer(&kept)?;
        self.offered = Some(kept);
        Ok(Some(offer))
    }

    /// What there should be now, given what there was.
    fn renew(&self, mut kept: Kept, now: u64) -> anyhow::Result<Kept> {
        let serves = |certificate: &KeptCertificate| self.names.iter().all(|n| certificate.names.contains(n));
        let left = |certificate: &KeptCertificate| certificate.not_after.saturating_sub(now);
        kept.current = kept.current.filter(|c| serves(c) && left(c) > 0);
        kept.next = kept.next.filter(|c| serves(c) && left(c) > SWITCH_BEFORE);
        if kept
            .current
            .as_ref()
            .is_none_or(|current| left(current) < SWITCH_BEFORE)
            && kept.next.is_some()
        {
            kept.current = kept.next.take();
        }
        if kept.current.is_none() {
            kept.current = Some(self.make(now)?);
        }
        if kept.next.is_none() && kept.current.as_ref().is_some_and(|c| left(c) < ANNOUNCE_BEFORE) {
            kept.next = Some(self.make(now)?);
        }
        Ok(kept)
    }

    fn make(&self, now: u64) -> anyhow::Result<KeptCertificate> {
        let not_before = now - BACKDATING;
        let not_after = not_before + VALIDITY;
        let identity = SelfSignedIdentityBuilder::new()
            .subject_alt_names(&self.names)
            .validity_period(at(not_before)?, at(not_after)?)
            .build()
            .context("a host name for the certificate is not one; look at --certificate-name")?;
        let [certificate] = identity.certificate_chain().as_slice() else {
            anyhow::bail!("a self-signed certificate stands alone");
        };
        Ok(KeptCertificate {
            certificate_der: certificate.der().to_vec(),
            key_der: identity.private_key().secret_der().to_vec(),
            names: self.names.clone(),
            not_after,
        })
    }

    fn load(&self) -> Kept {
        let Ok(text) = std::fs::read_to_string(&self.file) else {
            return Kept::default();
        };
        serde_json::from_str(&text).unwrap_or_else(|error| {
            tracing::warn!(%error, file = %self.file.display(), "the kept certificate cannot be read; making another");
            Kept::default()
        })
    }

    fn store(&self, kept: &Kept) -> anyhow::Result<()> {
        let text = serde_json::to_string(kept).context("a certificate is plain data")?;
        if let Some(folder) = self.file.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("the data folder {} cannot be made", folder.display()))?;
        }
        write_private(&self.file, &text)
            .with_context(|| format!("the certificate cannot be written to {}", self.file.display()))
    }
}

fn offer(kept: &Kept) -> anyhow::Result<Offer> {
    let current = kept
        .current
        .as_ref()
        .context("there is always a current certificate")?;
    let certificate = Certificate::from_der(current.certificate_der.clone())?;
    let key = PrivateKey::from_der_pkcs8(current.key_der.clone());
    let hashes = [kept.current.as_ref(), kept.next.as_ref()]
        .into_iter()
        .flatten()
        .map(|kept| {
            Certificate::from_der(kept.certificate_der.clone()).map(|c| hexadecimal(c.hash().as_ref()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    ensure!(!hashes.is_empty(), "a certificate has a hash");
    Ok(Offer {
        identity: Identity::new(CertificateChain::single(certificate), key),
        hashes,
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn at(seconds: u64) -> anyhow::Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds)?)
        .context("the clock of this machine is far off")
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_900_000_000;

    fn own(folder: &Path) -> OwnCertificates {
        OwnCertificates::new(folder, vec!["localhost".into(), "127.0.0.1".into(), "::1".into()])
    }

    fn hashes(own: &mut OwnCertificates, now: u64) -> Option<Vec<String>> {
        own.look(now).expect("a certificate").map(|offer| offer.hashes)
    }

    #[test]
    fn a_restart_serves_the_same_certificate() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = hashes(&mut own(folder.path()), NOW).expect("new");
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].len(), 64);
        let mut again = own(folder.path());
        assert_eq!(hashes(&mut again, NOW + HOUR), Some(first));
        assert_eq!(hashes(&mut again, NOW + HOUR), None);
    }

    #[test]
    fn the_next_certificate_is_announced_before_it_is_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut own = own(folder.path());
        let first = hashes(&mut own, NOW).expect("new");
        assert_eq!(hashes(&mut own, NOW + 8 * DAY), None);
        let both = hashes(&mut own, NOW + 10 * DAY).expect("one more");
        assert_eq!(both[0], first[0]);
        assert_eq!(both.len(), 2);
        let switched = hashes(&mut own, NOW + 12 * DAY + HOUR).expect("switched");
        assert_eq!(switched, both[1..]);
        // The server slept through everything.
        let fresh = hashes(&mut own, NOW + 100 * DAY).expect("another");
        assert!(!both.contains(&fresh[0]));
    }

    #[test]
    fn another_host_name_needs_another_certificate() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = hashes(&mut own(folder.path()), NOW);
        let mut renamed = own(folder.path());
        renamed.names.push("relay.example".into());
        assert_ne!(hashes(&mut renamed, NOW), first);
    }

    #[test]
    fn a_broken_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE), "nonsense").expect("written");
        let made = hashes(&mut own(folder.path()), NOW);
        assert_eq!(hashes(&mut own(folder.path()), NOW), made);
    }

    #[tokio::test]
    async fn missing_files_are_named() {
        let mut source = Source::Files {
            certificate: "/nowhere/certificate.pem".into(),
            key: "/nowhere/key.pem".into(),
            read_at: None,
        };
        let error = source.look().await.err().expect("no such file");
        assert!(
            format!("{error:#}").contains("/nowhere/certificate.pem"),
            "{error:#}"
        );
    }
}
