//! The envelope of everything that processes say to each other over the bus: who says it, in which life,
//! as their how-manieth word, to whom, and a signature with the cluster's key.
//!
//! ```text
//! version u8 | name | boot u64 | number u64 | tick u64 | kind u8 | for kind 1, 2: name | boot u64 | at u64 | payload | signature 32
//! name: length u8 | text         kind: 0 to everybody, 1 a request, 2 an answer
//! ```
//!
//! All integers are big-endian. The signature is the HMAC-SHA-256 of a SHA-256: that of the subject, after its
//! length (u16), and of all bytes before the signature. In every version the first two fields come first and the signature last, so that a
//! process of another version can be named and one without the key cannot pass for it.
//!
//! Who is believed, when all that holds, is decided by [`Trust`].

mod trust;
mod window;

#[cfg(test)]
mod tests;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ring::digest::{Context, Digest, SHA256};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac::{self, HMAC_SHA256};

use crate::id::NodeId;
pub use trust::{Ear, MAX_SENDERS, Trust};
pub use window::Window;

/// What this build writes, and the only one it reads.
pub const VERSION: u8 = 1;

/// Longest envelope, in bytes: what NATS takes by default.
pub const MAX_ENVELOPE: usize = 1024 * 1024;

/// Most bytes of an envelope that are not its payload.
pub const MAX_OVERHEAD: usize = 1 + 65 + 3 * 8 + 1 + 65 + 2 * 8 + SIGNATURE;

/// Bytes of a signature.
pub const SIGNATURE: usize = 32;

/// What a key for the bus is derived with from the cluster's: for this and for nothing else.
const SALT: &[u8] = b"dais cluster key";
const INFO: &[u8] = b"words on the bus, hmac-sha-256";

const TO_EVERYBODY: u8 = 0;
const REQUEST: u8 = 1;
const ANSWER: u8 = 2;

/// One life of a process: from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Life {
    /// What it is called.
    pub node: NodeId,
    /// Differs after each start.
    pub boot: u64,
}

/// A message in its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Who says it.
    pub from: Life,
    /// Of the words of this life; only grows.
    pub number: u64,
    /// Seconds that the sender had lived.
    pub tick: u64,
    /// To whom.
    pub to: To,
    /// What it says.
    pub payload: Bytes,
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Whoever listens.
    Everybody,
    /// One process, which must do something.
    Asked {
        /// In this life.
        life: Life,
        /// Seconds that it has lived by now, as far as the sender can tell.
        tick: u64,
    },
    /// Whoever asked.
    Asker {
        /// In this life.
        life: Life,
        /// The number of the request.
        number: u64,
    },
}

/// What belongs to the cluster: one key, or two while it changes from one to the other.
#[derive(Clone)]
pub struct Keys {
    signs: hmac::Key,
    /// Believed as well.
    other: Option<hmac::Key>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Longer than [`MAX_ENVELOPE`].
    #[error("{0} bytes are more than an envelope has")]
    Oversized(usize),
    /// Signed with no key of ours, for another subject, or changed on its way.
    #[error("it is not signed with the cluster's key")]
    Forged,
    /// Of another build.
    #[error("{node} speaks version {version} of the envelope, and this process version {VERSION}")]
    Version {
        /// Who.
        node: NodeId,
        /// Which.
        version: u8,
    },
    /// Signed, and no envelope all the same.
    #[error("it is signed and cannot be read")]
    Unreadable,
    /// For another process, or for an earlier life of this one.
    #[error("what {} says is for another process, or for an earlier life of this one", .0.node)]
    Addressee(Life),
    /// It was underway for longer than a command is good for, or was overtaken by very many.
    #[error("what {} says comes too late", .0.node)]
    Late(Life),
    /// It was here before.
    #[error("what {} says was here before", .0.node)]
    Replayed(Life),
    /// Whoever says it has not shown yet that it lives: this may be a recording.
    #[error("{} (boot {}) has not shown yet that it lives", .0.node, .0.boot)]
    Stranger(Life),
    /// Two processes have one name.
    #[error(
        "two processes are called {}, with the boots {} and {other}: others hear the later one only; \
         give each a --node of its own",
        .life.node, .life.boot
    )]
    Twin {
        /// The one that is not believed here.
        life: Life,
        /// The boot of the one that is.
        other: u64,
    },
    /// [`MAX_SENDERS`] are known.
    #[error("{} is one more than the {MAX_SENDERS} processes that are remembered", .0.node)]
    Crowd(Life),
}

impl Refused {
    /// All that [`what`](Self::what) can say.
    pub const WHAT: [&'static str; 10] = [
        "bus_oversized",
        "bus_forged",
        "bus_version",
        "bus_unreadable",
        "bus_addressee",
        "bus_late",
        "bus_replayed",
        "bus_stranger",
        "bus_twin",
        "bus_crowd",
    ];

    /// Where its name stands in [`WHAT`](Self::WHAT).
    pub fn index(&self) -> usize {
        match self {
            Self::Oversized(_) => 0,
            Self::Forged => 1,
            Self::Version { .. } => 2,
            Self::Unreadable => 3,
            Self::Addressee(_) => 4,
            Self::Late(_) => 5,
            Self::Replayed(_) => 6,
            Self::Stranger(_) => 7,
            Self::Twin { .. } => 8,
            Self::Crowd(_) => 9,
        }
    }

