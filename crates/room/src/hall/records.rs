//! What is kept of one room, in memory: compares, and sets all of a commit or nothing.
//!
//! The memory store keeps one of these for each room; one over a network does the same in a script.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use protocol::id::Identity;
use protocol::message::{Counts, Person};

use super::{Commit, Committed, Compare, Conflict, Current, Due, Known};
use crate::room::{Numbered, Tombstone};
use crate::{Owner, Party, Present, Room, Session};

/// How far a decision's time may be from the store's, in ms: as long as one may be on its way.
pub const STALE_MS: u64 = 2_000;

/// The records of a room.
#[derive(Debug, Default, Clone)]
pub struct Records {
    /// Of the last change.
    number: u64,
    room: Option<Arc<Room>>,
    people: BTreeMap<Identity, Numbered<Present>>,
    /// Of the people, those who are not hidden.
    visible: usize,
    /// How many there are of each party.
    parties: BTreeMap<Party, usize>,
    due: BTreeMap<Due, u64>,
    by_time: BTreeSet<(u64, Due)>,
    tombstone: Option<Tombstone>,
}

/// What an operation is decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The store's time, in ms.
    pub now: u64,
    /// The room, if there is one.
    pub room: Option<Arc<Room>>,
    /// What is remembered of the one before, if that is all.
    pub tombstone: Option<Tombstone>,
    /// Those who were asked for, as far as they are here.
    pub people: BTreeMap<Identity, Numbered<Present>>,
    /// How many are here and not hidden.
    pub present: usize,
}

impl Records {
    /// What an operation that concerns these people is decided on.
    pub fn load(&self, now: u64, concerns: &[&Identity]) -> Loaded {
        let people = concerns.iter().filter_map(|&identity| self.people.get_key_value(identity));
        Loaded {
            now,
            room: self.room.clone(),
            tombstone: self.tombstone.clone(),
            people: people.map(|(identity, person)| (identity.clone(), person.clone())).collect(),
            present: self.visible,
        }
    }

    /// Sets all of it, or nothing.
    pub fn commit(&mut self, now: u64, commit: &Commit) -> Result<Committed, Conflict> {
        if now.abs_diff(commit.now) > STALE_MS || !self.is_as_it_was(&commit.compare) {
            return Err(Conflict::Changed(Box::new(self.current(now, &commit.compare))));
        }
        if commit.compare.places.is_some_and(|places| self.people.len() >= places) {
            return Err(Conflict::Full);
        }
        let here = |party| self.parties.get(&party).copied().unwrap_or_default();
        if commit.compare.parties.iter().any(|(party, most)| here(*party) >= *most) {
            return Err(Conflict::PartyFull);
        }
        let before = self.version();
        self.number = self.number.max(commit.above.unwrap_or_default()) + 1;
        let number = self.number;
        self.set_people(number, commit);
        self.set_room(number, commit);
        self.set_due(now, commit);
        let version = if commit.is_news() { number } else { before };
        if let Some(tombstone) = &commit.forget {
            let tombstone = Tombstone { number, ..tombstone.clone() };
            *self = Self { number, tombstone: Some(tombstone), ..Self::default() };
        }
        Ok(Committed { number, before, version, present: self.visible })
    }

    /// The room.
    pub fn room(&self) -> Option<&Arc<Room>> {
        self.room.as_ref()
    }

    /// Whether nothing but a tombstone is kept.
    pub fn has_tombstone(&self) -> bool {
        self.tombstone.is_some()
    }

    /// What is due by now.
    pub fn due(&self, now: u64) -> impl Iterator<Item = &Due> {
        self.by_time.iter().take_while(move |(at, _)| *at <= now).map(|(_, due)| due)
    }

    /// When something is due next.
    pub fn next_deadline(&self) -> Option<u64> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Some of those who are connected to one of these nodes.
    pub fn connected_to(&self, owners: &BTreeSet<Owner>, limit: usize) -> Vec<(Identity, Session)> {
        let theirs = |it: &Present| it.connected_to().is_some_and(|owner| owners.contains(&owner));
        let people = self.people.iter().filter(|(_, person)| theirs(&person.value));
        people.map(|(identity, it)| (identity.clone(), it.value.session.clone())).take(limit).collect()
    }

    /// How many are in it.
    pub fn counts(&self) -> Counts {
        let stage = self.room.as_ref().map_or(0, |room| room.stage().len());
        let hands = self.room.as_ref().map_or(0, |room| room.hand_count());
        let listeners = self.visible.saturating_sub(stage);
        Counts { listeners: listeners as u32, speakers: stage as u32, hands: hands as u32 }
    }

