//! A listener's browser, as far as an edge can see: an ICE check and a DTLS handshake. Without sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use media::Credentials;
use media::stun::{self, Request};
use protocol::Offer;
use protocol::session::{ExtensionId, Fingerprint, IceText, Lines, PayloadType};
use ring::digest::{SHA256, digest};
use rtc_dtls::config::{ConfigBuilder, HandshakeConfig};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;

/// The profiles of Chrome, in its order, as far as rtc-dtls has them.
const PROFILES: [SrtpProtectionProfile; 2] =
    [SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80, SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm];

/// The certificate that all clients show.
pub(crate) struct Identity {
    config: Arc<HandshakeConfig>,
    fingerprint: Fingerprint,
}

impl Identity {
    pub(crate) fn generate() -> Self {
        let provider = rtc_dtls::crypto_provider::default_provider().unwrap();
        let names = vec!["listener".to_owned()];
        let certificate =
            rtc_dtls::crypto::Certificate::generate_self_signed(names, provider.crypto()).unwrap();
        let digest = digest(&SHA256, &certificate.certificate[0]);
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(PROFILES.to_vec())
            .with_insecure_skip_verify(true)
            .build(true, Some(node()));
        Self {
            config: Arc::new(config.unwrap()),
            fingerprint: Fingerprint(digest.as_ref().try_into().unwrap()),
        }
    }
}

/// A handshake.
pub(crate) struct Client {
    endpoint: Endpoint,
    pub(crate) done: bool,
}

impl Client {
    /// Says hello.
    pub(crate) fn new(now: Instant, identity: &Identity) -> Self {
        let mut endpoint = Endpoint::new(node(), TransportProtocol::UDP, None);
        endpoint.connect(now, node(), identity.config.clone(), None).unwrap();
        Self { endpoint, done: false }
    }

    /// What it has to say.
    pub(crate) fn datagrams(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.endpoint.poll_transmit())
            .map(|transmit| transmit.message.to_vec())
            .collect()
    }

    /// Takes what the node has said.
    pub(crate) fn take(&mut self, now: Instant, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            let events = self.endpoint.read(now, node(), None, BytesMut::from(&datagram[..]));
            self.done |=
                events.unwrap().iter().any(|event| matches!(event, EndpointEvent::HandshakeComplete));
        }
    }
}

/// The name under which rtc-dtls knows the node.
fn node() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 7_100))
}

/// What a browser says about itself; it hears all voices.
pub(crate) fn offer(identity: &Identity) -> Offer {
    Offer {
        ufrag: IceText::new("abcd").unwrap(),
        pwd: IceText::new("abcdefghijklmnopqrstuvwx").unwrap(),
        fingerprint: identity.fingerprint,
        opus: PayloadType::new(111).unwrap(),
        red: None,
        level_ext: ExtensionId::new(1),
        nack: false,
        lines: Lines::new(protocol::VOICES as u8).unwrap(),
        framing: None,
    }
}

/// A nominating check, as Chrome sends it.
pub(crate) fn check(offer: &Offer, node: &Credentials) -> Vec<u8> {
    let mut datagram = Vec::new();
    let request = Request {
        transaction: *b"by a client.",
        remote_ufrag: node.ufrag.as_str(),
        local_ufrag: offer.ufrag.as_str(),
        remote_pwd: node.pwd.as_str(),
        controlling: true,
        use_candidate: true,
    };
    stun::write_request(&mut datagram, &request);
    datagram
}
