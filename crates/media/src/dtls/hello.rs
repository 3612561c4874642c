//! What the first ClientHello offers for SRTP, read before the handshake begins.
//!
//! Chrome's has 1,413 bytes and comes in two datagrams, in any order; `use_srtp` may be in either. So
//! datagrams are held until the message is whole.

use super::record::{Fragment, records};
use crate::srtp::Profile;

/// Most datagrams that one ClientHello may take; browsers need two.
const MAX_HELD: usize = 4;

/// Longest ClientHello, in bytes: one with post-quantum key shares has 1,800.
const MAX_HELLO: usize = 4096;

/// Offset of the session id in a ClientHello, after version and random.
const SESSION_ID: usize = 34;

/// The extension of RFC 5764 §4.1.1.
const USE_SRTP: u16 = 14;

/// The datagrams of a ClientHello that is not whole yet.
#[derive(Debug, Default)]
pub(crate) struct Hello {
    held: Vec<Vec<u8>>,
}

/// What another datagram has made of the ClientHello.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is not whole yet.
    Incomplete,
    /// It is whole: these are its datagrams, and the best profile in it that we have.
    Whole(Profile, Vec<Vec<u8>>),
    /// It is none, too long, or has nothing for us. Everything held is forgotten.
    Nothing,
}

impl Hello {
    /// Takes a datagram.
    pub(crate) fn push(&mut self, datagram: &[u8]) -> Offered {
        let first = |datagram| first_hello(datagram).is_some_and(|hello| hello.message_len <= MAX_HELLO);
        if !first(datagram) || self.held.len() == MAX_HELD {
            self.held.clear();
            return Offered::Nothing;
        }
        self.held.push(datagram.to_vec());
        match self.assemble() {
            None => Offered::Incomplete,
            Some(hello) => {
                let held = std::mem::take(&mut self.held);
                best_profile(&hello).map_or(Offered::Nothing, |profile| Offered::Whole(profile, held))
            }
        }
    }

    /// The message, once all its bytes are there.
    fn assemble(&self) -> Option<Vec<u8>> {
        let fragments = || self.held.iter().filter_map(|datagram| first_hello(datagram));
        let message_len = fragments().next()?.message_len;
        let mut hello = Vec::with_capacity(message_len);
        while hello.len() < message_len {
            let next = fragments().find_map(|fragment| continuation(&fragment, hello.len()))?;
            hello.extend_from_slice(next);
        }
        (hello.len() == message_len).then_some(hello)
    }
}

/// What the fragment has from this offset on, if anything.
fn continuation<'d>(fragment: &Fragment<'d>, from: usize) -> Option<&'d [u8]> {
    let skip = from.checked_sub(fragment.offset)?;
    fragment.body.get(skip..).filter(|rest| !rest.is_empty())
}

/// The piece of a client's first message that a datagram carries.
fn first_hello(datagram: &[u8]) -> Option<Fragment<'_>> {
    let mut fragments = records(datagram)?.filter_map(|record| record.client_hello());
    fragments.find(|fragment| fragment.sequence == 0)
}

/// The best profile of ours that a whole ClientHello (RFC 6347 §4.3.2) has in `use_srtp`.
fn best_profile(hello: &[u8]) -> Option<Profile> {
    let rest = hello.get(SESSION_ID..)?;
    let (_session_id, rest) = vector::<1>(rest)?;
    let (_cookie, rest) = vector::<1>(rest)?;
    let (_cipher_suites, rest) = vector::<2>(rest)?;
    let (_compression, rest) = vector::<1>(rest)?;
    let (mut extensions, _) = vector::<2>(rest)?;
    while let Some((kind, rest)) = extensions.split_first_chunk() {
        let (data, after) = vector::<2>(rest)?;
        if u16::from_be_bytes(*kind) == USE_SRTP {
            let (profiles, _mki) = vector::<2>(data)?;
            let offers = |id: [u8; 2]| profiles.chunks_exact(2).any(|profile| profile == id);
            return match () {
                () if offers([0, 7]) => Some(Profile::AeadAes128Gcm),
                () if offers([0, 1]) => Some(Profile::Aes128CmSha1_80),
                () => None,
            };
        }
        extensions = after;
    }
    None
}

/// Splits off what has its length before it, in `N` bytes.
fn vector<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<N>()?;
    let len = len.iter().fold(0, |len, &byte| len << 8 | usize::from(byte));
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests;
