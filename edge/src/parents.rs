//! The nodes that this edge takes rooms from, or has tried to: which are linked, and which had better be
//! left alone for a while.
//!
//! ```text
//!   unknown ──dial──▶ dialling ──up──▶ up ──lost──▶ resting ──after a while──▶ unknown
//!                        └────────failed─────────────▲
//! ```
//!
//! It never gives up on a node and never hurries: each failure doubles the rest, with some chance in it,
//! so that a hundred edges do not come back to a node in the same instant.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use media::relay::LinkId;
use protocol::NodeId;
use rand::Rng;
use rand::rngs::StdRng;

/// The first rest, on average.
const FIRST_REST: Duration = Duration::from_millis(100);

/// The longest, on average. Longer and a node that is back is not used; shorter and a dead one costs.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// A link that held this long makes up for all failures before it.
const GOOD: Duration = Duration::from_secs(10);

/// How long a link is kept that no room uses: the next room often comes the same way.
const UNUSED: Duration = Duration::from_secs(30);

/// How long rooms may take to go over to a link that is made in the place of another.
const GO_OVER: Duration = Duration::from_secs(2);

/// What is known of the parents.
pub(crate) struct Parents {
    nodes: HashMap<NodeId, Node>,
    /// Links in whose place there are others, and until when rooms may go over.
    replaced: Vec<(LinkId, Instant)>,
    rng: StdRng,
}

#[derive(Debug)]
struct Node {
    state: State,
    /// In a row.
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Dialling,
    Up { link: LinkId, since: Instant, used: Instant },
    Resting { until: Instant },
    Rested,
}

impl Parents {
    pub(crate) fn new(rng: StdRng) -> Self {
        Self { nodes: HashMap::new(), replaced: Vec::new(), rng }
    }

    /// The link to a node, if it is up.
    pub(crate) fn link(&self, node: &NodeId) -> Option<LinkId> {
        match self.nodes.get(node)?.state {
            State::Up { link, .. } => Some(link),
            _ => None,
        }
    }

    /// The node at the other end of a link.
    pub(crate) fn node(&self, link: LinkId) -> Option<&NodeId> {
        let at_end = |node: &Node| matches!(node.state, State::Up { link: its, .. } if its == link);
        self.nodes.iter().find(|(_, node)| at_end(node)).map(|(id, _)| id)
    }

    /// Whether it has failed so lately that another is better.
    pub(crate) fn rests(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_some_and(|node| matches!(node.state, State::Resting { .. }))
    }

    /// How often it has failed in a row.
    pub(crate) fn failures(&self, node: &NodeId) -> usize {
        self.nodes.get(node).map_or(0, |node| node.failures as usize)
    }

    /// Notes that a node is wanted; true when it should be dialled now.
    pub(crate) fn want(&mut self, node: &NodeId) -> bool {
        let known = self.nodes.entry(node.clone()).or_insert(Node { state: State::Rested, failures: 0 });
        let dial = known.state == State::Rested;
        if dial {
            known.state = State::Dialling;
        }
        dial
    }

    /// The nodes to which there is a link.
    pub(crate) fn linked(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.iter().filter(|(_, node)| matches!(node.state, State::Up { .. })).map(|(id, _)| id)
    }

    /// It has answered. The link in whose place this one is, if there was one.
    pub(crate) fn up(&mut self, now: Instant, node: &NodeId, link: LinkId) -> Option<LinkId> {
        let node = self.nodes.get_mut(node)?;
        let before = std::mem::replace(&mut node.state, State::Up { link, since: now, used: now });
        let State::Up { link: before, .. } = before else { return None };
        self.replaced.push((before, now + GO_OVER));
        Some(before)
    }

    /// It has not answered, or its link is gone.
    pub(crate) fn failed(&mut self, now: Instant, node: &NodeId) {
        let Some(known) = self.nodes.get_mut(node) else { return };
        if matches!(known.state, State::Up { since, .. } if now.saturating_duration_since(since) >= GOOD) {
            known.failures = 0;
        }
        let rest = FIRST_REST.saturating_mul(1 << known.failures.min(10)).min(LONGEST_REST);
        known.failures += 1;
        known.state = State::Resting { until: now + rest.mul_f64(self.rng.random_range(0.5..1.5)) };
    }

