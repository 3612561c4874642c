//! A client, and the world between it and the node: no socket, no waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use protocol::session::{Fingerprint, IceText, Lines, PayloadType};
use protocol::{Offer, PeerId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rtc_dtls::config::{ConfigBuilder, HandshakeConfig};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;

use super::super::*;
use crate::srtp::Profile;
use crate::stun::{self, Kind, Message, Request};

/// The profiles of Chrome, in its order, as far as rtc-dtls has them.
pub(super) const GCM_LAST: &[SrtpProtectionProfile] = &[
    SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
    SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
    SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
];
pub(super) const ONLY_CM: &[SrtpProtectionProfile] = &[SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80];

pub(super) const MAX_PEERS: usize = 8;

/// When every test begins. Nothing else here reads a clock.
#[allow(clippy::disallowed_methods)]
pub(super) fn base() -> Instant {
    static BASE: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    *BASE
}

pub(super) fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

/// A plain RTP packet of SSRC 5.
pub(super) fn rtp(sequence: u8) -> Vec<u8> {
    vec![0x80, 111, 0, sequence, 0, 0, 0, 0, 0, 0, 0, 5, 0xf8, 0xff, 0xfe]
}

/// Between a node and its clients.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) peers: Peers,
    pub(super) out: Batch,
}

impl World {
    pub(super) fn new() -> Self {
        static CERTIFICATE: std::sync::LazyLock<Arc<Certificate>> =
            std::sync::LazyLock::new(|| Arc::new(Certificate::generate().unwrap()));
        let config = PeersConfig { certificate: CERTIFICATE.clone(), max_peers: MAX_PEERS };
        let peers = Peers::new(config, StdRng::seed_from_u64(1));
        Self { now: base(), peers, out: Batch::default() }
    }

    pub(super) fn admit(&mut self, client: &mut Client, receives: bool) {
        let credentials = self.peers.admit(self.now, client.id, &client.offer, receives).unwrap();
        client.credentials = Some(credentials);
    }

    /// Delivers one datagram and lets the node work it off; what is sent to its address comes back.
    pub(super) fn send_from(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.peers.receive(self.now, from, &mut datagram.to_vec(), &mut self.out);
        self.work();
        self.sent_to(from)
    }

    /// Does all that is due.
    pub(super) fn work(&mut self) {
        while self.peers.poll_timeout().is_some_and(|due| due <= self.now) {
            self.peers.on_timeout(self.now, &mut self.out);
        }
    }

    pub(super) fn send(&mut self, client: &Client, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.send_from(client.addr, datagram)
    }

    pub(super) fn send_all(&mut self, client: &Client, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
        datagrams.iter().flat_map(|datagram| self.send(client, datagram)).collect()
    }

    /// What has been sent, which must all be for this address.
    fn sent_to(&mut self, to: SocketAddr) -> Vec<Vec<u8>> {
        let sent = self.out.datagrams().inspect(|sent| assert_eq!(sent.0, to));
        let sent = sent.map(|(_, datagram)| datagram.to_vec()).collect();
        self.out.clear();
        sent
    }

    /// The client's ICE check, which must be answered.
    pub(super) fn check(&mut self, client: &Client) {
        let answers = self.send(client, &client.request());
        let [answer] = &answers[..] else { panic!("{} answers", answers.len()) };
        client.assert_success(answer);
    }

    pub(super) fn wake(&mut self, client: &Client) -> Vec<Vec<u8>> {
        self.work();
        self.sent_to(client.addr)
    }

    pub(super) fn remove(&mut self, client: &Client) -> Vec<Vec<u8>> {
        self.peers.remove(self.now, client.id, &mut self.out);
        self.sent_to(client.addr)
    }

    /// Check, hello, and on until nobody has anything to say.
    pub(super) fn connect(&mut self, client: &mut Client) {
        self.check(client);
        client.hello(self.now);
        self.converse(client);
    }

    /// Delivers what the client has to say; what the node says comes back.
    pub(super) fn exchange(&mut self, client: &mut Client) -> Vec<Vec<u8>> {
        let datagrams = client.datagrams();
        self.send_all(client, &datagrams)
    }

    pub(super) fn converse(&mut self, client: &mut Client) {
        for _ in 0..20 {
            let answers = self.exchange(client);
            client.take(self.now, &answers);
        }
    }

    /// The same with loss, repeats, swaps and flipped bits, and with time going on.
    pub(super) fn disturbed_conversation(&mut self, client: &mut Client, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..60 {
            let mut said = client.datagrams();
            disturb(&mut said, &mut rng);
            let mut answers = self.send_all(client, &said);
            self.now += Duration::from_millis(rng.random_range(0..800));
            answers.extend(self.wake(client));
            disturb(&mut answers, &mut rng);
            client.take(self.now, &answers);
            client.on_timeout(self.now);
        }
    }
}

fn disturb(datagrams: &mut Vec<Vec<u8>>, rng: &mut StdRng) {
    datagrams.retain(|_| rng.random_bool(0.9));
    if datagrams.len() > 1 && rng.random_bool(0.3) {
        datagrams.swap(0, 1);
    }
    if let Some(first) = datagrams.first().cloned().filter(|_| rng.random_bool(0.3)) {
        datagrams.push(first);
    }
    for datagram in datagrams {
        if rng.random_bool(0.2) {
            let at = rng.random_range(0..datagram.len());
            datagram[at] ^= 1 << rng.random_range(0..8);
        }
    }
}

