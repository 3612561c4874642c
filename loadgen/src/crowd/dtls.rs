//! The DTLS side of a crowd: full client handshakes, forgotten once the keys are there.
//!
//! A browser keeps the connection to hear a goodbye; ten thousand of them would be 70 MB here, and cost
//! the server nothing.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use bytes::BytesMut;
use media::srtp::{Profile, SessionKeys};
use protocol::session::Fingerprint;
use ring::digest::{SHA256, digest};
use rtc_dtls::config::{ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;

use super::Place;

/// The profiles of Chrome, in its order, as far as rtc-dtls has them.
const PROFILES: [SrtpProtectionProfile; 2] =
    [SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80, SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm];

/// The certificate of everybody in a run: making ten thousand would measure ourselves.
pub(crate) struct Identity {
    config: Arc<HandshakeConfig>,
    /// Its SHA-256.
    pub(crate) fingerprint: Fingerprint,
}

impl Identity {
    /// A new one.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let provider = rtc_dtls::crypto_provider::default_provider()
            .map_err(|error| anyhow::anyhow!("no cryptography: {error}"))?;
        let names = vec!["dais-load".to_owned()];
        let certificate = rtc_dtls::crypto::Certificate::generate_self_signed(names, provider.crypto())
            .context("no certificate")?;
        let fingerprint = fingerprint(&certificate.certificate[0]);
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(PROFILES.to_vec())
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .build(true, Some(name_of(Place(0))))
            .context("no DTLS configuration")?;
        Ok(Self { config: Arc::new(config), fingerprint })
    }
}

/// What a step has done to a handshake.
pub(super) enum Progress {
    On,
    /// It is done, with the server that was expected.
    Done(SessionKeys),
    /// It failed for good.
    Failed,
}

/// The handshakes of one crowd.
pub(super) struct Handshakes {
    endpoint: Endpoint,
    identity: Arc<Identity>,
}

impl Handshakes {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        let local = name_of(Place(u32::MAX));
        Self { endpoint: Endpoint::new(local, TransportProtocol::UDP, None), identity }
    }

    /// Says hello.
    pub(super) fn begin(&mut self, now: Instant, place: Place) -> Progress {
        let begun = self.endpoint.connect(now, name_of(place), self.identity.config.clone(), None);
        begun.map_or(Progress::Failed, |()| Progress::On)
    }

    /// Takes a datagram; `expected` is the fingerprint that the server's answer named.
    pub(super) fn read(
        &mut self,
        now: Instant,
        place: Place,
        datagram: &[u8],
        expected: &Fingerprint,
    ) -> Progress {
        let name = name_of(place);
        let Ok(events) = self.endpoint.read(now, name, None, BytesMut::from(datagram)) else {
            return Progress::On; // anybody can forge one
        };
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => {
                    return self.keys(name, expected).map_or(Progress::Failed, Progress::Done);
                }
                EndpointEvent::PeerClosed => return Progress::Failed,
                _ => {}
            }
        }
        Progress::On
    }

    fn keys(&self, name: SocketAddr, expected: &Fingerprint) -> Option<SessionKeys> {
        let state = self.endpoint.get_connection_state(name)?;
        if fingerprint(state.peer_certificates.first()?) != *expected {
            return None;
        }
        let profile = match state.srtp_protection_profile() {
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Profile::AeadAes128Gcm,
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Profile::Aes128CmSha1_80,
            _ => return None,
        };
        let exported = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], profile.exported_len());
        SessionKeys::from_exported(profile, exported.ok()?.as_ref())
    }

    /// Repeats a flight that is due. It has failed when it was repeated often enough.
    pub(super) fn on_timeout(&mut self, now: Instant, place: Place) -> Progress {
        self.endpoint.handle_timeout(name_of(place), now).map_or(Progress::Failed, |()| Progress::On)
    }

    /// Forgets a handshake without a word.
    pub(super) fn forget(&mut self, now: Instant, place: Place) {
        self.endpoint.stop(now, name_of(place));
        while self.endpoint.poll_transmit().is_some() {}
    }

    /// Whether somebody's handshake has begun and is not forgotten.
    #[cfg(test)]
    pub(super) fn is_known(&self, place: Place) -> bool {
        self.endpoint.get_connection_state(name_of(place)).is_some()
    }

    /// The next datagram, and whose it is.
    pub(super) fn poll_transmit(&mut self) -> Option<(Place, BytesMut)> {
        let transmit = self.endpoint.poll_transmit()?;
        Some((place_named(transmit.transport.peer_addr), transmit.message))
    }
}

/// The address under which rtc-dtls knows somebody. It is made up.
fn name_of(place: Place) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from(u128::from(place.0)).into(), 1)
}

fn place_named(name: SocketAddr) -> Place {
    match name.ip() {
        IpAddr::V6(ip) => Place(u128::from(ip) as u32),
        IpAddr::V4(ip) => Place(ip.into()),
    }
}

fn fingerprint(der: &[u8]) -> Fingerprint {
    let digest = digest(&SHA256, der);
    Fingerprint(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}
