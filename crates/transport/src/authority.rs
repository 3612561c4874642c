//! A cluster's authority: it signs the certificates by which its nodes know each other on links.
//!
//! A certificate names a node and its role by a URI, `dais://edge/edge-1`, because node names may have
//! characters that host names may not; the host name in it is the same for all and only serves TLS.
//!
//! ```text
//!   dais up            an ephemeral authority, which lives as long as the process
//!   all on loopback    an authority that is derived from the cluster's key
//!   machines           an authority in a file, which is on none of them (`dais certs`)
//! ```

use std::time::{Duration, SystemTime};

use protocol::NodeId;
use protocol::node::NodeKind;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use ring::hkdf::{HKDF_SHA256, Salt};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::identity::{self, IdentityError, LinkIdentity, Remote};

/// The host name in every certificate.
pub(crate) const HOST: &str = "link.dais";

/// How long ago a new certificate began to be valid: so much may the clocks of two machines differ.
const BEFORE: Duration = Duration::from_secs(3600);

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
    /// What it is read from is not an authority.
    #[error(transparent)]
    Read(#[from] IdentityError),
    /// It is read from a certificate and a key that do not belong together.
    #[error("the key in it is not that of the certificate in it")]
    Pair,
}

/// Signs the certificates of a cluster's nodes.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    certificate: CertificateDer<'static>,
    /// Of another one, whose nodes are believed as well.
    other: Option<CertificateDer<'static>>,
}

impl Authority {
    /// One that lives as long as the process: for a system in one process.
    pub fn ephemeral() -> Result<Self, AuthorityError> {
        Self::of_pair(KeyPair::generate()?, authority_params())
    }

    /// The one of all processes that were given this key: each believes what any of them issues.
    pub fn of_cluster(key: &[u8]) -> Result<Self, AuthorityError> {
        let mut seed = [0; SEED];
        let derived = Salt::new(HKDF_SHA256, SALT).extract(key);
        let length = derived.expand(&[INFO], HKDF_SHA256).and_then(|bytes| bytes.fill(&mut seed));
        length.expect("as long as the hash");
        let pair = PrivatePkcs8KeyDer::from([PKCS8, &seed].concat());
        Self::of_pair(KeyPair::from_pkcs8_der_and_sign_algo(&pair, &rcgen::PKCS_ED25519)?, authority_params())
    }

    /// A new one for a file, valid from now on for so long.
    pub fn generate(now: SystemTime, valid: Duration) -> Result<Self, AuthorityError> {
        Self::of_pair(KeyPair::generate()?, lasting(authority_params(), now, valid))
    }

    /// One from its file: a certificate and its key, in PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self, AuthorityError> {
        let certificate = identity::certificates(pem)?.swap_remove(0);
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(IdentityError::Key)?;
        let key = KeyPair::try_from(&key)?;
        if identity::public_key(&certificate)? != key.public_key_raw() {
            return Err(AuthorityError::Pair);
        }
        Ok(Self { issuer: Issuer::from_ca_cert_der(&certificate, key)?, certificate, other: None })
    }

    /// The same, which also believes what is issued with another key: the one before, or the next.
    pub fn and_believes(mut self, key: &[u8]) -> Result<Self, AuthorityError> {
        self.other = Some(Self::of_cluster(key)?.certificate);
        Ok(self)
    }

    fn of_pair(key: KeyPair, params: CertificateParams) -> Result<Self, AuthorityError> {
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { issuer: Issuer::new(params, key), certificate, other: None })
    }

    /// Its certificate: what others need to believe what it issues.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What its file holds, and nobody else may: its certificate and its key.
    pub fn to_pem(&self) -> String {
        identity::pem(&self.certificate) + &self.issuer.key().serialize_pem()
    }

    /// What one node needs to link, for as long as its process lives.
    pub fn issue(&self, node: &NodeId, kind: NodeKind) -> Result<LinkIdentity, AuthorityError> {
        let (certificate, key) = self.sign(node_params(node, kind)?)?;
        let believed = [&self.certificate].into_iter().chain(&self.other).cloned().collect();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Ok(LinkIdentity::new(vec![certificate], key.into(), believed)?)
    }

    /// What a node's file holds: its certificate, valid from now on for so long, and its key.
    pub fn issue_pem(
        &self,
        remote: &Remote,
        now: SystemTime,
        valid: Duration,
    ) -> Result<String, AuthorityError> {
        let (certificate, key) = self.sign(lasting(node_params(&remote.node, remote.kind)?, now, valid))?;
        Ok(identity::pem(&certificate) + &key.serialize_pem())
    }

    fn sign(&self, params: CertificateParams) -> Result<(CertificateDer<'static>, KeyPair), AuthorityError> {
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?.der().clone(), key))
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "dais link authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn node_params(node: &NodeId, kind: NodeKind) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::new([HOST.to_owned()])?;
    params.subject_alt_names.push(SanType::URI(identity::uri(node, kind).as_str().try_into()?));
    Ok(params)
}

/// Without this a certificate never ends.
fn lasting(mut params: CertificateParams, now: SystemTime, valid: Duration) -> CertificateParams {
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + valid).into();
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Believed;

    const DAY: Duration = Duration::from_secs(86_400);

    fn edge() -> Remote {
        Remote { node: NodeId::new("edge_1.eu").unwrap(), kind: NodeKind::Edge }
    }

    #[test]
    fn an_authority_comes_back_from_its_file_and_its_certificates_are_believed() {
        let now = SystemTime::now();
        let authority = Authority::generate(now, 20 * DAY).unwrap();
        let again = Authority::from_pem(authority.to_pem().as_bytes()).unwrap();
        let own = again.issue_pem(&edge(), now, 10 * DAY).unwrap();
        let believed = Believed::from_pem(identity::pem(authority.certificate()).as_bytes()).unwrap();
        let identity = LinkIdentity::from_pem(believed, own.as_bytes(), now).unwrap();
        assert_eq!(identity.remote(), Some(edge()));
        let ends = identity.ends();
        assert!(ends > now + 9 * DAY && ends <= now + 10 * DAY, "{ends:?}");
    }

    #[test]
    fn a_file_whose_key_is_another_ones_is_no_authority() {
        let [one, other] = [0, 1].map(|_| Authority::generate(SystemTime::now(), DAY).unwrap());
        let mixed = identity::pem(one.certificate()) + &other.issuer.key().serialize_pem();
        assert!(matches!(Authority::from_pem(mixed.as_bytes()), Err(AuthorityError::Pair)));
        for bad in ["", "what is this", &identity::pem(one.certificate())] {
            assert!(Authority::from_pem(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
