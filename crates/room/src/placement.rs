//! Which nodes are alive, and which of them takes the next peer.
//!
//! ```text
//!   heard(announcement) ─▶ Fleet ─▶ place(wish)      in turn, in proportion to what each still takes
//!   tick(now, bus is up) ─▶   ├──▶ live()
//!   unanswered(origin) ──▶    └──▶ suspects()       origins that are to be asked
//! ```
//!
//! Several signaling nodes place at once, and none knows of the others' newcomers before the next
//! announcement. If all took the emptiest node they would be a herd; so each takes them in turns of its own,
//! and sends a node no more than its share of what that takes.
//!
//! An origin is not taken for gone while an edge still hears it over its link: silence on the bus says that
//! the bus is cut. Where the last edge has lost it, it is asked, and gone if it does not answer.
//!
//! Announcements come every second; between two of them many newcomers may be placed, so a node is
//! charged for those it was given since. Times are ms of any clock that only grows.

mod spill;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use protocol::id::{NodeId, Region};
use protocol::node::{Announcement, NodeKind};

pub use spill::{BadSpill, Spill, SpillOrder};

/// How long a node may be silent: three announcements lost, and a little.
pub const SILENCE_MS: u64 = 3_500;

/// How long the bus must have been up before silence proves anything: nodes that could not reach it
/// either need as long to be heard again.
pub const SETTLE_MS: u64 = 5_000;

/// How old a node's word may be and still be gone by: two announcements, and a little.
const FRESH_MS: u64 = 2_500;

/// Whoever has not looked for so long was asleep: what others said meanwhile is still to be read.
const ASLEEP_MS: u64 = SILENCE_MS / 2;

/// Most nodes that are remembered.
pub const MAX_NODES: usize = 1_000;

/// What a listener costs where three voices speak at 60 ms framing, headers of all layers included: bits
/// per second. 50 packets, each of some 300 bytes.
pub const LISTENER_BITS: u64 = 120_000;

/// Of a node's capacity, the part by which all signaling nodes together may send it too many: one in so
/// many. Without it one that alone has people would fill a node's last places in ever smaller portions.
const SPARE: u32 = 25;

/// Least weight of a busy node, against an idle one's: its places are places still.
const BUSY: f64 = 0.05;

/// The nodes that one has heard of.
#[derive(Debug)]
pub struct Fleet {
    nodes: BTreeMap<NodeId, Heard>,
    /// Since when the bus has been up; none while it is down.
    up_since: Option<u64>,
    ticked_at: u64,
    /// Announcements not taken because [`MAX_NODES`] are known.
    refused: u64,
    /// Origins that the last edge has lost, and that have not been asked.
    suspects: BTreeSet<NodeId>,
    seed: u64,
}

/// Where somebody is to be placed.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// At such a node.
    pub kind: NodeKind,
    /// Near this region.
    pub region: &'a Region,
    /// Where else.
    pub spill: &'a Spill,
    /// None of those.
    pub not: &'a [NodeId],
}

/// Why nobody takes a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// There is no such node that takes anybody.
    Nobody,
    /// All of them are full.
    Full,
}

/// What may be hoped for.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// Nodes that take people, full or not.
    pub nodes: u32,
    /// Places that are free for people of this signaling node.
    pub places: u32,
    /// Of those that come free each second, its share.
    pub freeing: f64,
}

#[derive(Debug)]
struct Heard {
    announcement: Announcement,
    at: u64,
    /// Given to it since its last announcement.
    placed: u32,
    /// Given to it in the second before, which the last announcement may not know yet.
    placed_before: u32,
    /// Peers that leave it each second: a sliding mean over some ten seconds.
    leaving: f64,
    /// How far it is behind its share of those who were placed; of several, it is the turn of the one that is
    /// furthest behind. It begins somewhere between 0 and 1.
    behind: f64,
}

impl Heard {
    fn new(announcement: Announcement, at: u64, behind: f64) -> Self {
        Self { announcement, at, placed: 0, placed_before: 0, leaving: 0.0, behind }
    }

