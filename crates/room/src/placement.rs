//! Which nodes are alive, and which of them takes the next peer.
//!
//! ```text
//!   heard(announcement) ─▶ Fleet ─▶ place(kind, region, …)     least loaded, near ones first
//!   tick(now, bus is up) ─▶   ├──▶ live()
//!   unanswered(origin) ──▶    └──▶ suspects()                  origins that are to be asked
//! ```
//!
//! An origin is not taken for gone while an edge still hears it over its link: silence on the bus says that
//! the bus is cut. Where the last edge has lost it, it is asked, and gone if it does not answer.
//!
//! Announcements come every second; between two of them many newcomers may be placed, so a node is
//! charged for those it was given since. Times are ms of any clock that only grows.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::NodeId;
use protocol::node::{Announcement, NodeKind};

/// How long a node may be silent: three announcements lost, and a little.
pub const SILENCE_MS: u64 = 3_500;

/// How long the bus must have been up before silence proves anything: nodes that could not reach it
/// either need as long to be heard again.
pub const SETTLE_MS: u64 = 5_000;

/// How old an edge's word about whom it hears may be: two announcements, and a little.
const FRESH_MS: u64 = 2_500;

/// Whoever has not looked for so long was asleep: what others said meanwhile is still to be read.
const ASLEEP_MS: u64 = SILENCE_MS / 2;

/// Most nodes that are remembered.
pub const MAX_NODES: usize = 1_000;

/// The nodes that one has heard of.
#[derive(Debug, Default)]
pub struct Fleet {
    nodes: BTreeMap<NodeId, Heard>,
    /// Since when the bus has been up; none while it is down.
    up_since: Option<u64>,
    ticked_at: u64,
    /// Announcements not taken because [`MAX_NODES`] are known.
    refused: u64,
    /// Origins that the last edge has lost, and that have not been asked.
    suspects: BTreeSet<NodeId>,
}

#[derive(Debug)]
struct Heard {
    announcement: Announcement,
    at: u64,
    /// Given to it since its last announcement.
    placed: u32,
    /// Given to it in the second before, which the last announcement may not know yet.
    placed_before: u32,
}

impl Heard {
    fn load(&self) -> u64 {
        u64::from(self.announcement.peers) + u64::from(self.placed) + u64::from(self.placed_before)
    }

    /// Free places in a million; none where it takes nobody.
    fn free_ppm(&self) -> Option<u64> {
        let capacity = u64::from(self.announcement.capacity);
        let free = capacity.checked_sub(self.load()).filter(|&free| free > 0)?;
        self.announcement.admits.then_some(free * 1_000_000 / capacity)
    }
}

impl Fleet {
    /// Takes an announcement. True where the node is new here, or started anew.
    pub fn heard(&mut self, now: u64, announcement: Announcement) -> bool {
        let full = self.nodes.len() >= MAX_NODES;
        let heard_before = self.nodes.get(&announcement.node).map(|it| it.announcement.hears.clone());
        let hears = announcement.hears.clone();
        let is_new = self.note(now, announcement, full);
        for origin in heard_before.unwrap_or_default() {
            if !hears.contains(&origin) && self.nodes.contains_key(&origin) && !self.is_heard(now, &origin) {
                self.suspects.insert(origin);
            }
        }
        is_new
    }

    fn note(&mut self, now: u64, announcement: Announcement, full: bool) -> bool {
        match self.nodes.get_mut(&announcement.node) {
            // A message of a former life, overtaken by the present one's.
            Some(heard) if announcement.boot < heard.announcement.boot => false,
            Some(heard) => {
                let restarted = announcement.boot > heard.announcement.boot;
                let placed = if restarted { 0 } else { heard.placed };
                *heard = Heard { announcement, at: now, placed: 0, placed_before: placed };
                restarted
            }
            None if full => {
                self.refused += 1;
                false
            }
            None => {
                let heard = Heard { at: now, placed: 0, placed_before: 0, announcement };
                self.nodes.insert(heard.announcement.node.clone(), heard);
                true
            }
        }
    }

    /// Forgets the nodes whose silence proves that they are gone, and answers which.
    pub fn tick(&mut self, now: u64, bus_is_up: bool) -> Vec<Announcement> {
        let was_asleep = self.was_asleep(now);
        self.ticked_at = now;
        if !bus_is_up || was_asleep {
            self.up_since = None;
        }
        if !bus_is_up {
            return Vec::new();
        }
        let up_since = *self.up_since.get_or_insert(now);
        if now.saturating_sub(up_since) < SETTLE_MS {
            return Vec::new();
        }
        let silent = |heard: &Heard| now.saturating_sub(heard.at) > SILENCE_MS;
        let silent: Vec<_> = self.nodes.iter().filter(|(_, heard)| silent(heard)).map(|(id, _)| id).collect();
        let lost: Vec<_> = silent.into_iter().filter(|node| !self.is_heard(now, node)).cloned().collect();
        lost.iter().filter_map(|node| self.nodes.remove(node)).map(|heard| heard.announcement).collect()
    }

