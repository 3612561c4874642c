//! The media nodes of the town: the peers that they have, with the books of real ones.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{Identity, NodeId, Owner, PeerId, RoomId, Session};
use protocol::message::Purpose;
use protocol::node::{Claim, Event, Orphan, PeerEvent, RoomOrigin, Root};
use room::live::{Admitted, Input, Who};
use room::peers::{Books, Compared, Digests, bucket};

use super::client::Place;
use super::world::{CALM_MS, Happening, MISFORTUNE_MS, NODES, Question, World};

/// Between two times that all is compared.
const COMPARE_MS: u64 = 1_000;
/// How long the store must have been the same one before it is believed that somebody is in no list.
const STEADY_MS: u64 = 5_000;
/// How often a node is asked to end a peer.
const TRIES: usize = 10;

pub(crate) struct Media {
    pub(crate) name: NodeId,
    books: Books,
    peers: BTreeMap<PeerId, (usize, Purpose)>,
    last: u64,
    /// Where the room comes from, as an edge knows it.
    pub(crate) root: Option<Root>,
}

/// What somebody asks a media node.
pub(crate) enum Word {
    /// A peer for somebody.
    Admit { client: usize, number: u64, purpose: Purpose },
    /// The end of one; how often it was asked for.
    Remove(PeerId, usize),
    /// The end of those whose people were in no list of this life of the store.
    Disown(Vec<PeerId>, u64),
    /// Where the room comes from.
    Origin(RoomOrigin),
}

impl Media {
    pub(crate) fn new(name: &str) -> Self {
        let name = NodeId::new(name).unwrap();
        Self { name, books: Books::default(), peers: BTreeMap::new(), last: 0, root: None }
    }

    /// It starts anew. Peers are numbered on, as those of real ones are.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            name: self.name.clone(),
            books: Books::default(),
            peers: BTreeMap::new(),
            last: self.last,
            root: None,
        };
    }
}

impl World {
    /// Somebody may have media: a node makes it.
    pub(crate) fn ask_for_media(
        &mut self,
        (index, boot): (usize, u64),
        client: usize,
        number: u64,
        purpose: Purpose,
        node: &NodeId,
    ) {
        let media = self.media.iter().position(|media| media.name == *node).unwrap();
        let word = Word::Admit { client, number, purpose };
        self.at(self.now + 10, Happening::Word(index, boot, media, word));
    }

    pub(crate) fn remove_peer(&mut self, index: usize, boot: u64, node: &NodeId, peer: PeerId) {
        if let Some(media) = self.media.iter().position(|media| media.name == *node) {
            self.at(self.now + 5, Happening::Word(index, boot, media, Word::Remove(peer, 0)));
        }
    }

    /// A media node hears a word, if it is reached.
    pub(crate) fn word(&mut self, index: usize, boot: u64, media: usize, word: Word) {
        let owner = Owner { node: self.nodes[index].name.clone(), boot };
        let is_reached = self.hears(index) && self.is_there(media);
        match word {
            Word::Admit { client, number, purpose } if is_reached => {
                self.admit(&owner, index, media, client, number, purpose);
            }
            Word::Remove(peer, tries) if !is_reached => {
                if tries < TRIES && self.is_life(index, boot) {
                    self.at(
                        self.now + 500,
                        Happening::Word(index, boot, media, Word::Remove(peer, tries + 1)),
                    );
                }
            }
            Word::Remove(peer, _) => {
                let of = &mut self.media[media];
                if of.books.may_end(peer, &owner) {
                    self.end_peer(media, peer, &format!("s{index} removes it"), false);
                }
            }
            Word::Disown(peers, life) if is_reached && self.store.life == life => {
                for peer in self.media[media].books.disown(self.now, &peers) {
                    self.end_peer(media, peer, "it is nobody's", true);
                }
            }
            Word::Origin(told) if is_reached => self.hear_origin(media, told),
            Word::Admit { .. } | Word::Disown(..) | Word::Origin(_) => {}
        }
    }

    fn is_there(&self, media: usize) -> bool {
        let name = &self.media[media].name;
        self.origins.iter().all(|origin| origin.name != *name || origin.is_live)
    }