    /// What the node has said since, in the same life.
    fn again(&mut self, announcement: Announcement, at: u64) {
        let passed_s = at.saturating_sub(self.at) as f64 / 1_000.0;
        if passed_s > 0.0 {
            let gone = announcement.gone.saturating_sub(self.announcement.gone) as f64;
            self.leaving += (gone / passed_s - self.leaving) * (passed_s / 10.0).min(1.0);
        }
        (self.announcement, self.at) = (announcement, at);
        self.placed_before = std::mem::take(&mut self.placed);
    }

    fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.at) <= FRESH_MS
    }

    /// How many more may be sent there by one of so many who send, before it is heard again.
    fn budget(&self, sharers: u32) -> u32 {
        let places = self.announcement.places();
        if places == 0 {
            return 0;
        }
        let spare = if sharers > 1 { self.announcement.capacity / SPARE } else { 0 };
        let share = places.saturating_add(spare).div_ceil(sharers);
        share.saturating_sub(self.placed).saturating_sub(self.placed_before)
    }

    /// Of its free places, those that others may send to meanwhile: how many of them come free for this one shows
    /// within two seconds. In places a second.
    fn unsettled(&self) -> f64 {
        let sent = self.placed + self.placed_before;
        f64::from(self.announcement.places().saturating_sub(sent)) / 2.0
    }

    /// Its part of newcomers, against others': the emptier and the less busy, the more.
    fn weight(&self, sharers: u32) -> f64 {
        let idle = 1.0 - f64::from(self.announcement.load.cpu_permille) / 1_000.0;
        f64::from(self.budget(sharers)) * idle.max(BUSY)
    }
}

