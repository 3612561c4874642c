//! What people do about themselves.

use std::collections::BTreeMap;

use protocol::id::Identity;
use protocol::message::DeclineReason;

use super::Draft;
use crate::limits::MAX_HANDS;
use crate::room::{Numbered, PENDING, RaisedHand};
use crate::{Answer, Party, People, Refusal};

impl Draft<'_> {
    /// Whoever was invited meanwhile comes on stage by it: that is a yes.
    pub(super) fn raise_hand(
        &mut self,
        identity: &Identity,
        people: &impl People,
    ) -> Result<Answer, Refusal> {
        let name = people.name(identity).ok_or_else(|| Refusal::NotHere(identity.clone()))?;
        if self.seat(identity).is_some() {
            return Err(Refusal::Conflict("already on stage"));
        }
        if self.invitation(identity).is_some() {
            return self.accept(identity, people);
        }
        if self.hands.get(identity).is_some() {
            return Ok(Answer::Done);
        }
        let party = people.party(identity);
        if self.hands.count >= MAX_HANDS {
            let newest = self.gives_way_to(party).ok_or(Refusal::HandsFull(MAX_HANDS))?;
            self.take_hand(&newest);
        }
        let place = self.next_place();
        let hand = RaisedHand { name: name.into(), party, since: self.now, place, went_up: None };
        self.down.retain(|down| down != identity);
        self.up.push(identity.clone());
        self.hands.set(identity, hand);
        Ok(Answer::Done)
    }

    /// After those that go up with the same change.
    fn next_place(&self) -> u32 {
        let pending = self.hands.base.values().map(Numbered::turn).filter(|(number, _)| *number == PENDING);
        pending.map(|(_, place)| place + 1).max().unwrap_or_default()
    }

    /// Whose hand gives way to one more where as many are up as may be: the newest of the party that has most of
    /// them. To a guest it does so only where that makes the shares more equal; somebody whom a token names
    /// counts for more than any guest.
    fn gives_way_to(&self, party: Option<Party>) -> Option<Identity> {
        let up = || self.hands.base.iter().filter_map(|(who, hand)| Some((hand.value.party?, who, hand)));
        let mut shares = BTreeMap::<Party, usize>::new();
        for (party, ..) in up() {
            *shares.entry(party).or_default() += 1;
        }
        let (&largest, &most) = shares.iter().max_by_key(|(_, share)| **share)?;
        let share = party.map(|party| shares.get(&party).copied().unwrap_or_default());
        if share.is_some_and(|share| share + 1 >= most) {
            return None;
        }
        let theirs = up().filter(|(party, ..)| *party == largest);
        let (_, newest, _) = theirs.max_by_key(|(_, _, hand)| hand.turn())?;
        Some(newest.clone())
    }

    pub(super) fn lower_own_hand(&mut self, identity: &Identity) -> Result<Answer, Refusal> {
        self.take_hand(identity);
        Ok(Answer::Done)
    }

    pub(super) fn accept(&mut self, identity: &Identity, people: &impl People) -> Result<Answer, Refusal> {
        let none = Refusal::Conflict("there is no invitation, or it has run out");
        let invitation = self.invitation(identity).cloned().ok_or(none)?;
        let name = people.name(identity).unwrap_or(&invitation.name);
        self.seat_promoted(identity, name, invitation.by)
    }

    pub(super) fn decline(&mut self, identity: &Identity) -> Result<Answer, Refusal> {
        if self.decline_invitation(identity, DeclineReason::Declined) {
            return Ok(Answer::Done);
        }
        Err(Refusal::Conflict("there is no invitation, or it has run out"))
    }

    /// Not noted beyond the seat: whoever comes back meant to be heard.
    pub(super) fn mute_oneself(&mut self, identity: &Identity) -> Result<Answer, Refusal> {
        self.check_on_stage(identity)?;
        self.set_muted(identity, true);
        Ok(Answer::Done)
    }

    /// Lifts a host's mute too.
    pub(super) fn unmute(&mut self, identity: &Identity) -> Result<Answer, Refusal> {
        self.check_on_stage(identity)?;
        if self.standing.get(identity).is_some_and(|standing| standing.muted) {
            self.decide(identity, |standing| standing.muted = false)?;
        }
        self.set_muted(identity, false);
        Ok(Answer::Done)
    }

    pub(super) fn step_down(&mut self, identity: &Identity) -> Result<Answer, Refusal> {
        self.check_on_stage(identity)?;
        self.off_stage(identity)?;
        Ok(Answer::Done)
    }

    fn check_on_stage(&self, identity: &Identity) -> Result<(), Refusal> {
        if self.seat(identity).is_some() { Ok(()) } else { Err(Refusal::Conflict("not on stage")) }
    }
}
