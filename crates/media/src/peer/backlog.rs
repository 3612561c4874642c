//! Handshake datagrams that wait for their turn.
//!
//! A handshake costs 0.3 ms of key exchange and signatures, and in a storm hundreds come at once. So a
//! datagram of a peer that is not connected is only noted when it comes; a portion is worked off with
//! each `on_timeout`, and between two portions whoever drives the plane sends audio. Nothing that is
//! noted earns its sender anything yet: credit comes with the work.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use protocol::PeerId;

use crate::dtls::Holds;

/// Most datagrams that wait: what the newcomers who arrive at the same time (see `door`) may have.
const MAX_WAITING: usize = 4_096;

/// Most of them from one peer, so that none crowds out the others. A browser's first ClientHello has
/// two datagrams, its last flight up to five.
const MAX_OF_PEER: u8 = 8;

/// Datagrams that are worked off before audio has its turn: less than a millisecond.
pub(super) const PORTION: usize = 4;

/// What waits, first come first served.
#[derive(Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Waiting>,
}

/// One datagram of a peer that is not connected.
pub(super) struct Waiting {
    pub(super) id: PeerId,
    pub(super) from: SocketAddr,
    pub(super) since: Instant,
    pub(super) holds: Holds,
    pub(super) datagram: Box<[u8]>,
}

/// There are too many, of this peer or altogether.
pub(super) struct Full;

impl Backlog {
    /// Notes a datagram of a peer that has so many waiting.
    pub(super) fn push(&mut self, of_peer: &mut u8, waiting: Waiting) -> Result<(), Full> {
        if *of_peer >= MAX_OF_PEER || self.waiting.len() >= MAX_WAITING {
            return Err(Full);
        }
        *of_peer += 1;
        self.waiting.push_back(waiting);
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// When there is something to do: since the first one waits.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|waiting| waiting.since)
    }
}
