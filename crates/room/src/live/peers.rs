//! The peers that people have at media nodes: who may get one, which one holds, what happens when it or
//! its node is gone.
//!
//! A peer that is replaced stays for a while: whoever is moved, promoted or demoted goes on hearing on
//! the old one until the new one is up and their browser has switched to it.

use protocol::error::{ApiError, Code};
use protocol::id::{Identity, NodeId};
use protocol::message::{MoveReason, Purpose, RoomState, ServerMessage};
use protocol::node::{Event, Orphan, PeerEvent};

use super::people::Peer;
use super::{Admitted, Answered, Around, Asked, Effect, Live, Permit, Permitted, Who, no_room};

/// How long the origin's peer of somebody who left the stage goes on, with nothing from their
/// microphone, while they get one at an edge, in ms.
const OFF_STAGE_MS: u64 = 15_000;

impl Live {
    /// Whether somebody may have media, and from where it comes.
    pub(super) fn permit(&mut self, around: &mut Around<'_>, asked: Asked, who: Who, purpose: Purpose) {
        match self.permitted(around, &who, purpose) {
            Ok(Some(permit)) => self.answer(asked, Ok(Answered::Permit(permit))),
            Ok(None) => {
                self.permits.push((asked, who));
                self.work.want_origin(around.now);
            }
            Err(error) => self.answer(asked, Err(error)),
        }
    }

    /// None for somebody who is to speak while the room has no origin. Whoever listens waits for that at an edge,
    /// and has it sought by nobody.
    pub(super) fn permitted(
        &mut self,
        around: &Around<'_>,
        who: &Who,
        purpose: Purpose,
    ) -> Result<Option<Permit>, ApiError> {
        if self.people.current(who).is_none() {
            return Err(not_here());
        }
        let room = self.ledger.held_to().ok_or_else(no_room)?;
        if room.state() == RoomState::Ended {
            return Err(ApiError::new(Code::Ended, "the room has ended"));
        }
        let (version, root) = (room.version(), self.root(around));
        let to = match purpose {
            Purpose::Listen => Some(Permitted::Listen(root)),
            Purpose::Speak => {
                let number = room.place(&who.identity).number.ok_or_else(not_on_stage)?;
                root.map(|root| Permitted::Speak(number, root))
            }
        };
        Ok(to.map(|to| Permit { version, to }))
    }

    /// Notes a peer that a node has made. An error means that nobody wants it any more.
    pub(super) fn admitted(&mut self, now: u64, who: &Who, admitted: Admitted) -> Result<(), ApiError> {
        let Admitted { purpose, turn, node, peer } = admitted;
        let on_stage = self.is_on_stage(&who.identity);
        let here = self.people.current(who).ok_or_else(not_here)?;
        if purpose == Purpose::Speak && !on_stage {
            return Err(not_on_stage());
        }
        here.had_media = true;
        let place = here.peer(purpose);
        if place.as_ref().is_some_and(|other| other.turn > turn) {
            return Err(ApiError::new(Code::Conflict, "a later request has replaced this one"));
        }
        let old = place.replace(Peer { node, peer, turn });
        self.people.index(&who.identity);
        if let Some(old) = old {
            self.linger(&who.identity, &old, now + self.settings.replaced_ms);
        }
        Ok(())
    }

    fn is_on_stage(&self, identity: &Identity) -> bool {
        self.ledger.held_to().is_some_and(|room| room.place(identity).number.is_some())
    }

    /// Somebody is no longer on stage: they hear the origin until they have an edge. A WHIP client
    /// cannot be told, so its session ends.
    pub(super) fn left_stage(&mut self, around: &mut Around<'_>, identity: &Identity) {
        let Some(here) = self.people.get_mut(identity) else { return };
        if here.is_whip() {
            let who = Who { identity: identity.clone(), number: here.number };
            self.leave(around, &who);
        } else if let Some(peer) = here.speak.take() {
            self.linger(identity, &peer, around.now + OFF_STAGE_MS);
        }
    }

    fn linger(&mut self, identity: &Identity, peer: &Peer, until: u64) {
        self.people.forget_peer(peer);
        if let Some((node, peer)) = self.lingering.keep(identity, peer.key(), until) {
            self.effects.push(Effect::LingeringFull);
            self.effects.push(Effect::Remove(node, peer));
        }
    }

