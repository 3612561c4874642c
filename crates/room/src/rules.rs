//! The rules of the stage, all of them: who may do what, and what comes of it.
//!
//! ```text
//!                                         ┌─ entry     at the door
//!   Room ──▶ Draft: what is different ────┼─ hosting   what hosts and admins do
//!              │                          └─ oneself   what people do about themselves
//!              └──▶ Settled: answer, changes, Delta; or a Refusal, and the draft is thrown away
//! ```
//!
//! Every operation does first what is due by then, so an invitation that has run out cannot be
//! accepted because a timer was late.

mod entry;
mod expiry;
mod hosting;
mod oneself;

use std::collections::BTreeMap;
use std::ops::Deref;

use protocol::id::{Epoch, Identity, NodeId, SpeakerNumber};
use protocol::message::{DeclineReason, RemoveReason, RoomState, StageMember};
use protocol::token::Role;

use crate::limits::MAX_STANDING;
use crate::room::{Delta, Head, Numbered, RaisedHand, Seat, Standing};
use crate::{Action, Actor, Answer, Change, Farewell, People, Refusal, Room};

/// A room that is being changed. It holds what is different and leaves the room as it is.
pub(crate) struct Draft<'a> {
    room: &'a Room,
    now: u64,
    head: Head,
    hands: Overlay<'a, RaisedHand>,
    standing: Overlay<'a, Standing>,
    /// Of the stage and the hands, to be told in one message each.
    set: Vec<StageMember>,
    gone: Vec<Identity>,
    up: Vec<Identity>,
    down: Vec<Identity>,
    /// Everything else.
    changes: Vec<Change>,
}

/// What came of a draft.
pub(crate) struct Settled {
    pub(crate) changes: Vec<Change>,
    pub(crate) delta: Delta,
}

/// Entries, and what is to become of some of them.
struct Overlay<'a, T> {
    base: &'a BTreeMap<Identity, Numbered<T>>,
    changed: BTreeMap<Identity, Option<T>>,
    count: usize,
}

impl<'a, T: Clone + PartialEq> Overlay<'a, T> {
    fn new(base: &'a BTreeMap<Identity, Numbered<T>>) -> Self {
        Self { base, changed: BTreeMap::new(), count: base.len() }
    }

    fn get(&self, identity: &Identity) -> Option<&T> {
        match self.changed.get(identity) {
            Some(changed) => changed.as_ref(),
            None => self.base.get(identity).map(|entry| &entry.value),
        }
    }

    /// Those that there are now.
    fn iter(&self) -> impl Iterator<Item = (&Identity, &T)> {
        let is_same = |identity: &&Identity| !self.changed.contains_key(identity);
        let same = self.base.iter().filter(move |(identity, _)| is_same(identity));
        let changed = self.changed.iter().filter_map(|(identity, value)| Some((identity, value.as_ref()?)));
        same.map(|(identity, entry)| (identity, &entry.value)).chain(changed)
    }

    fn set(&mut self, identity: &Identity, value: T) {
        self.count += usize::from(self.get(identity).is_none());
        self.changed.insert(identity.clone(), Some(value));
    }

    fn remove(&mut self, identity: &Identity) -> Option<T> {
        let value = self.get(identity).cloned()?;
        self.count -= 1;
        self.changed.insert(identity.clone(), None);
        Some(value)
    }

    fn remove_all(&mut self) {
        self.changed = self.base.keys().map(|identity| (identity.clone(), None)).collect();
        self.count = 0;
    }

    /// What is different now.
    fn into_changed(self) -> BTreeMap<Identity, Option<T>> {
        let Self { base, mut changed, .. } = self;
        changed.retain(|identity, value| base.get(identity).map(|entry| &entry.value) != value.as_ref());
        changed
    }
}

