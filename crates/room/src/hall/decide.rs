//! Decides an operation: the rules of the stage, and beside them who is here and may come back.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::Identity;
use protocol::message::{RemoveReason, RoomState};
use protocol::token::Role;

use super::{Cause, Commit, Compare, Decision, Due, Entry, HallError, Note, Operation, View};
use crate::limits::{AWAY_MS, BRIEF_MS, ENDED_MS, MORE_PLACES, PARTY_PER_FREE, RESTORED_ABOVE};
use crate::person::{Tickets, Worth};
use crate::room::{Delta, Head, Numbered, Standing, Tombstone};
use crate::rules::{Draft, Settled};
use crate::{Action, Actor, Answer, Arrival, Gone, Owner, Plan, Present, Room, Secret, Session, Ticket};

impl Operation {
    /// The people whose entries it must see.
    pub fn concerns(&self) -> Vec<&Identity> {
        match self {
            Self::Create { actor, .. } => actor.identity().into_iter().collect(),
            Self::Enter { arrival, .. } => vec![&arrival.identity],
            Self::Resume { ticket, .. } => vec![&ticket.identity],
            Self::Adopt { identity, .. }
            | Self::Cut { identity, .. }
            | Self::Return { identity, .. }
            | Self::Leave { identity, .. } => vec![identity],
            Self::Act { actor, action } => actor.identity().into_iter().chain(action.target()).collect(),
            Self::Lapse(Due::Person(identity)) => vec![identity],
            Self::Origin { .. } | Self::Restore { .. } | Self::Lapse(Due::Head | Due::Empty) => Vec::new(),
        }
    }

    /// Whether it takes a session of this node for gone.
    pub fn is_only_if_lapsed(&self, owner: &Owner) -> bool {
        match self {
            Self::Cut { session, if_lapsed: true, .. } | Self::Adopt { from: session, .. } => {
                session.owner() == *owner
            }
            _ => false,
        }
    }

    /// What comes of it.
    pub fn decide(&self, now: u64, view: View<'_>) -> Result<Decision, HallError> {
        let case = Case { now, view, concerns: self.concerns() };
        match self {
            Self::Create { actor, plan } => case.create(actor, plan),
            Self::Enter { arrival, session, secret } => {
                let before = view.person(&arrival.identity).filter(|person| !person.is_lost(now));
                let tickets = Tickets::first(*secret, before.map(|person| &person.tickets));
                case.enter(arrival, session, tickets)
            }
            Self::Resume { ticket, session, secret } => case.resume(ticket, session, *secret),
            Self::Adopt { identity, from, session, secret } => case.adopt(identity, from, session, *secret),
            Self::Cut { identity, session, had_media, if_lapsed } => {
                let mut decision = case.cut(identity, session, *had_media)?;
                if let Some(commit) = decision.commit.as_mut().filter(|_| *if_lapsed) {
                    commit.compare.lapsed.insert(session.owner());
                }
                Ok(decision)
            }
            Self::Return { identity, session, lost } => case.return_(identity, session, lost.as_ref()),
            Self::Restore { room, owner } => Ok(case.restore(room, owner)),
            Self::Leave { identity, session } => case.leave(identity, session),
            Self::Act { actor, action } => case.act(actor, action),
            Self::Origin { node, epoch, lost } => {
                let mut draft = case.draft()?;
                let answer = draft.assign_origin(node, *epoch, *lost)?;
                Ok(case.decided(answer, Cause::Origin, None, draft.settle()))
            }
            Self::Lapse(due) => case.lapse(due),
        }
    }
}

/// An operation's case.
struct Case<'a> {
    now: u64,
    view: View<'a>,
    concerns: Vec<&'a Identity>,
}

