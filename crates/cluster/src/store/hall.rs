//! A room together with everybody in it: where the rules of the stage and the roster meet.

use std::sync::Arc;

use protocol::id::{Epoch, Identity, NodeId};
use protocol::message::{Counts, Person, RemoveReason, RoomState};
use protocol::token::Role;
use room::limits::ENDED_MS;
use room::{Action, Actor, Answer, Arrival, Change, Gone, Outcome, Plan, Room, Roster, Session};

use super::{Acted, Listed, StoreError};

/// A room and its people.
pub(super) struct Hall {
    room: Arc<Room>,
    roster: Roster,
    /// Ended because nobody was there: nobody needs to be told so later.
    deserted: bool,
}

impl Hall {
    pub(super) fn new(room: Room, now: u64) -> Self {
        Self { room: Arc::new(room), roster: Roster::new(now), deserted: false }
    }

    pub(super) fn create_again(&mut self, now: u64, plan: &Plan) -> Result<Acted, StoreError> {
        if self.room.state() == RoomState::Ended {
            *self = Self::new(self.room.again(plan, now)?, now);
            return Ok(self.nothing_happened());
        }
        let live = Some(plan.live != Some(false));
        let configure = Action::Configure { title: plan.title.clone(), seats: plan.seats, live };
        self.act(now, &Actor::Admin, &configure)
    }

    pub(super) fn enter(
        &mut self,
        now: u64,
        arrival: &Arrival,
        session: &Session,
        limit: usize,
    ) -> Result<Acted, StoreError> {
        self.roster.check_enter(arrival, limit)?;
        let outcome = Arc::make_mut(&mut self.room).enter(now, arrival)?;
        let replaced = self.roster.enter(arrival, session);
        let gone = replaced.map(|session| Gone {
            identity: arrival.identity.clone(),
            session,
            reason: RemoveReason::Replaced,
        });
        Ok(self.acted(outcome, gone.into_iter().collect()))
    }

    /// Somebody who may come back, as who they were; their role is settled already.
    pub(super) fn returning(&mut self, now: u64, identity: &Identity) -> Option<Arrival> {
        let present = self.roster.get(identity).filter(|present| !present.is_lost(now))?;
        Some(Arrival {
            identity: identity.clone(),
            name: present.name.clone(),
            role: Role::Listener,
            hidden: present.hidden,
        })
    }

    pub(super) fn cut(
        &mut self,
        now: u64,
        identity: &Identity,
        session: &Session,
    ) -> Result<Acted, StoreError> {
        if !self.roster.cut(identity, session, now) {
            return Ok(self.nothing_happened());
        }
        let outcome = Arc::make_mut(&mut self.room).cut(now, identity)?;
        Ok(self.acted(outcome, Vec::new()))
    }

    pub(super) fn leave(
        &mut self,
        now: u64,
        identity: &Identity,
        session: &Session,
    ) -> Result<Acted, StoreError> {
        if self.roster.get(identity).is_none_or(|present| present.session != *session) {
            return Ok(self.nothing_happened());
        }
        let outcome = Arc::make_mut(&mut self.room).leave(now, identity)?;
        let gone = self.roster.remove(now, identity).map(|_| Gone {
            identity: identity.clone(),
            session: session.clone(),
            reason: RemoveReason::Left,
        });
        Ok(self.acted(outcome, gone.into_iter().collect()))
    }

    pub(super) fn act(&mut self, now: u64, actor: &Actor, action: &Action) -> Result<Acted, StoreError> {
        let outcome = Arc::make_mut(&mut self.room).act(now, actor, action, &self.roster)?;
        let mut gone = Vec::new();
        for change in &outcome.changes {
            let Change::Removed { identity, reason } = change else { continue };
            let present = self.roster.remove(now, identity);
            gone.extend(present.map(|present| Gone {
                identity: identity.clone(),
                session: present.session,
                reason: *reason,
            }));
        }
        if self.room.state() == RoomState::Ended {
            self.roster.clear(now);
        }
        Ok(self.acted(outcome, gone))
    }

    pub(super) fn assign_origin(
        &mut self,
        now: u64,
        node: &NodeId,
        epoch: Epoch,
        lost: Option<Epoch>,
    ) -> Result<Acted, StoreError> {
        let outcome = Arc::make_mut(&mut self.room).assign_origin(now, node, epoch, lost)?;
        Ok(self.acted(outcome, Vec::new()))
    }

    /// What is due here; each thing is an outcome of its own.
    pub(super) fn expire(&mut self, now: u64) -> Result<Vec<Acted>, StoreError> {
        let mut happened = Vec::new();
        let outcome = Arc::make_mut(&mut self.room).expire(now)?;
        if outcome.version != outcome.before {
            happened.push(self.acted(outcome, Vec::new()));
        }
        for gone in self.roster.expire(now) {
            let outcome = Arc::make_mut(&mut self.room).leave(now, &gone.identity)?;
            happened.push(self.acted(outcome, vec![gone]));
        }
        if self.room.state() != RoomState::Ended && self.roster.is_deserted(now) {
            let outcome = Arc::make_mut(&mut self.room).desert(now)?;
            self.deserted = true;
            happened.push(self.acted(outcome, Vec::new()));
        }
        Ok(happened)
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        if self.room.state() == RoomState::Ended {
            return Some(self.room.info().since.saturating_add(ENDED_MS));
        }
        [self.room.next_deadline(), self.roster.next_deadline()].into_iter().flatten().min()
    }

    /// Whether it can be forgotten.
    pub(super) fn is_over(&self, now: u64) -> bool {
        self.deserted
            || self.room.state() == RoomState::Ended
                && self.next_deadline().is_some_and(|deadline| deadline <= now)
    }

    pub(super) fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    pub(super) fn listed(&self) -> Listed {
        let (stage, hands) = (self.room.stage().len(), self.room.hand_count());
        let listeners = self.roster.visible().saturating_sub(stage);
        let counts = Counts { listeners: listeners as u32, speakers: stage as u32, hands: hands as u32 };
        Listed { room: self.room(), counts }
    }

    pub(super) fn people(&self, after: Option<&Identity>, limit: usize) -> Vec<Person> {
        self.roster.page(after, limit)
    }

    pub(super) fn present(&self) -> usize {
        self.roster.visible()
    }

    #[cfg(test)]
    pub(super) fn session(&self, identity: &Identity) -> Option<Session> {
        self.roster.get(identity).map(|present| present.session.clone())
    }

    pub(super) fn nothing_happened(&self) -> Acted {
        let version = self.room.version();
        self.acted(
            Outcome { before: version, version, answer: Answer::Done, changes: Vec::new() },
            Vec::new(),
        )
    }

    fn acted(&self, outcome: Outcome, gone: Vec<Gone>) -> Acted {
        Acted { room: self.room(), outcome, gone }
    }
}