    fn admit(
        &mut self,
        owner: &Owner,
        index: usize,
        media: usize,
        client: usize,
        number: u64,
        purpose: Purpose,
    ) {
        let (now, identity) = (self.now, self.people[client].arrival.identity.clone());
        let of = &mut self.media[media];
        of.last += 1;
        let (peer, node) = (PeerId(of.last), of.name.clone());
        let session = Session { node: owner.node.clone(), boot: owner.boot, number };
        let claim = Claim { session, whip: None };
        of.books.enter(now, peer, purpose, hall(), identity.clone(), claim);
        of.peers.insert(peer, (client, purpose));
        let line = format!("{} makes {} for {client}, {purpose:?} at s{index}", node, peer.0);
        self.tell(line);
        if self.is_misfortune() && self.chance(0.05) {
            // The answer is lost.
            return;
        }
        let question = Question::Admitted { client, number, media, peer, purpose };
        let Some(asked) = self.ask_if_alive(index, owner.boot, question) else { return };
        let admitted = Admitted { purpose, turn: self.number, node, peer };
        let input = Input::Admitted(asked, Who { identity, number }, admitted);
        self.at(now + 10, Happening::Input(index, owner.boot, Box::new(input)));
    }

    /// Whether the peer is theirs: whoever asked uses it, or nobody.
    pub(crate) fn admitted(
        &mut self,
        (index, boot): (usize, u64),
        (client, number): (usize, u64),
        (media, peer): (usize, PeerId),
        purpose: Purpose,
        is_theirs: bool,
    ) {
        let is_there = self.people[client].place == Place::In(index, boot, number);
        if is_theirs && is_there {
            self.people[client].media.insert(purpose == Purpose::Speak, (media, peer));
        } else if !is_theirs {
            let node = self.media[media].name.clone();
            self.remove_peer(index, boot, &node, peer);
        }
    }

    fn end_peer(&mut self, media: usize, peer: PeerId, why: &str, must_tell: bool) {
        let of = &mut self.media[media];
        of.books.forget(peer);
        let Some((client, purpose)) = of.peers.remove(&peer) else { return };
        let node = of.name.clone();
        self.tell(format!("{node} ends {} of {client}: {why}", peer.0));
        let person = &mut self.people[client];
        let key = purpose == Purpose::Speak;
        if person.media.get(&key) == Some(&(media, peer)) {
            person.media.remove(&key);
            // Of a speaker's it depends on the stage whether they have it still.
            let is_calm = self.now > MISFORTUNE_MS + CALM_MS / 2;
            let is_used = matches!(person.place, Place::In(..)) && purpose == Purpose::Listen;
            assert!(!is_calm || !is_used, "{client} hears nothing any more: {why}");
        }
        if must_tell {
            let event = Event { node, room: hall(), peer, what: PeerEvent::Gone };
            for index in 0..NODES {
                let boot = self.nodes[index].life.as_ref().map(|life| life.boot);
                if let Some(boot) = boot.filter(|_| self.hears(index)) {
                    let input = Input::Event(event.clone());
                    self.at(self.now + 10, Happening::Input(index, boot, Box::new(input)));
                }
            }
        }
    }