/// A browser, as far as a node can see.
pub(super) struct Client {
    pub(super) id: PeerId,
    pub(super) addr: SocketAddr,
    pub(super) offer: Offer,
    pub(super) credentials: Option<Credentials>,
    /// Of its next request.
    pub(super) transaction: TransactionId,
    /// Its handshake is done.
    pub(super) done: bool,
    /// It was told goodbye.
    pub(super) closed: bool,
    config: Arc<HandshakeConfig>,
    endpoint: Endpoint,
}

impl Client {
    pub(super) fn new() -> Self {
        Self::offering(GCM_LAST)
    }

    pub(super) fn offering(profiles: &[SrtpProtectionProfile]) -> Self {
        Self::with(profiles, |config| config)
    }

    pub(super) fn with(
        profiles: &[SrtpProtectionProfile],
        configure: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
    ) -> Self {
        let provider = rtc_dtls::crypto_provider::default_provider().unwrap();
        let certificate =
            rtc_dtls::crypto::Certificate::generate_self_signed(vec!["client".into()], provider.crypto())
                .unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, &certificate.certificate[0]);
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(profiles.to_vec())
            .with_insecure_skip_verify(true);
        let config = Arc::new(configure(config).build(true, Some(node())).unwrap());
        Self {
            id: PeerId(7),
            addr: addr(50_000),
            offer: offer(Fingerprint(digest.as_ref().try_into().unwrap())),
            credentials: None,
            transaction: *b"by a client.",
            done: false,
            closed: false,
            config,
            endpoint: Endpoint::new(addr(50_000), TransportProtocol::UDP, None),
        }
    }

    /// A nominating request, as Chrome sends them.
    pub(super) fn request(&self) -> Vec<u8> {
        self.written(true, None)
    }

    /// One that nominates nothing, as aiortc sends them later on.
    pub(super) fn plain_request(&self) -> Vec<u8> {
        self.written(false, None)
    }

    pub(super) fn request_with_pwd(&self, pwd: &str) -> Vec<u8> {
        self.written(true, Some(pwd))
    }

    fn written(&self, use_candidate: bool, pwd: Option<&str>) -> Vec<u8> {
        let node = self.credentials.as_ref().unwrap();
        let request = Request {
            transaction: self.transaction,
            remote_ufrag: node.ufrag.as_str(),
            local_ufrag: self.offer.ufrag.as_str(),
            remote_pwd: pwd.unwrap_or(node.pwd.as_str()),
            controlling: true,
            use_candidate,
        };
        let mut bytes = Vec::new();
        stun::write_request(&mut bytes, &request);
        bytes
    }

    pub(super) fn assert_success(&self, answer: &[u8]) {
        let message = Message::parse(answer).unwrap();
        assert_eq!((message.kind, message.transaction), (Kind::Success, self.transaction));
        assert!(message.is_signed_with(self.credentials.as_ref().unwrap().pwd.as_str().as_bytes()));
    }

    /// The answer to the node's own check.
    pub(super) fn answer(&self, check: &[u8], pwd: &str) -> Vec<u8> {
        let message = Message::parse(check).unwrap();
        assert_eq!(message.kind, Kind::Request);
        assert!(message.is_signed_with(self.offer.pwd.as_str().as_bytes()));
        let mut bytes = Vec::new();
        stun::write_success(&mut bytes, &message.transaction, node(), pwd.as_bytes());
        bytes
    }

    pub(super) fn hello(&mut self, now: Instant) {
        self.endpoint.connect(now, node(), self.config.clone(), None).unwrap();
    }

    /// What it has to say.
    pub(super) fn datagrams(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.endpoint.poll_transmit())
            .map(|transmit| transmit.message.to_vec())
            .collect()
    }

    /// Takes what the node has said, as far as it is DTLS.
    pub(super) fn take(&mut self, now: Instant, datagrams: &[Vec<u8>]) {
        for datagram in datagrams.iter().filter(|datagram| datagram[0] >= 20) {
            let events = self.endpoint.read(now, node(), None, BytesMut::from(&datagram[..]));
            for event in events.unwrap_or_default() {
                self.done |= matches!(event, EndpointEvent::HandshakeComplete);
                self.closed |= matches!(event, EndpointEvent::PeerClosed);
            }
        }
    }

    pub(super) fn on_timeout(&mut self, now: Instant) {
        // A client that has given up says nothing more.
        let _ = self.endpoint.handle_timeout(node(), now);
    }

    pub(super) fn close(&mut self, now: Instant) {
        self.endpoint.close(now).unwrap();
    }

    pub(super) fn keys(&self, profile: Profile) -> SessionKeys {
        let state = self.endpoint.get_connection_state(node()).unwrap();
        let exported = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], profile.exported_len());
        SessionKeys::from_exported(profile, exported.unwrap().as_ref()).unwrap()
    }
}

fn node() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 99], 7100))
}

fn offer(fingerprint: Fingerprint) -> Offer {
    Offer {
        ufrag: IceText::new("abcd").unwrap(),
        pwd: IceText::new("theclientspassword0123").unwrap(),
        fingerprint,
        opus: PayloadType::new(111).unwrap(),
        red: None,
        level_ext: None,
        nack: false,
        lines: Lines::new(3).unwrap(),
        framing: None,
    }
}
