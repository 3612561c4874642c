//! DTLS 1.2 (RFC 6347, 5764) over rtc-dtls: the node's certificate, and the handshakes of one shard.
//!
//! rtc-dtls takes the first SRTP profile of the *client's* list that it has, and browsers put the slow
//! one first. So there are two endpoints with one profile each, and the ClientHello is read here
//! before either of them sees it. rtc-dtls draws its own randomness: a simulation replays only if it
//! starts from exported keys.

use std::sync::Arc;
use std::time::Duration;

use protocol::session::Fingerprint;
use ring::digest;
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto_provider::default_provider;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::error::Error;

use crate::srtp::Profile;

/// After this an unanswered flight is sent again, seven times at most. Lower, and a client far away
/// gets everything twice; higher, and a lost flight keeps a listener waiting.
const FLIGHT_INTERVAL: Duration = Duration::from_millis(500);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[error("no DTLS certificate: {0}")]
pub struct CertificateError(#[from] Error);

/// The certificate that a node shows to all its peers; made once in each process.
#[derive(Debug)]
pub struct Certificate {
    fingerprint: Fingerprint,
    gcm: Arc<HandshakeConfig>,
    cm: Arc<HandshakeConfig>,
}

impl Certificate {
    /// Makes a self-signed ECDSA certificate on P-256. Its randomness is the operating system's.
    pub fn generate() -> Result<Self, CertificateError> {
        let provider = default_provider().map_err(|error| Error::Crypto(error.to_string()))?;
        let names = vec!["dais".to_owned()];
        let certificate = rtc_dtls::crypto::Certificate::generate_self_signed(names, provider.crypto())?;
        let base = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate.clone()])
            .with_cipher_suites(vec![
                CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
                CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
            ])
            // The fingerprint from the session description is the check; there is no authority to ask.
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_flight_interval(FLIGHT_INTERVAL);
        let with = |profile| {
            let builder = base.clone().with_srtp_protection_profiles(vec![profile]);
            builder.build(false, None).map(Arc::new)
        };
        Ok(Self {
            fingerprint: fingerprint(&certificate.certificate[0]),
            gcm: with(SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm)?,
            cm: with(SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80)?,
        })
    }

    /// SHA-256 of the certificate: for the answer.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    fn config(&self, profile: Profile) -> Arc<HandshakeConfig> {
        match profile {
            Profile::AeadAes128Gcm => self.gcm.clone(),
            Profile::Aes128CmSha1_80 => self.cm.clone(),
        }
    }
}

fn fingerprint(der: &[u8]) -> Fingerprint {
    let digest = digest::digest(&digest::SHA256, der);
    Fingerprint(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}
