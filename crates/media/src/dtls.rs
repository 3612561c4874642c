//! DTLS 1.2 (RFC 6347, 5764) over rtc-dtls: the node's certificate, and the handshakes of one shard.
//!
//! rtc-dtls takes the first SRTP profile of the *client's* list that it has, and browsers put the slow
//! one first. So there are two endpoints with one profile each, and the ClientHello is read here
//! before either of them sees it. rtc-dtls draws its own randomness: a simulation replays only if it
//! starts from exported keys.

mod hello;
mod record;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use protocol::PeerId;
use protocol::session::Fingerprint;
use ring::digest;
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto_provider::{RTCCryptoProvider, default_provider};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_dtls::state::State;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;

use crate::srtp::{Profile, SessionKeys};

pub(crate) use hello::{Hello, Offered};

/// After this an unanswered flight is sent again, seven times at most. Browsers get it sooner, by
/// repeating their own (see `peer::handshake`). A client of rtc-dtls repeats its last flight each
/// second, but no more once ours has come again: so it must have had some turns by then.
const FLIGHT_INTERVAL: Duration = Duration::from_secs(3);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[error("no DTLS certificate: {0}")]
pub struct CertificateError(#[from] Error);

/// The certificate that a node shows to all its peers; made once in each process.
pub struct Certificate {
    fingerprint: Fingerprint,
    provider: Arc<dyn RTCCryptoProvider>,
    gcm: Arc<HandshakeConfig>,
    cm: Arc<HandshakeConfig>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.fingerprint).finish()
    }
}

impl Certificate {
    /// Makes a self-signed ECDSA certificate on P-256. Its randomness is the operating system's.
    pub fn generate() -> Result<Self, CertificateError> {
        let provider = default_provider().map_err(|error| Error::Crypto(error.to_string()))?;
        let names = vec!["dais".to_owned()];
        let certificate = rtc_dtls::crypto::Certificate::generate_self_signed(names, provider.crypto())?;
        let base = ConfigBuilder::default()
            .with_crypto_provider(provider.clone())
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
            provider,
            gcm: with(negotiated(Profile::AeadAes128Gcm))?,
            cm: with(negotiated(Profile::Aes128CmSha1_80))?,
        })
    }

    /// SHA-256 of the certificate: for the answer.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// What a datagram holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    /// A handshake record, of any epoch.
    pub(crate) handshake: bool,
    /// A ClientHello.
    pub(crate) client_hello: bool,
    /// A ServerHello.
    pub(crate) server_hello: bool,
    /// An alert that is encrypted: after the handshake, a goodbye.
    pub(crate) sealed_alert: bool,
}

/// Looks into a datagram; none if it is anything else than whole DTLS records.
pub(crate) fn holds(datagram: &[u8]) -> Option<Holds> {
    let records = record::records(datagram)?;
    Some(records.fold(Holds::default(), |holds, record| Holds {
        handshake: holds.handshake || record.is_handshake(),
        client_hello: holds.client_hello || record.client_hello().is_some(),
        server_hello: holds.server_hello || record.is_server_hello(),
        sealed_alert: holds.sealed_alert || record.is_sealed_alert(),
    }))
}

/// What a datagram has done to a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing to speak of.
    On,
    /// It is done; [`Handshakes::outcome`] has the keys.
    Done,
    /// The peer said goodbye, and is forgotten here.
    Closed,
    /// It was refused. The handshake may still go on with the next one: anybody can forge this one.
    Refused,
}

/// What is kept of a handshake once the client has surely had our last flight: its goodbye is only
/// heard so, and WHIP and WHEP clients can be told ours no other way. A quarter of a kilobyte, where
/// rtc-dtls keeps seven.
pub(crate) struct Goodbye {
    profile: Profile,
    /// The state of the connection as rtc-dtls writes it, without the peer's certificate.
    state: Box<[u8]>,
}

/// The handshakes of one shard, while they go on and for some time after.
pub(crate) struct Handshakes {
    certificate: Arc<Certificate>,
    gcm: Endpoint,
    cm: Endpoint,
}

impl Handshakes {
    pub(crate) fn new(certificate: Arc<Certificate>) -> Self {
        let endpoint = |config: &Arc<HandshakeConfig>| {
            let local = name_of(PeerId(u64::MAX));
            Endpoint::new(local, TransportProtocol::UDP, Some(config.clone()))
        };
        Self { gcm: endpoint(&certificate.gcm), cm: endpoint(&certificate.cm), certificate }
    }

    /// Takes a datagram that [`holds`] whole records. The first one of a peer begins its handshake.
    pub(crate) fn read(&mut self, now: Instant, peer: PeerId, profile: Profile, datagram: &[u8]) -> Progress {
        let Ok(events) = self.of(profile).read(now, name_of(peer), None, BytesMut::from(datagram)) else {
            return Progress::Refused;
        };
        events.iter().fold(Progress::On, |progress, event| match event {
            EndpointEvent::PeerClosed => Progress::Closed,
            EndpointEvent::HandshakeComplete => Progress::Done,
            _ => progress,
        })
    }