    /// Ends rests that are over; true when there were any.
    pub(crate) fn wake(&mut self, now: Instant) -> bool {
        let over = |node: &&mut Node| matches!(node.state, State::Resting { until } if until <= now);
        let woken = self.nodes.values_mut().filter(over).map(|node| node.state = State::Rested);
        woken.count() > 0
    }

    /// Links that no room has used for a while, given which are in use now. They are forgotten.
    pub(crate) fn unused(&mut self, now: Instant, in_use: impl Fn(LinkId) -> bool) -> Vec<LinkId> {
        let is_done = |&(link, until): &(LinkId, Instant)| until <= now || !in_use(link);
        let mut unused: Vec<_> =
            self.replaced.extract_if(.., |replaced| is_done(&*replaced)).map(|(link, _)| link).collect();
        self.nodes.retain(|_, node| {
            let State::Up { link, used, .. } = &mut node.state else { return true };
            if in_use(*link) {
                *used = now;
            }
            let keep = now.saturating_duration_since(*used) < UNUSED;
            if !keep {
                unused.push(*link);
            }
            keep
        });
        unused
    }

    /// Forgets nodes that are not linked and that nobody announces any more.
    pub(crate) fn retain(&mut self, announced: impl Fn(&NodeId) -> bool) {
        self.nodes
            .retain(|id, node| announced(id) || matches!(node.state, State::Up { .. } | State::Dialling));
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn node() -> NodeId {
        NodeId::new("origin-1").unwrap()
    }

    /// How long the node rests after each of `count` failures in a row.
    fn rests(parents: &mut Parents, mut now: Instant, count: usize) -> Vec<Duration> {
        let mut rests = Vec::new();
        for _ in 0..count {
            assert!(parents.want(&node()));
            parents.failed(now, &node());
            assert!(!parents.want(&node()), "it rests");
            let began = now;
            while !parents.wake(now) {
                now += Duration::from_millis(1);
            }
            rests.push(now - began);
        }
        rests
    }

    #[test]
    fn a_dead_node_is_tried_for_ever_and_ever_more_seldom() {
        let mut parents = Parents::new(StdRng::seed_from_u64(1));
        let rests = rests(&mut parents, Instant::now(), 20);
        for (failure, rest) in rests.iter().enumerate() {
            let average = FIRST_REST.saturating_mul(1 << failure.min(10)).min(LONGEST_REST);
            assert!((average / 2..=average * 3 / 2 + FIRST_REST / 50).contains(rest), "{failure}: {rest:?}");
        }
    }

    #[test]
    fn a_link_that_held_makes_up_for_failures_and_a_short_one_does_not() {
        let now = Instant::now();
        let mut parents = Parents::new(StdRng::seed_from_u64(1));
        rests(&mut parents, now, 6);
        assert!(parents.want(&node()));
        parents.up(now, &node(), LinkId(1));
        parents.failed(now + GOOD / 2, &node());
        assert!(!parents.wake(now + GOOD / 2 + FIRST_REST * 10));
        assert!(parents.wake(now + GOOD / 2 + LONGEST_REST * 2));
        assert!(parents.want(&node()));
        parents.up(now + 2 * LONGEST_REST, &node(), LinkId(2));
        let lost = now + 2 * LONGEST_REST + GOOD;
        parents.failed(lost, &node());
        assert!(parents.wake(lost + FIRST_REST * 2));
    }

    #[test]
    fn a_link_that_nobody_uses_is_given_up_after_a_while() {
        let now = Instant::now();
        let mut parents = Parents::new(StdRng::seed_from_u64(1));
        parents.want(&node());
        parents.up(now, &node(), LinkId(7));
        assert_eq!(parents.node(LinkId(7)), Some(&node()));
        assert_eq!(parents.unused(now + UNUSED, |_| true), []);
        assert_eq!(parents.unused(now + UNUSED + UNUSED / 2, |_| false), []);
        assert_eq!(parents.unused(now + UNUSED * 2, |_| false), [LinkId(7)]);
        assert_eq!(parents.link(&node()), None);
    }
}