impl Fleet {
    /// Of nobody yet. Those who share nodes must have different seeds.
    pub fn new(seed: u64) -> Self {
        Self {
            nodes: BTreeMap::new(),
            up_since: None,
            ticked_at: 0,
            refused: 0,
            suspects: BTreeSet::new(),
            seed,
        }
    }

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
            Some(heard) if announcement.boot > heard.announcement.boot => {
                *heard = Heard::new(announcement, now, heard.behind);
                true
            }
            Some(heard) => {
                heard.again(announcement, now);
                false
            }
            None if full => {
                self.refused += 1;
                false
            }
            None => {
                let begins = lot(self.seed, &announcement.node);
                let heard = Heard::new(announcement, now, begins);
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
        self.up_since.get_or_insert(now);
        if !self.has_settled() {
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

    /// Whether silence proves anything.
    fn has_settled(&self) -> bool {
        self.up_since.is_some_and(|since| self.ticked_at.saturating_sub(since) >= SETTLE_MS)
    }

    /// Whether a node has missed announcements, or is not known: whoever needs an answer had better ask another.
    pub fn has_fallen_silent(&self, node: &NodeId) -> bool {
        self.nodes.get(node).is_none_or(|heard| self.is_silent(heard))
    }

    fn is_silent(&self, heard: &Heard) -> bool {
        self.has_settled() && !heard.is_fresh(self.ticked_at)
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
        self.nodes.values().any(|heard| heard.is_fresh(now) && heard.announcement.hears.contains(origin))
    }

    /// Everybody who is not known to be gone.
    pub fn live(&self) -> impl Iterator<Item = &Announcement> {
        self.nodes.values().map(|heard| &heard.announcement)
    }

    /// What a node said last.
    pub fn get(&self, node: &NodeId) -> Option<&Announcement> {
        self.nodes.get(node).map(|heard| &heard.announcement)
    }

    /// The node that takes the next peer, and is charged for it: in the nearest region where one takes any, in
    /// turn, in proportion to how many each takes. One that has missed announcements is the last resort: a region
    /// that is cut off falls silent one node after another.
    pub fn place(&mut self, wish: &Wish<'_>) -> Result<Announcement, NoPlace> {
        let sharers = self.sharers();
        let mut weights: Vec<_> = self
            .candidates(wish)
            .filter(|(_, heard)| !wish.not.contains(&heard.announcement.node))
            .map(|(distance, heard)| {
                let distance = (self.is_silent(heard), distance);
                (distance, heard.weight(sharers), heard.announcement.node.clone())
            })
            .filter(|(_, weight, _)| *weight > 0.0)
            .collect();
        let Some(nearest) = weights.iter().map(|(distance, ..)| *distance).min() else {
            let is_full = self.candidates(wish).next().is_some();
            return Err(if is_full { NoPlace::Full } else { NoPlace::Nobody });
        };
        weights.retain(|(distance, ..)| *distance == nearest);
        let all: f64 = weights.iter().map(|(_, weight, _)| weight).sum();
        for (_, weight, node) in &weights {
            if let Some(heard) = self.nodes.get_mut(node) {
                heard.behind += weight / all;
            }
        }
        let near = |heard: &&mut Heard| weights.iter().any(|(.., node)| *node == heard.announcement.node);
        let next = self.nodes.values_mut().filter(near).max_by(|a, b| a.behind.total_cmp(&b.behind));
        let heard = next.ok_or(NoPlace::Nobody)?;
        heard.behind -= 1.0;
        heard.placed += 1;
        Ok(heard.announcement.clone())
    }

    /// How many of a wish can be met, and how soon more.
    pub fn outlook(&self, wish: &Wish<'_>) -> Outlook {
        let sharers = self.sharers();
        let sum = |sum: Outlook, (_, heard): (usize, &Heard)| Outlook {
            nodes: sum.nodes + 1,
            places: sum.places.saturating_add(heard.budget(sharers)),
            freeing: sum.freeing + (heard.leaving + heard.unsettled()) / f64::from(sharers),
        };
        self.candidates(wish).fold(Outlook::default(), sum)
    }

    /// Whether there is such a node in a region.
    pub fn is_in(&self, kind: NodeKind, region: &Region) -> bool {
        self.live().any(|said| said.kind == kind && said.region == *region)
    }

    /// Nodes that somebody may be sent to, full or not, and how far each is.
    fn candidates(&self, wish: &Wish<'_>) -> impl Iterator<Item = (usize, &Heard)> {
        let Wish { kind, region, spill, .. } = *wish;
        let fits = move |heard: &&Heard| heard.announcement.kind == kind && heard.announcement.admits;
        self.nodes
            .values()
            .filter(fits)
            .filter_map(move |heard| Some((spill.distance(region, &heard.announcement.region)?, heard)))
    }

    /// How many signaling nodes share the others, this one included.
    fn sharers(&self) -> u32 {
        let signaling = self.live().filter(|said| said.kind == NodeKind::Signaling);
        (signaling.count() as u32).max(1)
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

/// Where a node begins in the turns of whoever has this seed: from 0 to 1.
fn lot(seed: u64, node: &NodeId) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, node).hash(&mut hasher);
    hasher.finish() as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use protocol::node::NodeLoad;

    use super::*;

    fn edge(name: &str, region: &str, peers: u32) -> Announcement {
        let (node, region) = (NodeId::new(name).unwrap(), Region::new(region).unwrap());
        Announcement { peers, capacity: 10, ..Announcement::new(node, NodeKind::Edge, region, 1) }
    }

    fn fleet(announcements: &[Announcement]) -> Fleet {
        let mut fleet = Fleet::new(1);
        for announcement in announcements {
            assert!(fleet.heard(0, announcement.clone()));
        }
        fleet
    }

    fn place(fleet: &mut Fleet, kind: NodeKind, region: &str, not: &[NodeId]) -> Result<String, NoPlace> {
        let region = Region::new(region).unwrap();
        let placed = fleet.place(&Wish { kind, region: &region, spill: &Spill::default(), not });
        placed.map(|said| said.node.to_string())
    }

    fn placed(fleet: &mut Fleet, region: &str) -> Result<String, NoPlace> {
        place(fleet, NodeKind::Edge, region, &[])
    }

    #[test]
    fn newcomers_are_spread_in_proportion_to_what_each_takes_until_all_are_full() {
        let mut fleet = fleet(&[edge("a", "here", 2), edge("b", "here", 6)]);
        let mut taken: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..12 {
            *taken.entry(placed(&mut fleet, "here").unwrap()).or_default() += 1;
        }
        assert_eq!(taken, BTreeMap::from([("a".into(), 8), ("b".into(), 4)]), "and none too many");
        assert_eq!(placed(&mut fleet, "here"), Err(NoPlace::Full));
    }

    #[test]
    fn a_busy_node_is_taken_more_seldom_and_is_no_full_one() {
        let busy = NodeLoad { cpu_permille: 900, ..NodeLoad::default() };
        let large = |name| Announcement { capacity: 10_000, ..edge(name, "here", 0) };
        let mut fleet = fleet(&[large("idle"), Announcement { load: busy, ..large("busy") }]);
        let at_busy = (0..1_100).filter(|_| placed(&mut fleet, "here").unwrap() == "busy").count();
        assert!((90..=115).contains(&at_busy), "a tenth as many: {at_busy} of 1,100");
    }

    #[test]
    fn a_near_edge_is_taken_before_an_emptier_far_one_until_it_is_full() {
        let mut fleet = fleet(&[edge("far", "there", 0), edge("near", "here", 8)]);
        let taken: Vec<_> = (0..3).map(|_| placed(&mut fleet, "here").unwrap()).collect();
        assert_eq!(taken, ["near", "near", "far"]);
    }

    #[test]
    fn nobody_is_placed_on_a_node_that_drains_is_full_or_has_just_refused() {
        let draining = Announcement { admits: false, ..edge("draining", "here", 0) };
        let none = Announcement { capacity: 0, ..edge("none", "here", 0) };
        let mut fleet = fleet(&[draining, none, edge("full", "here", 10), edge("other", "here", 0)]);
        let other = NodeId::new("other").unwrap();
        assert_eq!(place(&mut fleet, NodeKind::Edge, "here", &[other]), Err(NoPlace::Full));
        assert_eq!(place(&mut fleet, NodeKind::Origin, "here", &[]), Err(NoPlace::Nobody));
    }

    #[test]
    fn an_announcement_settles_what_was_charged_two_announcements_ago() {
        let mut fleet = fleet(&[edge("a", "here", 9)]);
        placed(&mut fleet, "here").unwrap();
        fleet.heard(1_000, edge("a", "here", 9)); // was on its way when the peer was placed
        assert_eq!(placed(&mut fleet, "here"), Err(NoPlace::Full));
        fleet.heard(2_000, edge("a", "here", 9)); // it has never come
        placed(&mut fleet, "here").unwrap();
    }

    #[test]
    fn what_comes_free_is_seen_and_shared() {
        let said = |gone| Announcement { gone, ..edge("a", "here", 10) };
        let signaling = |name| Announcement { kind: NodeKind::Signaling, ..edge(name, "here", 0) };
        let mut fleet = fleet(&[said(0), signaling("s1"), signaling("s2")]);
        for second in 1..60 {
            fleet.heard(second * 1_000, said(second * 8));
        }
        let region = Region::new("here").unwrap();
        let wish = Wish { kind: NodeKind::Edge, region: &region, spill: &Spill::default(), not: &[] };
        let Outlook { places, freeing, .. } = fleet.outlook(&wish);
        assert_eq!(places, 0);
        assert!((3.8..4.2).contains(&freeing), "half of eight a second: {freeing}");
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

    #[test]
    fn nobody_is_sent_to_a_node_that_has_missed_announcements_while_another_takes_them() {
        let mut fleet = fleet(&[edge("silent", "here", 0), edge("far", "there", 9)]);
        for now in (0..8_000).step_by(250) {
            if now <= 5_000 {
                fleet.heard(now, edge("silent", "here", 0));
            }
            fleet.heard(now, edge("far", "there", 9));
            assert_eq!(fleet.tick(now, true), []);
        }
        assert!(fleet.has_fallen_silent(&NodeId::new("silent").unwrap()));
        assert_eq!(placed(&mut fleet, "here").unwrap(), "far");
        assert_eq!(placed(&mut fleet, "here").unwrap(), "silent", "before nobody is");
        fleet.tick(8_000, false);
        assert!(!fleet.has_fallen_silent(&NodeId::new("silent").unwrap()), "nobody can be heard");
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
