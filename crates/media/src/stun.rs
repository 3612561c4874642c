//! STUN as an ICE-lite agent needs it (RFC 8489, 8445): binding requests and their answers.
//!
//! Parsing allocates nothing, copies nothing and looks at each byte once, because anybody can send us
//! this. What a [`Message`] says is worth nothing before [`Message::is_signed_with`]: only then are
//! its fingerprint and its MESSAGE-INTEGRITY checked, so that a stranger's packet costs no hash.

mod crc;
mod write;

use hmac::{Hmac, Mac};
use sha1::Sha1;

#[cfg(test)]
pub(crate) use write::resign;
pub use write::{Request, write_request, write_success, write_unknown_attribute};

/// Longest message that is looked at, in bytes: RFC 8489 §6.1 keeps them below the path's MTU, and
/// browsers send 130.
pub const MAX_MESSAGE: usize = 1200;

const HEADER: usize = 20;
const COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802A;

/// Bytes of MESSAGE-INTEGRITY with its header, and of FINGERPRINT.
const INTEGRITY_LEN: usize = 24;
const FINGERPRINT_LEN: usize = 8;

/// Attributes that must be understood, and are: the others of RFC 8489 that a binding may carry need
/// nothing of us.
const UNDERSTOOD: [u16; 6] =
    [USERNAME, MESSAGE_INTEGRITY, ERROR_CODE, XOR_MAPPED_ADDRESS, PRIORITY, USE_CANDIDATE];

/// What makes an answer belong to its request.
pub type TransactionId = [u8; 12];

/// What a binding message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It wants an answer.
    Request,
    /// It wants none.
    Indication,
    /// The answer.
    Success,
    /// The refusal.
    Error,
}

impl Kind {
    /// The message type of a binding of this class (RFC 8489 §5).
    const fn message_type(self) -> u16 {
        match self {
            Self::Request => 0x0001,
            Self::Indication => 0x0011,
            Self::Success => 0x0101,
            Self::Error => 0x0111,
        }
    }

    fn of(message_type: u16) -> Option<Self> {
        [Self::Request, Self::Indication, Self::Success, Self::Error]
            .into_iter()
            .find(|kind| kind.message_type() == message_type)
    }
}

/// Why something is no STUN message that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StunError {
    /// Header, cookie or length are wrong, or it is longer than [`MAX_MESSAGE`].
    #[error("not a STUN message")]
    Header,
    /// It is well-formed, but no binding.
    #[error("not a binding")]
    Method,
    /// An attribute runs over the end, or has a length that it cannot have.
    #[error("a broken attribute")]
    Attribute,
}

/// A binding message, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'d> {
    bytes: &'d [u8],
    /// Its class.
    pub kind: Kind,
    /// Chosen by whoever asked.
    pub transaction: TransactionId,
    /// `receiver's ufrag:sender's ufrag` in a request of ICE.
    pub username: Option<&'d [u8]>,
    /// The client wants this pair of addresses.
    pub use_candidate: bool,
    /// An attribute that must be understood and is not: the answer is error 420.
    pub unknown: Option<u16>,
    /// Offset of MESSAGE-INTEGRITY. What follows it is not authentic and was skipped.
    integrity: Option<usize>,
    /// Offset of FINGERPRINT.
    fingerprint: Option<usize>,
}

impl<'d> Message<'d> {
    /// Reads a message that fills the datagram.
    pub fn parse(datagram: &'d [u8]) -> Result<Self, StunError> {
        let (header, _) = datagram.split_first_chunk::<HEADER>().ok_or(StunError::Header)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header[4..8] != COOKIE || HEADER + length != datagram.len() || datagram.len() > MAX_MESSAGE {
            return Err(StunError::Header);
        }
        let mut message = Self {
            bytes: datagram,
            kind: Kind::of(u16::from_be_bytes([header[0], header[1]])).ok_or(StunError::Method)?,
            transaction: *header.last_chunk().ok_or(StunError::Header)?,
            username: None,
            use_candidate: false,
            unknown: None,
            integrity: None,
            fingerprint: None,
        };
        let mut at = HEADER;
        while at < datagram.len() {
            at = message.attribute(at)?;
        }
        Ok(message)
    }

    /// The user name's two parts: of whoever it is sent to, and of whoever sends it.
    pub fn ufrags(&self) -> Option<(&'d [u8], &'d [u8])> {
        let username = self.username?;
        let colon = username.iter().position(|&byte| byte == b':')?;
        Some((&username[..colon], &username[colon + 1..]))
    }

    /// Whether it was signed with this password, and has arrived as it was sent. The comparison takes
    /// the same time whatever the tag is.
    pub fn is_signed_with(&self, pwd: &[u8]) -> bool {
        let Some(at) = self.integrity else { return false };
        let tag = &self.bytes[at + 4..at + INTEGRITY_LEN];
        self.is_intact() && integrity(&self.bytes[..at], pwd).verify_slice(tag).is_ok()
    }

    /// A fingerprint is not required: MESSAGE-INTEGRITY says more.
    fn is_intact(&self) -> bool {
        self.fingerprint.is_none_or(|at| self.bytes[at + 4..] == crc::fingerprint(&self.bytes[..at]))
    }

    /// Notes the attribute at this offset and tells where the next one is.
    fn attribute(&mut self, at: usize) -> Result<usize, StunError> {
        let (head, rest) = self.bytes[at..].split_first_chunk::<4>().ok_or(StunError::Attribute)?;
        let what = u16::from_be_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(..len).ok_or(StunError::Attribute)?;
        let next = at + 4 + len.next_multiple_of(4);
        if next > self.bytes.len() || self.fingerprint.is_some() {
            return Err(StunError::Attribute);
        }
        match what {
            FINGERPRINT if len + 4 == FINGERPRINT_LEN => self.fingerprint = Some(at),
            MESSAGE_INTEGRITY if self.integrity.is_none() && len + 4 == INTEGRITY_LEN => {
                self.integrity = Some(at)
            }
            FINGERPRINT | MESSAGE_INTEGRITY => return Err(StunError::Attribute),
            _ if self.integrity.is_some() => {}
            USERNAME => self.username = self.username.or(Some(value)),
            USE_CANDIDATE => self.use_candidate = true,
            _ if what < 0x8000 && !UNDERSTOOD.contains(&what) => self.unknown = self.unknown.or(Some(what)),
            _ => {}
        }
        Ok(next)
    }
}

/// HMAC-SHA1 over what lies before MESSAGE-INTEGRITY, with the length that ends behind it (RFC 8489
/// §14.5).
fn integrity(before: &[u8], pwd: &[u8]) -> Hmac<Sha1> {
    let length = (before.len() - HEADER + INTEGRITY_LEN) as u16;
    <Hmac<Sha1> as Mac>::new_from_slice(pwd)
        .expect("HMAC takes keys of any length")
        .chain_update(&before[..2])
        .chain_update(length.to_be_bytes())
        .chain_update(&before[4..])
}

#[cfg(test)]
mod tests;