    pub(crate) fn end_all(&mut self, media: usize, why: &str) {
        let peers: Vec<PeerId> = self.media[media].peers.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.end_peer(media, peer, why, true));
    }

    /// What each media node does every second.
    pub(crate) fn look_after(&mut self, media: usize) {
        self.at(self.now + COMPARE_MS, Happening::Media(media));
        let now = self.now;
        if self.is_misfortune() && self.chance(0.01) {
            self.forget_stage(media);
        }
        if !self.has_bus || !self.is_there(media) {
            self.media[media].books.deaf(now);
        }
        for peer in self.media[media].books.due(now) {
            self.end_peer(media, peer, "nobody wants it", true);
        }
    }

    /// What each signaling node does every second.
    pub(crate) fn compare(&mut self, index: usize, boot: u64) {
        self.at(self.now + COMPARE_MS, Happening::Compare(index, boot));
        if !self.hears(index) {
            return;
        }
        self.tell_origin(index, boot, false);
        for media in 0..self.media.len() {
            if self.is_there(media) {
                self.compare_with(index, boot, media);
            }
        }
    }

    fn compare_with(&mut self, index: usize, boot: u64, media: usize) {
        let now = self.now;
        let owner = Owner { node: self.nodes[index].name.clone(), boot };
        let wanted = self.wanted(index, media);
        let digests: Digests = wanted.iter().copied().collect();
        let of = &mut self.media[media];
        let Compared { differ, orphans, judge } = of.books.compare(now, &owner, &digests.to_vec()).unwrap();
        let mut inputs = Vec::new();
        for part in differ {
            let behind = wanted.iter().filter(|peer| bucket(**peer) == usize::from(part));
            let behind: Vec<PeerId> = behind.copied().collect();
            for peer in of.books.claim(now, &owner, part, &behind).unwrap() {
                let what = PeerEvent::Gone;
                inputs.push(Input::Event(Event { node: of.name.clone(), room: hall(), peer, what }));
            }
        }
        inputs.extend(orphans.iter().map(|orphan| Input::Orphan(of.name.clone(), orphan.clone())));
        for input in inputs {
            self.at(now + 5, Happening::Input(index, boot, Box::new(input)));
        }
        if judge {
            self.judge(index, boot, media, &orphans);
        }
    }

    fn judge(&mut self, index: usize, boot: u64, media: usize, orphans: &[Orphan]) {
        let reaches = self.has_store && self.nodes[index].has_store;
        let life = self.nodes[index].life.as_ref().unwrap();
        let is_steady = life.steady_since.is_some_and(|since| since + STEADY_MS <= self.now);
        if !reaches || !is_steady || life.store != self.store.life {
            return;
        }
        let people: Vec<Identity> = orphans.iter().map(|orphan| orphan.identity.clone()).collect();
        let loaded = self.store.load(self.now, &people);
        let is_stranger = |orphan: &&Orphan| !loaded.people.contains_key(&orphan.identity);
        let strangers: Vec<PeerId> = orphans.iter().filter(is_stranger).map(|orphan| orphan.peer).collect();
        let word = Word::Disown(strangers, self.store.life);
        self.at(self.now + COMPARE_MS, Happening::Word(index, boot, media, word));
    }

    fn wanted(&self, index: usize, media: usize) -> BTreeSet<PeerId> {
        let room = self.nodes[index].life.as_ref().and_then(|life| life.room.as_ref());
        let peers = room.into_iter().flat_map(|(live, _)| live.peers());
        peers.filter(|(node, _)| **node == self.media[media].name).map(|(_, peer)| peer).collect()
    }

    /// At the end of the evening there is no peer that nobody wants, and whoever uses one has it. What an edge
    /// gives is what the stage's origin says.
    pub(crate) fn check_media(&self, listed: &BTreeSet<Identity>, root: Option<Root>) {
        let edge = self.media.iter().find(|media| self.origins.iter().all(|it| it.name != media.name));
        if let (Some(root), Some(known)) = (root, edge.and_then(|edge| edge.root.as_ref())) {
            assert_eq!(*known, root, "the edge knows where the room comes from");
        }
        for (at, media) in self.media.iter().enumerate().filter(|(at, _)| self.is_there(*at)) {
            let wanted: BTreeSet<PeerId> = (0..NODES).flat_map(|index| self.wanted(index, at)).collect();
            // Whoever was cut off may come back to theirs as long as they are in the list.
            let may_come_back = |client: usize| listed.contains(&self.people[client].arrival.identity);
            let there = media
                .peers
                .iter()
                .filter(|(peer, (client, _))| wanted.contains(peer) || !may_come_back(*client));
            let there: BTreeSet<PeerId> = there.map(|(peer, _)| *peer).collect();
            assert_eq!(there, wanted, "the peers of {} are those that are wanted", media.name);
        }
        for (client, person) in self.people.iter().enumerate() {
            if let (Place::In(..), Some((media, peer))) = (person.place, person.media.get(&false)) {
                assert!(self.media[*media].peers.contains_key(peer), "{client} hears");
            }
        }
    }
}

pub(crate) fn hall() -> RoomId {
    RoomId::new("hall").unwrap()
}
