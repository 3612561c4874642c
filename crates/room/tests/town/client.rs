//! Somebody who comes, acts and goes, and what they see of the room.

use std::collections::BTreeMap;

use protocol::id::{Identity, PeerId};
use protocol::message::{Hand, RemoveReason, RoomState, ServerMessage, StageMember, Welcome};
use protocol::token::Role;
use room::{Arrival, Ticket};

/// Where somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not here, until then.
    Out(u64),
    /// At the door of a node, with this question, since then.
    Door(usize, u64, u64),
    /// In, at a node, in one of its lives, by a session.
    In(usize, u64, u64),
    /// For good.
    Gone,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) arrival: Arrival,
    pub(crate) place: Place,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) seen: Seen,
    /// The peer that they use at a media node; whether to speak.
    pub(crate) media: BTreeMap<bool, (usize, PeerId)>,
}

/// What somebody sees.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) state: Option<RoomState>,
    version: u64,
    pub(crate) stage: BTreeMap<Identity, StageMember>,
    pub(crate) hands: BTreeMap<Identity, Hand>,
}

impl Client {
    pub(crate) fn new(name: &str, role: Role, at: u64) -> Self {
        let identity = Identity::new(name).unwrap();
        let arrival =
            Arrival { identity, name: name.into(), role, hidden: name.starts_with("hidden"), party: None };
        Self { arrival, place: Place::Out(at), ticket: None, seen: Seen::default(), media: BTreeMap::new() }
    }

    /// Hears what a node says.
    pub(crate) fn hear(&mut self, message: &ServerMessage) {
        match message {
            ServerMessage::Welcome(welcome) => self.welcomed(welcome),
            ServerMessage::Stage { version, set, gone } if *version > self.seen.version => {
                self.seen.version = *version;
                for member in set {
                    self.seen.stage.insert(member.identity.clone(), member.clone());
                }
                gone.iter().for_each(|identity| drop(self.seen.stage.remove(identity)));
            }
            ServerMessage::Hands { up, down, .. } => {
                down.iter().for_each(|identity| drop(self.seen.hands.remove(identity)));
                for hand in up {
                    self.seen.hands.insert(hand.identity.clone(), hand.clone());
                }
            }
            ServerMessage::Room { state, .. } => self.seen.state = Some(*state),
            _ => {}
        }
    }

    fn welcomed(&mut self, welcome: &Welcome) {
        let (_, ticket) = welcome.resume.split_once(':').unwrap();
        self.ticket = Some(ticket.parse().unwrap());
        if !welcome.resumed {
            self.media.clear();
        }
        let stage = welcome.stage.iter().map(|member| (member.identity.clone(), member.clone()));
        let hands = welcome.hands.iter().map(|hand| (hand.identity.clone(), hand.clone()));
        self.seen = Seen {
            state: Some(welcome.room.state),
            version: welcome.stage_version,
            stage: stage.collect(),
            hands: hands.collect(),
        };
    }

    /// A node has ended the session.
    pub(crate) fn ended(&mut self, now: u64, reason: RemoveReason) {
        self.place = match reason {
            RemoveReason::Kicked => {
                self.ticket = None;
                Place::Out(now + 4_000)
            }
            RemoveReason::Shutdown | RemoveReason::TooSlow => Place::Out(now + 300),
            RemoveReason::Left => {
                self.ticket = None;
                Place::Out(now + 6_000)
            }
            RemoveReason::Banned | RemoveReason::Replaced | RemoveReason::Ended => Place::Gone,
        };
    }
}
