//! By which nodes somebody hears: small numbers in the accounts, names in the report.

use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::NodeId;

/// Most media nodes that are told apart: a cluster has fewer.
const MOST: usize = 1_024;

/// One person's nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Via {
    /// The media node, by its number in [`Places`].
    pub(crate) media: u16,
    /// The signaling node, by its place among the `--url`s.
    pub(crate) signaling: u16,
}

/// The media nodes that people were sent to.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<Vec<NodeId>>);

impl Places {
    /// The number of a node. Those beyond the bound share the one that has no name.
    pub(crate) fn number(&self, node: &NodeId) -> u16 {
        let mut nodes = self.locked();
        let known = nodes.iter().position(|known| known == node);
        let number = known.unwrap_or_else(|| {
            if nodes.len() < MOST {
                nodes.push(node.clone());
                return nodes.len() - 1;
            }
            MOST
        });
        number as u16
    }

    /// All of them, in the order of their numbers.
    pub(crate) fn names(&self) -> Vec<NodeId> {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, Vec<NodeId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_number_and_those_beyond_the_bound_share_one() {
        let places = Places::default();
        let number = |name: usize| places.number(&NodeId::new(&format!("edge-{name}")).unwrap());
        assert_eq!([1, 2, 1].map(number), [0, 1, 0]);
        assert_eq!((3..MOST + 20).map(number).max(), Some(MOST as u16));
        assert_eq!((number(2), places.names().len()), (1, MOST));
    }
}
