//! What runs out: invitations, and what is held for people who were cut off.

use protocol::message::{DeclineReason, RoomState};

use super::Draft;
use crate::limits::AWAY_MS;
use crate::{Change, Room};

impl Room {
    /// When [`expire`](Self::expire) is due; none while nothing can run out.
    pub fn next_deadline(&self) -> Option<u64> {
        let away = |since: Option<u64>| since.map(|since| since.saturating_add(AWAY_MS));
        let invitations = self.invitations.iter().map(|invitation| invitation.expires);
        let seats = self.stage.iter().filter_map(|seat| away(seat.away_since));
        let hands = self.hands.iter().filter_map(|hand| away(hand.away_since));
        invitations.chain(seats).chain(hands).min()
    }
}

impl Draft {
    /// Does what is due.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let out = |since: Option<u64>| since.is_some_and(|since| since.saturating_add(AWAY_MS) <= now);
        let invitations = self.invitations.iter().filter(|invitation| invitation.expires <= now);
        let unanswered: Vec<_> = invitations.map(|invitation| invitation.identity.clone()).collect();
        let seats = self.stage.iter().filter(|seat| out(seat.away_since));
        let lost: Vec<_> = seats.map(|seat| seat.identity.clone()).collect();
        let hands = self.hands.iter().filter(|hand| out(hand.away_since));
        let forgotten: Vec<_> = hands.map(|hand| hand.identity.clone()).collect();

        for identity in &unanswered {
            self.decline_invitation(identity, DeclineReason::NoAnswer);
        }
        for identity in &lost {
            self.take_seat(identity);
        }
        for identity in &forgotten {
            self.take_hand(identity);
        }
    }

    /// Ends the room. Nobody is told one by one who goes: everybody does.
    pub(super) fn end(&mut self) {
        let now = self.now;
        let room = self.edit();
        (room.state, room.since) = (RoomState::Ended, now);
        room.stage.clear();
        room.invitations.clear();
        room.hands.clear();
        self.set.clear();
        self.gone.clear();
        self.up.clear();
        self.down.clear();
        self.changes.push(Change::Room { state: RoomState::Ended, since: now });
    }
}
