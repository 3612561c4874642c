//! The peers that were replaced or left behind, each until its time is over.
//!
//! In a storm there are ten thousand of them, and the room looks here after every word it hears: what
//! is due is found first, and what concerns one person without looking at the others.

use std::collections::{BTreeSet, HashMap};

use protocol::id::{Identity, NodeId, PeerId};

/// Most of one person. Fewer would cut off the one that somebody still hears while they are moved and
/// promoted at once; more are only made by asking for media again and again.
const MOST: usize = 3;

type Key = (NodeId, PeerId);

#[derive(Debug, Default)]
pub(super) struct Lingering {
    /// When each is to be removed.
    until: HashMap<Key, (u64, Identity)>,
    by_time: BTreeSet<(u64, Key)>,
    /// The oldest first.
    by_identity: HashMap<Identity, Vec<Key>>,
}

impl Lingering {
    pub(super) fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Key> {
        self.until.keys()
    }

    pub(super) fn has(&self, peer: &Key) -> bool {
        self.until.contains_key(peer)
    }

    /// When the next one is to be removed.
    pub(super) fn due(&self) -> Option<u64> {
        self.by_time.first().map(|(until, _)| *until)
    }

    /// Keeps a peer. Answers with the one that must go for it at once, where somebody has [`MOST`].
    pub(super) fn keep(&mut self, identity: &Identity, peer: Key, until: u64) -> Option<Key> {
        self.drop(&peer);
        self.until.insert(peer.clone(), (until, identity.clone()));
        self.by_time.insert((until, peer.clone()));
        let theirs = self.by_identity.entry(identity.clone()).or_default();
        theirs.push(peer);
        let oldest = (theirs.len() > MOST).then(|| theirs[0].clone())?;
        self.drop(&oldest);
        Some(oldest)
    }

    /// What somebody has here stays no longer than until then.
    pub(super) fn hurry(&mut self, identity: &Identity, until: u64) {
        for peer in self.by_identity.get(identity).into_iter().flatten() {
            let Some((time, _)) = self.until.get_mut(peer).filter(|(time, _)| *time > until) else {
                continue;
            };
            self.by_time.remove(&(*time, peer.clone()));
            self.by_time.insert((until, peer.clone()));
            *time = until;
        }
    }

    /// One whose time is over.
    pub(super) fn take_due(&mut self, now: u64) -> Option<Key> {
        let (_, peer) = self.by_time.first().filter(|(until, _)| *until <= now)?;
        let peer = peer.clone();
        self.drop(&peer);
        Some(peer)
    }

    /// All of somebody.
    pub(super) fn take_of(&mut self, identity: &Identity) -> Vec<Key> {
        let theirs = self.by_identity.get(identity).cloned().unwrap_or_default();
        theirs.iter().for_each(|peer| self.drop(peer));
        theirs
    }

    /// One is gone, if it was here.
    pub(super) fn drop(&mut self, peer: &Key) {
        let Some((until, identity)) = self.until.remove(peer) else { return };
        self.by_time.remove(&(until, peer.clone()));
        if let Some(theirs) = self.by_identity.get_mut(&identity) {
            theirs.retain(|other| other != peer);
            if theirs.is_empty() {
                self.by_identity.remove(&identity);
            }
        }
    }

    /// The nodes have been told to forget them all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Identity {
        Identity::new(text).unwrap()
    }

    fn peer(number: u64) -> Key {
        (NodeId::new("edge-1").unwrap(), PeerId(number))
    }

    #[test]
    fn each_goes_when_its_time_is_over_and_sooner_where_its_successor_is_up() {
        let at = |seconds: u64| seconds * 1_000;
        let mut lingering = Lingering::default();
        lingering.keep(&id("anna"), peer(1), at(6));
        lingering.keep(&id("ben"), peer(2), at(5));
        assert_eq!((lingering.due(), lingering.take_due(at(4))), (Some(at(5)), None));
        lingering.hurry(&id("anna"), at(1));
        lingering.hurry(&id("anna"), at(9));
        assert_eq!(lingering.due(), Some(at(1)), "nobody is given more time");
        assert_eq!((lingering.take_due(at(1)), lingering.take_due(at(1))), (Some(peer(1)), None));
        assert_eq!(lingering.take_due(at(5)), Some(peer(2)));
        assert!(lingering.is_empty() && lingering.by_identity.is_empty());
    }

    #[test]
    fn what_is_gone_by_itself_is_not_removed_again() {
        let now = 7;
        let mut lingering = Lingering::default();
        lingering.keep(&id("anna"), peer(1), now);
        lingering.keep(&id("anna"), peer(2), now);
        lingering.drop(&peer(1));
        lingering.drop(&peer(7));
        assert_eq!(lingering.take_of(&id("anna")), [peer(2)]);
        assert_eq!(lingering.take_due(now), None);
    }

    #[test]
    fn whoever_asks_again_and_again_keeps_only_a_few() {
        let now = 7;
        let mut lingering = Lingering::default();
        let out: Vec<_> = (0..5).filter_map(|n| lingering.keep(&id("anna"), peer(n), now)).collect();
        assert_eq!(out, [peer(0), peer(1)]);
        assert_eq!(lingering.take_of(&id("anna")).len(), MOST);
    }
}
