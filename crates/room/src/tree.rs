//! The relay tree of a room: who takes it from whom.
//!
//! ```text
//!                     origin                     Every edge has a rank in the room: the rendezvous hash of
//!                   /        \                   (room, node). The first of each region is its hub.
//!             hub eu          hub us             Hubs hang below the origin, the others of a region below
//!            /  |   \            |               its hub: a room crosses an ocean once.
//!         edge edge edge        edge
//! ```
//!
//! Each node works this out alone, from the edges it believes healthy. Two that believe different
//! things may both be wrong about the shape, but never make a loop: a parent always has a higher rank
//! than its child, and a rank depends on nothing but the names of room and node.

use std::cmp::Reverse;

use protocol::{NodeId, Region, RoomId};

/// Most children of one edge in a room within its region, and most hubs below one hub or the origin.
/// Lower and a room of a hundred edges is five hops deep; higher and one edge sends too many copies.
pub const FAN_OUT: usize = 16;

/// An edge that could be in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub node: NodeId,
    /// Where it is.
    pub region: Region,
}

/// From whom an edge takes a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parent {
    /// From the root.
    Origin,
    /// From another edge.
    Edge(NodeId),
}

/// The parent of `me` in the tree of `room` over `edges`; `me` is in it whether `edges` has it or not.
pub fn parent(room: &RoomId, edges: &[Member], me: &Member) -> Parent {
    parent_within(room, edges, me, FAN_OUT)
}

/// The same with another bound than [`FAN_OUT`].
pub fn parent_within(room: &RoomId, edges: &[Member], me: &Member, fan_out: usize) -> Parent {
    let mut ranked: Vec<&Member> = edges.iter().filter(|edge| edge.node != me.node).chain([me]).collect();
    ranked.sort_by_cached_key(|edge| Reverse((rank(room, &edge.node), edge.node.clone())));
    let region: Vec<&NodeId> =
        ranked.iter().filter(|edge| edge.region == me.region).map(|edge| &edge.node).collect();
    let hub = region.first().copied();
    if hub == Some(&me.node) {
        grow(room, None, &hubs(&ranked), &me.node, fan_out)
    } else {
        grow(room, hub, &region[1..], &me.node, fan_out)
    }
}

/// The first of each region, by rank.
fn hubs<'a>(ranked: &[&'a Member]) -> Vec<&'a NodeId> {
    let is_first = |index: usize, edge: &Member| !ranked[..index].iter().any(|e| e.region == edge.region);
    ranked
        .iter()
        .enumerate()
        .filter(|(index, edge)| is_first(*index, edge))
        .map(|(_, edge)| &edge.node)
        .collect()
}

/// One who can take children.
struct Place<'a> {
    /// None: the origin.
    node: Option<&'a NodeId>,
    depth: usize,
    children: usize,
}

/// Hangs `nodes` below `root` in the order of their rank, each as high as there is room. Among those
/// equally high it takes the one with the best hash of the pair, so that an edge that comes or goes
/// moves few others.
fn grow(room: &RoomId, root: Option<&NodeId>, nodes: &[&NodeId], me: &NodeId, fan_out: usize) -> Parent {
    let mut places = vec![Place { node: root, depth: 0, children: 0 }];
    for &node in nodes {
        let free = |place: &&mut Place<'_>| place.children < fan_out.max(1);
        let best = places.iter_mut().filter(free).min_by_key(|place| {
            let pair = place.node.map(|parent| hash(&[room.as_str(), parent.as_str(), node.as_str()]));
            (place.depth, Reverse(pair))
        });
        let Some(best) = best else { break };
        if node == me {
            return best.node.cloned().map_or(Parent::Origin, Parent::Edge);
        }
        best.children += 1;
        let depth = best.depth + 1;
        places.push(Place { node: Some(node), depth, children: 0 });
    }
    // Not reached: every place that is taken brings at least one. The root is right for anybody.
    Parent::Origin
}

/// The higher, the nearer to the root.
fn rank(room: &RoomId, node: &NodeId) -> u64 {
    hash(&[room.as_str(), node.as_str()])
}

/// The same on every machine and in every build: FNV-1a, and the finish of SplitMix64, because FNV's high
/// bits hardly depend on the last bytes. Names cannot contain the separator.
fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
