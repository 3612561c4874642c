//! Those whose sessions are at this node: how they are reached, and which peers are theirs.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{Identity, NodeId, PeerId, Region};
use protocol::message::Purpose;
use serde::{Deserialize, Serialize};

use super::Who;
use crate::{Numbered, Present, Room};

/// Everybody of one room who is here.
#[derive(Debug, Default)]
pub(super) struct People {
    here: BTreeMap<Identity, Here>,
    /// Whose a peer is.
    by_peer: BTreeMap<(NodeId, PeerId), Identity>,
    /// Hosts among them, so that what only hosts are told need not look at ten thousand people.
    hosts: BTreeSet<Identity>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Here {
    /// Of their session.
    pub(super) number: u64,
    pub(super) contact: Contact,
    pub(super) region: Region,
    pub(super) listen: Option<Peer>,
    pub(super) speak: Option<Peer>,
    /// They have asked for media, here or before they came back.
    pub(super) had_media: bool,
    /// Their entry in the store, as this node has set it or was told.
    pub(super) entry: Option<Numbered<Present>>,
}

/// How they are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// By messages.
    Socket,
    /// Not at all, but their peer tells whether they are there.
    Whip,
    /// Their socket was cut; they have a while to come back.
    Away,
}

/// A peer of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Where.
    pub node: NodeId,
    /// Which.
    pub peer: PeerId,
    /// The media request that it came of.
    pub turn: u64,
}

impl Peer {
    pub(super) fn key(&self) -> (NodeId, PeerId) {
        (self.node.clone(), self.peer)
    }
}

impl Here {
    pub(super) fn peer(&mut self, purpose: Purpose) -> &mut Option<Peer> {
        match purpose {
            Purpose::Listen => &mut self.listen,
            Purpose::Speak => &mut self.speak,
        }
    }

    pub(super) fn has_socket(&self) -> bool {
        self.contact == Contact::Socket
    }

    pub(super) fn is_whip(&self) -> bool {
        self.contact == Contact::Whip
    }
}

impl People {
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.here.len()
    }

    pub(super) fn any_socket(&self) -> bool {
        self.here.values().any(Here::has_socket)
    }

    /// Those who are connected by one.
    pub(super) fn with_socket(&self) -> impl Iterator<Item = Who> {
        let here = self.here.iter().filter(|(_, here)| here.has_socket());
        here.map(|(identity, here)| Who { identity: identity.clone(), number: here.number })
    }

    /// Everybody who is not cut off.
    pub(super) fn connected(&self) -> impl Iterator<Item = Who> {
        let here = self.here.iter().filter(|(_, here)| here.contact != Contact::Away);
        here.map(|(identity, here)| Who { identity: identity.clone(), number: here.number })
    }

    /// Everybody's session.
    pub(super) fn sessions(&self) -> impl Iterator<Item = Who> {
        self.here.iter().map(|(identity, here)| Who { identity: identity.clone(), number: here.number })
    }

    pub(super) fn get(&self, identity: &Identity) -> Option<&Here> {
        self.here.get(identity)
    }

    pub(super) fn get_mut(&mut self, identity: &Identity) -> Option<&mut Here> {
        self.here.get_mut(identity)
    }

    /// The session of this number, unless another one has taken its place.
    pub(super) fn current(&mut self, who: &Who) -> Option<&mut Here> {
        self.here.get_mut(&who.identity).filter(|here| here.number == who.number)
    }

    /// The session of somebody who can be told something.
    pub(super) fn socket(&self, identity: &Identity) -> Option<u64> {
        self.here.get(identity).filter(|here| here.has_socket()).map(|here| here.number)
    }

    /// The same of the hosts.
    pub(super) fn hosts(&self) -> impl Iterator<Item = u64> {
        self.hosts.iter().filter_map(|identity| self.socket(identity))
    }

    /// One of the hosts who are here.
    pub(super) fn a_host(&self) -> Option<&Here> {
        self.hosts.iter().find_map(|identity| self.here.get(identity))
    }

    pub(super) fn insert(&mut self, identity: Identity, here: Here, is_host: bool) {
        if is_host {
            self.hosts.insert(identity.clone());
        }
        self.here.insert(identity.clone(), here);
        self.index(&identity);
    }

    /// Notes whose the peers of somebody are; after each that they get.
    pub(super) fn index(&mut self, identity: &Identity) {
        let Some(here) = self.here.get(identity) else { return };
        for peer in [&here.listen, &here.speak].into_iter().flatten() {
            self.by_peer.insert(peer.key(), identity.clone());
        }
    }

    /// A peer is nobody's any more.
    pub(super) fn forget_peer(&mut self, peer: &Peer) {
        self.by_peer.remove(&peer.key());
    }

    /// Everybody's.
    pub(super) fn peers(&self) -> impl Iterator<Item = &(NodeId, PeerId)> {
        self.by_peer.keys()
    }

    /// Who has a peer.
    pub(super) fn whose(&self, peer: &(NodeId, PeerId)) -> Option<&Identity> {
        self.by_peer.get(peer)
    }

    /// Takes a peer from whoever has it.
    pub(super) fn lose_peer(&mut self, peer: &(NodeId, PeerId)) -> Option<(Identity, Purpose)> {
        let identity = self.by_peer.remove(peer)?;
        let here = self.here.get_mut(&identity)?;
        let mut purposes = [Purpose::Listen, Purpose::Speak].into_iter();
        let is_it = |had: &mut Peer| had.node == peer.0 && had.peer == peer.1;
        let purpose = purposes.find(|purpose| here.peer(*purpose).take_if(is_it).is_some())?;
        Some((identity, purpose))
    }

    /// Takes all peers of somebody: at an edge, at the origin. Whatever their next connection asks for
    /// is later than these.
    pub(super) fn take_peers(&mut self, identity: &Identity) -> Option<(Option<Peer>, Option<Peer>)> {
        let here = self.here.get_mut(identity)?;
        let mut taken = (here.listen.take(), here.speak.take());
        for peer in [&mut taken.0, &mut taken.1].into_iter().flatten() {
            self.by_peer.remove(&peer.key());
            peer.turn = 0;
        }
        Some(taken)
    }

    pub(super) fn remove(&mut self, identity: &Identity) -> Option<Here> {
        self.hosts.remove(identity);
        self.here.remove(identity)
    }

    /// Takes everybody out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Identity, Here)> + use<> {
        std::mem::take(self).here.into_iter()
    }

    /// Who has a peer at a node, and which; where the node is `lost`, they have it no longer.
    pub(super) fn at_node(&mut self, node: &NodeId, lost: bool) -> Vec<(Identity, Purpose)> {
        let mut found = Vec::new();
        for (identity, here) in &mut self.here {
            for purpose in [Purpose::Listen, Purpose::Speak] {
                let place = here.peer(purpose);
                if place.as_ref().is_none_or(|peer| peer.node != *node) {
                    continue;
                }
                found.push((identity.clone(), purpose));
                if lost && let Some(peer) = place.take() {
                    self.by_peer.remove(&peer.key());
                }
            }
        }
        found
    }

    /// How many are here: hosts, speakers, listeners.
    pub(super) fn counts(&self, room: Option<&Room>) -> [i64; 3] {
        let on_stage = room.map_or(&[][..], Room::stage).iter();
        let is_speaker =
            |identity: &Identity| self.here.contains_key(identity) && !self.hosts.contains(identity);
        let speakers = on_stage.filter(|seat| is_speaker(&seat.identity)).count();
        let hosts = self.hosts.len();
        [hosts, speakers, self.here.len() - hosts - speakers].map(|people| people as i64)
    }
}
