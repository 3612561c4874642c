//! What signaling nodes tell each other about who is with them: their whole part of a room's presence after
//! each change, and in between that it is still the same.
//!
//! ```text
//!   changed, or asked ──▶ Share {version, part}   whoever has an older version takes it
//!   every 1.5 s ────────▶ Share {version}         whoever does not have that version asks
//! ```
//!
//! So what is lost costs a heartbeat and never an error that stays. A node that falls silent has nobody any
//! more once the lease of its sessions has run out; but silence proves nothing to whoever was asleep.

use std::collections::BTreeMap;

use protocol::id::{Identity, NodeId};
use protocol::message::Person;
use serde::{Deserialize, Serialize};

use super::{NAMED, NAMED_INTERVAL_MS, Restraint};

/// A part that did not change is mentioned so often.
pub const HEARTBEAT_MS: u64 = 1_500;

/// A node that was silent for so long has nobody any more: three heartbeats and a little, as long as the
/// sessions of a node live without it.
pub const SHARE_TIMEOUT_MS: u64 = 5_000;

/// Whoever has not looked for so long was asleep, and may have been taken for gone.
const ASLEEP_MS: u64 = SHARE_TIMEOUT_MS / 2;

/// Most other signaling nodes of a room.
pub const MAX_SHARES: usize = 64;

/// What one signaling node tells of a room's presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which node.
    pub node: NodeId,
    /// Of the node; only grows.
    pub boot: u64,
    /// Of its part; only grows within a boot.
    pub version: u64,
    /// How long ago the first change in this version came about.
    pub age_ms: u64,
    /// None: as this version has been told before.
    pub part: Option<Part>,
    /// Everybody else is to tell theirs.
    pub asks: bool,
}

/// One signaling node's part of a room's presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How many are there and not hidden, those on stage included.
    pub people: u32,
    /// Who, while they are few.
    pub named: Option<Vec<Person>>,
}

/// The parts of the other nodes, and what they have been told of the own one.
#[derive(Debug)]
pub(super) struct Others {
    node: NodeId,
    boot: u64,
    version: u64,
    /// When the first change in this version came about.
    version_since: u64,
    /// Since when the own part is different from this version.
    changed_since: Option<u64>,
    /// Somebody does not have this version.
    asked: bool,
    /// There is a version of somebody's that is not known here.
    asks: bool,
    shared_at: Option<u64>,
    looked_at: u64,
    known: BTreeMap<NodeId, Known>,
    /// Shares not taken because [`MAX_SHARES`] nodes are known.
    pub(super) refused: u64,
}

/// A part as it was told.
#[derive(Debug)]
struct Known {
    boot: u64,
    version: u64,
    people: u32,
    named: Option<BTreeMap<Identity, String>>,
    heard_at: u64,
}

impl Others {
    /// Nobody is known, so that everybody is asked. Versions begin with the time: the node may have had a
    /// board of this room before, in the same boot, and made fewer versions than milliseconds.
    pub(super) fn new(node: NodeId, boot: u64, now: u64) -> Self {
        Self {
            node,
            boot,
            version: now,
            version_since: now,
            changed_since: None,
            asked: true,
            asks: true,
            shared_at: None,
            looked_at: now,
            known: BTreeMap::new(),
            refused: 0,
        }
    }

    pub(super) fn own_changed(&mut self, now: u64) {
        self.changed_since.get_or_insert(now);
    }

    /// Shares may have been missed, here and elsewhere.
    pub(super) fn missed(&mut self) {
        (self.asked, self.asks) = (true, true);
    }

