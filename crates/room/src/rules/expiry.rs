//! What runs out: invitations, and the room itself.

use protocol::message::{DeclineReason, RoomState};

use super::Draft;
use crate::Change;
use crate::limits::ENDED_MS;
use crate::room::Head;

impl Head {
    /// When something in it runs out; none while nothing can.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if self.state == RoomState::Ended {
            return Some(self.since.saturating_add(ENDED_MS));
        }
        self.invitations.iter().map(|invitation| invitation.expires).min()
    }
}

impl Draft<'_> {
    /// Gives back the seats of those who did not answer.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        let unanswered = self.invitations.iter().filter(|invitation| invitation.expires <= now);
        let unanswered: Vec<_> = unanswered.map(|invitation| invitation.identity.clone()).collect();
        for identity in &unanswered {
            self.decline_invitation(identity, DeclineReason::NoAnswer);
        }
    }

    /// Ends the room. Nobody is told one by one who goes: everybody does.
    pub(super) fn end(&mut self) {
        let (now, head) = (self.now, &mut self.head);
        (head.state, head.since) = (RoomState::Ended, now);
        head.stage.clear();
        head.invitations.clear();
        self.hands.remove_all();
        self.set.clear();
        self.gone.clear();
        self.up.clear();
        self.down.clear();
        self.changes.push(Change::Room { state: RoomState::Ended, since: now });
    }
}