    fn was_asleep(&self, now: u64) -> bool {
        now.saturating_sub(self.ticked_at) > ASLEEP_MS
    }

    /// Origins that are to be asked whether they are there, each once.
    pub fn suspects(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.suspects).into_iter().collect()
    }

    /// An origin that was asked has not answered: it is gone, unless an edge hears it again.
    pub fn unanswered(&mut self, now: u64, origin: &NodeId) -> Option<Announcement> {
        if self.was_asleep(now) {
            // Its answer may have come meanwhile.
            self.suspects.insert(origin.clone());
            return None;
        }
        if self.is_heard(now, origin) {
            return None;
        }
        self.nodes.remove(origin).map(|heard| heard.announcement)
    }

    /// Whether an edge has a link to this origin.
    fn is_heard(&self, now: u64, origin: &NodeId) -> bool {
        let is_fresh = |heard: &Heard| now.saturating_sub(heard.at) <= FRESH_MS;
        self.nodes.values().any(|heard| is_fresh(heard) && heard.announcement.hears.contains(origin))
    }

    /// Everybody who is not known to be gone.
    pub fn live(&self) -> impl Iterator<Item = &Announcement> {
        self.nodes.values().map(|heard| &heard.announcement)
    }

    /// What a node said last.
    pub fn get(&self, node: &NodeId) -> Option<&Announcement> {
        self.nodes.get(node).map(|heard| &heard.announcement)
    }

    /// The node of this kind that takes the next peer, and is charged for it: the one with the largest
    /// share of free places, in the region if one there admits, and none of those in `not`.
    pub fn place(&mut self, kind: NodeKind, region: &str, not: &[NodeId]) -> Option<Announcement> {
        let fits = |heard: &Heard| heard.announcement.kind == kind && !not.contains(&heard.announcement.node);
        let (_, heard) = self
            .nodes
            .values_mut()
            .filter(|heard| fits(heard))
            .filter_map(|heard| Some((heard.free_ppm()?, heard)))
            // Of equals the first by name, so that a test can tell.
            .max_by(|(a_free, a), (b_free, b)| {
                let near = |heard: &Heard| heard.announcement.region == region;
                (near(a), a_free).cmp(&(near(b), b_free)).then(b.announcement.node.cmp(&a.announcement.node))
            })?;
        heard.placed = heard.placed.saturating_add(1);
        Some(heard.announcement.clone())
    }

    /// Takes back what [`place`](Self::place) charged: the node did not take the peer.
    pub fn unplace(&mut self, node: &NodeId) {
        if let Some(heard) = self.nodes.get_mut(node) {
            heard.placed = heard.placed.saturating_sub(1);
        }
    }

    /// Announcements not taken because the limit of nodes was reached.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(name: &str, region: &str, peers: u32) -> Announcement {
        Announcement {
            node: NodeId::new(name).unwrap(),
            kind: NodeKind::Edge,
            region: region.into(),
            boot: 1,
            link: "127.0.0.1:7200".parse().unwrap(),
            peers,
            capacity: 10,
            admits: true,
            hears: Vec::new(),
        }
    }

    fn fleet(announcements: &[Announcement]) -> Fleet {
        let mut fleet = Fleet::default();
        for announcement in announcements {
            assert!(fleet.heard(0, announcement.clone()));
        }
        fleet
    }

    fn placed(fleet: &mut Fleet, region: &str) -> Option<String> {
        Some(fleet.place(NodeKind::Edge, region, &[])?.node.to_string())
    }

    #[test]
    fn newcomers_of_one_second_are_spread_over_the_edges() {
        let mut fleet = fleet(&[edge("a", "here", 0), edge("b", "here", 0)]);
        let taken: Vec<_> = (0..4).filter_map(|_| placed(&mut fleet, "here")).collect();
        assert_eq!(taken, ["a", "b", "a", "b"]);
    }

    #[test]
    fn a_near_edge_is_taken_before_an_emptier_far_one_until_it_is_full() {
        let mut fleet = fleet(&[edge("far", "there", 0), edge("near", "here", 8)]);
        let taken: Vec<_> = (0..3).filter_map(|_| placed(&mut fleet, "here")).collect();
        assert_eq!(taken, ["near", "near", "far"]);
    }

    #[test]
    fn nobody_is_placed_on_a_node_that_drains_is_full_or_has_just_refused() {
        let draining = Announcement { admits: false, ..edge("draining", "here", 0) };
        let none = Announcement { capacity: 0, ..edge("none", "here", 0) };
        let mut fleet = fleet(&[draining, none, edge("full", "here", 10), edge("other", "here", 0)]);
        let other = NodeId::new("other").unwrap();
        assert_eq!(fleet.place(NodeKind::Edge, "here", &[other]), None);
        assert_eq!(fleet.place(NodeKind::Origin, "here", &[]), None);
    }

    #[test]
    fn an_announcement_settles_what_was_charged_two_announcements_ago() {
        let mut fleet = fleet(&[edge("a", "here", 0), edge("b", "here", 1)]);
        assert_eq!(placed(&mut fleet, "here").as_deref(), Some("a"));
        fleet.heard(1_000, edge("a", "here", 0)); // was on its way when the peer was placed
        assert_eq!(placed(&mut fleet, "here").as_deref(), Some("a"), "equal: first by name");
        fleet.heard(2_000, edge("a", "here", 2));
        assert_eq!(placed(&mut fleet, "here").as_deref(), Some("b"));
    }

    #[test]
    fn silence_takes_a_node_out_but_not_while_our_own_bus_is_or_was_just_down() {
        let mut fleet = fleet(&[edge("a", "here", 0)]);
        assert_eq!(fleet.tick(0, true), []);
        assert_eq!(look(&mut fleet, 0..20_000, false), [], "we cannot hear anybody");
        assert_eq!(look(&mut fleet, 20_000..25_000, true), [], "up again, but only now");
        assert_eq!(fleet.tick(25_000, true), [edge("a", "here", 0)]);
        assert_eq!(fleet.live().count(), 0);
    }

    /// What is lost while one looks four times a second.
    fn look(fleet: &mut Fleet, time: std::ops::Range<u64>, bus_is_up: bool) -> Vec<Announcement> {
        time.step_by(250).flat_map(|now| fleet.tick(now, bus_is_up)).collect()
    }

    #[test]
    fn whoever_was_asleep_first_hears_what_was_said_meanwhile() {
        let mut fleet = fleet(&[edge("a", "here", 0), edge("b", "here", 0), origin("o")]);
        let says = |name| Announcement { boot: 1, ..edge(name, "here", 0) };
        for now in (0..30_000).step_by(250) {
            fleet.heard(now, says("a"));
            fleet.heard(now, says("b"));
            fleet.heard(now, origin("o"));
            assert_eq!(fleet.tick(now, true), []);
        }
        assert_eq!(fleet.unanswered(70_000, &NodeId::new("o").unwrap()), None, "its answer waits to be read");
        assert_eq!(fleet.suspects().len(), 1, "it is asked again");
        assert_eq!(fleet.tick(70_000, true), []);
        fleet.heard(70_010, says("a"));
        fleet.heard(70_010, origin("o"));
        let lost: Vec<_> = (70_250..76_000)
            .step_by(250)
            .flat_map(|now| {
                fleet.heard(now, says("a"));
                fleet.heard(now, origin("o"));
                fleet.tick(now, true)
            })
            .collect();
        assert_eq!(lost, [says("b")], "who is silent all the same is gone");
    }

    fn origin(name: &str) -> Announcement {
        Announcement { kind: NodeKind::Origin, ..edge(name, "here", 0) }
    }

    fn hearing(name: &str, origins: &[&str]) -> Announcement {
        let hears = origins.iter().map(|origin| NodeId::new(origin).unwrap()).collect();
        Announcement { hears, ..edge(name, "here", 0) }
    }

    #[test]
    fn an_origin_is_asked_once_the_last_edge_has_lost_it_and_gone_if_it_does_not_answer() {
        let mut fleet = fleet(&[origin("o"), hearing("a", &["o"]), hearing("b", &["o"])]);
        fleet.heard(100, hearing("a", &[]));
        assert_eq!(fleet.suspects(), [], "b still hears it");
        fleet.heard(200, hearing("b", &[]));
        let o = NodeId::new("o").unwrap();
        assert_eq!((fleet.suspects(), fleet.suspects()), (vec![o.clone()], vec![]));
        fleet.heard(300, hearing("b", &["o"]));
        assert_eq!(fleet.unanswered(400, &o), None, "b hears it again");
        fleet.heard(500, hearing("b", &[]));
        assert_eq!(fleet.suspects(), std::slice::from_ref(&o));
        assert_eq!(fleet.unanswered(600, &o), Some(origin("o")));
        assert_eq!(fleet.get(&o), None);
    }

    #[test]
    fn an_origin_that_is_silent_on_the_bus_stays_while_an_edge_hears_it() {
        let mut fleet = fleet(&[origin("o"), hearing("a", &["o"])]);
        assert_eq!(fleet.tick(0, true), []);
        for second in 1..20 {
            fleet.heard(second * 1_000, hearing("a", &["o"]));
            assert_eq!(fleet.tick(second * 1_000, true), [], "its link says that it is there");
        }
        let lost = look(&mut fleet, 19_250..23_000, true);
        assert_eq!(lost, [origin("o"), hearing("a", &["o"])], "nobody says so any more");
    }

    #[test]
    fn a_former_life_is_not_believed() {
        let mut fleet = fleet(&[Announcement { boot: 5, ..edge("a", "here", 0) }]);
        assert!(!fleet.heard(1, Announcement { boot: 4, peers: 9, ..edge("a", "here", 0) }));
        assert_eq!(fleet.live().next().unwrap().peers, 0);
        assert!(fleet.heard(2, Announcement { boot: 6, ..edge("a", "here", 0) }), "started anew");
    }
}
