//! A store as a signaling node sees it: one room, leases, epochs, and its own time.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{Epoch, Identity};
use room::hall::{Commit, Committed, Conflict, Due, Loaded, Records};
use room::lease::LEASE_MS;
use room::{Owner, Session};

/// How far its clock is from the world's, in ms.
const AHEAD_MS: u64 = 1_000_000;

#[derive(Default, Clone)]
pub(crate) struct Store {
    pub(crate) records: Records,
    epoch: u32,
    leases: BTreeMap<Owner, u64>,
    /// Of the server; another one after it has come back.
    pub(crate) life: u64,
    /// When the room was changed last, by the world's clock.
    pub(crate) changed_at: u64,
}

impl Store {
    pub(crate) fn load(&self, now: u64, people: &[Identity]) -> Loaded {
        self.records.load(now + AHEAD_MS, &people.iter().collect::<Vec<_>>())
    }

    pub(crate) fn commit(&mut self, now: u64, commit: &Commit) -> Result<Committed, Conflict> {
        let alive = |owner: &&Owner| self.leases.get(*owner).is_some_and(|until| *until > now);
        if let Some(owner) = commit.compare.lapsed.iter().find(alive) {
            return Err(Conflict::Alive(owner.clone()));
        }
        let done = self.records.commit(now + AHEAD_MS, commit);
        if done.is_ok() {
            self.changed_at = now;
            self.check();
        }
        done
    }

    pub(crate) fn next_epoch(&mut self, above: Epoch) -> Epoch {
        self.epoch = self.epoch.max(above.0) + 1;
        Epoch(self.epoch)
    }

    /// It comes back as it was then.
    pub(crate) fn lose(&mut self, older: &Self) {
        *self = Self { life: self.life + 1, changed_at: self.changed_at, ..older.clone() };
    }

    pub(crate) fn due(&self, now: u64) -> Vec<Due> {
        self.records.due(now + AHEAD_MS).cloned().collect()
    }

    pub(crate) fn renew(&mut self, now: u64, owner: &Owner) -> bool {
        self.leases.insert(owner.clone(), now + LEASE_MS).is_some_and(|until| until > now)
    }

    pub(crate) fn orphans(&self, now: u64, limit: usize) -> Vec<(Identity, Session)> {
        let lapsed = self.leases.iter().filter(|(_, until)| **until <= now);
        let lapsed: BTreeSet<Owner> = lapsed.map(|(owner, _)| owner.clone()).collect();
        self.records.connected_to(&lapsed, limit)
    }

    /// No seat is taken twice, and no number given twice.
    fn check(&self) {
        let Some(room) = self.records.room() else { return };
        let who: BTreeSet<_> = room.stage().iter().map(|seat| &seat.identity).collect();
        let numbers: BTreeSet<_> = room.stage().iter().map(|seat| seat.number).collect();
        let seats = room.stage().len();
        assert_eq!((who.len(), numbers.len()), (seats, seats), "a seat twice: {:?}", room.stage());
        assert!(seats + room.invitations().len() <= usize::from(room.info().seats), "too many seats");
    }
}
