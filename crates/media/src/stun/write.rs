//! Writing bindings at the end of a buffer, signed.

use std::net::{IpAddr, SocketAddr};

use hmac::Mac;

use super::{
    COOKIE, ERROR_CODE, FINGERPRINT, FINGERPRINT_LEN, HEADER, ICE_CONTROLLED, ICE_CONTROLLING, INTEGRITY_LEN,
    Kind, MESSAGE_INTEGRITY, PRIORITY, TransactionId, UNKNOWN_ATTRIBUTES, USE_CANDIDATE, USERNAME,
    XOR_MAPPED_ADDRESS, crc, integrity,
};

/// A check: what RFC 8445 §7.1 wants in a binding request.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    /// New for each request.
    pub transaction: TransactionId,
    /// The user name fragment of whoever is asked.
    pub remote_ufrag: &'r str,
    /// The user name fragment of whoever asks.
    pub local_ufrag: &'r str,
    /// The password of whoever is asked.
    pub remote_pwd: &'r str,
    /// Whoever asks is the controlling agent (clients), not the controlled one (nodes).
    pub controlling: bool,
    /// This pair shall be used.
    pub use_candidate: bool,
}

/// Appends a binding request.
pub fn write_request(out: &mut Vec<u8>, request: &Request<'_>) {
    let mut writer = Writer::new(out, Kind::Request, &request.transaction);
    writer.attribute(USERNAME, &[request.remote_ufrag.as_bytes(), b":", request.local_ufrag.as_bytes()]);
    let role = if request.controlling { ICE_CONTROLLING } else { ICE_CONTROLLED };
    // The tie-breaker decides conflicts of role, which a lite agent never has.
    writer.attribute(role, &[&request.transaction[..8]]);
    writer.attribute(PRIORITY, &[&HOST_PRIORITY.to_be_bytes()]);
    if request.use_candidate {
        writer.attribute(USE_CANDIDATE, &[]);
    }
    writer.finish(request.remote_pwd.as_bytes());
}

/// A peer-reflexive candidate of the first component (RFC 8445 §5.1.2).
const HOST_PRIORITY: u32 = 110 << 24 | 0xFFFF << 8 | 0xFF;

/// Appends the answer to a request that came from `from`, signed with our own password.
pub fn write_success(out: &mut Vec<u8>, transaction: &TransactionId, from: SocketAddr, pwd: &[u8]) {
    let mut writer = Writer::new(out, Kind::Success, transaction);
    let port = from.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
    // A socket for both families writes IPv4 as ::ffff:a.b.c.d; the client knows no such address.
    match from.ip().to_canonical() {
        IpAddr::V4(ip) => {
            let mut octets = ip.octets();
            xor(&mut octets, COOKIE.iter());
            writer.attribute(XOR_MAPPED_ADDRESS, &[&[0, 1], &port.to_be_bytes(), &octets]);
        }
        IpAddr::V6(ip) => {
            let mut octets = ip.octets();
            xor(&mut octets, COOKIE.iter().chain(transaction));
            writer.attribute(XOR_MAPPED_ADDRESS, &[&[0, 2], &port.to_be_bytes(), &octets]);
        }
    }
    writer.finish(pwd);
}

/// Appends error 420: this attribute must be understood, and is not (RFC 8489 §6.3.1).
pub fn write_unknown_attribute(out: &mut Vec<u8>, transaction: &TransactionId, attribute: u16, pwd: &[u8]) {
    let mut writer = Writer::new(out, Kind::Error, transaction);
    writer.attribute(ERROR_CODE, &[&[0, 0, 4, 20]]);
    writer.attribute(UNKNOWN_ATTRIBUTES, &[&attribute.to_be_bytes()]);
    writer.finish(pwd);
}

/// Signs a message again that was changed before its signature.
#[cfg(test)]
pub(crate) fn resign(message: &[u8], pwd: &[u8]) -> Vec<u8> {
    let mut out = message[..message.len() - INTEGRITY_LEN - FINGERPRINT_LEN].to_vec();
    Writer { out: &mut out, start: 0 }.finish(pwd);
    out
}

struct Writer<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
}

impl<'b> Writer<'b> {
    fn new(out: &'b mut Vec<u8>, kind: Kind, transaction: &TransactionId) -> Self {
        let start = out.len();
        out.extend_from_slice(&kind.message_type().to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&COOKIE);
        out.extend_from_slice(transaction);
        Self { out, start }
    }

    fn attribute(&mut self, what: u16, value: &[&[u8]]) {
        let len: usize = value.iter().map(|part| part.len()).sum();
        self.out.extend_from_slice(&what.to_be_bytes());
        self.out.extend_from_slice(&(len as u16).to_be_bytes());
        value.iter().for_each(|part| self.out.extend_from_slice(part));
        let padded = self.out.len() + len.next_multiple_of(4) - len;
        self.out.resize(padded, 0);
    }

    fn finish(mut self, pwd: &[u8]) {
        let tag = integrity(&self.out[self.start..], pwd).finalize().into_bytes();
        self.attribute(MESSAGE_INTEGRITY, &[&tag]);
        self.set_length(FINGERPRINT_LEN);
        let crc = crc::fingerprint(&self.out[self.start..]);
        self.attribute(FINGERPRINT, &[&crc]);
        debug_assert_eq!(tag.len() + 4, INTEGRITY_LEN);
    }

    /// Sets the length to what is there and `more`.
    fn set_length(&mut self, more: usize) {
        let length = (self.out.len() - self.start - HEADER + more) as u16;
        self.out[self.start + 2..self.start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

fn xor<'a>(octets: &mut [u8], with: impl Iterator<Item = &'a u8>) {
    octets.iter_mut().zip(with).for_each(|(octet, with)| *octet ^= with);
}
