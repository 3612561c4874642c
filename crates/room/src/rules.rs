//! The rules of the stage, all of them: who may do what, and what comes of it.
//!
//! ```text
//!   enter cut leave desert ┐                  ┌─ entry     at the door
//!   act(actor, action) ────┼─▶ Draft: a copy ─┼─ hosting   what hosts and admins do
//!   expire, assign_origin ─┘   of the room    └─ oneself   what people do about themselves
//!                                └──▶ Outcome, or a Refusal and nothing has changed
//! ```
//!
//! Every operation does first what is due by then, so an invitation that has run out cannot be
//! accepted because a timer was late.

mod entry;
mod expiry;
mod hosting;
mod oneself;

use std::ops::Deref;

use protocol::id::{Epoch, Identity, NodeId, SpeakerNumber};
use protocol::message::{DeclineReason, Hand, RoomState, StageMember};
use protocol::token::Role;

use crate::limits::MAX_STANDING;
use crate::room::{Seat, Standing};
use crate::{Action, Actor, Answer, Arrival, Change, Outcome, People, Refusal, Room};

impl Room {
    /// Does what an actor wants, or says why not.
    pub fn act(
        &mut self,
        now: u64,
        actor: &Actor,
        action: &Action,
        people: &impl People,
    ) -> Result<Outcome, Refusal> {
        self.change(now, |draft| draft.act(actor, action, people))
    }

    /// Lets somebody in. Whoever has a seat, a hand or an invitation still has it; a host or speaker
    /// gets a seat, unless hosts have decided otherwise or none is free.
    pub fn enter(&mut self, now: u64, arrival: &Arrival) -> Result<Outcome, Refusal> {
        self.change(now, |draft| draft.enter(arrival))
    }

    /// Holds what somebody has for as long as they may come back. Whoever has nothing changes nothing.
    pub fn cut(&mut self, now: u64, identity: &Identity) -> Result<Outcome, Refusal> {
        self.change(now, |draft| draft.cut(identity))
    }

    /// Takes back what somebody has who is gone for good.
    pub fn leave(&mut self, now: u64, identity: &Identity) -> Result<Outcome, Refusal> {
        self.change(now, |draft| draft.leave(identity))
    }

    /// Ends the room because nobody has been here for so long.
    pub fn desert(&mut self, now: u64) -> Result<Outcome, Refusal> {
        self.change(now, |draft| {
            draft.check_not_ended()?;
            draft.end();
            Ok(Answer::Done)
        })
    }

    /// Does what is due.
    pub fn expire(&mut self, now: u64) -> Result<Outcome, Refusal> {
        self.change(now, |_| Ok(Answer::Done))
    }

    /// Gives the room an origin if it has none, or if the one it has is that of the epoch `lost`.
    /// `epoch` must be higher than any that was given before.
    pub fn assign_origin(
        &mut self,
        now: u64,
        node: &NodeId,
        epoch: Epoch,
        lost: Option<Epoch>,
    ) -> Result<Outcome, Refusal> {
        self.change(now, |draft| {
            draft.check_not_ended()?;
            if (draft.origin.is_none() || lost == Some(draft.epoch)) && epoch > draft.epoch {
                let room = draft.edit();
                (room.origin, room.epoch) = (Some(node.clone()), epoch);
                draft.changes.push(Change::Origin { node: node.clone(), epoch });
            }
            Ok(Answer::Done)
        })
    }

    /// Runs one operation on a copy, so that a refusal leaves everything as it was.
    fn change(
        &mut self,
        now: u64,
        operation: impl FnOnce(&mut Draft) -> Result<Answer, Refusal>,
    ) -> Result<Outcome, Refusal> {
        let mut draft = Draft::new(self, now);
        draft.expire();
        let answer = operation(&mut draft)?;
        Ok(draft.settle(self, answer))
    }
}

/// A room that is being changed.
struct Draft {
    room: Room,
    now: u64,
    edited: bool,
    /// Of the stage and the hands, to be told in one message each.
    set: Vec<StageMember>,
    gone: Vec<Identity>,
    up: Vec<Hand>,
    down: Vec<Identity>,
    /// Everything else.
    changes: Vec<Change>,
}

impl Deref for Draft {
    type Target = Room;

    fn deref(&self) -> &Room {
        &self.room
    }
}