    /// The fingerprint and the keys of a handshake that is done; none if it agreed on nothing.
    pub(crate) fn outcome(&mut self, peer: PeerId, profile: Profile) -> Option<(Fingerprint, SessionKeys)> {
        let state = self.of(profile).get_connection_state(name_of(peer))?;
        if state.srtp_protection_profile() != negotiated(profile) {
            return None;
        }
        let shown = fingerprint(state.peer_certificates.first()?);
        let exported = state.export_keying_material(EXPORTER, &[], profile.exported_len()).ok()?;
        Some((shown, SessionKeys::from_exported(profile, exported.as_ref())?))
    }

    /// Repeats a flight that is due. False: it was the last repeat.
    pub(crate) fn on_timeout(&mut self, now: Instant, peer: PeerId, profile: Profile) -> bool {
        self.of(profile).handle_timeout(name_of(peer), now).is_ok()
    }

    /// When a flight is to be repeated.
    pub(crate) fn poll_timeout(&self, peer: PeerId, profile: Profile) -> Option<Instant> {
        match profile {
            Profile::AeadAes128Gcm => self.gcm.poll_timeout(&name_of(peer)),
            Profile::Aes128CmSha1_80 => self.cm.poll_timeout(&name_of(peer)),
        }
    }

    /// Forgets a peer, with a goodbye to it among what is to be sent.
    pub(crate) fn stop(&mut self, now: Instant, peer: PeerId, profile: Profile) {
        self.of(profile).stop(now, name_of(peer));
    }

    /// The next datagram, and for whom.
    pub(crate) fn poll_transmit(&mut self) -> Option<(PeerId, BytesMut)> {
        let transmit = self.gcm.poll_transmit().or_else(|| self.cm.poll_transmit())?;
        Some((peer_of(transmit.transport.peer_addr), transmit.message))
    }

    /// Forgets a peer without a word.
    pub(crate) fn forget(&mut self, now: Instant, peer: PeerId, profile: Profile) {
        self.stop(now, peer, profile);
        while self.poll_transmit().is_some() {}
    }

    /// Ends a handshake that is done without a word, but for what a goodbye will take.
    pub(crate) fn settle(&mut self, now: Instant, peer: PeerId, profile: Profile) -> Option<Goodbye> {
        let state = self.of(profile).get_connection_state(name_of(peer)).map(State::marshal_binary);
        self.forget(now, peer, profile);
        let mut state = self.state(&state?.ok()?)?;
        state.peer_certificates.clear();
        Some(Goodbye { profile, state: state.marshal_binary().ok()?.into() })
    }

    /// Takes a datagram of somebody who is settled; whether it is their goodbye. The reply to it is
    /// among what is to be sent then.
    pub(crate) fn hear(&mut self, now: Instant, peer: PeerId, goodbye: &Goodbye, datagram: &[u8]) -> bool {
        // Without one to read on, reading would begin another.
        if self.resume(now, peer, goodbye).is_none() {
            return false;
        }
        let closed = self.read(now, peer, goodbye.profile, datagram) == Progress::Closed;
        if !closed {
            self.forget(now, peer, goodbye.profile);
        }
        closed
    }

    /// Says goodbye to somebody who is settled: it is among what is to be sent.
    pub(crate) fn say(&mut self, now: Instant, peer: PeerId, goodbye: &Goodbye) {
        if self.resume(now, peer, goodbye).is_some() {
            self.stop(now, peer, goodbye.profile);
        }
    }

    /// Lets a connection go on as it was. rtc-dtls does that for clients alone; whose the keys are
    /// stands in the state.
    fn resume(&mut self, now: Instant, peer: PeerId, goodbye: &Goodbye) -> Option<()> {
        let state = self.state(&goodbye.state)?;
        let config = match goodbye.profile {
            Profile::AeadAes128Gcm => &self.certificate.gcm,
            Profile::Aes128CmSha1_80 => &self.certificate.cm,
        };
        let config = config.clone();
        self.of(goodbye.profile).connect(now, name_of(peer), config, Some(state)).ok()
    }

    fn state(&self, bytes: &[u8]) -> Option<State> {
        let mut state = State::new(self.certificate.provider.clone(), false);
        state.unmarshal_binary(bytes).ok().map(|()| state)
    }

    fn of(&mut self, profile: Profile) -> &mut Endpoint {
        match profile {
            Profile::AeadAes128Gcm => &mut self.gcm,
            Profile::Aes128CmSha1_80 => &mut self.cm,
        }
    }
}

/// Exporter label of RFC 5764 §4.2.
const EXPORTER: &str = "EXTRACTOR-dtls_srtp";

fn negotiated(profile: Profile) -> SrtpProtectionProfile {
    match profile {
        Profile::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        Profile::Aes128CmSha1_80 => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
    }
}

/// The address under which rtc-dtls knows a peer. It is made up, so that the real one may change.
fn name_of(peer: PeerId) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from(u128::from(peer.0)).into(), 1)
}

fn peer_of(name: SocketAddr) -> PeerId {
    match name.ip() {
        IpAddr::V6(ip) => PeerId(u128::from(ip) as u64),
        IpAddr::V4(ip) => PeerId(u32::from(ip).into()),
    }
}

fn fingerprint(der: &[u8]) -> Fingerprint {
    let digest = digest::digest(&digest::SHA256, der);
    Fingerprint(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}