    /// Removes the peers whose time is over.
    pub(super) fn let_go_of_lingering(&mut self, now: u64) {
        while let Some((node, peer)) = self.lingering.take_due(now) {
            self.effects.push(Effect::Remove(node, peer));
        }
    }

    /// Removes what somebody left behind, at once: they are out.
    pub(super) fn forget_lingering(&mut self, identity: &Identity) {
        for (node, peer) in self.lingering.take_of(identity) {
            self.effects.push(Effect::Remove(node, peer));
        }
    }

    /// Something happened to a peer without our having asked for it.
    pub(super) fn event(&mut self, around: &mut Around<'_>, event: Event) {
        let key = (event.node, event.peer);
        match event.what {
            // The peers before this one are needed no longer. One that somebody has besides, at an edge while
            // they are on stage, is not among them.
            PeerEvent::Connected => {
                if let Some(identity) = self.people.whose(&key) {
                    self.lingering.hurry(identity, around.now + self.settings.switched_ms);
                }
            }
            PeerEvent::Gone => {
                self.lingering.drop(&key);
                if let Some((identity, purpose)) = self.people.lose_peer(&key) {
                    self.peer_lost(around, &identity, purpose, MoveReason::PeerLost);
                }
            }
        }
    }

    /// Nobody says that they want this peer: whoever has it here gets it, as after any other that they came with.
    pub(super) fn orphan(&mut self, now: u64, node: NodeId, orphan: Orphan) {
        let Orphan { peer, purpose, identity, .. } = orphan;
        let (key, on_stage) = ((node.clone(), peer), self.is_on_stage(&identity));
        if self.people.whose(&key).is_some() || self.lingering.has(&key) {
            return;
        }
        let is_out = self.ledger.held_to().is_some_and(|room| room.is_banned(&identity));
        let Some(here) = self.people.get_mut(&identity).filter(|_| !is_out) else {
            if is_out {
                self.effects.push(Effect::Remove(node, peer));
            }
            return;
        };
        let peer = Peer { node, peer, turn: 0 };
        let may_have = purpose == Purpose::Listen || on_stage;
        match here.peer(purpose) {
            place @ None if may_have => {
                *place = Some(peer);
                here.had_media = true;
                self.people.index(&identity);
            }
            Some(_) => self.linger(&identity, &peer, now + self.settings.replaced_ms),
            None => self.linger(&identity, &peer, now + OFF_STAGE_MS),
        }
    }

    /// All peers at a node are gone.
    pub(super) fn node_lost(&mut self, around: &mut Around<'_>, node: &NodeId) {
        self.origin_lost(around.now, node);
        for (identity, purpose) in self.people.at_node(node, true) {
            self.peer_lost(around, &identity, purpose, MoveReason::NodeLost);
        }
    }

    /// Asks those whose turn it is to leave nodes that drain. Speakers stay as long as their origin does: there is
    /// none to go to.
    pub(super) fn move_people(&mut self, around: &mut Around<'_>) {
        for node in self.drains.look(around.now) {
            for (identity, purpose) in self.people.at_node(&node, false) {
                if purpose == Purpose::Listen && self.drains.is_turn(around.now, &node, &identity) {
                    self.peer_lost(around, &identity, purpose, MoveReason::Drain);
                }
            }
        }
    }

    /// Asks somebody to come again for media; a WHIP or WHEP client cannot be asked and is gone.
    fn peer_lost(&mut self, around: &mut Around<'_>, identity: &Identity, purpose: Purpose, why: MoveReason) {
        let on_stage = self.is_on_stage(identity);
        let Some(here) = self.people.get(identity) else { return };
        if here.is_whip() {
            if why != MoveReason::Drain {
                let who = Who { identity: identity.clone(), number: here.number };
                self.leave(around, &who);
            }
            return;
        }
        // On stage one hears the origin, off stage an edge: the other peer was left behind on purpose.
        let is_needed = match purpose {
            Purpose::Speak => on_stage,
            Purpose::Listen => !(on_stage && here.speak.is_some()),
        };
        if is_needed {
            self.tell(identity, ServerMessage::Moved { purpose, why });
        }
    }
}

/// What is said where no node can serve.
pub fn no_node() -> ApiError {
    ApiError::new(Code::Unavailable, "no media node has room")
}

fn not_here() -> ApiError {
    ApiError::new(Code::Conflict, "another session has taken the place of this one")
}

fn not_on_stage() -> ApiError {
    ApiError::new(Code::Forbidden, "only those on stage may speak: raise a hand")
}
