//! At the door: who enters as what, and what is held for whom.

use protocol::id::Identity;
use protocol::message::{DeclineReason, RoomState};
use protocol::token::Role;

use super::Draft;
use crate::{Answer, Arrival, Refusal};

impl Draft {
    pub(super) fn enter(&mut self, arrival: &Arrival) -> Result<Answer, Refusal> {
        self.check_not_ended()?;
        let identity = &arrival.identity;
        if self.is_banned(identity) {
            return Err(Refusal::Banned);
        }
        let role = self.role_on_entry(arrival)?;
        self.back(arrival);
        if self.awaits && role != Role::Listener {
            self.go_live();
        }
        if let Some(seat) = self.seat(identity) {
            return Ok(Answer::Seated { number: seat.number });
        }
        let offstage = self.standing.get(identity).is_some_and(|standing| standing.offstage);
        if role == Role::Listener || offstage || arrival.hidden {
            return Ok(Answer::Done);
        }
        if self.check_seat_free().is_err() {
            return Ok(Answer::StageFull);
        }
        let number = self.seat_down(identity, &arrival.name)?.number;
        Ok(Answer::Seated { number })
    }

    pub(super) fn cut(&mut self, identity: &Identity) -> Result<Answer, Refusal> {
        if self.state != RoomState::Ended {
            self.set_away(identity, Some(self.now));
        }
        Ok(Answer::Done)
    }

    pub(super) fn leave(&mut self, identity: &Identity) -> Result<Answer, Refusal> {
        self.take_seat(identity);
        self.take_hand(identity);
        self.decline_invitation(identity, DeclineReason::Left);
        Ok(Answer::Done)
    }

    /// The role of the first token is noted where it is more than a listener's, and holds. Of
    /// listeners nothing is noted: a whole audience would not fit.
    fn role_on_entry(&mut self, arrival: &Arrival) -> Result<Role, Refusal> {
        let decided = self.standing.get(&arrival.identity).and_then(|standing| standing.role);
        if let Some(role) = decided {
            return Ok(role);
        }
        if arrival.role != Role::Listener {
            self.standing_mut(&arrival.identity)?.role = Some(arrival.role);
        }
        Ok(arrival.role)
    }

    /// Somebody is here (again): nothing of theirs runs out, and they may have another name now.
    fn back(&mut self, arrival: &Arrival) {
        self.set_away(&arrival.identity, None);
        let renamed = self.seat(&arrival.identity).is_some_and(|seat| seat.name != arrival.name);
        if renamed {
            for seat in &mut self.edit().stage {
                if seat.identity == arrival.identity {
                    seat.name.clone_from(&arrival.name);
                }
            }
            self.tell_member(&arrival.identity);
        }
        let position = self.hands.iter().position(|hand| hand.identity == arrival.identity);
        if let Some(position) = position.filter(|&position| self.hands[position].name != arrival.name) {
            let hand = &mut self.edit().hands[position];
            hand.name.clone_from(&arrival.name);
            let shown = hand.shown();
            self.up.push(shown);
        }
    }

    /// The first cut counts: one that is told twice gives no more time.
    fn set_away(&mut self, identity: &Identity, since: Option<u64>) {
        let differs = |before: Option<u64>| before.is_some() != since.is_some();
        let seat = self.stage.iter().position(|seat| seat.identity == *identity);
        if let Some(position) = seat.filter(|&position| differs(self.stage[position].away_since)) {
            self.edit().stage[position].away_since = since;
        }
        let hand = self.hands.iter().position(|hand| hand.identity == *identity);
        if let Some(position) = hand.filter(|&position| differs(self.hands[position].away_since)) {
            self.edit().hands[position].away_since = since;
        }
    }
}