impl Deref for Draft<'_> {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl<'a> Draft<'a> {
    /// Of a room, with what is due by `now` done.
    pub(crate) fn new(room: &'a Room, now: u64) -> Self {
        let mut draft = Self {
            room,
            now,
            head: room.head.value.clone(),
            hands: Overlay::new(&room.hands),
            standing: Overlay::new(&room.standing),
            set: Vec::new(),
            gone: Vec::new(),
            up: Vec::new(),
            down: Vec::new(),
            changes: Vec::new(),
        };
        draft.expire();
        draft
    }

    /// What is different.
    pub(crate) fn settle(self) -> Settled {
        let mut changes = Vec::new();
        if !self.set.is_empty() || !self.gone.is_empty() {
            changes.push(Change::Stage { set: self.set, gone: self.gone });
        }
        if !self.up.is_empty() || !self.down.is_empty() {
            changes.push(Change::Hands { up: self.up, down: self.down });
        }
        changes.extend(self.changes);
        let before = &self.room.head.value;
        let door = (self.head.state, self.head.awaits) != (before.state, before.awaits);
        let head = (self.head != *before).then_some(self.head);
        let (hands, standing) = (self.hands.into_changed(), self.standing.into_changed());
        Settled { changes, delta: Delta { head, door, hands, standing } }
    }

    /// Gives the room an origin if it has none, or if the one it has is that of the epoch `lost`.
    /// `epoch` must be higher than any that was given before.
    pub(crate) fn assign_origin(
        &mut self,
        node: &NodeId,
        epoch: Epoch,
        lost: Option<Epoch>,
    ) -> Result<Answer, Refusal> {
        self.check_not_ended()?;
        if (self.origin.is_none() || lost == Some(self.epoch)) && epoch > self.epoch {
            (self.head.origin, self.head.epoch) = (Some(node.clone()), epoch);
            self.changes.push(Change::Origin { node: node.clone(), epoch });
        }
        Ok(Answer::Done)
    }

    /// Ends the room because nobody has been here for so long.
    pub(crate) fn desert(&mut self) -> Result<Answer, Refusal> {
        self.check_not_ended()?;
        self.end();
        Ok(Answer::Done)
    }

    /// Does what an actor wants, or says why not.
    pub(crate) fn act(
        &mut self,
        actor: &Actor,
        action: &Action,
        people: &impl People,
    ) -> Result<Answer, Refusal> {
        if *action == Action::End && self.state == RoomState::Ended {
            return Ok(Answer::Done);
        }
        self.check_not_ended()?;
        if let Some(identity) = actor.identity().filter(|identity| self.is_banned(identity)) {
            debug_assert!(self.seat(identity).is_none());
            return Err(Refusal::Banned);
        }
        match (action, actor) {
            (Action::RaiseHand, _) => self.raise_hand(oneself(actor)?, people),
            (Action::Accept, _) => self.accept(oneself(actor)?, people),
            (Action::Decline, _) => self.decline(oneself(actor)?),
            (Action::Unmute, _) => self.unmute(oneself(actor)?),
            (Action::LowerHand { identity: None }, _) => self.lower_own_hand(oneself(actor)?),
            (Action::Mute { identity: None }, _) => self.mute_oneself(oneself(actor)?),
            (Action::Demote { identity: None }, _) => self.step_down(oneself(actor)?),
            _ => {
                self.check_host(actor)?;
                self.host(actor, action, people)
            }
        }
    }

    /// Whether somebody may do here what hosts and admins may.
    pub(crate) fn check_may_host(&self, actor: &Actor) -> Result<(), Refusal> {
        if actor.identity().is_some_and(|identity| self.is_banned(identity)) {
            return Err(Refusal::Banned);
        }
        self.check_host(actor)
    }

    /// Who was put out so far.
    pub(crate) fn removed(&self) -> impl Iterator<Item = (Identity, RemoveReason)> {
        self.changes.iter().filter_map(|change| match change {
            Change::Removed { identity, reason } => Some((identity.clone(), *reason)),
            _ => None,
        })
    }

    /// What the tickets of somebody who was put out are told. Of whom nothing can be noted they are told
    /// that they are spent.
    pub(crate) fn bid_farewell(&mut self, identity: &Identity, farewell: Farewell) {
        let _full = self.decide(identity, |standing| standing.farewell = Some(farewell));
    }

    fn check_not_ended(&self) -> Result<(), Refusal> {
        if self.state == RoomState::Ended { Err(Refusal::Ended) } else { Ok(()) }
    }

    /// Who shows a host token over HTTP is one unless the room has decided otherwise about them.
    fn check_host(&self, actor: &Actor) -> Result<(), Refusal> {
        let decided = |identity| self.standing.get(identity).and_then(|standing| standing.role);
        let may = match actor {
            Actor::Admin => true,
            Actor::Bearer(identity) => decided(identity).is_none_or(|role| role == Role::Host),
            Actor::Participant(identity) => self.is_host(identity),
        };
        if may { Ok(()) } else { Err(Refusal::NotHost) }
    }

    /// Seats somebody with a number that nobody had before. The seat must be free.
    fn seat_down(&mut self, identity: &Identity, name: &str) -> Result<&Seat, Refusal> {
        let next = self.last_number.0.checked_add(1);
        let number = next.map(SpeakerNumber).ok_or(Refusal::Conflict("the room has no numbers left"))?;
        let standing = self.decide(identity, |standing| standing.offstage = false)?;
        let muted = standing.muted;
        let host = standing.role == Some(Role::Host);
        let seat = Seat { identity: identity.clone(), name: name.into(), number, host, muted };
        self.take_hand(identity);
        self.head.invitations.retain(|invitation| invitation.identity != *identity);
        self.head.last_number = number;
        self.head.stage.push(seat);
        self.tell_member(identity);
        Ok(&self.head.stage[self.head.stage.len() - 1])
    }

    /// Takes somebody's seat away, if they have one.
    fn take_seat(&mut self, identity: &Identity) -> Option<Seat> {
        let position = self.stage.iter().position(|seat| seat.identity == *identity)?;
        let seat = self.head.stage.remove(position);
        self.set.retain(|member| member.identity != *identity);
        self.gone.push(identity.clone());
        Some(seat)
    }

    /// Takes somebody's hand down, if it is up.
    fn take_hand(&mut self, identity: &Identity) -> bool {
        if self.hands.remove(identity).is_none() {
            return false;
        }
        self.up.retain(|up| up != identity);
        self.down.push(identity.clone());
        true
    }

    /// Takes somebody's invitation back, if they have one.
    fn take_invitation(&mut self, identity: &Identity) -> bool {
        let before = self.invitations.len();
        self.head.invitations.retain(|invitation| invitation.identity != *identity);
        self.invitations.len() != before
    }

    /// The same, and hosts learn why.
    fn decline_invitation(&mut self, identity: &Identity, why: DeclineReason) -> bool {
        let taken = self.take_invitation(identity);
        if taken {
            self.changes.push(Change::Declined { identity: identity.clone(), why });
        }
        taken
    }

    /// Whether a seat is neither taken nor held.
    fn check_seat_free(&self) -> Result<(), Refusal> {
        if self.stage.len() + self.invitations.len() < usize::from(self.seats) {
            return Ok(());
        }
        let first = self.invitations.iter().map(|invitation| invitation.expires).min();
        let retry_after_ms = first.map(|expires| expires.saturating_sub(self.now));
        Err(Refusal::StageFull { seats: self.seats, retry_after_ms })
    }

    fn set_muted(&mut self, identity: &Identity, muted: bool) {
        let position = self.stage.iter().position(|seat| seat.identity == *identity);
        if let Some(position) = position.filter(|&position| self.stage[position].muted != muted) {
            self.head.stage[position].muted = muted;
            self.tell_member(identity);
        }
    }

    /// Everybody learns how somebody on stage stands.
    fn tell_member(&mut self, identity: &Identity) {
        let member = self.seat(identity).map(Seat::member);
        self.gone.retain(|gone| gone != identity);
        self.set.retain(|member| member.identity != *identity);
        self.set.extend(member);
    }

    /// Decides something about somebody. Makes place for it by forgetting what says no more than a token
    /// would.
    fn decide(
        &mut self,
        identity: &Identity,
        decision: impl FnOnce(&mut Standing),
    ) -> Result<Standing, Refusal> {
        if self.standing.get(identity).is_none() && self.standing.count >= MAX_STANDING {
            self.forget_what_tokens_say();
            if self.standing.count >= MAX_STANDING {
                return Err(Refusal::Limit { what: "decisions about people", limit: MAX_STANDING });
            }
        }
        let mut standing = self.standing.get(identity).cloned().unwrap_or_default();
        decision(&mut standing);
        self.standing.set(identity, standing.clone());
        Ok(standing)
    }

    fn forget_what_tokens_say(&mut self) {
        let is_decided = |standing: &Standing| {
            standing.banned || standing.offstage || standing.muted || standing.role == Some(Role::Host)
        };
        let base = self.standing.base;
        for identity in base.keys().filter(|identity| self.head.seat(identity).is_none()) {
            if self.standing.get(identity).is_some_and(|standing| !is_decided(standing)) {
                self.standing.remove(identity);
            }
        }
    }

    fn is_host(&self, identity: &Identity) -> bool {
        self.standing.get(identity).is_some_and(|standing| standing.role == Some(Role::Host))
    }

    fn is_banned(&self, identity: &Identity) -> bool {
        self.standing.get(identity).is_some_and(|standing| standing.banned)
    }
}

impl Room {
    /// Whether somebody may see what hosts and admins see: whom the room has put out may not.
    pub fn check_host(&self, actor: &Actor) -> Result<(), Refusal> {
        Draft::new(self, 0).check_may_host(actor)
    }
}

/// Whom an action is about that one can only do oneself.
fn oneself(actor: &Actor) -> Result<&Identity, Refusal> {
    match actor {
        Actor::Participant(identity) => Ok(identity),
        _ => Err(Refusal::Invalid("`identity` is missing".into())),
    }
}
