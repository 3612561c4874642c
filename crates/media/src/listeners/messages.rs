//! What an edge's node and its plane say to each other.

use std::net::SocketAddr;
use std::time::Instant;

use protocol::{ApiError, Frame, Offer, PeerId, RoomId};

use crate::Credentials;
use crate::srtp::SessionKeys;

/// What an edge's node tells its plane.
#[derive(Debug, Clone)]
pub enum ListenersCommand {
    /// Make a peer; answered by [`ListenersEvent::Admitted`].
    Admit(Box<AdmitListener>),
    /// Make a peer that is connected already, with keys from elsewhere: simulations and benchmarks
    /// start so.
    AdmitConnected(Box<AdmitListener>, SocketAddr, SessionKeys),
    /// Give a connected listener another framing: 20, 60 or 120 ms.
    Reframe {
        /// Whose.
        peer: PeerId,
        /// Which.
        framing_ms: u8,
    },
    /// End a peer. No [`ListenersEvent::Gone`] follows.
    Remove(PeerId),
    /// A frame of a room's voices, from upstream.
    Frame {
        /// Whose.
        room: RoomId,
        /// What.
        frame: Frame,
        /// When it reached the node.
        arrived: Instant,
    },
    /// A room has no origin, or (false) has one again: without one its silence is made here.
    KeepAlive(RoomId, bool),
    /// The room is over: its peers end, without an event for each.
    Close(RoomId),
}

/// A listener to be made a peer.
#[derive(Debug, Clone)]
pub struct AdmitListener {
    /// Unique on this node.
    pub peer: PeerId,
    /// In this room.
    pub room: RoomId,
    /// What the client told.
    pub offer: Offer,
}

/// What the plane tells an edge's node.
#[derive(Debug, Clone, PartialEq)]
pub enum ListenersEvent {
    /// The answer to an admission; the node adds fingerprint and candidates.
    Admitted {
        /// As it was named.
        peer: PeerId,
        /// ICE credentials, or why not.
        result: Result<Credentials, ApiError>,
    },
    /// Keys are agreed: media flows.
    Connected {
        /// Who.
        peer: PeerId,
        /// Where.
        room: RoomId,
    },
    /// It closed, or its consent expired.
    Gone {
        /// Who.
        peer: PeerId,
        /// Where.
        room: RoomId,
    },
    /// The first listener of the room on this shard was admitted.
    Wanted(RoomId),
    /// The last one is gone.
    Unwanted(RoomId),
}
