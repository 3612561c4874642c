//! What an origin's node and its plane say to each other.

use std::net::SocketAddr;

use protocol::node::Stage;
use protocol::{ApiError, Epoch, Frame, Identity, Offer, PeerId, RoomId, SpeakerNumber};

use crate::Credentials;
use crate::srtp::SessionKeys;

/// What an origin's node tells its plane.
#[derive(Debug, Clone)]
pub enum SpeakersCommand {
    /// Make a peer; answered by [`SpeakersEvent::Admitted`].
    Admit(Box<AdmitSpeaker>),
    /// Make a peer that is connected already, with keys from elsewhere: simulations and benchmarks
    /// start so.
    AdmitConnected(Box<AdmitSpeaker>, SocketAddr, SessionKeys),
    /// End a peer. No [`SpeakersEvent::Gone`] follows.
    Remove(PeerId),
    /// How the stage of a room stands.
    Stage(Stage),
    /// The room is over: its peers end, without an event for each.
    Close(RoomId),
}

/// A speaker to be made a peer.
#[derive(Debug, Clone)]
pub struct AdmitSpeaker {
    /// Unique on this node.
    pub peer: PeerId,
    /// In this room.
    pub room: RoomId,
    /// Who.
    pub identity: Identity,
    /// CSRC of what they say.
    pub number: SpeakerNumber,
    /// Of this origin for this room.
    pub epoch: Epoch,
    /// What the client told.
    pub offer: Offer,
}

/// What the plane tells an origin's node.
#[derive(Debug, Clone, PartialEq)]
pub enum SpeakersEvent {
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
    /// It closed, its consent expired, or a newer peer of the same person took its place.
    Gone {
        /// Who.
        peer: PeerId,
        /// Where.
        room: RoomId,
    },
    /// Goes down the room's tree.
    Frame {
        /// Whose.
        room: RoomId,
        /// What.
        frame: Frame,
    },
}
