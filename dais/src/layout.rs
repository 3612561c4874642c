//! Who gets which ports and threads in `dais up`: one origin, then the edges, each with its share.
//!
//! ```text
//!   --media 7100, 8 shards:   origin 7100 7101 │ edge-1 7102 7103 7104 │ edge-2 7105 7106 7107
//!   --link 7200:              origin 7200      │ edge-1 7201           │ edge-2 7202
//! ```

use std::net::{Ipv4Addr, SocketAddr};

use crate::addresses::next;
use crate::options::Media;

/// Edges of `dais up`: two, so that the second hangs below the first and every room is heard through
/// two hops, as it is at scale.
pub(crate) const EDGES: usize = 2;

/// Shares of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// First media port.
    media: SocketAddr,
    /// First link port.
    pub(crate) link: SocketAddr,
    /// Shards of each node, the origin first.
    shares: Vec<usize>,
}

impl Layout {
    /// Of `dais up`. Its links stay on loopback unless told otherwise: both ends are in this process.
    pub(crate) fn of_system(media: &Media) -> Self {
        let link = media.link.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 7200)));
        Self { media: media.bind, link, shares: share_out(media.shards, 1 + EDGES) }
    }

    pub(crate) fn nodes(&self) -> usize {
        self.shares.len()
    }

    /// All shards together.
    pub(crate) fn shards(&self) -> usize {
        self.shares.iter().sum()
    }

    /// Shards of a node.
    pub(crate) fn share(&self, node: usize) -> usize {
        self.shares[node]
    }

    /// First media address of a node.
    pub(crate) fn media(&self, node: usize) -> SocketAddr {
        next(self.media, self.shares[..node].iter().sum())
    }

    /// Link address of a node.
    pub(crate) fn link(&self, node: usize) -> SocketAddr {
        next(self.link, node)
    }
}

/// At least one for each; what is left over goes to the last ones, the edges, which have the most to do.
fn share_out(shards: usize, nodes: usize) -> Vec<usize> {
    let rest = shards.max(nodes) % nodes;
    (0..nodes).map(|node| shards.max(nodes) / nodes + usize::from(node >= nodes - rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_a_shard_and_edges_have_the_rest() {
        assert_eq!(share_out(1, 3), [1, 1, 1]);
        assert_eq!(share_out(8, 3), [2, 3, 3]);
        assert_eq!(share_out(7, 3), [2, 2, 3]);
    }

    #[test]
    fn ports_follow_each_other() {
        let link = "127.0.0.1:7200".parse().unwrap();
        let layout = Layout { media: "0.0.0.0:7100".parse().unwrap(), link, shares: vec![2, 3, 3] };
        let ports: Vec<_> =
            (0..3).map(|node| (layout.media(node).port(), layout.link(node).port())).collect();
        assert_eq!(ports, [(7100, 7200), (7102, 7201), (7105, 7202)]);
    }
}
