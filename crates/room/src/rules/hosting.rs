//! What hosts and admins do.

use protocol::id::Identity;
use protocol::message::{RemoveReason, RoomState};
use protocol::token::Role;

use super::Draft;
use crate::limits::INVITATION_MS;
use crate::room::{Invitation, check_seats, check_title};
use crate::{Action, Actor, Answer, Change, People, Refusal};

impl Draft<'_> {
    /// The actor is known to be one of them.
    pub(super) fn host(
        &mut self,
        actor: &Actor,
        action: &Action,
        people: &impl People,
    ) -> Result<Answer, Refusal> {
        match action {
            Action::Promote { identity } => self.promote(actor, identity, people),
            Action::Demote { identity: Some(identity) } => self.demote(actor, identity),
            Action::Mute { identity: Some(identity) } => self.mute(actor, identity),
            Action::LowerHand { identity: Some(identity) } => {
                self.take_hand(identity);
                Ok(Answer::Done)
            }
            Action::LowerAllHands => Ok(self.lower_all_hands()),
            Action::Kick { identity } => self.kick(actor, identity, people),
            Action::Ban { identity } => self.ban(actor, identity),
            Action::Unban { identity } => self.unban(identity),
            Action::GoLive => Ok(self.go_live()),
            Action::End => {
                self.end();
                Ok(Answer::Done)
            }
            Action::Configure { title, seats, live } => self.configure(title.as_deref(), *seats, *live),
            _ => Err(Refusal::Invalid("`identity` is missing".into())),
        }
    }

    /// A hand that is up is consent, and so is promoting oneself; anybody else is asked.
    fn promote(
        &mut self,
        actor: &Actor,
        identity: &Identity,
        people: &impl People,
    ) -> Result<Answer, Refusal> {
        let name = people.name(identity).ok_or_else(|| Refusal::NotHere(identity.clone()))?;
        if self.seat(identity).is_some() {
            return Err(Refusal::Conflict("already on stage"));
        }
        if let Some(invitation) = self.invitation(identity) {
            return Ok(Answer::Invited { expires_ms: invitation.expires.saturating_sub(self.now) });
        }
        self.check_seat_free()?;
        let agreed = self.hands.get(identity).is_some();
        if agreed || actor.identity() == Some(identity) {
            return self.seat_promoted(identity, name, actor.identity().cloned());
        }
        let (by, expires) = (actor.identity().cloned(), self.now.saturating_add(INVITATION_MS));
        let invitation =
            Invitation { identity: identity.clone(), name: name.into(), by: by.clone(), expires };
        self.head.invitations.push(invitation);
        self.changes.push(Change::Invited { identity: identity.clone(), by, expires_ms: INVITATION_MS });
        Ok(Answer::Invited { expires_ms: INVITATION_MS })
    }

    /// Seats somebody whom a host wanted on stage, and tells them. If they were a listener so far, it
    /// is noted now that this was their first role: no later token makes them more.
    pub(super) fn seat_promoted(
        &mut self,
        identity: &Identity,
        name: &str,
        by: Option<Identity>,
    ) -> Result<Answer, Refusal> {
        self.decide(identity, |standing| standing.role = standing.role.or(Some(Role::Listener)))?;
        let seat = self.seat_down(identity, name)?;
        let (number, muted) = (seat.number, seat.muted);
        self.changes.push(Change::Promoted { identity: identity.clone(), by, number, muted });
        Ok(Answer::Seated { number })
    }

    /// A host who is demoted stays a host: they are equal.
    fn demote(&mut self, actor: &Actor, identity: &Identity) -> Result<Answer, Refusal> {
        if self.seat(identity).is_none() && self.invitation(identity).is_none() {
            return Err(Refusal::Conflict("not on stage"));
        }
        self.off_stage(identity)?;
        self.changes.push(Change::Demoted { identity: identity.clone(), by: actor.identity().cloned() });
        Ok(Answer::Done)
    }

    /// Takes seat or invitation, for good unless somebody promotes them again.
    pub(super) fn off_stage(&mut self, identity: &Identity) -> Result<(), Refusal> {
        if self.take_seat(identity).is_some() {
            self.decide(identity, |standing| standing.offstage = true)?;
        }
        self.take_invitation(identity);
        Ok(())
    }

    fn mute(&mut self, actor: &Actor, identity: &Identity) -> Result<Answer, Refusal> {
        if actor.identity() == Some(identity) {
            return self.mute_oneself(identity);
        }
        if self.seat(identity).is_none() {
            return Err(Refusal::Conflict("not on stage"));
        }
        let known = self.standing.get(identity).is_some_and(|standing| standing.muted);
        if !known {
            self.decide(identity, |standing| standing.muted = true)?;
            self.changes.push(Change::Muted { identity: identity.clone(), by: actor.identity().cloned() });
        }
        self.set_muted(identity, true);
        Ok(Answer::Done)
    }

    /// Whoever raises theirs again is seen again.
    fn lower_all_hands(&mut self) -> Answer {
        let up: Vec<_> = self.hands.iter().map(|(identity, _)| identity.clone()).collect();
        for identity in &up {
            self.take_hand(identity);
        }
        Answer::Done
    }

    fn kick(&mut self, actor: &Actor, identity: &Identity, people: &impl People) -> Result<Answer, Refusal> {
        self.check_may_put_out(actor, identity)?;
        if people.name(identity).is_none() && self.seat(identity).is_none() {
            return Err(Refusal::NotHere(identity.clone()));
        }
        match self.put_out(identity, RemoveReason::Kicked) {
            // Whoever was on stage or a host has a standing; for the others there is nothing to take.
            Err(Refusal::Limit { .. }) => Ok(Answer::Done),
            done => done,
        }
    }

    fn ban(&mut self, actor: &Actor, identity: &Identity) -> Result<Answer, Refusal> {
        self.check_may_put_out(actor, identity)?;
        if self.is_banned(identity) {
            return Ok(Answer::Done);
        }
        self.decide(identity, |standing| standing.banned = true)?;
        self.put_out(identity, RemoveReason::Banned)
    }

    fn unban(&mut self, identity: &Identity) -> Result<Answer, Refusal> {
        if self.is_banned(identity) {
            self.decide(identity, |standing| standing.banned = false)?;
        }
        Ok(Answer::Done)
    }

    fn check_may_put_out(&self, actor: &Actor, identity: &Identity) -> Result<(), Refusal> {
        if actor.identity() == Some(identity) {
            return Err(Refusal::Conflict("one leaves by `leave`"));
        }
        if *actor != Actor::Admin && self.is_host(identity) {
            return Err(Refusal::TargetIsHost);
        }
        Ok(())
    }

    /// Out of the room; if they come back, then to listen, whatever token they show.
    fn put_out(&mut self, identity: &Identity, reason: RemoveReason) -> Result<Answer, Refusal> {
        self.changes.push(Change::Removed { identity: identity.clone(), reason });
        self.take_seat(identity);
        self.take_hand(identity);
        self.take_invitation(identity);
        self.decide(identity, |standing| {
            (standing.role, standing.offstage) = (Some(Role::Listener), true);
        })?;
        Ok(Answer::Done)
    }

    pub(super) fn go_live(&mut self) -> Answer {
        if self.state == RoomState::Backstage {
            let now = self.now;
            let head = &mut self.head;
            (head.state, head.since, head.awaits) = (RoomState::Live, now, false);
            self.changes.push(Change::Room { state: RoomState::Live, since: now });
        }
        Answer::Done
    }

    /// Seats that are taken or held stay so. A room that only waits becomes what it was to be; how far one is
    /// that was made on purpose is decided by what its hosts do.
    fn configure(
        &mut self,
        title: Option<&str>,
        seats: Option<u16>,
        live: Option<bool>,
    ) -> Result<Answer, Refusal> {
        let (title, seats) = (title.unwrap_or(&self.title).to_owned(), seats.unwrap_or(self.seats));
        check_title(&title)?;
        check_seats(seats)?;
        if usize::from(seats) < self.stage.len() + self.invitations.len() {
            return Err(Refusal::Conflict("more seats than that are taken or held for invited people"));
        }
        if (&title, seats) != (&self.title, self.seats) {
            let (state, since) = (self.state, self.since);
            (self.head.title, self.head.seats) = (title, seats);
            self.changes.push(Change::Room { state, since });
        }
        if self.awaits && live == Some(false) {
            self.head.awaits = false;
        } else if self.awaits && live == Some(true) {
            self.go_live();
        }
        Ok(Answer::Done)
    }
}
