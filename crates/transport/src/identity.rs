//! Who a node is on links: the certificate it shows, its key, and whose certificates it believes.
//!
//! It may change while links are up ([`Credentials`]): the next link is made with what is new, and links whose
//! other side is no longer believed end. Sessions are never resumed: a resumed one would be believed on the word
//! of authorities that may be gone.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::NodeId;
use protocol::node::NodeKind;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::sync::watch;
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::link::Versions;

/// Most certificates that are read of a file: two authorities, or a certificate with what is between.
const MAX_CERTIFICATES: usize = 8;

/// The node at the other end of a link, as its certificate names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub node: NodeId,
    /// Its role.
    pub kind: NodeKind,
}

/// Why a certificate, or a file of them, is of no use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The text is not PEM.
    #[error("cannot be read as PEM: {0}")]
    Pem(pem::Error),
    /// There is none.
    #[error("there is no certificate in it")]
    Empty,
    /// There are too many.
    #[error("there are more than {MAX_CERTIFICATES} certificates in it")]
    Many,
    /// There is no private key.
    #[error("there is no private key in it that can be read: {0}")]
    Key(pem::Error),
    /// What is in it is no certificate.
    #[error("a certificate in it cannot be read")]
    Certificate,
    /// TLS does not take it: another one's key, another one's authority, or its time is over.
    #[error("cannot be used: {0}")]
    Use(#[from] rustls::Error),
    /// TLS does not take the authority.
    #[error("cannot check certificates: {0}")]
    Check(#[from] rustls::server::VerifierBuilderError),
    /// TLS cannot carry QUIC.
    #[error("no cipher for QUIC: {0}")]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// What one node needs to link.
pub struct LinkIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
    verifier: Arc<dyn ClientCertVerifier>,
    ends: SystemTime,
}

impl LinkIdentity {
    /// Both are checked to fit; whether `believed` believe the chain is not.
    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        believed: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let mut roots = RootCertStore::empty();
        believed.into_iter().try_for_each(|certificate| roots.add(certificate))?;
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider).build()?;
        let ends = ends(chain.first().ok_or(IdentityError::Empty)?)?;
        let identity = Self { chain, key, roots, verifier, ends };
        identity.client(&Versions::spoken())?;
        Ok(identity)
    }

    /// From a node's own file, which is PEM: its certificate and its key. All is checked, also that others who
    /// believe the same authorities would believe it `now`.
    pub fn from_pem(believed: Believed, own: &[u8], now: SystemTime) -> Result<Self, IdentityError> {
        let key = PrivateKeyDer::from_pem_slice(own).map_err(IdentityError::Key)?;
        let identity = Self::new(certificates(own)?, key, believed.0)?;
        identity.believe(&identity.chain, now)?;
        Ok(identity)
    }

    /// Whom its own certificate names.
    pub fn remote(&self) -> Option<Remote> {
        named(self.chain.first()?)
    }

    /// When its own certificate ends.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    /// Whether the certificate of another node is to be believed `now`.
    pub(crate) fn believe(&self, chain: &[CertificateDer<'_>], now: SystemTime) -> Result<(), IdentityError> {
        let (own, between) = chain.split_first().ok_or(IdentityError::Empty)?;
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.verifier.verify_client_cert(own, between, UnixTime::since_unix_epoch(since_1970))?;
        Ok(())
    }

    pub(crate) fn server(&self, versions: &Versions) -> Result<QuicServerConfig, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(self.verifier.clone())
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        tls.alpn_protocols = versions.protocols();
        tls.send_tls13_tickets = 0;
        Ok(tls.try_into()?)
    }

    pub(crate) fn client(&self, versions: &Versions) -> Result<QuicClientConfig, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.roots.clone())
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        tls.alpn_protocols = versions.protocols();
        tls.resumption = Resumption::disabled();
        Ok(tls.try_into()?)
    }
}

/// The authorities that are believed: one, or two while one takes the other's place.
pub struct Believed(Vec<CertificateDer<'static>>);

impl Believed {
    /// From their file: their certificates, in PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self, IdentityError> {
        certificates(pem).map(Self)
    }
}

/// Who a node is now. Clones share it, and what is new holds for the next link.
#[derive(Clone)]
pub struct Credentials(watch::Receiver<Arc<LinkIdentity>>);

impl From<LinkIdentity> for Credentials {
    /// What never changes.
    fn from(identity: LinkIdentity) -> Self {
        Self(watch::channel(Arc::new(identity)).1)
    }
}

impl Credentials {
    /// What changes whenever something is sent.
    pub fn renewable(first: LinkIdentity) -> (watch::Sender<Arc<LinkIdentity>>, Self) {
        let (renew, credentials) = watch::channel(Arc::new(first));
        (renew, Self(credentials))
    }

    /// What holds now.
    pub(crate) fn now(&self) -> Arc<LinkIdentity> {
        self.0.borrow().clone()
    }

    /// Returns when there is something else than before. Nothing is lost where it is dropped half-way.
    pub async fn renewed(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody who could change it is left.
            std::future::pending::<()>().await;
        }
    }

    /// The same, where it has changed since the last call.
    pub(crate) fn changed(&mut self) -> Option<Arc<LinkIdentity>> {
        // Nobody who could change it is left: an error, and no change.
        self.0.has_changed().unwrap_or(false).then(|| self.0.borrow_and_update().clone())
    }
}

