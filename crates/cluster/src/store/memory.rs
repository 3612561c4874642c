//! The store within one process.
//!
//! One lock holds everything, and every operation is one holding of it: short, and never across a wait.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use protocol::id::{Epoch, Identity, NodeId, RoomId};
use protocol::message::Person;
use room::{Action, Actor, Arrival, Plan, Room, Session};

use super::hall::Hall;
use super::ticket::{Tickets, Worth};
use super::{Acted, Entered, Limits, Listed, Store, StoreError};

/// Keeps the rooms of one process.
pub struct MemoryStore {
    limits: Limits,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    halls: BTreeMap<RoomId, Hall>,
    tickets: Tickets,
    /// The epoch given last, whichever room got it.
    epoch: Epoch,
}

impl MemoryStore {
    /// A store without rooms.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, inner: Mutex::default() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn create(&self, now: u64, room: &RoomId, plan: &Plan) -> Result<Acted, StoreError> {
        let mut inner = self.inner();
        if let Some(hall) = inner.halls.get_mut(room) {
            return hall.create_again(now, plan);
        }
        inner.check_rooms(&self.limits)?;
        let hall = Hall::new(Room::new(room.clone(), plan, now)?, now);
        let acted = hall.nothing_happened();
        inner.halls.insert(room.clone(), hall);
        Ok(acted)
    }

    async fn enter(
        &self,
        now: u64,
        room: &RoomId,
        arrival: &Arrival,
        session: &Session,
    ) -> Result<Entered, StoreError> {
        self.inner().enter(now, room, arrival, session, None, &self.limits)
    }

    async fn resume(&self, now: u64, ticket: &str, session: &Session) -> Result<Entered, StoreError> {
        let mut inner = self.inner();
        let (room, identity) = match inner.tickets.worth(ticket) {
            Worth::Held(room, identity) => (room, identity),
            Worth::Over(reason) => return Err(StoreError::Over(reason)),
            Worth::Nothing => return Err(StoreError::Ticket),
        };
        let hall = inner.halls.get_mut(&room).ok_or(StoreError::NoRoom)?;
        let arrival = hall.returning(now, &identity).ok_or(StoreError::Ticket)?;
        inner.enter(now, &room, &arrival, session, Some(ticket), &self.limits)
    }

    async fn cut(
        &self,
        now: u64,
        room: &RoomId,
        identity: &Identity,
        session: &Session,
    ) -> Result<Acted, StoreError> {
        self.inner().hall(room)?.cut(now, identity, session)
    }

    async fn leave(
        &self,
        now: u64,
        room: &RoomId,
        identity: &Identity,
        session: &Session,
    ) -> Result<Acted, StoreError> {
        let mut inner = self.inner();
        let acted = inner.hall(room)?.leave(now, identity, session)?;
        inner.end_tickets(&acted);
        Ok(acted)
    }

    async fn act(
        &self,
        now: u64,
        room: &RoomId,
        actor: &Actor,
        action: &Action,
    ) -> Result<Acted, StoreError> {
        let mut inner = self.inner();
        let acted = inner.hall(room)?.act(now, actor, action)?;
        inner.end_tickets(&acted);
        Ok(acted)
    }

    async fn assign_origin(
        &self,
        now: u64,
        room: &RoomId,
        node: &NodeId,
        lost: Option<Epoch>,
    ) -> Result<Acted, StoreError> {
        let mut inner = self.inner();
        let next = Epoch(inner.epoch.0 + 1);
        let acted = inner.hall(room)?.assign_origin(now, node, next, lost)?;
        if acted.room.origin().is_some_and(|(_, epoch)| epoch == next) {
            inner.epoch = next;
        }
        inner.end_tickets(&acted);
        Ok(acted)
    }

    async fn expire(&self, now: u64) -> Result<Vec<Acted>, StoreError> {
        let mut inner = self.inner();
        let due = |hall: &Hall| hall.next_deadline().is_some_and(|deadline| deadline <= now);
        let mut happened = Vec::new();
        for hall in inner.halls.values_mut().filter(|hall| due(hall)) {
            happened.extend(hall.expire(now)?);
        }
        inner.halls.retain(|_, hall| !hall.is_over(now));
        for acted in &happened {
            inner.end_tickets(acted);
        }
        Ok(happened)
    }

    async fn next_deadline(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.inner().halls.values().filter_map(Hall::next_deadline).min())
    }

    async fn room(&self, room: &RoomId) -> Result<Option<Arc<Room>>, StoreError> {
        Ok(self.inner().halls.get(room).map(Hall::room))
    }

    async fn rooms(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let inner = self.inner();
        let halls = inner.halls.range::<RoomId, _>((from, Bound::Unbounded)).take(limit);
        Ok(halls.map(|(_, hall)| hall.listed()).collect())
    }

    async fn people(
        &self,
        room: &RoomId,
        after: Option<&Identity>,
        limit: usize,
    ) -> Result<Vec<Person>, StoreError> {
        Ok(self.inner().hall(room)?.people(after, limit))
    }
}

impl Inner {
    fn hall(&mut self, room: &RoomId) -> Result<&mut Hall, StoreError> {
        self.halls.get_mut(room).ok_or(StoreError::NoRoom)
    }

    fn check_rooms(&self, limits: &Limits) -> Result<(), StoreError> {
        if self.halls.len() < limits.rooms { Ok(()) } else { Err(StoreError::Rooms(limits.rooms)) }
    }

    fn enter(
        &mut self,
        now: u64,
        room: &RoomId,
        arrival: &Arrival,
        session: &Session,
        shown: Option<&str>,
        limits: &Limits,
    ) -> Result<Entered, StoreError> {
        if !self.halls.contains_key(room) {
            self.check_rooms(limits)?;
            let hall = Hall::new(Room::by_entry(room.clone(), arrival, now)?, now);
            self.halls.insert(room.clone(), hall);
        }
        let hall = self.hall(room)?;
        let acted = hall.enter(now, arrival, session, limits.participants)?;
        let present = hall.present();
        let ticket = self.tickets.issue(room, &arrival.identity, shown);
        Ok(Entered { arrival: arrival.clone(), acted, ticket, present })
    }

    /// Who is gone cannot come back by ticket; at the end of a room that is everybody.
    fn end_tickets(&mut self, acted: &Acted) {
        for gone in &acted.gone {
            self.tickets.end(acted.room.id(), &gone.identity, gone.reason);
        }
        if acted.ended() {
            self.tickets.end_all(acted.room.id());
        }
    }
}

#[cfg(test)]
mod tests;
