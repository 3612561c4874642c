//! Resume tickets: a random word that opens the door again without a token.
//!
//! ```text
//!   token ─▶ t1      t1 shown ─▶ t2, t1 still good      t2 shown ─▶ t3, t1 dead
//! ```
//!
//! A ticket is good until its successor has been shown: whoever showed it and was cut before the answer
//! came must not become somebody else. Whether they may still come back stands in the roster; a ticket
//! only says who it is, and of those who were put out or joined somewhere else, that they were.

use std::collections::{BTreeMap, HashMap, VecDeque};

use protocol::id::{Identity, RoomId};
use protocol::message::RemoveReason;

/// Tickets that are remembered because their holders were put out; the oldest are forgotten, and say no
/// more than that they are spent. Only hosts add to them.
const MAX_FAREWELLS: usize = 10_000;

type Holder = (RoomId, Identity);

/// What a ticket is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is theirs.
    Held(RoomId, Identity),
    /// Theirs who was put out, or joined somewhere else.
    Over(RemoveReason),
    /// It is spent, or was never issued.
    Nothing,
}

/// The valid tickets, and those of people who were put out.
#[derive(Default)]
pub(super) struct Tickets {
    holders: HashMap<u128, Holder>,
    valid: BTreeMap<Holder, Valid>,
    farewells: HashMap<u128, (RoomId, RemoveReason)>,
    /// The farewells, the oldest first; some may have been forgotten with their rooms.
    oldest: VecDeque<u128>,
}

/// The tickets of one participant.
struct Valid {
    newest: u128,
    /// The one that they came with, as long as its successor has not been shown.
    shown: Option<u128>,
    /// Those of their device before this one, which must not take the seat back by itself.
    replaced: Vec<u128>,
}

impl Tickets {
    /// A new ticket for somebody who came by `shown`, or by a token. Every other one of theirs is dead.
    pub(super) fn issue(&mut self, room: &RoomId, identity: &Identity, shown: Option<&str>) -> String {
        let holder = (room.clone(), identity.clone());
        let shown = shown.and_then(read).filter(|ticket| self.holders.get(ticket) == Some(&holder));
        let dead = self.take(&holder);
        let newest = rand::random();
        let replaced = if shown.is_none() { dead } else { Vec::new() };
        for &ticket in shown.iter().chain([&newest]).chain(&replaced) {
            self.holders.insert(ticket, holder.clone());
        }
        self.valid.insert(holder, Valid { newest, shown, replaced });
        format!("{newest:032x}")
    }

    pub(super) fn worth(&self, ticket: &str) -> Worth {
        let Some(ticket) = read(ticket) else { return Worth::Nothing };
        if let Some(holder) = self.holders.get(&ticket) {
            let is_replaced = self.valid.get(holder).is_some_and(|valid| valid.replaced.contains(&ticket));
            let (room, identity) = holder.clone();
            return if is_replaced {
                Worth::Over(RemoveReason::Replaced)
            } else {
                Worth::Held(room, identity)
            };
        }
        self.farewells.get(&ticket).map_or(Worth::Nothing, |&(_, reason)| Worth::Over(reason))
    }

    #[cfg(test)]
    pub(super) fn is_held(&self, room: &RoomId, identity: &Identity) -> bool {
        self.valid.contains_key(&(room.clone(), identity.clone()))
    }

    /// Somebody's session is over. Whoever was put out is told so when they show a ticket of theirs.
    pub(super) fn end(&mut self, room: &RoomId, identity: &Identity, reason: RemoveReason) {
        let dead = self.take(&(room.clone(), identity.clone()));
        if matches!(reason, RemoveReason::Kicked | RemoveReason::Banned) {
            dead.into_iter().for_each(|ticket| self.remember(ticket, room, reason));
        }
    }

    /// A room is over, and with it everything that was issued in it.
    pub(super) fn end_all(&mut self, room: &RoomId) {
        self.holders.retain(|_, (of, _)| of != room);
        self.valid.retain(|(of, _), _| of != room);
        self.farewells.retain(|_, (of, _)| of != room);
    }

    /// Takes all tickets of somebody; those that were good.
    fn take(&mut self, holder: &Holder) -> Vec<u128> {
        let Some(Valid { newest, shown, replaced }) = self.valid.remove(holder) else { return Vec::new() };
        let dead: Vec<u128> = shown.into_iter().chain([newest]).collect();
        dead.iter().chain(&replaced).for_each(|ticket| drop(self.holders.remove(ticket)));
        dead
    }

    fn remember(&mut self, ticket: u128, room: &RoomId, reason: RemoveReason) {
        if self.oldest.len() >= MAX_FAREWELLS
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.farewells.remove(&oldest);
        }
        self.oldest.push_back(ticket);
        self.farewells.insert(ticket, (room.clone(), reason));
    }
}

fn read(ticket: &str) -> Option<u128> {
    u128::from_str_radix(ticket, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn farewells_are_bounded_and_the_newest_are_kept() {
        let mut tickets = Tickets::default();
        let room = RoomId::new("town").unwrap();
        let issued: Vec<_> = (0..=MAX_FAREWELLS)
            .map(|number| {
                let identity = Identity::new(&format!("p{number}")).unwrap();
                let ticket = tickets.issue(&room, &identity, None);
                tickets.end(&room, &identity, RemoveReason::Kicked);
                ticket
            })
            .collect();
        assert_eq!(tickets.worth(&issued[0]), Worth::Nothing);
        assert!(issued[1..].iter().all(|ticket| tickets.worth(ticket) == Worth::Over(RemoveReason::Kicked)));
        assert_eq!((tickets.farewells.len(), tickets.oldest.len()), (MAX_FAREWELLS, MAX_FAREWELLS));
        tickets.end_all(&room);
        assert_eq!(tickets.worth(&issued[1]), Worth::Nothing);
    }
}
