//! Nodes that let their people go: whose turn it is to be moved.
//!
//! Each is moved at a moment of their own within the time that the node gives, which follows from who they are: so a
//! node's people leave at a steady rate, in however many rooms and at however many signaling nodes they are. It is
//! looked where people are, again and again: whoever comes later, or is still there, is not forgotten.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use protocol::id::{Identity, NodeId};

/// Between two looks, in ms.
const LOOK_MS: u64 = 250;

/// After this somebody who is still there is asked once more, in ms.
const AGAIN_MS: u64 = 10_000;

/// Over how many ms each of them lets its people go.
pub type Draining = BTreeMap<NodeId, u64>;

/// The nodes that drain.
#[derive(Debug, Default)]
pub(super) struct Drains {
    nodes: BTreeMap<NodeId, Drain>,
    look_at: u64,
}

#[derive(Debug)]
struct Drain {
    since: u64,
    over: u64,
    /// Who was asked to move, and when.
    asked: BTreeMap<Identity, u64>,
}

impl Drains {
    /// These drain, and no others.
    pub(super) fn set(&mut self, now: u64, draining: &Draining) {
        self.nodes.retain(|node, _| draining.contains_key(node));
        for (node, over) in draining {
            let begun = || Drain { since: now, over: *over, asked: BTreeMap::new() };
            let drain = self.nodes.entry(node.clone()).or_insert_with(begun);
            drain.over = drain.over.min(*over);
        }
        self.look_at = now;
    }

    /// When it is to be looked again.
    pub(super) fn due(&self) -> Option<u64> {
        (!self.nodes.is_empty()).then_some(self.look_at)
    }

    /// The nodes at which it is to be looked now.
    pub(super) fn look(&mut self, now: u64) -> Vec<NodeId> {
        if self.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.look_at = now + LOOK_MS;
        self.nodes.keys().cloned().collect()
    }

    /// Whether somebody who is at this node is to be asked now to move.
    pub(super) fn is_turn(&mut self, now: u64, node: &NodeId, identity: &Identity) -> bool {
        let Some(drain) = self.nodes.get_mut(node) else { return false };
        let is_before = now < drain.since + part(identity, drain.over);
        let was_asked = drain.asked.get(identity).is_some_and(|asked| now < asked + AGAIN_MS);
        if is_before || was_asked {
            return false;
        }
        drain.asked.insert(identity.clone(), now);
        true
    }
}

/// Somebody's part of a time.
fn part(identity: &Identity, of: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    ((u128::from(hasher.finish()) * u128::from(of)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId::new("edge-1").unwrap()
    }

    #[test]
    fn people_are_moved_at_a_steady_rate_each_once_and_all_within_the_time() {
        let people: Vec<_> = (0..3_000).map(|n| Identity::new(&format!("guest-{n}")).unwrap()).collect();
        let mut drains = Drains::default();
        drains.set(1_000, &Draining::from([(node(), 25_000)]));
        let mut moved = [0; 26];
        for now in (1_000..=26_000).step_by(250) {
            for node in drains.look(now) {
                let turns = people.iter().filter(|it| drains.is_turn(now, &node, it)).count();
                moved[(now as usize - 1_000) / 1_000] += turns;
            }
            if now % 10_000 == 0 {
                // Nobody of those who were asked is there any more.
                drains
                    .nodes
                    .get_mut(&node())
                    .unwrap()
                    .asked
                    .values_mut()
                    .for_each(|asked| *asked = u64::MAX / 2);
            }
        }
        assert!(moved[..25].iter().all(|each| (85..=160).contains(each)), "{moved:?}");
        assert_eq!(moved.iter().sum::<usize>(), people.len());
    }

    #[test]
    fn whoever_is_still_there_is_asked_again_and_nobody_once_it_is_taken_back() {
        let anna = Identity::new("anna").unwrap();
        let mut drains = Drains::default();
        let draining = Draining::from([(node(), 0)]);
        drains.set(0, &draining);
        assert_eq!(drains.look(0), [node()]);
        assert!(drains.look(100).is_empty() && drains.due() == Some(LOOK_MS));
        assert!(drains.is_turn(0, &node(), &anna));
        drains.set(5_000, &draining);
        assert!(!drains.is_turn(AGAIN_MS - 1, &node(), &anna) && drains.is_turn(AGAIN_MS, &node(), &anna));
        drains.set(20_000, &Draining::new());
        assert!(!drains.is_turn(40_000, &node(), &anna) && drains.due().is_none());
    }
}