impl<'a> Case<'a> {
    fn room(&self) -> Result<&'a Room, HallError> {
        self.view.room.ok_or(HallError::NoRoom)
    }

    fn draft(&self) -> Result<Draft<'a>, HallError> {
        Ok(Draft::new(self.room()?, self.now))
    }

    fn create(&self, actor: &Actor, plan: &Plan) -> Result<Decision, HallError> {
        let id = self.view.id;
        match self.view.room {
            Some(room) if room.state() != RoomState::Ended => {
                let live = Some(plan.live != Some(false));
                let configure = Action::Configure { title: plan.title.clone(), seats: plan.seats, live };
                self.act(actor, &configure)
            }
            _ => {
                if self.view.room.is_some() {
                    self.draft()?.check_may_host(actor)?;
                }
                let room = self.anew(Head::new(id.clone(), plan, self.now)?);
                let draft = Draft::new(&room, self.now);
                draft.check_may_host(actor)?;
                Ok(self.made(&room, Answer::Done, Cause::Created, Some(actor.clone()), draft.settle()))
            }
        }
    }

    fn enter(&self, arrival: &Arrival, session: &Session, tickets: Tickets) -> Result<Decision, HallError> {
        let identity = &arrival.identity;
        let made = match self.view.room {
            Some(_) => None,
            None => Some(self.anew(Head::by_entry(self.view.id.clone(), arrival, self.now)?)),
        };
        let mut draft = match &made {
            Some(room) => Draft::new(room, self.now),
            None => self.draft()?,
        };
        let before = self.view.person(identity);
        if before.is_some_and(|person| person.is_lost(self.now)) {
            draft.leave(identity);
        }
        let answer = draft.enter(arrival)?;
        let settled = draft.settle();
        let mut decision = match &made {
            Some(room) => self.made(room, answer, Cause::Entered, None, settled),
            None => self.decided(answer, Cause::Entered, None, settled),
        };
        let present = Present {
            name: arrival.name.clone(),
            hidden: arrival.hidden,
            party: arrival.party,
            session: session.clone(),
            away_until: None,
            tickets,
        };
        let commit = self.commit(&mut decision);
        self.set_person(commit, identity, Some(present));
        if before.is_none() {
            commit.compare.places = Some(self.places_for(arrival));
            commit.compare.parties =
                arrival.party.map(|party| (party, self.fair_share())).into_iter().collect();
        }
        decision.gone = before.map(|person| replaced(identity, person)).into_iter().collect();
        decision.arrival = Some(arrival.clone());
        Ok(decision)
    }

    /// A room that is full of guests still has some places for those who are known, and of them for those who
    /// may come on stage.
    fn places_for(&self, arrival: &Arrival) -> usize {
        let more = match (arrival.party, arrival.role) {
            (Some(_), _) => 0,
            (None, Role::Listener) => MORE_PLACES,
            (None, _) => 2 * MORE_PLACES,
        };
        self.view.participants + more
    }

    /// How many guests of one party may be here before another comes.
    fn fair_share(&self) -> usize {
        self.view.participants.saturating_sub(self.view.present) * PARTY_PER_FREE
    }

    fn resume(&self, ticket: &Ticket, session: &Session, secret: Secret) -> Result<Decision, HallError> {
        let Ticket { identity, secret: shown } = ticket;
        let room = self.view.room.ok_or(HallError::Ticket)?;
        let Some(person) = self.view.person(identity) else {
            let farewell = room.standing(identity).and_then(|standing| standing.farewell.as_ref());
            let over = farewell.filter(|farewell| farewell.is_to(*shown));
            return Err(over.map_or(HallError::Ticket, |farewell| HallError::Over(farewell.reason)));
        };
        match person.tickets.worth(*shown) {
            Worth::Good if !person.is_lost(self.now) => {}
            Worth::Replaced => return Err(HallError::Over(RemoveReason::Replaced)),
            Worth::Good | Worth::Nothing => return Err(HallError::Ticket),
        }
        self.enter(&again(identity, person), session, Tickets::next(secret, *shown))
    }

    fn adopt(
        &self,
        identity: &Identity,
        from: &Session,
        session: &Session,
        secret: Secret,
    ) -> Result<Decision, HallError> {
        let person = self.view.person(identity).filter(|it| it.session == *from && !it.is_lost(self.now));
        let person = person.ok_or(HallError::Ticket)?;
        let tickets = Tickets::first(secret, Some(&person.tickets));
        let mut decision = self.enter(&again(identity, person), session, tickets)?;
        self.commit(&mut decision).compare.lapsed.insert(from.owner());
        Ok(decision)
    }

    fn cut(&self, identity: &Identity, session: &Session, had_media: bool) -> Result<Decision, HallError> {
        let is_on_stage = self.room()?.place(identity).number.is_some();
        let person = self.view.person(identity);
        // The first cut counts: one that is told twice gives no more time.
        let Some(person) = person.filter(|it| it.session == *session && it.away_until.is_none()) else {
            return Ok(nothing(Answer::Done));
        };
        let time = if had_media || is_on_stage { AWAY_MS } else { BRIEF_MS };
        let away = Present { away_until: Some(self.now + time), ..person.clone() };
        Ok(self.changed(identity, away))
    }

    fn return_(
        &self,
        identity: &Identity,
        session: &Session,
        lost: Option<&Present>,
    ) -> Result<Decision, HallError> {
        let room = self.room()?;
        let person = self.view.person(identity);
        let is_away = lost.is_some_and(|lost| lost.away_until.is_some());
        match (person, lost) {
            (Some(person), _) if person.session == *session => {
                let is_back = person.away_until.is_some() && !is_away;
                let present = Present { away_until: None, ..person.clone() };
                Ok(if is_back { self.changed(identity, present) } else { nothing(Answer::Done) })
            }
            // Whoever is there comes before whoever may come back.
            (Some(person), _) if person.away_until.is_none() || is_away => Ok(nothing(Answer::Done)),
            (person, Some(lost)) => {
                let standing = room.standing(identity);
                let is_out = standing.is_some_and(|standing| standing.is_out(&lost.tickets));
                if is_out || room.state() == RoomState::Ended {
                    return Ok(nothing(Answer::Done));
                }
                let mut decision = self.changed(identity, lost.clone());
                let before = person.filter(|person| !person.session.is_nobody());
                decision.gone.extend(before.map(|person| replaced(identity, person)));
                Ok(decision)
            }
            (_, None) => Ok(nothing(Answer::Done)),
        }
    }

    /// All of it is as it was, but for the people: each node puts back its own.
    fn restore(&self, lost: &Room, owner: &Owner) -> Decision {
        let mut delta = Delta { head: Some(lost.head.value.clone()), door: true, ..Delta::default() };
        let hands = lost.hands.iter();
        delta.hands.extend(hands.map(|(identity, hand)| (identity.clone(), Some(hand.again()))));
        let standing = lost.standing.iter();
        delta.standing.extend(standing.map(|(identity, it)| (identity.clone(), Some(it.value.clone()))));
        let mut decision =
            self.decided(Answer::Done, Cause::Restored, None, Settled { changes: Vec::new(), delta });
        let commit = self.commit(&mut decision);
        commit.clear = true;
        // What anybody knows of it is older.
        commit.above = Some(lost.version.saturating_add(RESTORED_ABOVE));
        // Whoever has something and whom nobody puts back loses it as after any cut.
        let seats = lost.stage().iter().map(|seat| (&seat.identity, &seat.name));
        let hands = lost.hands.iter().map(|(identity, hand)| (identity, &hand.value.name));
        let invited = lost.invitations().iter().map(|invited| (&invited.identity, &invited.name));
        for (identity, name) in seats.chain(hands).chain(invited) {
            let present = Some(Present::lost(name, owner, self.now + AWAY_MS));
            commit.people.insert(identity.clone(), Entry { was_at: None, was_of: None, present });
        }
        decision
    }

    fn changed(&self, identity: &Identity, present: Present) -> Decision {
        let mut decision = nothing(Answer::Done);
        let commit = self.commit(&mut decision);
        self.set_person(commit, identity, Some(present));
        decision
    }

    fn leave(&self, identity: &Identity, session: &Session) -> Result<Decision, HallError> {
        self.room()?;
        match self.view.person(identity) {
            Some(person) if person.session == *session => self.let_go(identity, person, Cause::Left),
            _ => Ok(nothing(Answer::Done)),
        }
    }

    fn let_go(&self, identity: &Identity, person: &Present, cause: Cause) -> Result<Decision, HallError> {
        let mut draft = self.draft()?;
        draft.leave(identity);
        let mut decision = self.decided(Answer::Done, cause, None, draft.settle());
        let commit = self.commit(&mut decision);
        self.set_person(commit, identity, None);
        let (identity, session) = (identity.clone(), person.session.clone());
        decision.gone.push(Gone { identity, session, reason: RemoveReason::Left });
        Ok(decision)
    }

    fn act(&self, actor: &Actor, action: &Action) -> Result<Decision, HallError> {
        let mut draft = self.draft()?;
        let answer = draft.act(actor, action, &self.view)?;
        let out: Vec<_> = draft.removed().collect();
        for (identity, reason) in &out {
            if let Some(person) = self.view.person(identity) {
                draft.bid_farewell(identity, person.tickets.end(*reason));
            }
        }
        let cause = Cause::Did(action.clone());
        let mut decision = self.decided(answer, cause, Some(actor.clone()), draft.settle());
        for (identity, reason) in out {
            let Some(person) = self.view.person(&identity) else { continue };
            decision.gone.push(Gone { identity: identity.clone(), session: person.session.clone(), reason });
            let commit = self.commit(&mut decision);
            self.set_person(commit, &identity, None);
        }
        if let Some(commit) = decision.commit.as_mut().filter(|commit| commit.ends()) {
            commit.end();
        }
        Ok(decision)
    }

    fn lapse(&self, due: &Due) -> Result<Decision, HallError> {
        let room = self.room()?;
        match due {
            Due::Person(identity) => match self.view.person(identity) {
                Some(person) if person.is_lost(self.now) => self.let_go(identity, person, Cause::Lapsed),
                _ => Ok(nothing(Answer::Done)),
            },
            Due::Head if room.state() == RoomState::Ended => {
                let mut decision = nothing(Answer::Done);
                if room.info().since.saturating_add(ENDED_MS) <= self.now {
                    let commit = self.commit(&mut decision);
                    commit.compare.head = Some(room.head.number);
                    (commit.clear, commit.forget) = (true, Some(room.tombstone()));
                }
                Ok(decision)
            }
            Due::Head => Ok(self.decided(Answer::Done, Cause::Lapsed, None, self.draft()?.settle())),
            Due::Empty => {
                let mut draft = self.draft()?;
                let answer = draft.desert()?;
                let mut decision = self.decided(answer, Cause::Lapsed, None, draft.settle());
                let commit = self.commit(&mut decision);
                commit.compare.empty = true;
                commit.end();
                // Nobody needs to be told so later.
                commit.forget = Some(room.tombstone());
                Ok(decision)
            }
        }
    }

    /// A room in place of one that has ended, or after one that has been forgotten. Numbers go on from
    /// there, so that nobody who is late takes the one for the other, and whoever was banned stays so.
    fn anew(&self, head: Head) -> Room {
        let before = self.view.room.map(Room::tombstone).or_else(|| self.view.tombstone.cloned());
        let Some(Tombstone { number, last_number, epoch, banned }) = before else {
            return Room::new(0, 0, Numbered { number: 0, value: head });
        };
        let mut room = Room::new(number, 0, Numbered { number, value: Head { last_number, epoch, ..head } });
        for identity in banned {
            let value = Standing { banned: true, ..Standing::default() };
            room.with_standing(identity, Numbered { number, value });
        }
        room
    }

    /// What comes of making a room: all of it is new.
    fn made(
        &self,
        room: &Room,
        answer: Answer,
        cause: Cause,
        by: Option<Actor>,
        settled: Settled,
    ) -> Decision {
        let Settled { changes, delta } = settled;
        let mut after = room.clone();
        after.apply(room.version(), delta);
        let before = self.view.room;
        let mut delta = Delta { head: Some(after.head.value.clone()), door: true, ..Delta::default() };
        let keep =
            |(identity, it): (&Identity, &Numbered<Standing>)| (identity.clone(), Some(it.value.clone()));
        let forgotten = before.into_iter().flat_map(|before| before.standing.keys());
        delta.standing = forgotten.map(|identity| (identity.clone(), None)).collect();
        delta.standing.extend(after.standing.iter().map(keep));
        self.decided(answer, cause, by, Settled { changes, delta })
    }

    fn decided(&self, answer: Answer, cause: Cause, by: Option<Actor>, settled: Settled) -> Decision {
        let Settled { changes, delta } = settled;
        let mut decision = Decision { changes, ..nothing(answer) };
        if delta != Delta::default() {
            let changes = decision.changes.clone();
            let commit = self.commit(&mut decision);
            commit.compare.head = Some(self.view.room.map_or(0, |room| room.head.number));
            self.compare_written(&mut commit.compare, &delta);
            commit.delta = delta;
            commit.notes.push(Note { at: self.now, by, cause, changes });
        }
        decision
    }

    /// The decision's commit, with everything compared that it was decided on.
    fn commit<'d>(&self, decision: &'d mut Decision) -> &'d mut Commit {
        decision.commit.get_or_insert_with(|| Commit {
            now: self.now,
            compare: self.compare(),
            delta: Delta::default(),
            people: BTreeMap::new(),
            clear: false,
            above: None,
            forget: None,
            notes: Vec::new(),
        })
    }

    fn set_person(&self, commit: &mut Commit, identity: &Identity, present: Option<Present>) {
        let before = self.view.person(identity);
        let was_at = before.and_then(Present::connected_to);
        let was_of = before.and_then(|person| person.party);
        commit.people.insert(identity.clone(), Entry { was_at, was_of, present });
    }

    fn compare(&self) -> Compare {
        let room = self.view.room;
        let all = |number: &dyn Fn(&Identity) -> u64| {
            self.concerns.iter().map(|&identity| (identity.clone(), number(identity))).collect()
        };
        Compare {
            door: room.map_or(0, |room| room.door),
            head: None,
            standing: all(&|identity| room.map_or(0, |room| number(&room.standing, identity))),
            hands: all(&|identity| room.map_or(0, |room| number(&room.hands, identity))),
            people: all(&|identity| number(self.view.people, identity)),
            empty: false,
            lapsed: BTreeSet::new(),
            places: None,
            parties: BTreeMap::new(),
        }
    }

    fn compare_written(&self, compare: &mut Compare, delta: &Delta) {
        let Some(room) = self.view.room else { return };
        for identity in delta.standing.keys() {
            compare.standing.insert(identity.clone(), number(&room.standing, identity));
        }
        for identity in delta.hands.keys() {
            compare.hands.insert(identity.clone(), number(&room.hands, identity));
        }
    }
}

/// Somebody comes again: who they are and may is settled already.
fn again(identity: &Identity, person: &Present) -> Arrival {
    Arrival {
        identity: identity.clone(),
        name: person.name.clone(),
        role: Role::Listener,
        hidden: person.hidden,
        party: person.party,
    }
}

fn replaced(identity: &Identity, person: &Present) -> Gone {
    Gone { identity: identity.clone(), session: person.session.clone(), reason: RemoveReason::Replaced }
}

fn number<T>(entries: &BTreeMap<Identity, Numbered<T>>, identity: &Identity) -> u64 {
    entries.get(identity).map_or(0, |entry| entry.number)
}

fn nothing(answer: Answer) -> Decision {
    Decision { answer, changes: Vec::new(), gone: Vec::new(), arrival: None, commit: None }
}

impl Commit {
    /// Whether the room ends by it.
    pub fn ends(&self) -> bool {
        self.delta.head.as_ref().is_some_and(|head| head.state == RoomState::Ended)
    }

    /// Everybody goes, whoever has raised a hand meanwhile too.
    fn end(&mut self) {
        self.clear = true;
        self.delta.hands.clear();
        self.compare.hands.clear();
    }
}
