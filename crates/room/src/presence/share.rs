//! What signaling nodes tell each other about who is with them: their whole part of a room's presence,
//! again and again. So a lost message costs a moment and never an error that stays.

use std::collections::BTreeMap;

use protocol::id::{Identity, NodeId};
use protocol::message::Person;
use serde::{Deserialize, Serialize};

use super::NAMED;

/// A part that did not change is repeated so often.
pub const HEARTBEAT_MS: u64 = 3_000;

/// A node that was silent for so long has nobody any more: three heartbeats, and a little.
pub const SHARE_TIMEOUT_MS: u64 = 10_000;

/// Most other signaling nodes of a room.
pub const MAX_SHARES: usize = 64;

/// One signaling node's part of a room's presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Whose.
    pub node: NodeId,
    /// Of the node; only grows.
    pub boot: u64,
    /// Of the part; only grows within a boot.
    pub version: u64,
    /// How many are there and not hidden, those on stage included.
    pub people: u32,
    /// Who, while they are few.
    pub named: Option<Vec<Person>>,
}

/// The parts of the other nodes, and when the own one was told them.
#[derive(Debug)]
pub(super) struct Others {
    node: NodeId,
    boot: u64,
    version: u64,
    unshared: bool,
    shared_at: Option<u64>,
    parts: BTreeMap<NodeId, Part>,
    /// Shares not taken because [`MAX_SHARES`] nodes are known.
    pub(super) refused: u64,
}

#[derive(Debug)]
struct Part {
    boot: u64,
    version: u64,
    people: u32,
    named: Option<BTreeMap<Identity, String>>,
    heard_at: u64,
}

impl Others {
    pub(super) fn new(node: NodeId, boot: u64) -> Self {
        Self { node, boot, version: 0, unshared: false, shared_at: None, parts: BTreeMap::new(), refused: 0 }
    }

    pub(super) fn own_changed(&mut self) {
        self.unshared = true;
    }

    /// True where it changes what is to be shown.
    pub(super) fn merge(&mut self, now: u64, share: Share) -> bool {
        if share.node == self.node {
            return false;
        }
        if !self.parts.contains_key(&share.node) && self.parts.len() >= MAX_SHARES {
            self.refused += 1;
            return false;
        }
        if let Some(part) = self.parts.get_mut(&share.node)
            && (share.boot, share.version) <= (part.boot, part.version)
        {
            if (share.boot, share.version) == (part.boot, part.version) {
                part.heard_at = now;
            }
            return false;
        }
        let named = share.named.filter(|named| named.len() <= NAMED);
        let named = named.map(|named| named.into_iter().map(|p| (p.identity, p.name)).collect());
        let part =
            Part { boot: share.boot, version: share.version, people: share.people, named, heard_at: now };
        self.parts.insert(share.node, part);
        true
    }

    /// Forgets nodes that are silent; true where there were any.
    pub(super) fn expire(&mut self, now: u64) -> bool {
        let before = self.parts.len();
        self.parts.retain(|_, part| now < part.heard_at.saturating_add(SHARE_TIMEOUT_MS));
        self.parts.len() != before
    }

    pub(super) fn share(
        &mut self,
        now: u64,
        own: &BTreeMap<Identity, String>,
        interval: u64,
    ) -> Option<Share> {
        if self.share_due(interval)? > now {
            return None;
        }
        self.version += u64::from(self.unshared);
        self.unshared = false;
        self.shared_at = Some(now);
        let person = |(identity, name): (&Identity, &String)| Person {
            identity: identity.clone(),
            name: name.clone(),
        };
        Some(Share {
            node: self.node.clone(),
            boot: self.boot,
            version: self.version,
            people: own.len() as u32,
            named: (own.len() <= NAMED).then(|| own.iter().map(person).collect()),
        })
    }

    pub(super) fn next_deadline(&self, interval: u64) -> Option<u64> {
        let silence = self.parts.values().map(|part| part.heard_at.saturating_add(SHARE_TIMEOUT_MS)).min();
        [self.share_due(interval), silence].into_iter().flatten().min()
    }

    pub(super) fn people(&self) -> usize {
        self.parts.values().map(|part| part.people as usize).sum()
    }

    /// Whether all parts say who is there.
    pub(super) fn are_named(&self) -> bool {
        self.parts.values().all(|part| part.named.is_some())
    }

    pub(super) fn named(&self) -> impl Iterator<Item = (&Identity, &String)> {
        self.parts.values().filter_map(|part| part.named.as_ref()).flatten()
    }

    /// None before there was anything to tell.
    fn share_due(&self, interval: u64) -> Option<u64> {
        match self.shared_at {
            Some(at) => Some(at.saturating_add(if self.unshared { interval } else { HEARTBEAT_MS })),
            None => self.unshared.then_some(0),
        }
    }
}
