//! What a store is asked to set, on which condition, and what it answers.

use std::collections::BTreeMap;

use protocol::id::Identity;
use protocol::message::RoomState;
use serde::{Deserialize, Serialize};

use super::{Delta, Note, Tombstone};
use crate::limits::EMPTY_MS;
use crate::{Head, Numbered, Owner, Present, Room};

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
    /// Nothing but this stays of the room.
    pub forget: Option<Tombstone>,
    /// For the room's stream of changes: what changes nothing that others must know leaves none.
    pub note: Option<Note>,
}

/// What becomes of somebody's entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The node to which they were connected.
    pub was_at: Option<Owner>,
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
    /// How many may be here before, where somebody new comes.
    pub places: Option<usize>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Something has changed, or too much time has passed: decide again.
    Changed,
    /// There are as many as there may be.
    Full,
}

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
}

impl Commit {
    /// Whether others must know of it.
    pub fn is_news(&self) -> bool {
        let Delta { head, hands, standing, .. } = &self.delta;
        head.is_some() || !hands.is_empty() || !standing.is_empty()
    }

    /// The room after it has been taken with this number; none where there was none, and it makes none.
    pub fn apply(&self, before: Option<&Room>, number: u64) -> Option<Room> {
        let made = |head: &Head| Room::new(number, number, Numbered { number, value: head.clone() });
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
