//! Putting back: what the store has lost of the room and of those who are here, and those whom others took for
//! gone with this node.

use protocol::id::Identity;
use protocol::message::RemoveReason;

use super::fold::MAX_FOLD;
use super::ledger::PATIENCE_MS;
use super::work::Whose;
use super::{Around, Contact, Effect, Live, Trouble, Who};
use crate::Session;
use crate::hall::Operation;
use crate::limits::AWAY_MS;

impl Live {
    /// Puts the room back that the store has lost, above all that anybody knew of it. Notes that are on their way
    /// come first.
    pub(super) fn restore(&mut self, around: &mut Around<'_>) -> Option<bool> {
        let (since, room) = self.ledger.lost()?;
        if around.now < since + PATIENCE_MS {
            return Some(false);
        }
        let operation =
            Operation::Restore { room: Box::new((**room).clone()), owner: self.settings.owner.clone() };
        self.work.add_first(operation, Whose::Nobody);
        self.effects.push(Effect::Warn("the store has lost a room: it is put back as it was"));
        Some(self.decide(around))
    }

    /// This node may have been taken for gone, or not have been told: whoever is here is put back where they
    /// were. The sessions whose place has been taken, or given up, end. Where the store `has_lost` them, those who
    /// may come back are put back too.
    pub(super) fn put_back(&mut self, has_lost: bool) {
        self.work.set_back(self.people.sessions(), has_lost);
    }

    /// It is the turn of some of those who are put back. Whoever is out meanwhile is not.
    pub(super) fn take_up_back(&mut self, now: u64) {
        for _ in 0..MAX_FOLD {
            let Some((who, has_lost)) = self.work.next_back() else { return };
            if let Some(operation) = self.back(now, &who, has_lost) {
                self.work.add_back(operation, who);
            }
        }
    }

    /// How somebody is put back: as they are now.
    fn back(&self, now: u64, who: &Who, has_lost: bool) -> Option<Operation> {
        let here = self.people.get(&who.identity).filter(|here| here.number == who.number)?;
        let is_connected = here.contact != Contact::Away;
        let mut lost = here.entry.as_ref()?.value.clone();
        let away_until = self.work.store_now(now)? + AWAY_MS;
        lost.away_until = (!is_connected).then(|| lost.away_until.unwrap_or(away_until));
        let (identity, session) = (who.identity.clone(), lost.session.clone());
        Some(if is_connected || has_lost {
            Operation::Return { identity, session, lost: Some(lost) }
        } else {
            Operation::Cut { identity, session, had_media: true, if_lapsed: false }
        })
    }

    /// Whose entry it is where somebody was to be put back.
    pub(super) fn settle_back(&mut self, around: &mut Around<'_>, who: &Who, theirs: Option<Session>) {
        let session = self.session(who.number);
        let is_here = self.people.current(who).is_some();
        match theirs {
            // They are out meanwhile.
            Some(theirs) if theirs == session && !is_here => {
                let identity = who.identity.clone();
                self.work.add(
                    Operation::Cut { identity, session, had_media: true, if_lapsed: false },
                    Whose::Gone(None),
                );
            }
            Some(theirs) if theirs == session => {}
            Some(_) if is_here => self.let_go(around, &who.identity, RemoveReason::Replaced),
            // They come again by themselves.
            None if is_here => self.let_go(around, &who.identity, RemoveReason::Shutdown),
            _ => {}
        }
    }

    /// The store takes these for sessions of this node: those that are over are cut.
    pub(super) fn cut_others(&mut self, now: u64, sessions: Result<Vec<(Identity, Session)>, Trouble>) {
        let Ok(sessions) = sessions else { return self.work.ask_for_sessions(now) };
        for (identity, session) in sessions {
            let here = self.people.get(&identity).filter(|here| here.contact != Contact::Away);
            let is_here = here.is_some_and(|here| here.number == session.number);
            if !is_here && !self.work.is_coming(session.number) {
                let cut = Operation::Cut { identity, session, had_media: true, if_lapsed: false };
                self.work.add(cut, Whose::Gone(None));
            }
        }
    }
}
