//! The control stream of a link: messages between a child and its parent in the relay tree.
//!
//! Audio goes beside it, in datagrams ([`frame`](crate::frame)). Subscribe and publish run against
//! intuition here: the child dials, and the child chooses the channel number, because only it must
//! tell its rooms apart on this link.

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, NodeId, RoomId};

/// Longest message, in bytes of JSON. On the stream each message has its length before it, as a big-endian u16.
pub const MAX_MESSAGE: usize = 8 * 1024;

/// Most hops a tree may have: a path longer than this is refused.
pub const MAX_HOPS: usize = 8;

/// From the child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChildMessage {
    /// Send me this room's voices, on this channel.
    Subscribe {
        /// The room.
        room: RoomId,
        /// Chosen by the child, not in use on this link.
        channel: u32,
    },
    /// No longer.
    Unsubscribe {
        /// As subscribed.
        channel: u32,
    },
}

/// From the parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ParentMessage {
    /// The nodes from the root down to this parent, and again whenever it changes. A child that finds
    /// itself on it must leave: it would hear itself.
    Path {
        /// As subscribed.
        channel: u32,
        /// Root first. Empty: the parent has no way to the root now.
        nodes: Vec<NodeId>,
        /// Of the root.
        epoch: Epoch,
    },
    /// The subscription is over or was not taken.
    Refused {
        /// As subscribed.
        channel: u32,
        /// For the log.
        why: String,
    },
}
