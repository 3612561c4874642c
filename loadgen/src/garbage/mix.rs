//! What is thrown: a stock of datagrams, from plain noise to what looks right until it is checked.

use media::stun::{self, Request};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore};

/// How many of each kind are in stock.
const EACH: usize = 128;

/// No datagram is longer: what fits into a packet on any way.
const LONGEST: usize = 1_200;

/// A stock for one port.
pub(super) struct Mix(Vec<Vec<u8>>);

impl Mix {
    /// Of all kinds; `known` is the name of a peer on that port.
    pub(super) fn new(known: &str, rng: &mut StdRng) -> Self {
        let mut stock = Vec::with_capacity(6 * EACH);
        for _ in 0..EACH {
            let check = forged_check(known, rng);
            let end = rng.random_range(1..check.len());
            stock.push(check[..end].to_vec());
            stock.push(check);
            stock.push(hello(rng));
            stock.push(media(0x80, 111, rng));
            stock.push(media(0x81, 201, rng));
            let length = rng.random_range(1..=LONGEST);
            stock.push(noise(length, rng));
        }
        Self(stock)
    }

    /// One of them.
    pub(super) fn any(&self, rng: &mut StdRng) -> &[u8] {
        self.0.choose(rng).map_or(&[], Vec::as_slice)
    }
}

fn noise(length: usize, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A connectivity check for a peer that is there, signed by somebody who does not know the password.
fn forged_check(known: &str, rng: &mut StdRng) -> Vec<u8> {
    let guess: String = (0..24).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect();
    let request = Request {
        transaction: rng.random(),
        remote_ufrag: known,
        local_ufrag: &guess[..4],
        remote_pwd: &guess,
        controlling: true,
        use_candidate: rng.random(),
    };
    let mut check = Vec::new();
    stun::write_request(&mut check, &request);
    check
}

/// A DTLS record with the head of a ClientHello (RFC 6347 §4.1, §4.3.2) and nothing sensible in it.
fn hello(rng: &mut StdRng) -> Vec<u8> {
    let body = noise(rng.random_range(40..300), rng);
    let length = (body.len() as u32).to_be_bytes();
    let record = (body.len() as u16 + 12).to_be_bytes();
    let (hello, version, first) = ([1], [0xFE, 0xFD], [0; 8]);
    let mut datagram = [&[22], &version[..], &first, &record].concat();
    // The message's head: kind, length, number 0, and all of it from offset 0 on.
    datagram.extend([&hello[..], &length[1..], &[0, 0], &[0, 0, 0], &length[1..]].concat());
    datagram.extend(body);
    datagram
}

/// A packet of SRTP or SRTCP by its first bytes, sealed by nobody.
fn media(first: u8, second: u8, rng: &mut StdRng) -> Vec<u8> {
    let mut packet = noise(rng.random_range(60..200), rng);
    packet[..2].copy_from_slice(&[first, second]);
    packet
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_forged_check_is_one_until_its_signature_is_looked_at() {
        let check = forged_check("abcd", &mut StdRng::seed_from_u64(1));
        let message = stun::Message::parse(&check).unwrap();
        assert_eq!(message.kind, stun::Kind::Request);
        assert!(!message.is_signed_with(b"the password of the node"));
    }

    #[test]
    fn the_mix_has_all_that_a_port_tells_apart() {
        let mix = Mix::new("abcd", &mut StdRng::seed_from_u64(2));
        let first = |kinds: std::ops::RangeInclusive<u8>| {
            mix.0.iter().filter(|datagram| kinds.contains(&datagram[0])).count()
        };
        assert!(first(0..=3) >= 2 * EACH && first(20..=63) >= EACH && first(128..=191) >= 2 * EACH);
        assert!(mix.0.iter().all(|datagram| (1..=LONGEST).contains(&datagram.len())));
    }

    #[test]
    fn a_hello_is_a_whole_record() {
        let hello = hello(&mut StdRng::seed_from_u64(3));
        let told = usize::from(u16::from_be_bytes([hello[11], hello[12]]));
        assert_eq!((hello[0], told), (22, hello.len() - 13));
        assert_eq!((hello[13], usize::from(hello[16])), (1, (told - 12) & 0xFF));
    }
}
