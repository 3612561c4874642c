//! What a store is asked to set, on which condition, and what it answers.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::Identity;
use protocol::message::RoomState;
use serde::{Deserialize, Serialize};

use super::{Delta, Note, Tombstone};
use crate::limits::EMPTY_MS;
use crate::{Head, Numbered, Owner, Party, Present, RaisedHand, Room, Standing};

/// All of it is set, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// By when it was decided, in the store's time. A store that has long moved on refuses it.
    pub now: u64,
    /// What must be as it was.
    pub compare: Compare,
    /// What becomes of the room.
    pub delta: Delta,
    /// People who come, are different, or go.
    pub people: BTreeMap<Identity, Entry>,
    /// Everybody goes.
    pub clear: bool,
    /// Its number is higher than this, whatever the store knows.
    pub above: Option<u64>,
    /// Nothing but this stays of the room.
    pub forget: Option<Tombstone>,
    /// For the room's stream of changes: what changes nothing that others must know leaves none.
    pub notes: Vec<Note>,
}

/// What becomes of somebody's entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The node to which they were connected.
    pub was_at: Option<Owner>,
    /// The party of which they were.
    pub was_of: Option<Party>,
    /// What they are now; none where they go.
    pub present: Option<Present>,
}

/// Numbers as they must be: 0 where nothing may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compare {
    /// Of the room's state.
    pub door: u64,
    /// Of the head, where it matters.
    pub head: Option<u64>,
    /// Of what was decided about people.
    pub standing: BTreeMap<Identity, u64>,
    /// Of their hands.
    pub hands: BTreeMap<Identity, u64>,
    /// Of their entries.
    pub people: BTreeMap<Identity, u64>,
    /// Nobody may be here.
    pub empty: bool,
    /// The leases of these signaling nodes must have run out.
    pub lapsed: BTreeSet<Owner>,
    /// How many may be here before, where somebody new comes.
    pub places: Option<usize>,
    /// How many of a party may be here before, where somebody new of it comes.
    pub parties: BTreeMap<Party, usize>,
}

/// What was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Of this change, and of everything that it set.
    pub number: u64,
    /// Version of the room before.
    pub before: u64,
    /// Version of the room now: the number, where something changed that others must know.
    pub version: u64,
    /// How many are here and not hidden.
    pub present: usize,
}

/// Why nothing was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Something has changed, or too much time has passed: decide again on this.
    Changed(Box<Current>),
    /// The lease of one of those nodes has not run out: nobody may take its sessions for gone.
    Alive(Owner),
    /// There are as many as there may be.
    Full,
    /// There are as many of the party as there may be.
    PartyFull,
}

/// How that stands which a commit was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The store's time, in ms.
    pub now: u64,
    /// Of the room; 0 where there is none.
    pub version: u64,
    /// Number of its state.
    pub door: u64,
    /// Its head, if there is a room.
    pub head: Option<Numbered<Head>>,
    /// What was decided about those who were compared.
    pub standing: Known<Standing>,
    /// Their hands.
    pub hands: Known<RaisedHand>,
    /// Their entries.
    pub people: Known<Present>,
}

/// What is known of people; none: that there is nothing.
pub type Known<T> = BTreeMap<Identity, Option<Numbered<T>>>;

/// What can be due in a room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// Something in its head: an invitation, or that it is forgotten.
    Head,
    /// It has been empty for long.
    Empty,
    /// Somebody was cut off and did not come back.
    Person(Identity),
}

impl Entry {
    /// The node to which they are connected.
    pub fn is_at(&self) -> Option<Owner> {
        self.present.as_ref().and_then(Present::connected_to)
    }

    /// The party of which they are.
    pub fn is_of(&self) -> Option<Party> {
        self.present.as_ref().and_then(|present| present.party)
    }
}

impl Compare {
    /// What must be as it was for both. What the other expects of what the first sets is no matter: it has
    /// been compared.
    fn fold(&mut self, other: Self, newcomers: usize) {
        let keep = |into: &mut BTreeMap<Identity, u64>, from: BTreeMap<Identity, u64>| {
            for (identity, number) in from {
                into.entry(identity).or_insert(number);
            }
        };
        self.head = self.head.or(other.head);
        keep(&mut self.standing, other.standing);
        keep(&mut self.hands, other.hands);
        keep(&mut self.people, other.people);
        self.empty |= other.empty;
        self.lapsed.extend(other.lapsed);
        let places = other.places.map(|places| places.saturating_sub(newcomers));
        self.places = self.places.into_iter().chain(places).min();
        for (party, most) in other.parties {
            let most = most.saturating_sub(newcomers);
            self.parties.entry(party).and_modify(|before| *before = most.min(*before)).or_insert(most);
        }
    }
}

impl Delta {
    fn fold(&mut self, other: Self) {
        self.head = other.head.or(self.head.take());
        self.door |= other.door;
        self.hands.extend(other.hands);
        self.standing.extend(other.standing);
    }
}

impl Commit {
    /// Whether it must be taken by itself: what comes of it is another room, for whoever is in it and whoever
    /// comes.
    pub fn is_alone(&self) -> bool {
        self.clear || self.forget.is_some() || self.delta.door
    }

    /// Makes one of the two: `other` was decided on what this one makes of the room, in which so many are new.
    pub fn fold(&mut self, other: Self, newcomers: usize) {
        self.compare.fold(other.compare, newcomers);
        self.delta.fold(other.delta);
        for (identity, entry) in other.people {
            let before = self.people.remove(&identity).unwrap_or_else(|| entry.clone());
            self.people.insert(identity, Entry { present: entry.present, ..before });
        }
        self.notes.extend(other.notes);
    }

    /// Whether others must know of it.
    pub fn is_news(&self) -> bool {
        let Delta { head, hands, standing, .. } = &self.delta;
        head.is_some() || !hands.is_empty() || !standing.is_empty()
    }

    /// The room after it has been taken with this number; none where there was none, and it makes none.
    pub fn apply(&self, before: Option<&Room>, number: u64) -> Option<Room> {
        let made = |head: &Head| Room::new(number, number, Numbered { number, value: head.clone() });
        // One that is put back is nothing of what was there.
        let before = before.filter(|_| self.above.is_none());
        let mut room = before.cloned().or_else(|| self.delta.head.as_ref().map(made))?;
        room.apply(number, self.delta.clone());
        Some(room)
    }

    /// When the head is due next; none where it is not set.
    pub fn head_due(&self) -> Option<Option<u64>> {
        self.delta.head.as_ref().map(Head::next_deadline)
    }

    /// For how long the room may be empty, from now; none once it has ended.
    pub fn may_be_empty_ms(&self) -> Option<u64> {
        let ended = self.delta.head.as_ref().is_some_and(|head| head.state == RoomState::Ended);
        (!ended).then_some(EMPTY_MS)
    }
}
