//! Those whose sessions are at this node: where their messages go, and which peers are theirs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use protocol::message::{Purpose, RemoveReason, Reply, RequestId, ServerMessage};
use protocol::{Identity, NodeId, PeerId};
use room::Room;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::Said;
use crate::counters::Counters;
use crate::lanes::Lanes;
use crate::rooms::Member;

/// Everybody of one room who is here.
#[derive(Default)]
pub(super) struct People {
    here: HashMap<Identity, Here>,
    /// Whose a peer is.
    by_peer: HashMap<(NodeId, PeerId), Identity>,
    /// Hosts among them, so that what only hosts are told need not look at ten thousand people.
    hosts: BTreeSet<Identity>,
    /// What the gauges hold of this room: hosts, speakers, listeners.
    counted: [i64; 3],
}

/// One of them.
pub(super) struct Here {
    pub(super) number: u64,
    pub(super) contact: Contact,
    pub(super) listen: Option<Peer>,
    pub(super) speak: Option<Peer>,
    /// They have asked for media, here or before they came back.
    pub(super) had_media: bool,
}

/// How they are reached.
pub(super) enum Contact {
    /// By messages.
    Socket(Lanes),
    /// Not at all, but their peer tells whether they are there.
    Whip { key: String, _place: Arc<OwnedSemaphorePermit> },
    /// Their socket was cut; they have a while to come back.
    Away,
}

/// A peer of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    pub(super) peer: PeerId,
    /// The media request that it came of.
    pub(super) turn: u64,
}

impl Here {
    pub(super) fn peer(&mut self, purpose: Purpose) -> &mut Option<Peer> {
        match purpose {
            Purpose::Listen => &mut self.listen,
            Purpose::Speak => &mut self.speak,
        }
    }

    pub(super) fn lanes(&self) -> Option<&Lanes> {
        match &self.contact {
            Contact::Socket(lanes) => Some(lanes),
            Contact::Whip { .. } | Contact::Away => None,
        }
    }
}

impl People {
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.here.len()
    }

    pub(super) fn any_connected(&self) -> bool {
        self.here.values().any(|here| here.lanes().is_some())
    }

    /// Everybody who is not cut off, by the number of their session.
    pub(super) fn connected(&self) -> Vec<(Identity, u64)> {
        let is_connected = |here: &Here| !matches!(here.contact, Contact::Away);
        let here = self.here.iter().filter(|(_, here)| is_connected(here));
        here.map(|(identity, here)| (identity.clone(), here.number)).collect()
    }

    pub(super) fn get_mut(&mut self, identity: &Identity) -> Option<&mut Here> {
        self.here.get_mut(identity)
    }

    /// The session of this member, unless another one has taken its place.
    pub(super) fn current(&mut self, who: &Member) -> Option<&mut Here> {
        self.here.get_mut(&who.identity).filter(|here| here.number == who.number)
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
            self.by_peer.insert((peer.node.clone(), peer.peer), identity.clone());
        }
    }

    /// A peer is nobody's any more.
    pub(super) fn forget_peer(&mut self, peer: &Peer) {
        self.by_peer.remove(&(peer.node.clone(), peer.peer));
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
            self.by_peer.remove(&(peer.node.clone(), peer.peer));
            peer.turn = 0;
        }
        Some(taken)
    }

    pub(super) fn remove(&mut self, identity: &Identity) -> Option<Here> {
        self.hosts.remove(identity);
        self.here.remove(identity)
    }

    /// Takes everybody out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Identity, Here)> {
        self.hosts.clear();
        self.by_peer.clear();
        self.here.drain()
    }

    /// Who has a peer at a node, and which; where the node is `lost`, they have it no longer.
    pub(super) fn at_node(&mut self, node: &NodeId, lost: bool) -> Vec<(Identity, Purpose)> {
        let mut found = Vec::new();
        for (identity, here) in &mut self.here {
            for purpose in [Purpose::Listen, Purpose::Speak] {
                let place = here.peer(purpose);
                if let Some(peer) = place.take_if(|peer| peer.node == *node) {
                    found.push((identity.clone(), purpose));
                    if lost {
                        self.by_peer.remove(&(peer.node, peer.peer));
                    } else {
                        *place = Some(peer);
                    }
                }
            }
        }
        found
    }

    /// Who has the WHIP or WHEP session of this key.
    pub(super) fn by_key(&self, wanted: &str) -> Option<Identity> {
        let has = |here: &Here| matches!(&here.contact, Contact::Whip { key, .. } if key == wanted);
        self.here.iter().find(|(_, here)| has(here)).map(|(identity, _)| identity.clone())
    }

    /// Ends all sockets.
    pub(super) fn end_all(&self, reason: RemoveReason) {
        self.here.values().filter_map(Here::lanes).for_each(|lanes| lanes.end(reason));
    }

    /// Tells everybody.
    pub(super) fn tell_all(&self, counters: &Counters, message: &ServerMessage) {
        let said = Said::new(message);
        let lanes: Vec<&Lanes> = self.here.values().filter_map(Here::lanes).collect();
        tell(counters, &said, &lanes);
    }

    /// Tells the hosts.
    pub(super) fn tell_hosts(&self, counters: &Counters, message: &ServerMessage) {
        let said = Said::new(message);
        let hosts = self.hosts.iter().filter_map(|identity| self.here.get(identity));
        let lanes: Vec<&Lanes> = hosts.filter_map(Here::lanes).collect();
        tell(counters, &said, &lanes);
    }

    /// Tells one person, if they can be reached here.
    pub(super) fn tell(&self, counters: &Counters, identity: &Identity, message: &ServerMessage) {
        if let Some(lanes) = self.here.get(identity).and_then(Here::lanes) {
            tell(counters, &Said::new(message), &[lanes]);
        }
    }

    /// Answers a request.
    pub(super) fn reply(
        &mut self,
        counters: &Counters,
        who: &Member,
        body: ServerMessage,
        id: Option<RequestId>,
    ) {
        let Some(lanes) = self.current(who).and_then(|here| here.lanes()) else { return };
        counters.sent(&body);
        if lanes.control(crate::encode::reply(&Reply { body, id })) {
            counters.lane_full();
        }
    }

    /// Brings the gauges up to date with who is here and on stage.
    pub(super) fn count(&mut self, counters: &Counters, room: Option<&Room>) {
        let on_stage = room.map_or(&[][..], Room::stage).iter();
        let is_speaker =
            |identity: &Identity| self.here.contains_key(identity) && !self.hosts.contains(identity);
        let speakers = on_stage.filter(|seat| is_speaker(&seat.identity)).count();
        let hosts = self.hosts.len();
        let now = [hosts, speakers, self.here.len() - hosts - speakers].map(|people| people as i64);
        let before = self.counted;
        counters.participants(std::array::from_fn(|role| now[role] - before[role]));
        self.counted = now;
    }
}

fn tell(counters: &Counters, said: &Said, lanes: &[&Lanes]) {
    counters.sent_to(said.kind, lanes.len());
    for lanes in lanes {
        if lanes.control(said.text.clone()) {
            counters.lane_full();
        }
    }
}
