//! What the peers tell whoever owns them.

use std::net::SocketAddr;

use protocol::PeerId;
use protocol::session::IceText;

use crate::srtp::SendKeys;

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
    /// There are [`PeersConfig::max_peers`](super::PeersConfig::max_peers).
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
    /// The peer is forgotten. Not told of those that [`Peers::remove`](super::Peers::remove) ended.
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
    /// It used more SSRCs than [`MAX_STREAMS`](crate::srtp::MAX_STREAMS).
    Streams,
    /// Not connected 30 s after it was admitted.
    NotConnected,
    /// The handshake failed.
    Handshake,
    /// Somebody with the right password and the wrong certificate.
    Stranger,
}