/// The certificates of a file, at least one.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let some = CertificateDer::pem_slice_iter(pem).take(MAX_CERTIFICATES + 1);
    let some: Vec<_> = some.collect::<Result<_, _>>().map_err(IdentityError::Pem)?;
    match some.len() {
        0 => Err(IdentityError::Empty),
        1..=MAX_CERTIFICATES => Ok(some),
        _ => Err(IdentityError::Many),
    }
}

/// A certificate as a file has it (RFC 7468).
pub fn pem(certificate: &CertificateDer<'_>) -> String {
    ::pem::encode(&::pem::Pem::new("CERTIFICATE", certificate.to_vec()))
}

/// Whom a certificate names. Whether it is believed is another question.
pub fn named(certificate: &CertificateDer<'_>) -> Option<Remote> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let (kind, node) =
        certificate.valid_uri_names().find_map(|uri| uri.strip_prefix("dais://")?.split_once('/'))?;
    Some(Remote {
        node: NodeId::new(node).ok()?,
        kind: NodeKind::called(kind).filter(|kind| kind.has_media())?,
    })
}

pub(crate) fn uri(node: &NodeId, kind: NodeKind) -> String {
    format!("dais://{}/{node}", kind.as_str())
}

/// When a certificate ends.
pub fn ends(certificate: &CertificateDer<'_>) -> Result<SystemTime, IdentityError> {
    let since_1970 = u64::try_from(parsed(certificate)?.validity().not_after.timestamp()).unwrap_or(0);
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970))
}

/// The bits of a certificate's public key.
pub(crate) fn public_key(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, IdentityError> {
    let subject = parsed(certificate)?.tbs_certificate.subject_pki;
    Ok(subject.subject_public_key.data.into_owned())
}

fn parsed<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, IdentityError> {
    X509Certificate::from_der(certificate).map(|(_, parsed)| parsed).map_err(|_| IdentityError::Certificate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Authority;

    const DAY: Duration = Duration::from_secs(86_400);

    fn files() -> (Authority, Remote, SystemTime) {
        let now = SystemTime::now();
        let remote = Remote { node: NodeId::new("edge-1").unwrap(), kind: NodeKind::Edge };
        (Authority::generate(now, 100 * DAY).unwrap(), remote, now)
    }

    #[test]
    fn a_certificate_names_its_node_and_role() {
        let node = NodeId::new("edge_1.eu").unwrap();
        let identity = Authority::ephemeral().unwrap().issue(&node, NodeKind::Edge).unwrap();
        assert_eq!(identity.remote(), Some(Remote { node, kind: NodeKind::Edge }));
    }

    #[test]
    fn what_others_would_not_believe_is_not_taken() {
        let (authority, remote, now) = files();
        let believed = pem(authority.certificate());
        let own = authority.issue_pem(&remote, now, 10 * DAY).unwrap();
        let read = |believed: &str, own: &str, now| {
            let read = Believed::from_pem(believed.as_bytes());
            let read = read.and_then(|believed| LinkIdentity::from_pem(believed, own.as_bytes(), now));
            read.map(|identity| identity.ends()).map_err(|error| error.to_string())
        };
        assert!(read(&believed, &own, now).is_ok());
        let other = Authority::generate(now, 100 * DAY).unwrap();
        let strange = other.issue_pem(&remote, now, DAY).unwrap();
        let certificate_of = |pem: &str| pem[..pem.find("-----BEGIN PRIVATE").unwrap()].to_owned();
        let key_of = |pem: &str| pem[pem.find("-----BEGIN PRIVATE").unwrap()..].to_owned();
        let mixed = certificate_of(&own) + &key_of(&strange);
        let many = believed.repeat(MAX_CERTIFICATES + 1);
        for (believed, own, now, says) in [
            (&believed, &own, now + 11 * DAY, "expired"),
            (&believed, &own, now - DAY, "not valid yet"),
            (&believed, &strange, now, "invalid peer certificate"),
            (&believed, &mixed, now, "cannot be used"),
            (&believed, &certificate_of(&own), now, "no private key"),
            (&believed, &key_of(&own), now, "no certificate"),
            (&many, &own, now, "more than 8"),
            (&String::new(), &own, now, "no certificate"),
            (&believed, &"-----BEGIN CERTIFICATE-----\nAAAA".into(), now, "no private key"),
        ] {
            let error = read(believed, own, now).unwrap_err();
            assert!(error.contains(says), "{error} does not say {says}");
        }
    }

    #[test]
    fn whoever_is_new_is_told_once() {
        let (authority, Remote { node, kind }, _) = files();
        let (renew, mut credentials) = Credentials::renewable(authority.issue(&node, kind).unwrap());
        assert!(credentials.changed().is_none());
        renew.send_replace(Arc::new(authority.issue(&node, kind).unwrap()));
        assert!(credentials.changed().is_some() && credentials.changed().is_none());
        drop(renew);
        assert!(credentials.changed().is_none());
        assert_eq!(credentials.now().remote().unwrap().node, node);
    }
}
