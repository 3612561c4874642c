//! The store within one process.
//!
//! One lock holds everything, and every operation is one holding of it: short, and never across a wait.
//! Its time only grows, whatever the clock of the machine does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use protocol::id::{Epoch, Identity, RoomId};
use protocol::message::Person;
use room::hall::{Commit, Committed, Conflict, Due, Loaded, Records};
use room::lease::LEASE_MS;
use room::limits::TOMBSTONE_MS;
use room::{Owner, Room, Session};

use super::{Limits, Listed, Orphan, Renewed, Store, StoreError};

/// Rooms that are remembered although they are over; the oldest are forgotten for newer ones.
const MAX_TOMBSTONES: usize = 10_000;

/// Keeps the rooms of one process.
pub struct MemoryStore {
    limits: Limits,
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    rooms: BTreeMap<RoomId, Records>,
    /// When something is due in a room.
    due: BTreeSet<(u64, RoomId)>,
    /// Rooms of which only a tombstone is kept, and since when.
    over: VecDeque<(u64, RoomId)>,
    /// The epoch given last, whichever room got it.
    epoch: Epoch,
    /// Until when the sessions of each signaling node live.
    leases: BTreeMap<Owner, u64>,
}

impl MemoryStore {
    /// A store without rooms. Its time begins as the machine's, and goes on by itself.
    pub fn new(limits: Limits) -> Arc<Self> {
        let start = Instant::now();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        Self::with_clock(limits, move || started + start.elapsed().as_millis() as u64)
    }

    /// The same with another time, in ms.
    pub fn with_clock(limits: Limits, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { limits, clock: Box::new(clock), inner: Mutex::default() })
    }

    fn now(&self) -> u64 {
        (self.clock)()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(
        &self,
        room: &RoomId,
        _known: Option<&Arc<Room>>,
        concerns: &[&Identity],
    ) -> Result<Loaded, StoreError> {
        let (inner, now) = (self.inner(), self.now());
        let nothing = Records::default();
        Ok(inner.rooms.get(room).unwrap_or(&nothing).load(now, concerns))
    }

    async fn commit(
        &self,
        room: &RoomId,
        commit: &Commit,
    ) -> Result<Result<Committed, Conflict>, StoreError> {
        self.inner().commit(self.now(), room, commit, &self.limits)
    }

    async fn time(&self) -> Result<u64, StoreError> {
        Ok(self.now())
    }

    async fn next_epoch(&self, above: Epoch) -> Result<Epoch, StoreError> {
        let mut inner = self.inner();
        inner.epoch = Epoch(inner.epoch.max(above).0 + 1);
        Ok(inner.epoch)
    }

    async fn due(&self) -> Result<Vec<(RoomId, Vec<Due>)>, StoreError> {
        let (mut inner, now) = (self.inner(), self.now());
        inner.forget_tombstones(now);
        let due = inner.due.iter().take_while(|(at, _)| *at <= now);
        let things = |room: &RoomId| inner.rooms.get(room).map(|it| it.due(now).cloned().collect());
        Ok(due.filter_map(|(_, room)| Some((room.clone(), things(room)?))).collect())
    }

    async fn renew(&self, owner: &Owner) -> Result<Renewed, StoreError> {
        let (mut inner, now) = (self.inner(), self.now());
        let before = inner.leases.insert(owner.clone(), now + LEASE_MS);
        Ok(Renewed { good: before.is_some_and(|until| until > now), life: String::new() })
    }

    async fn sessions(&self, room: &RoomId, owner: &Owner) -> Result<Vec<(Identity, Session)>, StoreError> {
        let owners = BTreeSet::from([owner.clone()]);
        let inner = self.inner();
        let records = inner.rooms.get(room);
        Ok(records.map(|records| records.connected_to(&owners, usize::MAX)).unwrap_or_default())
    }

    async fn rooms_of(&self, owner: &Owner) -> Result<BTreeSet<RoomId>, StoreError> {
        let owners = BTreeSet::from([owner.clone()]);
        let inner = self.inner();
        let theirs = inner.rooms.iter().filter(|(_, records)| !records.connected_to(&owners, 1).is_empty());
        Ok(theirs.map(|(room, _)| room.clone()).collect())
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>, StoreError> {
        let (mut inner, now) = (self.inner(), self.now());
        let lapsed = inner.leases.iter().filter(|(_, until)| **until <= now);
        let lapsed: BTreeSet<Owner> = lapsed.map(|(owner, _)| owner.clone()).collect();
        if lapsed.is_empty() {
            return Ok(Vec::new());
        }
        let mut orphans = Vec::new();
        for (room, records) in &inner.rooms {
            let theirs = records.connected_to(&lapsed, limit - orphans.len());
            let orphan = |(identity, session)| Orphan { room: room.clone(), identity, session };
            orphans.extend(theirs.into_iter().map(orphan));
        }
        if orphans.is_empty() {
            inner.leases.retain(|owner, _| !lapsed.contains(owner));
        }
        Ok(orphans)
    }

    async fn rooms(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let inner = self.inner();
        let rooms = inner.rooms.range::<RoomId, _>((from, Bound::Unbounded));
        let listed = |records: &Records| {
            let room = records.room()?;
            Some(Listed { info: room.info(), stage: room.members(), counts: records.counts() })
        };
        Ok(rooms.filter_map(|(_, records)| listed(records)).take(limit).collect())
    }

    async fn people(
        &self,
        room: &RoomId,
        after: Option<&Identity>,
        limit: usize,
    ) -> Result<Vec<Person>, StoreError> {
        let inner = self.inner();
        let records = inner.rooms.get(room).filter(|records| records.room().is_some());
        Ok(records.ok_or(StoreError::NoRoom)?.page(after, limit))
    }
}

impl Inner {
    fn commit(
        &mut self,
        now: u64,
        id: &RoomId,
        commit: &Commit,
        limits: &Limits,
    ) -> Result<Result<Committed, Conflict>, StoreError> {
        let is_alive = |owner: &&Owner| self.leases.get(*owner).is_some_and(|until| *until > now);
        if let Some(owner) = commit.compare.lapsed.iter().find(is_alive) {
            return Ok(Err(Conflict::Alive(owner.clone())));
        }
        let living = self.rooms.len() - self.over.len();
        let is_new = self.rooms.get(id).is_none_or(|records| records.room().is_none());
        // Whoever takes the room for one that is there is told first that it is not.
        if is_new && commit.compare.door == 0 && living >= limits.rooms {
            return Err(StoreError::Rooms(limits.rooms));
        }
        let records = self.rooms.entry(id.clone()).or_default();
        let (was_over, before) = (is_new && records.has_tombstone(), records.next_deadline());
        let done = records.commit(now, commit);
        let (after, is_over) = (records.next_deadline(), records.has_tombstone());
        if before != after {
            before.map(|at| self.due.remove(&(at, id.clone())));
            after.map(|at| self.due.insert((at, id.clone())));
        }
        if was_over && !is_over {
            self.over.retain(|(_, over)| over != id);
        }
        if is_over && !was_over {
            self.over.push_back((now, id.clone()));
        }
        if done.is_err() && is_new && !was_over {
            self.rooms.remove(id);
        }
        Ok(done)
    }

    fn forget_tombstones(&mut self, now: u64) {
        let is_old =
            |since: u64, count: usize| since.saturating_add(TOMBSTONE_MS) <= now || count > MAX_TOMBSTONES;
        while let Some((_, room)) = self.over.front().filter(|(since, _)| is_old(*since, self.over.len())) {
            self.rooms.remove(room);
            self.over.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
