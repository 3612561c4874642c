//! What the signaling nodes tell each other about a room.

use protocol::id::{Identity, NodeId};
use serde::{Deserialize, Serialize};

use super::people::Peer;
use crate::presence::Share;
use crate::{Change, Delta, Gone};

/// One of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Note {
    /// Something was done in the store.
    Acted(Box<Acted>),
    /// Somebody went on at another node: these peers are theirs.
    HandOver {
        /// To this node.
        to: NodeId,
        /// Who.
        identity: Identity,
        /// At an edge.
        listen: Option<Peer>,
        /// At the origin.
        speak: Option<Peer>,
    },
    /// There is this version of the room, and it is not certain that it was told.
    Known {
        /// Which.
        version: u64,
    },
    /// Who is at one node.
    Presence {
        /// Its part.
        share: Share,
        /// The version of the room that it knows: whoever knows an older one has missed something.
        version: u64,
    },
}

/// What was done, as a step from one version of the room to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// By this node.
    pub from: NodeId,
    /// The version on which it builds.
    pub before: u64,
    /// The version that came of it; the same where the room is no different.
    pub version: u64,
    /// What is different.
    pub delta: Delta,
    /// What people must be told.
    pub changes: Vec<Change>,
    /// Sessions that ended by it.
    pub gone: Vec<Gone>,
    /// Those of them who go on at that node, with their peers.
    pub resumed: Vec<Identity>,
}
