//! Who may link: certificates that name a node and its role, all signed by the cluster's authority.
//!
//! Both sides of a link show one. The name is a URI, `dais://edge/edge-1`, because node names may have
//! characters that host names may not; the host name in it is the same for all and only serves TLS.

use std::sync::Arc;

use protocol::NodeId;
use protocol::node::NodeKind;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use ring::hkdf::{HKDF_SHA256, Salt};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use webpki::EndEntityCert;

use crate::link::{Remote, Versions};

/// The host name in every certificate.
pub(crate) const HOST: &str = "link.dais";

/// What the authority's key is derived with from the cluster's: for this and for nothing else.
const SALT: &[u8] = b"dais cluster key";
const INFO: &[u8] = b"authority of the links, ed25519";

/// Bytes that an Ed25519 key is made of.
const SEED: usize = 32;

/// What comes before them in PKCS #8 (RFC 8410 §7).
const PKCS8: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// TLS does not take it.
    #[error("cannot use a certificate: {0}")]
    Use(#[from] rustls::Error),
    /// TLS does not take the authority.
    #[error("cannot check certificates: {0}")]
    Check(#[from] rustls::server::VerifierBuilderError),
    /// TLS cannot carry QUIC.
    #[error("no cipher for QUIC: {0}")]
    Cipher(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// Signs the certificates of a cluster's nodes.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, and that of another whose nodes are believed.
    believed: Vec<CertificateDer<'static>>,
}

/// What one node needs to link: its certificate, its key, and whom it believes.
pub struct LinkIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
    roots: Arc<RootCertStore>,
}

impl Authority {
    /// One that lives as long as the process: for a system in one process.
    pub fn ephemeral() -> Result<Self, AuthorityError> {
        Self::of_pair(KeyPair::generate()?)
    }

    /// The one of all processes that were given this key: each believes what any of them issues.
    pub fn of_cluster(key: &[u8]) -> Result<Self, AuthorityError> {
        let mut seed = [0; SEED];
        let derived = Salt::new(HKDF_SHA256, SALT).extract(key);
        let length = derived.expand(&[INFO], HKDF_SHA256).and_then(|bytes| bytes.fill(&mut seed));
        length.expect("as long as the hash");
        let pair = PrivatePkcs8KeyDer::from([PKCS8, &seed].concat());
        Self::of_pair(KeyPair::from_pkcs8_der_and_sign_algo(&pair, &rcgen::PKCS_ED25519)?)
    }

    /// The same, which also believes what is issued with another key: the one before, or the next.
    pub fn and_believes(mut self, key: &[u8]) -> Result<Self, AuthorityError> {
        self.believed.extend(Self::of_cluster(key)?.believed);
        Ok(self)
    }

    fn of_pair(key: KeyPair) -> Result<Self, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "dais link authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { issuer: Issuer::new(params, key), believed: vec![certificate] })
    }

    /// A certificate for `node`, which is a `kind`.
    pub fn issue(&self, node: &NodeId, kind: NodeKind) -> Result<LinkIdentity, AuthorityError> {
        let mut params = CertificateParams::new([HOST.to_owned()])?;
        params.subject_alt_names.push(SanType::URI(uri(node, kind).as_str().try_into()?));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let mut roots = RootCertStore::empty();
        for certificate in &self.believed {
            roots.add(certificate.clone())?;
        }
        Ok(LinkIdentity {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
            roots: roots.into(),
        })
    }
}

impl LinkIdentity {
    pub(crate) fn server(&self, versions: &Versions) -> Result<QuicServerConfig, AuthorityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots.clone(), provider.clone()).build()?;
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key())?;
        tls.alpn_protocols = versions.protocols();
        Ok(tls.try_into()?)
    }

    pub(crate) fn client(&self, versions: &Versions) -> Result<QuicClientConfig, AuthorityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.roots.clone())
            .with_client_auth_cert(self.chain.clone(), self.key())?;
        tls.alpn_protocols = versions.protocols();
        Ok(tls.try_into()?)
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key().into()
    }
}

/// Whom a certificate names. It has been checked against the authority before.
pub(crate) fn named(certificate: &CertificateDer<'_>) -> Option<Remote> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let (kind, node) =
        certificate.valid_uri_names().find_map(|uri| uri.strip_prefix("dais://")?.split_once('/'))?;
    let kind = [NodeKind::Origin, NodeKind::Edge].into_iter().find(|&known| role(known) == kind)?;
    Some(Remote { node: NodeId::new(node).ok()?, kind })
}

fn uri(node: &NodeId, kind: NodeKind) -> String {
    format!("dais://{}/{node}", role(kind))
}

fn role(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Origin => "origin",
        NodeKind::Edge => "edge",
        NodeKind::Signaling => "signaling",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_its_node_and_role() {
        let node = NodeId::new("edge_1.eu").unwrap();
        let identity = Authority::ephemeral().unwrap().issue(&node, NodeKind::Edge).unwrap();
        assert_eq!(named(&identity.chain[0]), Some(Remote { node, kind: NodeKind::Edge }));
    }
}
