//! Datagrams from the address of a peer that has passed an authenticated check, and so reach DTLS: the
//! input is split into them by a length of two bytes before each. Time passes between them.
#![no_main]

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use media::dtls::Certificate;
use media::{Batch, Peers, PeersConfig};
use protocol::session::{Fingerprint, IceText, Lines, PayloadType};
use protocol::{Offer, PeerId};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Most datagrams of one input: later ones find nothing new.
const MOST: usize = 16;

static CERTIFICATE: LazyLock<Arc<Certificate>> =
    LazyLock::new(|| Arc::new(Certificate::generate().expect("a certificate")));

fn offer() -> Offer {
    Offer {
        ufrag: IceText::new("them").expect("valid"),
        pwd: IceText::new("theirpasswordof22bytes").expect("valid"),
        fingerprint: Fingerprint([7; 32]),
        opus: PayloadType::new(111).expect("valid"),
        red: None,
        level_ext: None,
        nack: false,
        lines: Lines::new(3).expect("valid"),
        framing: None,
    }
}

/// A binding request that is signed as it should be (RFC 8489 §14.5).
fn check(ufrag: &str, pwd: &str) -> Vec<u8> {
    let username = format!("{ufrag}:them");
    let padded = username.len().next_multiple_of(4);
    let length = (4 + padded + 24) as u16;
    let mut request = vec![0, 1];
    request.extend(length.to_be_bytes());
    request.extend([0x21, 0x12, 0xA4, 0x42]);
    request.extend([7; 12]);
    request.extend([0, 6]);
    request.extend((username.len() as u16).to_be_bytes());
    request.extend(username.as_bytes());
    request.resize(24 + padded, 0);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, pwd.as_bytes());
    let tag = ring::hmac::sign(&key, &request);
    request.extend([0, 8, 0, 20]);
    request.extend(tag.as_ref());
    request
}

fuzz_target!(|bytes: &[u8]| {
    let mut now = Instant::now();
    let from = SocketAddr::from(([192, 0, 2, 1], 5_000));
    let config = PeersConfig { certificate: CERTIFICATE.clone(), max_peers: 2 };
    let mut peers = Peers::new(config, StdRng::seed_from_u64(1));
    let mut out = Batch::default();
    let credentials = peers.admit(now, PeerId(1), &offer(), true).expect("there is room");
    let mut request = check(credentials.ufrag.as_str(), credentials.pwd.as_str());
    peers.receive(now, from, &mut request, &mut out);
    assert_eq!(peers.stats().stun_answered, 1);

    let mut rest = bytes;
    for _ in 0..MOST {
        let Some((length, tail)) = rest.split_first_chunk() else { break };
        let (datagram, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)).min(tail.len()));
        rest = tail;
        peers.receive(now, from, &mut datagram.to_vec(), &mut out);
        now += Duration::from_millis(300);
        peers.on_timeout(now, &mut out);
        while peers.poll().is_some() {}
        assert_eq!(peers.stats().handshakes_done, 0, "nobody guesses a handshake");
    }
});
