//! Several operations, each decided on what the ones before it make of the room, as one commit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use protocol::id::{Identity, RoomId};

use crate::hall::{Commit, Decision, HallError, Operation, View};
use crate::room::PENDING;
use crate::{Numbered, Present, Room, Tombstone};

/// Operations in one commit: so many that a storm is through in few of them, and so few that the store, which
/// does one thing at a time, makes nobody wait.
pub const MAX_FOLD: usize = 128;

pub(super) struct Fold<'a> {
    pub(super) id: &'a RoomId,
    /// The store's time, in ms.
    pub(super) now: u64,
    /// How many are here and not hidden.
    pub(super) present: usize,
    pub(super) participants: usize,
    pub(super) room: Option<Cow<'a, Room>>,
    pub(super) tombstone: Option<&'a Tombstone>,
    /// Those whom the operations concern, as far as they are here.
    pub(super) people: BTreeMap<Identity, Numbered<Present>>,
    /// What the store is to set.
    pub(super) commit: Option<Commit>,
    /// Who is new by it.
    newcomers: usize,
}

impl<'a> Fold<'a> {
    pub(super) fn new(
        id: &'a RoomId,
        now: u64,
        present: usize,
        participants: usize,
        room: Option<&'a Room>,
        tombstone: Option<&'a Tombstone>,
        people: BTreeMap<Identity, Numbered<Present>>,
    ) -> Self {
        let room = room.map(Cow::Borrowed);
        Self { id, now, present, participants, room, tombstone, people, commit: None, newcomers: 0 }
    }

    /// What comes of an operation after those that were taken.
    pub(super) fn decide(&self, operation: &Operation) -> Result<Decision, HallError> {
        let view = View {
            id: self.id,
            room: self.room.as_deref(),
            tombstone: self.tombstone,
            people: &self.people,
            present: self.present + self.newcomers,
            participants: self.participants,
        };
        operation.decide(self.now, view)
    }

    /// Whether a decision fits to those that were taken.
    pub(super) fn fits(&self, decision: &Decision) -> bool {
        let (Some(commit), Some(other)) = (&self.commit, &decision.commit) else { return true };
        !commit.is_alone() && !other.is_alone()
    }

    /// Takes a decision: what it would set is kept here. Whether another may follow.
    pub(super) fn take(&mut self, decision: &mut Decision) -> bool {
        let Some(commit) = decision.commit.take() else { return true };
        let is_alone = commit.is_alone();
        if !is_alone {
            self.apply(&commit);
        }
        let newcomers = usize::from(commit.compare.places.is_some());
        match &mut self.commit {
            Some(before) => before.fold(commit, self.newcomers),
            None => self.commit = Some(commit),
        }
        self.newcomers += newcomers;
        !is_alone
    }

    fn apply(&mut self, commit: &Commit) {
        if commit.is_news()
            && let Some(room) = &mut self.room
        {
            room.to_mut().apply(PENDING, commit.delta.clone());
        }
        for (identity, entry) in &commit.people {
            match entry.present.clone() {
                Some(value) => self.people.insert(identity.clone(), Numbered { number: PENDING, value }),
                None => self.people.remove(identity),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::NodeId;

    use super::*;
    use crate::room::Head;
    use crate::{Action, Actor, Owner, Plan};

    #[test]
    fn hands_that_go_up_with_one_change_stand_as_they_came() {
        let id = RoomId::new("town").unwrap();
        let head = Head::new(id.clone(), &Plan::default(), 0).unwrap();
        let mut room = Room::new(1, 1, Numbered { number: 1, value: head });
        let owner = Owner { node: NodeId::new("s").unwrap(), boot: 1 };
        let order = ["zoe", "anna", "moritz"].map(|name| Identity::new(name).unwrap());
        let present =
            |name: &Identity| Numbered { number: 1, value: Present::lost(name.as_str(), &owner, 9) };
        let people = order.iter().map(|name| (name.clone(), present(name))).collect();
        let mut fold = Fold::new(&id, 5, 3, 9, Some(&room), None, people);
        for name in &order {
            let operation =
                Operation::Act { actor: Actor::Participant(name.clone()), action: Action::RaiseHand };
            let mut decision = fold.decide(&operation).unwrap();
            assert!(fold.take(&mut decision));
        }
        let commit = fold.commit.unwrap();
        room.apply(2, commit.delta);
        let hands: Vec<_> = room.hands().into_iter().map(|hand| (hand.identity, hand.turn)).collect();
        let [zoe, anna, moritz] = order;
        assert_eq!(hands, [(zoe, (2, 0)), (anna, (2, 1)), (moritz, (2, 2))]);
    }
}
