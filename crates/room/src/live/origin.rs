//! The origin of a room: it is sought when somebody is to speak, and again when it is gone; and where a media node
//! knows something else of the room than this one, it is seen who is behind.

use protocol::error::ApiError;
use protocol::id::{Epoch, NodeId, Region};
use protocol::message::Purpose;
use protocol::node::{RoomOrigin, Root};

use super::peers::no_node;
use super::work::Whose;
use super::{Answered, Around, Effect, Live, Trouble};
use crate::hall::Operation;
use crate::limits::EPOCHS_ABOVE;

/// How long a room that has lost its origin waits before it looks for another one again, in ms.
const NO_ORIGIN_MS: u64 = 1_000;

/// A media node knows more than this stage.
#[derive(Debug)]
pub(super) struct Outdated {
    stage: (Epoch, u64),
    look: Look,
}

/// Whether the room has been loaded since.
#[derive(Debug, PartialEq)]
enum Look {
    Due,
    Underway,
    Done,
}

impl Live {
    /// The room's origin, if it has one that is there.
    pub(super) fn root(&self, around: &Around<'_>) -> Option<Root> {
        let (node, epoch) = self.ledger.held_to()?.origin()?;
        let is_there = self.lost_origin != Some(epoch) && around.origins.is_live(node);
        is_there.then(|| Root { origin: node.clone(), epoch })
    }

    /// Looks for an origin. Whether there may be something else to do.
    pub(super) fn seek_origin(&mut self, around: &mut Around<'_>) -> bool {
        if self.root(around).is_some() {
            self.settle_permits(around);
            return true;
        }
        let Some(node) = around.origins.place(self.speakers_region()) else {
            self.no_origin(around, &no_node());
            return true;
        };
        self.work.ask_for_epoch(node);
        let known = self.ledger.newest().and_then(|room| room.origin()).map(|(_, epoch)| epoch);
        self.effects.push(Effect::Epoch(known.unwrap_or_default().max(self.forgotten)));
        false
    }

    /// Where whoever needs the origin is: those who wait for it to speak, or else a host.
    fn speakers_region(&self) -> Option<&Region> {
        let waiting = self.permits.iter().find_map(|(_, who)| self.people.get(&who.identity));
        waiting.or_else(|| self.people.a_host()).map(|here| &here.region)
    }

    pub(super) fn take_epoch(&mut self, around: &mut Around<'_>, epoch: Result<Epoch, Trouble>) {
        let Some(node) = self.work.epoch_answered() else { return };
        match epoch {
            Ok(epoch) => {
                let lost = self.ledger.newest().and_then(|room| room.origin()).map(|(_, epoch)| epoch);
                let operation = Operation::Origin { node, epoch, lost };
                self.work.add_first(operation, Whose::Origin);
            }
            Err(trouble) => self.no_origin(around, &trouble.into()),
        }
        self.go_on_with_work(around);
    }

    /// The room has an origin now.
    pub(super) fn settle_permits(&mut self, around: &mut Around<'_>) {
        for (asked, who) in std::mem::take(&mut self.permits) {
            let permit = self.permitted(around, &who, Purpose::Speak);
            let permit = permit.and_then(|permit| permit.ok_or_else(no_node));
            self.answer(asked, permit.map(Answered::Permit));
        }
    }

    /// There is none to be had.
    pub(super) fn no_origin(&mut self, around: &mut Around<'_>, error: &ApiError) {
        for (asked, _) in std::mem::take(&mut self.permits) {
            self.answer(asked, Err(error.clone()));
        }
        if self.lost_origin.is_some() {
            self.work.want_origin(around.now + NO_ORIGIN_MS);
            self.effects.push(Effect::Warn("a room has lost its origin, and there is no other yet"));
        }
    }

    /// The room's origin is gone, or has forgotten everything: another one takes over, or the same one
    /// with a higher epoch.
    pub(super) fn origin_lost(&mut self, now: u64, node: &NodeId) {
        let origin = self.ledger.held_to().and_then(|room| room.origin());
        let Some((_, epoch)) = origin.filter(|(origin, _)| *origin == node) else { return };
        self.lost_origin = Some(epoch);
        self.work.want_origin(now);
    }

    /// The store may have given epochs after this one, and have forgotten it.
    pub(super) fn may_have_forgotten(&mut self, epoch: Epoch) {
        self.forgotten = self.forgotten.max(Epoch(epoch.0.saturating_add(EPOCHS_ABOVE)));
    }

    /// A media node knows something else of the room than it was told. An origin that knows less is told again. Of
    /// whoever knows more, or has an origin that may be as new, it is seen why.
    pub(super) fn known_otherwise(&mut self, now: u64, node: &NodeId, known: &RoomOrigin) {
        let Some(room) = self.ledger.held_to() else { return };
        let Some((origin, epoch)) = room.origin() else { return };
        let ours = (epoch, room.head.number);
        let theirs = (known.root.epoch, known.stage.unwrap_or(ours.1));
        let is_more = if known.root.origin == *origin { theirs > ours } else { theirs.0 >= epoch };
        if is_more {
            self.outdated(now, ours, theirs.0);
        } else if origin == node && theirs < ours {
            self.push.again();
        }
    }

    /// Somebody knows more than this stage. Either this node has missed something; or, where that is still the
    /// stage once it has been loaded, all have forgotten what they know, and there must be an origin above it.
    fn outdated(&mut self, now: u64, ours: (Epoch, u64), theirs: Epoch) {
        match &self.outdated {
            Some(known) if known.stage == ours && known.look == Look::Done => {
                self.may_have_forgotten(ours.0.max(theirs));
                self.lost_origin = Some(ours.0);
                self.work.want_origin(now);
            }
            // A load that is under way was not asked for this, but for what was before.
            Some(known) if known.stage == ours && known.look == Look::Due => self.ledger.doubt(),
            Some(known) if known.stage == ours => {}
            _ => {
                self.outdated = Some(Outdated { stage: ours, look: Look::Due });
                self.ledger.doubt();
            }
        }
    }

    /// The room is being loaded.
    pub(super) fn outdated_asked(&mut self) {
        if let Some(outdated) = self.outdated.as_mut().filter(|it| it.look == Look::Due) {
            outdated.look = Look::Underway;
        }
    }

    /// The room has been loaded.
    pub(super) fn outdated_loaded(&mut self) {
        if let Some(outdated) = self.outdated.as_mut().filter(|it| it.look == Look::Underway) {
            outdated.look = Look::Done;
        }
    }
}