    /// Those who are not hidden, at most `limit` of them, from behind `after` on.
    pub fn page(&self, after: Option<&Identity>, limit: usize) -> Vec<Person> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.people
            .range::<Identity, _>((from, Bound::Unbounded))
            .filter(|(_, person)| !person.value.hidden)
            .map(|(identity, it)| Person { identity: identity.clone(), name: it.value.name.clone() })
            .take(limit)
            .collect()
    }

    fn current(&self, now: u64, compare: &Compare) -> Current {
        let room = self.room.as_deref();
        Current {
            now,
            version: self.version(),
            door: room.map_or(0, |room| room.door),
            head: room.map(|room| room.head.clone()),
            standing: known(compare.standing.keys(), room.map(|room| &room.standing)),
            hands: known(compare.hands.keys(), room.map(|room| &room.hands)),
            people: known(compare.people.keys(), Some(&self.people)),
        }
    }

    fn version(&self) -> u64 {
        let before = self.tombstone.as_ref().map_or(0, |tombstone| tombstone.number);
        self.room.as_ref().map_or(before, |room| room.version())
    }

    fn is_as_it_was(&self, compare: &Compare) -> bool {
        let room = self.room.as_deref();
        let same = |expected: &BTreeMap<Identity, u64>, number: &dyn Fn(&Identity) -> u64| {
            expected.iter().all(|(identity, expected)| number(identity) == *expected)
        };
        compare.door == room.map_or(0, |room| room.door)
            && compare.head.is_none_or(|head| head == room.map_or(0, |room| room.head.number))
            && same(&compare.standing, &|who| number(room.map(|room| &room.standing), who))
            && same(&compare.hands, &|who| number(room.map(|room| &room.hands), who))
            && same(&compare.people, &|who| number(Some(&self.people), who))
            && (!compare.empty || self.people.is_empty())
    }

    fn set_room(&mut self, number: u64, commit: &Commit) {
        if !commit.is_news() {
            return;
        }
        match self.room.as_mut().filter(|_| commit.above.is_none()) {
            Some(room) => Arc::make_mut(room).apply(number, commit.delta.clone()),
            None => self.room = commit.apply(None, number).map(Arc::new),
        }
        self.tombstone = None;
    }

    fn set_people(&mut self, number: u64, commit: &Commit) {
        if commit.clear {
            self.people.clear();
            self.visible = 0;
            self.parties.clear();
        }
        for (identity, entry) in &commit.people {
            let before = match &entry.present {
                Some(value) => {
                    self.visible += usize::from(!value.hidden);
                    self.people.insert(identity.clone(), Numbered { number, value: value.clone() })
                }
                None => self.people.remove(identity),
            };
            self.visible -= usize::from(before.as_ref().is_some_and(|before| !before.value.hidden));
            if let Some(party) = entry.is_of() {
                *self.parties.entry(party).or_default() += 1;
            }
            if let Some(party) = before.and_then(|before| before.value.party) {
                self.one_less_of(party);
            }
        }
    }

    fn one_less_of(&mut self, party: Party) {
        let Some(count) = self.parties.get_mut(&party) else { return };
        *count -= 1;
        if *count == 0 {
            self.parties.remove(&party);
        }
    }

    fn set_due(&mut self, now: u64, commit: &Commit) {
        if commit.clear {
            (self.due, self.by_time) = Default::default();
        }
        for (identity, entry) in &commit.people {
            let at = entry.present.as_ref().and_then(|present| present.away_until);
            self.set_one_due(Due::Person(identity.clone()), at);
        }
        if let Some(at) = commit.head_due() {
            self.set_one_due(Due::Head, at);
        }
        match commit.may_be_empty_ms().filter(|_| self.people.is_empty()) {
            Some(ms) if !self.due.contains_key(&Due::Empty) => self.set_one_due(Due::Empty, Some(now + ms)),
            Some(_) => {}
            None => self.set_one_due(Due::Empty, None),
        }
    }

    fn set_one_due(&mut self, due: Due, at: Option<u64>) {
        if let Some(before) = self.due.remove(&due) {
            self.by_time.remove(&(before, due.clone()));
        }
        if let Some(at) = at {
            self.by_time.insert((at, due.clone()));
            self.due.insert(due, at);
        }
    }
}

fn known<'a, T: Clone>(
    who: impl Iterator<Item = &'a Identity>,
    entries: Option<&BTreeMap<Identity, Numbered<T>>>,
) -> Known<T> {
    let entry = |identity| entries.and_then(|entries| entries.get(identity)).cloned();
    who.map(|identity| (identity.clone(), entry(identity))).collect()
}

fn number<T>(entries: Option<&BTreeMap<Identity, Numbered<T>>>, identity: &Identity) -> u64 {
    entries.and_then(|entries| entries.get(identity)).map_or(0, |entry| entry.number)
}
