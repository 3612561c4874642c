//! Several signaling nodes place one crowd, each by what it has heard itself.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::VecDeque;

use protocol::node::{Announcement, NodeKind};
use protocol::{NodeId, Region};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use room::placement::{Fleet, NoPlace, Spill, Wish};

/// Between two looks, in ms.
const STEP: u64 = 10;

/// What is said on the bus, and when it is heard.
type Post<T> = VecDeque<(u64, T)>;

/// An edge that turns nobody away: what it has too many is the placement's own doing.
struct Edge {
    name: NodeId,
    region: &'static str,
    capacity: u32,
    peers: u32,
    /// When it announces itself, within each second.
    phase: u64,
}

impl Edge {
    fn new(number: u64, region: &'static str, capacity: u32, peers: u32) -> Self {
        let name = NodeId::new(&format!("edge-{number}")).unwrap();
        Self { name, region, capacity, peers, phase: number * 370 % 1_000 / STEP * STEP }
    }

    fn fill(&self) -> f64 {
        f64::from(self.peers) / f64::from(self.capacity)
    }
}

/// A cluster, and how its signaling nodes share a crowd.
struct World {
    now: u64,
    rng: SmallRng,
    edges: Vec<Edge>,
    fleets: Vec<Fleet>,
    /// Each signaling node's part of the crowd.
    parts: &'static [u32],
    said: Post<Announcement>,
    /// Who is on their way to an edge.
    sent: Post<NodeId>,
    refused: u32,
    /// The first of whom was refused when so many peers were there.
    full_at: Option<u32>,
}

impl World {
    fn new(seed: u64, parts: &'static [u32], edges: Vec<Edge>) -> Self {
        let fleets = (0..parts.len() as u64).map(|number| Fleet::new(seed * 100 + number)).collect();
        let rng = SmallRng::seed_from_u64(seed);
        let mut world = Self {
            now: 0,
            rng,
            edges,
            fleets,
            parts,
            said: Post::new(),
            sent: Post::new(),
            refused: 0,
            full_at: None,
        };
        world.run(3_000, 0);
        world
    }

    fn says(name: &NodeId, kind: NodeKind, region: &str, peers: u32, capacity: u32) -> Announcement {
        let region = Region::new(region).unwrap();
        Announcement { peers, capacity, ..Announcement::new(name.clone(), kind, region, 1) }
    }

    /// For so long so many come each second.
    fn run(&mut self, ms: u64, per_second: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.announce();
            self.hear();
            self.arrive(per_second);
            self.now += STEP;
        }
    }

    fn announce(&mut self) {
        let Self { now, rng, edges, said, parts, .. } = self;
        let mut later = || *now + rng.random_range(1..100);
        for edge in edges.iter().filter(|edge| *now % 1_000 == edge.phase) {
            said.push_back((
                later(),
                Self::says(&edge.name, NodeKind::Edge, edge.region, edge.peers, edge.capacity),
            ));
        }
        if *now % 1_000 == 500 {
            for number in 0..parts.len() {
                let name = NodeId::new(&format!("signaling-{number}")).unwrap();
                said.push_back((later(), Self::says(&name, NodeKind::Signaling, "here", 0, 30_000)));
            }
        }
    }

    fn hear(&mut self) {
        let Self { now, edges, fleets, said, sent, .. } = self;
        for said in take(said, *now) {
            for fleet in fleets.iter_mut() {
                fleet.heard(*now, said.clone());
            }
        }
        for node in take(sent, *now) {
            let edge = edges.iter_mut().find(|edge| edge.name == node).unwrap();
            edge.peers += 1;
        }
    }

    fn arrive(&mut self, per_second: u64) {
        let (region, spill) = (Region::new("here").unwrap(), Spill::default());
        let wish = Wish { kind: NodeKind::Edge, region: &region, spill: &spill, not: &[] };
        let newcomers = per_second * (self.now + STEP) / 1_000 - per_second * self.now / 1_000;
        for _ in 0..newcomers {
            let mut lot = self.rng.random_range(0..self.parts.iter().sum());
            let at = self.parts.iter().position(|part| {
                let is_it = lot < *part;
                lot = lot.saturating_sub(*part);
                is_it
            });
            match self.fleets[at.unwrap()].place(&wish) {
                Ok(edge) => self.sent.push_back((self.now + self.rng.random_range(5..200), edge.node)),
                Err(NoPlace::Full) => {
                    self.refused += 1;
                    let there = self.edges.iter().map(|edge| edge.peers).sum();
                    self.full_at.get_or_insert(there);
                }
                Err(NoPlace::Nobody) => panic!("there are edges"),
            }
        }
    }

    fn capacity(&self) -> u32 {
        self.edges.iter().map(|edge| edge.capacity).sum()
    }

    fn peers(&self) -> u32 {
        self.edges.iter().map(|edge| edge.peers).sum()
    }
}

/// What is due by now.
fn take<T>(post: &mut Post<T>, now: u64) -> Vec<T> {
    let (due, later): (Post<T>, Post<T>) = std::mem::take(post).into_iter().partition(|(at, _)| *at <= now);
    *post = later;
    due.into_iter().map(|(_, it)| it).collect()
}

fn four() -> Vec<Edge> {
    vec![
        Edge::new(1, "here", 5_000, 0),
        Edge::new(2, "here", 5_000, 0),
        Edge::new(3, "here", 2_500, 0),
        Edge::new(4, "here", 5_000, 2_500),
    ]
}

#[test]
fn a_crowd_fills_edges_evenly_and_hardly_beyond_what_they_take() {
    for seed in 0..20 {
        for parts in [&[1][..], &[1, 1], &[1, 1, 1, 1], &[4, 3, 2, 1]] {
            let mut world = World::new(seed, parts, four());
            // Half of what is free: each is filled in proportion to it.
            world.run(5_000, 1_500);
            world.run(1_000, 0);
            let fills: Vec<_> = world.edges.iter().map(Edge::fill).collect();
            for (fill, wanted) in fills.iter().zip([0.5, 0.5, 0.5, 0.75]) {
                assert!((fill - wanted).abs() < 0.05, "{seed}, {parts:?}: {fills:?}");
            }
            // And twice as many as there are places.
            world.run(10_000, 1_500);
            for edge in &world.edges {
                assert!(edge.fill() <= 1.05, "{seed}, {parts:?}: {} of {}", edge.peers, edge.capacity);
            }
            let full_at = world.full_at.expect("not all could be placed");
            assert!(full_at >= world.capacity() / 10 * 8, "{seed}, {parts:?}: refused at {full_at}");
            // Whoever comes when the crowd is over gets the last places.
            world.run(5_000, 100);
            assert!(
                world.peers() >= world.capacity(),
                "{seed}, {parts:?}: {} of {}",
                world.peers(),
                world.capacity()
            );
        }
    }
}

#[test]
fn a_full_region_spills_into_the_next_one() {
    let edges = vec![Edge::new(1, "here", 1_000, 900), Edge::new(2, "there", 1_000, 0)];
    let mut world = World::new(1, &[1, 1], edges);
    world.run(1_000, 500);
    world.run(500, 0);
    let [here, there] = [&world.edges[0], &world.edges[1]].map(|edge| edge.peers);
    assert!((990..=1_050).contains(&here) && here + there == 1_400, "{here} and {there}");
    assert_eq!(world.refused, 0);
}