    /// Since when something has been different that this tells; none where it tells nothing new.
    pub(super) fn merge(&mut self, now: u64, share: Share) -> Option<u64> {
        let Share { node, boot, version, age_ms, part, asks } = share;
        if node == self.node {
            return None;
        }
        self.asked |= asks;
        let known = self.known.get_mut(&node).map(|known| {
            let before = (known.boot, known.version);
            if before <= (boot, version) {
                known.heard_at = now;
            }
            before
        });
        if known >= Some((boot, version)) {
            return None;
        }
        if known.is_none() && self.known.len() >= MAX_SHARES {
            self.refused += 1;
            return None;
        }
        let Some(part) = part else {
            self.asks = true;
            return None;
        };
        self.known.insert(node, Known::new(now, boot, version, part));
        // Of whoever was not known, what is news here may have been so for long.
        Some(if known.is_some() { now.saturating_sub(age_ms) } else { now })
    }

    /// Forgets nodes that are silent; true where there were any.
    pub(super) fn expire(&mut self, now: u64) -> bool {
        if now.saturating_sub(self.looked_at) >= ASLEEP_MS {
            self.excuse(now);
            self.missed();
        }
        self.looked_at = now;
        let before = self.known.len();
        self.known.retain(|_, part| now < part.silent_at());
        self.known.len() != before
    }

    /// Nobody could be heard until now.
    pub(super) fn excuse(&mut self, now: u64) {
        self.known.values_mut().for_each(|part| part.heard_at = now);
    }

    pub(super) fn share(
        &mut self,
        now: u64,
        own: &BTreeMap<Identity, String>,
        restraint: Restraint,
    ) -> Option<Share> {
        if self.share_due(restraint) > now {
            return None;
        }
        self.shared_at = Some(now);
        let has_changed = self.changed_since.is_some();
        if let Some(since) = self.changed_since.take() {
            self.version += 1;
            self.version_since = since;
        }
        let is_whole = has_changed | std::mem::take(&mut self.asked);
        let asks = std::mem::take(&mut self.asks);
        let age_ms = now.saturating_sub(self.version_since);
        Some(self.says(age_ms, is_whole.then(|| Part::new(own)), asks))
    }

    pub(super) fn farewell(&mut self) -> Share {
        self.version += 1;
        self.says(0, Some(Part::new(&BTreeMap::new())), false)
    }

    pub(super) fn next_deadline(&self, restraint: Restraint) -> u64 {
        let silence = self.known.values().map(Known::silent_at).min();
        let share = self.share_due(restraint);
        silence.map_or(share, |silence| silence.min(share))
    }

    pub(super) fn people(&self) -> usize {
        self.known.values().map(|part| part.people as usize).sum()
    }

    /// Whether all parts say who is there.
    pub(super) fn are_named(&self) -> bool {
        self.known.values().all(|part| part.named.is_some())
    }

    pub(super) fn named(&self) -> impl Iterator<Item = (&Identity, &String)> {
        self.known.values().filter_map(|part| part.named.as_ref()).flatten()
    }

    /// No later than a heartbeat, however busy: or the others would think that everybody is gone.
    fn share_due(&self, restraint: Restraint) -> u64 {
        let Some(at) = self.shared_at else { return 0 };
        let is_pressing = self.changed_since.is_some() || self.asked || self.asks;
        let pace = restraint.stretch(NAMED_INTERVAL_MS).min(HEARTBEAT_MS);
        at.saturating_add(if is_pressing { pace } else { HEARTBEAT_MS })
    }

    fn says(&self, age_ms: u64, part: Option<Part>, asks: bool) -> Share {
        Share { node: self.node.clone(), boot: self.boot, version: self.version, age_ms, part, asks }
    }
}

impl Part {
    fn new(people: &BTreeMap<Identity, String>) -> Self {
        let named = (people.len() <= NAMED).then(|| people.iter().map(super::person).collect());
        Self { people: people.len() as u32, named }
    }
}

impl Known {
    fn new(now: u64, boot: u64, version: u64, part: Part) -> Self {
        let named = part.named.filter(|named| named.len() <= NAMED);
        let named = named.map(|named| named.into_iter().map(|p| (p.identity, p.name)).collect());
        Self { boot, version, people: part.people, named, heard_at: now }
    }

    /// From when on its silence says that it is gone.
    fn silent_at(&self) -> u64 {
        self.heard_at.saturating_add(SHARE_TIMEOUT_MS)
    }
}