impl Draft {
    fn new(room: &Room, now: u64) -> Self {
        Self {
            room: room.clone(),
            now,
            edited: false,
            set: Vec::new(),
            gone: Vec::new(),
            up: Vec::new(),
            down: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// The room, about to be changed: every way to change it leads through here, so that none forgets
    /// the version.
    fn edit(&mut self) -> &mut Room {
        self.edited = true;
        &mut self.room
    }

    /// Makes the draft the room.
    fn settle(mut self, room: &mut Room, answer: Answer) -> Outcome {
        let before = self.room.version;
        self.room.version += u64::from(self.edited);
        let mut changes = Vec::new();
        if !self.set.is_empty() || !self.gone.is_empty() {
            changes.push(Change::Stage { set: self.set, gone: self.gone });
        }
        if !self.up.is_empty() || !self.down.is_empty() {
            changes.push(Change::Hands { up: self.up, down: self.down });
        }
        changes.extend(self.changes);
        let version = self.room.version;
        if self.edited {
            *room = self.room;
        }
        Outcome { before, version, answer, changes }
    }

    fn act(&mut self, actor: &Actor, action: &Action, people: &impl People) -> Result<Answer, Refusal> {
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
        let standing = self.standing_mut(identity)?;
        standing.offstage = false;
        let muted = standing.muted;
        let away_since = self.raised_hand(identity).and_then(|hand| hand.away_since);
        let seat = Seat { identity: identity.clone(), name: name.into(), number, muted, away_since };
        self.take_hand(identity);
        let room = self.edit();
        room.invitations.retain(|invitation| invitation.identity != *identity);
        room.last_number = number;
        room.stage.push(seat);
        self.tell_member(identity);
        Ok(&self.room.stage[self.room.stage.len() - 1])
    }

    /// Takes somebody's seat away, if they have one.
    fn take_seat(&mut self, identity: &Identity) -> Option<Seat> {
        let position = self.stage.iter().position(|seat| seat.identity == *identity)?;
        let seat = self.edit().stage.remove(position);
        self.set.retain(|member| member.identity != *identity);
        self.gone.push(identity.clone());
        Some(seat)
    }

    /// Takes somebody's hand down, if it is up.
    fn take_hand(&mut self, identity: &Identity) -> bool {
        let Some(position) = self.hands.iter().position(|hand| hand.identity == *identity) else {
            return false;
        };
        self.edit().hands.remove(position);
        self.up.retain(|hand| hand.identity != *identity);
        self.down.push(identity.clone());
        true
    }

    /// Takes somebody's invitation back, if they have one.
    fn take_invitation(&mut self, identity: &Identity) -> bool {
        let before = self.invitations.len();
        if self.invitation(identity).is_some() {
            self.edit().invitations.retain(|invitation| invitation.identity != *identity);
        }
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
            self.edit().stage[position].muted = muted;
            self.tell_member(identity);
        }
    }

    /// Everybody learns how somebody on stage stands.
    fn tell_member(&mut self, identity: &Identity) {
        let member = self.seat(identity).map(|seat| self.member(seat));
        self.gone.retain(|gone| gone != identity);
        self.set.retain(|member| member.identity != *identity);
        self.set.extend(member);
    }

    /// What is decided about somebody, to be changed. Makes place for it by forgetting what says no
    /// more than a token would.
    fn standing_mut(&mut self, identity: &Identity) -> Result<&mut Standing, Refusal> {
        if !self.standing.contains_key(identity) && self.standing.len() >= MAX_STANDING {
            let kept: Vec<Identity> = self.stage.iter().map(|seat| seat.identity.clone()).collect();
            self.edit().standing.retain(|identity, standing| {
                let decided = standing.banned || standing.offstage || standing.muted;
                decided || standing.role == Some(Role::Host) || kept.contains(identity)
            });
            if self.standing.len() >= MAX_STANDING {
                return Err(Refusal::Limit { what: "decisions about people", limit: MAX_STANDING });
            }
        }
        Ok(self.edit().standing.entry(identity.clone()).or_default())
    }
}

/// Whom an action is about that one can only do oneself.
fn oneself(actor: &Actor) -> Result<&Identity, Refusal> {
    match actor {
        Actor::Participant(identity) => Ok(identity),
        _ => Err(Refusal::Invalid("`identity` is missing".into())),
    }
}

#[cfg(test)]
mod tests;
