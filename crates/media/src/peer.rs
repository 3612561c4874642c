//! The peers of one UDP port: who may send here (STUN), with which keys (DTLS), and what they say
//! (SRTP).
//!
//! ```text
//!                 ┌ STUN ─▶ answer; a new address: check it, then move the peer
//!   datagram ─────┼ DTLS ─▶ handshake ─▶ PeerChange::Connected with the keys to seal with
//!   (RFC 7983)    └ SRTP ─▶ Received: plain RTP or RTCP of one peer
//! ```
//!
//! A datagram from an address that has not passed an authenticated STUN check costs a hash look-up,
//! and no address is sent more than came from it before it has answered something that only its owner
//! can know. Sending is not done here: whoever seals keeps the address that [`PeerChange`] tells.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use protocol::session::IceText;
use protocol::{Offer, PeerId};
use rand::rngs::StdRng;

use crate::Batch;
use crate::dtls::Certificate;
use crate::srtp::{SendKeys, SessionKeys};

mod stats;
pub use stats::Stats;

/// What all peers of a shard have in common.
#[derive(Debug, Clone)]
pub struct PeersConfig {
    /// Shown in every handshake; its fingerprint is in every answer.
    pub certificate: Arc<Certificate>,
    /// Most peers at a time; [`Peers::admit`] refuses the next.
    pub max_peers: usize,
}

/// The peers of one shard.
pub struct Peers {
    config: PeersConfig,
    rng: StdRng,
    changes: VecDeque<PeerChange>,
    stats: Stats,
}

/// What the client must know to be recognized as its peer: two parts of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the peer.
    pub ufrag: IceText<4, 32>,
    /// Proves it.
    pub pwd: IceText<22, 64>,
}

/// Why a peer was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// There are [`PeersConfig::max_peers`].
    #[error("this shard has all the peers it can take")]
    Full,
    /// The id is in use.
    #[error("there is a peer with this id")]
    Taken,
}

/// A packet of a peer, opened where it lay.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'d> {
    /// An RTP packet: authentic, not a replay, otherwise unchecked.
    Rtp {
        /// From whom.
        peer: PeerId,
        /// Header and plain payload.
        packet: &'d [u8],
    },
    /// A compound RTCP packet: authentic, not a replay, otherwise unchecked.
    Rtcp {
        /// From whom.
        peer: PeerId,
        /// Plain.
        packet: &'d [u8],
    },
}

/// What happened to a peer.
#[derive(Debug, PartialEq, Eq)]
pub enum PeerChange {
    /// The handshake is done and the certificate is the right one. Comes once.
    Connected {
        /// Who.
        peer: PeerId,
        /// Where to send.
        addr: SocketAddr,
        /// What to seal with: for [`Sealer::new`](crate::srtp::Sealer::new).
        keys: SendKeys,
    },
    /// The peer has answered from another address: send there from now on.
    Moved {
        /// Who.
        peer: PeerId,
        /// Where to send.
        addr: SocketAddr,
    },
    /// The peer is forgotten. Not told of those that [`Peers::remove`] ended.
    Gone {
        /// Who.
        peer: PeerId,
        /// Why.
        why: GoneReason,
    },
}

/// Why a peer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GoneReason {
    /// It said goodbye.
    Closed,
    /// No valid STUN request for 30 s (RFC 7675 §5.1).
    ConsentExpired,
    /// Not connected 30 s after it was admitted.
    NotConnected,
    /// The handshake failed.
    Handshake,
    /// Somebody with the right password and the wrong certificate.
    Stranger,
}

impl Peers {
    /// No peers yet.
    pub fn new(config: PeersConfig, rng: StdRng) -> Self {
        Self { config, rng, changes: VecDeque::new(), stats: Stats::default() }
    }

    /// Makes a peer that may connect for 30 s from now. `receives`: its packets are opened
    /// (speakers), or dropped unseen (listeners).
    pub fn admit(
        &mut self,
        now: Instant,
        peer: PeerId,
        offer: &Offer,
        receives: bool,
    ) -> Result<Credentials, AdmitError> {
        let _ = (now, peer, offer, receives, &self.config, &mut self.rng);
        Err(AdmitError::Full)
    }

    /// Makes a peer that is connected at `addr` already, with these keys: simulations and benchmarks
    /// start so. It has the credentials of its answer all the same, and consent expires for it too.
    /// [`PeerChange::Connected`] follows.
    pub fn admit_with_keys(
        &mut self,
        now: Instant,
        peer: PeerId,
        offer: &Offer,
        receives: bool,
        session: Session<'_>,
    ) -> Result<Credentials, AdmitError> {
        let _ = session;
        self.admit(now, peer, offer, receives)
    }

    /// Forgets a peer, and says goodbye to it if a handshake was made.
    pub fn remove(&mut self, now: Instant, peer: PeerId, out: &mut Batch) {
        let _ = (now, peer, out);
    }

    /// Takes a datagram, whatever it is. Answers go to `out`; a packet of a peer that `receives` comes
    /// back opened, in the memory of `datagram`. After it, [`poll`](Self::poll).
    pub fn receive<'d>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &'d mut [u8],
        out: &mut Batch,
    ) -> Option<Received<'d>> {
        let _ = (now, from, datagram, out);
        None
    }

    /// Does what is due: repeats of handshake flights, expiry. After it, [`poll`](Self::poll).
    pub fn on_timeout(&mut self, now: Instant, out: &mut Batch) {
        let _ = (now, out);
    }

    /// When [`on_timeout`](Self::on_timeout) is due. None while there are no peers.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next change. Call until there is none.
    pub fn poll(&mut self) -> Option<PeerChange> {
        self.changes.pop_front()
    }

    /// What has been counted since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How many peers there are, connected or not.
    pub fn len(&self) -> usize {
        0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An association that exists already.
#[derive(Debug, Clone, Copy)]
pub struct Session<'k> {
    /// Where the peer is.
    pub addr: SocketAddr,
    /// Its keys.
    pub keys: &'k SessionKeys,
}
