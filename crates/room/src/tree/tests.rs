use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn room(number: u32) -> RoomId {
    RoomId::new(&format!("room-{number}")).unwrap()
}

fn edges(count: usize, regions: usize) -> Vec<Member> {
    let edge = |n: usize| Member {
        node: NodeId::new(&format!("edge-{n}")).unwrap(),
        region: Region::new(&format!("region-{}", n % regions)).unwrap(),
    };
    (0..count).map(edge).collect()
}

fn tree(room: &RoomId, edges: &[Member], fan_out: usize) -> HashMap<NodeId, Parent> {
    edges.iter().map(|me| (me.node.clone(), parent_within(room, edges, me, fan_out))).collect()
}

/// Hops to the origin; none if there is a loop.
fn hops(parents: &HashMap<NodeId, Parent>, from: &NodeId) -> Option<usize> {
    let mut at = from;
    for hops in 1..=parents.len() {
        match &parents[at] {
            Parent::Origin => return Some(hops),
            Parent::Edge(parent) => at = parent,
        }
    }
    None
}

proptest! {
    #[test]
    fn it_is_a_tree_of_bounded_fan_out(
        number: u32, count in 1usize..60, regions in 1usize..6, fan_out in 1usize..6,
    ) {
        let edges = edges(count, regions);
        let parents = tree(&room(number), &edges, fan_out);
        let children = |of: &Parent| parents.values().filter(|parent| *parent == of).count();
        prop_assert!(children(&Parent::Origin) <= fan_out);
        for edge in &edges {
            prop_assert!(hops(&parents, &edge.node).is_some());
            prop_assert!(children(&Parent::Edge(edge.node.clone())) <= 2 * fan_out);
        }
    }

    #[test]
    fn a_room_enters_each_region_once(number: u32, count in 1usize..60, regions in 1usize..6) {
        let edges = edges(count, regions);
        let region: HashMap<_, _> = edges.iter().map(|edge| (&edge.node, &edge.region)).collect();
        let mut entries: HashMap<&Region, usize> = HashMap::new();
        for (child, parent) in &tree(&room(number), &edges, FAN_OUT) {
            let inside = matches!(parent, Parent::Edge(parent) if region[parent] == region[child]);
            *entries.entry(region[child]).or_default() += usize::from(!inside);
        }
        prop_assert!(entries.values().all(|&entries| entries == 1), "{entries:?}");
    }

    #[test]
    fn nodes_that_believe_different_things_make_no_loop(
        number: u32, regions in 1usize..4, beliefs in prop::collection::vec(any::<u32>(), 1..32),
    ) {
        let edges = edges(beliefs.len(), regions);
        let parents: HashMap<_, _> = edges.iter().zip(&beliefs).map(|(me, belief)| {
            let healthy: Vec<_> =
                edges.iter().enumerate().filter(|(n, _)| belief >> n & 1 == 1).map(|(_, e)| e.clone()).collect();
            (me.node.clone(), parent_within(&room(number), &healthy, me, 2))
        }).collect();
        for edge in &edges {
            prop_assert!(hops(&parents, &edge.node).is_some());
            if let Parent::Edge(parent) = &parents[&edge.node] {
                prop_assert!(rank(&room(number), parent) > rank(&room(number), &edge.node));
            }
        }
    }

    #[test]
    fn whoever_ranks_last_moves_nobody(number: u32, count in 2usize..60, fan_out in 1usize..6) {
        let mut edges = edges(count, 1);
        edges.sort_by_key(|edge| Reverse(rank(&room(number), &edge.node)));
        let before = tree(&room(number), &edges[..count - 1], fan_out);
        let mut after = tree(&room(number), &edges, fan_out);
        after.remove(&edges[count - 1].node);
        prop_assert_eq!(before, after);
    }
}

#[test]
fn two_edges_in_one_region_make_two_hops() {
    let edges = edges(2, 1);
    let parents = tree(&room(1), &edges, FAN_OUT);
    let mut hops: Vec<_> = edges.iter().map(|edge| hops(&parents, &edge.node).unwrap()).collect();
    hops.sort_unstable();
    assert_eq!(hops, [1, 2]);
}

#[test]
fn hubs_differ_from_room_to_room() {
    let edges = edges(10, 1);
    let mut hubs: HashMap<NodeId, usize> = HashMap::new();
    for number in 0..1_000 {
        let is_hub = |edge: &&Member| parent(&room(number), &edges, edge) == Parent::Origin;
        *hubs.entry(edges.iter().find(is_hub).unwrap().node.clone()).or_default() += 1;
    }
    assert!(edges.iter().all(|edge| (60..140).contains(&hubs[&edge.node])), "{hubs:?}");
}

#[test]
fn an_edge_that_goes_moves_few_others() {
    let all = edges(40, 1);
    let (mut moved, mut stayed) = (0, 0);
    for number in 0..25 {
        let room = room(number);
        let before = tree(&room, &all, 4);
        for gone in &all {
            let left: Vec<_> = all.iter().filter(|edge| edge.node != gone.node).cloned().collect();
            for (node, parent) in tree(&room, &left, 4) {
                let orphan = before[&node] == Parent::Edge(gone.node.clone());
                match parent == before[&node] {
                    true => stayed += 1,
                    false => moved += usize::from(!orphan),
                }
            }
        }
    }
    let share = f64::from(u32::try_from(moved).unwrap()) / f64::from(stayed);
    assert!(share < 0.2, "{share}");
}
