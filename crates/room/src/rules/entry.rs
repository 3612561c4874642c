//! At the door: who enters as what, and what is held for whom.

use protocol::id::Identity;
use protocol::message::DeclineReason;
use protocol::token::Role;

use super::Draft;
use crate::room::RaisedHand;
use crate::{Answer, Arrival, Refusal};

impl Draft<'_> {
    /// Lets somebody in. Whoever has a seat, a hand or an invitation still has it; a host or speaker
    /// gets a seat, unless hosts have decided otherwise or none is free.
    pub(crate) fn enter(&mut self, arrival: &Arrival) -> Result<Answer, Refusal> {
        self.check_not_ended()?;
        let identity = &arrival.identity;
        if self.is_banned(identity) {
            return Err(Refusal::Banned);
        }
        let role = self.role_on_entry(arrival)?;
        self.rename(arrival);
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

    /// Takes back what somebody has who is gone for good.
    pub(crate) fn leave(&mut self, identity: &Identity) {
        self.take_seat(identity);
        self.take_hand(identity);
        self.decline_invitation(identity, DeclineReason::Left);
    }

    /// The role of the first token is noted where it is more than a listener's, and holds. Of
    /// listeners nothing is noted: a whole audience would not fit.
    fn role_on_entry(&mut self, arrival: &Arrival) -> Result<Role, Refusal> {
        let decided = self.standing.get(&arrival.identity).and_then(|standing| standing.role);
        if let Some(role) = decided {
            return Ok(role);
        }
        if arrival.role != Role::Listener {
            self.decide(&arrival.identity, |standing| standing.role = Some(arrival.role))?;
        }
        Ok(arrival.role)
    }

    /// Somebody is here (again), and may have another name now.
    fn rename(&mut self, arrival: &Arrival) {
        let identity = &arrival.identity;
        let position = self.stage.iter().position(|seat| seat.identity == *identity);
        if let Some(position) = position.filter(|&position| self.stage[position].name != arrival.name) {
            self.head.stage[position].name.clone_from(&arrival.name);
            self.tell_member(identity);
        }
        let is_other = self.hands.get(identity).is_some_and(|hand| hand.name != arrival.name);
        if let Some(hand) = self.hands.base.get(identity).filter(|_| is_other) {
            let hand = RaisedHand { name: arrival.name.clone(), ..hand.again() };
            self.up.push(identity.clone());
            self.hands.set(identity, hand);
        }
    }
}