    /// Its name for a counter.
    pub fn what(&self) -> &'static str {
        Self::WHAT[self.index()]
    }
}

impl Keys {
    /// `signs` signs, and is believed.
    pub fn new(signs: &[u8]) -> Self {
        Self { signs: derive(signs), other: None }
    }

    /// Believes another one too: the one before, or the one that comes next.
    pub fn and_believes(self, other: &[u8]) -> Self {
        Self { other: Some(derive(other)), ..self }
    }

    /// The signature of what begins an envelope for a subject.
    pub fn sign(&self, subject: &str, bytes: &[u8]) -> [u8; SIGNATURE] {
        let tag = hmac::sign(&self.signs, digest(subject, bytes).as_ref());
        tag.as_ref().try_into().expect("as long as the hash")
    }

    fn has_signed(&self, subject: &str, bytes: &[u8], signature: &[u8]) -> bool {
        let digest = digest(subject, bytes);
        let keys = [Some(&self.signs), self.other.as_ref()];
        keys.into_iter().flatten().any(|key| hmac::verify(key, digest.as_ref(), signature).is_ok())
    }
}

impl Envelope {
    /// Writes and signs it for a subject.
    pub fn seal(&self, keys: &Keys, subject: &str) -> Bytes {
        let mut out = BytesMut::with_capacity(MAX_OVERHEAD + self.payload.len());
        out.put_u8(VERSION);
        put_name(&mut out, &self.from.node);
        out.put_u64(self.from.boot);
        out.put_u64(self.number);
        out.put_u64(self.tick);
        match &self.to {
            To::Everybody => out.put_u8(TO_EVERYBODY),
            To::Asked { life, tick } => put_addressee(&mut out, REQUEST, life, *tick),
            To::Asker { life, number } => put_addressee(&mut out, ANSWER, life, *number),
        }
        out.put_slice(&self.payload);
        let signature = keys.sign(subject, &out);
        out.put_slice(&signature);
        out.freeze()
    }

    /// Reads what came on a subject; who sent it has a key of the cluster. The payload is not copied.
    pub fn open(keys: &Keys, subject: &str, bytes: Bytes) -> Result<Self, Refused> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(Refused::Oversized(bytes.len()));
        }
        let (signed, signature) = bytes.split_last_chunk::<SIGNATURE>().ok_or(Refused::Forged)?;
        if !keys.has_signed(subject, signed, signature) {
            return Err(Refused::Forged);
        }
        let mut signed = bytes.slice(..signed.len());
        let version = signed.try_get_u8().map_err(|_| Refused::Unreadable)?;
        let node = name(&mut signed).ok_or(Refused::Unreadable)?;
        if version != VERSION {
            return Err(Refused::Version { node, version });
        }
        Self::read(node, signed).ok_or(Refused::Unreadable)
    }

    /// What follows the sender's name.
    fn read(node: NodeId, mut bytes: Bytes) -> Option<Self> {
        let from = Life { node, boot: bytes.try_get_u64().ok()? };
        let number = bytes.try_get_u64().ok()?;
        let tick = bytes.try_get_u64().ok()?;
        let to = match bytes.try_get_u8().ok()? {
            TO_EVERYBODY => To::Everybody,
            REQUEST => {
                let (life, tick) = addressee(&mut bytes)?;
                To::Asked { life, tick }
            }
            ANSWER => {
                let (life, number) = addressee(&mut bytes)?;
                To::Asker { life, number }
            }
            _ => return None,
        };
        Some(Self { from, number, tick, to, payload: bytes })
    }
}

fn derive(key: &[u8]) -> hmac::Key {
    let derived = Salt::new(HKDF_SHA256, SALT).extract(key);
    derived.expand(&[INFO], HMAC_SHA256).expect("as long as the hash").into()
}

/// What is signed: large payloads are gone through once, however many keys there are.
fn digest(subject: &str, bytes: &[u8]) -> Digest {
    let mut digest = Context::new(&SHA256);
    digest.update(&(subject.len() as u16).to_be_bytes());
    digest.update(subject.as_bytes());
    digest.update(bytes);
    digest.finish()
}

fn put_name(out: &mut BytesMut, node: &NodeId) {
    out.put_u8(node.as_str().len() as u8);
    out.put_slice(node.as_str().as_bytes());
}

fn put_addressee(out: &mut BytesMut, kind: u8, life: &Life, at: u64) {
    out.put_u8(kind);
    put_name(out, &life.node);
    out.put_u64(life.boot);
    out.put_u64(at);
}

fn name(bytes: &mut Bytes) -> Option<NodeId> {
    let length = usize::from(bytes.try_get_u8().ok()?);
    if length > bytes.len() {
        return None;
    }
    NodeId::new(std::str::from_utf8(&bytes.split_to(length)).ok()?).ok()
}

fn addressee(bytes: &mut Bytes) -> Option<(Life, u64)> {
    let node = name(bytes)?;
    let boot = bytes.try_get_u64().ok()?;
    Some((Life { node, boot }, bytes.try_get_u64().ok()?))
}
