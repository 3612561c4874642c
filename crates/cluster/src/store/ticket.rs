//! Resume tickets: a random word that opens the door again, once, without a token.
//!
//! Whether somebody may still come back stands in the roster; a ticket only says who it is.

use std::collections::{BTreeMap, HashMap};

use protocol::id::{Identity, RoomId};

/// The valid tickets: one for each participant at most.
#[derive(Default)]
pub(super) struct Tickets {
    holders: HashMap<String, (RoomId, Identity)>,
    tickets: BTreeMap<(RoomId, Identity), String>,
}

impl Tickets {
    /// A new ticket; the one that the identity had is dead.
    pub(super) fn issue(&mut self, room: &RoomId, identity: &Identity) -> String {
        self.kill(room, identity);
        let ticket = format!("{:032x}", rand::random::<u128>());
        let holder = (room.clone(), identity.clone());
        self.tickets.insert(holder.clone(), ticket.clone());
        self.holders.insert(ticket.clone(), holder);
        ticket
    }

    /// Whose it is.
    pub(super) fn holder(&self, ticket: &str) -> Option<(RoomId, Identity)> {
        self.holders.get(ticket).cloned()
    }

    #[cfg(test)]
    pub(super) fn is_held(&self, room: &RoomId, identity: &Identity) -> bool {
        self.tickets.contains_key(&(room.clone(), identity.clone()))
    }

    pub(super) fn kill(&mut self, room: &RoomId, identity: &Identity) {
        if let Some(ticket) = self.tickets.remove(&(room.clone(), identity.clone())) {
            self.holders.remove(&ticket);
        }
    }

    pub(super) fn kill_all(&mut self, room: &RoomId) {
        self.holders.retain(|_, (of, _)| of != room);
        self.tickets.retain(|(of, _), _| of != room);
    }
}
