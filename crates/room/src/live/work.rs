//! What waits for the store, and goes to it together.
//!
//! ```text
//!   waiting ──▶ decided one after another on what is known ──▶ one commit ──▶ done: answered, told
//!      ▲                       │ not sure                         │ changed: how it is, and again
//!      └─────── loaded ────────┴──────────────────────────────────┘
//! ```
//!
//! What would change something is sure once the store has taken it. What would change nothing, or may not be,
//! is only sure where it was decided on what the store has just told: so nobody is refused because a note was
//! late. Of what somebody asked they are told when the store does not answer; what must be done whoever asks
//! is kept until it does.

use std::collections::{BTreeMap, VecDeque};

use protocol::error::{ApiError, Code};
use protocol::id::{Identity, NodeId, Region};
use protocol::message::{Purpose, Reply, RequestId, ServerMessage};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::door::Newcomer;
use super::fold::{Fold, MAX_FOLD};
use super::ledger::PATIENCE_MS;
use super::note::{Acted, Note};
use super::people::{Peer, People};
use super::tell::Told;
use super::{Answered, Around, Asked, Contact, Effect, Live, Looked, Trouble, Who, no_room};
use crate::hall::{Commit, Committed, Conflict, Current, Decision, HallError, Loaded, Operation};
use crate::{Action, Actor, Answer, Gone, Numbered, Owner, Party, Plan, Present, Refusal, Session};

/// What may wait. Whoever has more to say waits outside.
const MAX_WAITING: usize = 2_048;

/// How often something is decided again because somebody was faster. Each time somebody was.
const TRIES: u32 = 100;

/// From which try on one waits a moment, so that not all come at once again; and longest such moment, in ms.
const PATIENT: (u32, u64) = (3, 5);

/// Between two questions to a store that does not answer, in ms. Spread: many wait for it.
const AGAIN_MS: std::ops::Range<u64> = 500..1_500;

/// For how long newcomers are refused by what the store said last, in ms; and of how many parties that is kept.
const FULL_MS: u64 = 1_000;
const MAX_FULL: usize = 1_000;

/// An operation that waits.
#[derive(Debug)]
struct Waiting {
    operation: Operation,
    whose: Whose,
    /// It must be decided on what the store has just told.
    must_see: bool,
}

/// Who wants it, and what they are told.
#[derive(Debug)]
pub(super) enum Whose {
    /// Somebody who wants in.
    Entry(Entry),
    /// A session asks; whom it wants to promote.
    Said(Who, Option<RequestId>, Option<Identity>),
    /// Somebody asks to do something.
    Act(Asked),
    /// Somebody asks to make the room.
    Create(Asked),
    /// Somebody is gone: it must be noted, or they stay for good. What was known of them, who are not here any more.
    Gone(Option<Box<Numbered<Present>>>),
    /// Is this session still one?
    Back(Who),
    /// The room needs an origin.
    Origin,
    /// Nobody: it is due.
    Nobody,
}

impl Whose {
    fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Entry(entry) => Some(entry),
            _ => None,
        }
    }

    fn gone(&self) -> Option<&Numbered<Present>> {
        match self {
            Self::Gone(entry) => entry.as_deref(),
            _ => None,
        }
    }
}

/// What is known of somebody who wants in.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) asked: Asked,
    pub(super) number: u64,
    pub(super) contact: Contact,
    pub(super) region: Region,
    pub(super) id: Option<RequestId>,
    pub(super) is_resumed: bool,
    /// What they are here with.
    pub(super) peer: Option<(Purpose, Peer)>,
}

/// An operation that was decided.
#[derive(Debug)]
struct Done {
    waiting: Waiting,
    result: Result<Decision, HallError>,
    /// Whose entry it is then: of [`Whose::Back`].
    session: Option<Session>,
}

/// What the store was asked.
#[derive(Debug)]
enum Underway {
    /// When the room was known at this version, about these people.
    Load(u64, Vec<Identity>),
    Commit(Box<Commit>, Vec<Done>),
    /// For this node.
    Epoch(NodeId),
}

#[derive(Debug)]
pub(super) struct Work {
    waiting: VecDeque<Waiting>,
    /// Who is put back when there is nothing else; what as is seen then.
    back: VecDeque<Who>,
    /// The store has lost them.
    has_lost: bool,
    /// What the store could not be told.
    later: Vec<(u64, Waiting)>,
    looks: Vec<Asked>,
    underway: Option<Underway>,
    /// What is known of people since they were asked about.
    known: BTreeMap<Identity, Option<Numbered<Present>>>,
    /// The store has just told.
    is_fresh: bool,
    /// The store's time, and when it was told.
    clock: Option<(u64, u64)>,
    /// Nothing is asked before, but for what somebody waits.
    pause: u64,
    tries: u32,
    /// Something may have been done of which nobody was told.
    is_untold: bool,
    /// Most operations in a commit.
    most: usize,
    /// Parties whose guests find no place, and until when they are not asked about.
    full_parties: BTreeMap<Party, u64>,
    /// How many were in the room when the store said last, and not hidden.
    present: usize,
    /// The store is to be asked who is here, then.
    sessions_at: Option<u64>,
    /// An origin is wanted, and not before when it is looked for.
    origin_at: Option<u64>,
    rng: SmallRng,
}

impl Work {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            back: VecDeque::new(),
            has_lost: false,
            later: Vec::new(),
            looks: Vec::new(),
            underway: None,
            known: BTreeMap::new(),
            is_fresh: false,
            clock: None,
            pause: 0,
            tries: 0,
            is_untold: false,
            most: MAX_FOLD,
            full_parties: BTreeMap::new(),
            present: 0,
            sessions_at: None,
            origin_at: None,
            rng: SmallRng::seed_from_u64(seed),
        }
    }

    pub(super) fn add(&mut self, operation: Operation, whose: Whose) {
        self.waiting.push_back(Waiting { operation, whose, must_see: false });
    }

    /// The same before anything else.
    pub(super) fn add_first(&mut self, operation: Operation, whose: Whose) {
        self.waiting.push_front(Waiting { operation, whose, must_see: false });
    }

    /// These are to be put back, in place of those who were to be.
    pub(super) fn set_back(&mut self, who: impl Iterator<Item = Who>, has_lost: bool) {
        self.has_lost = has_lost || (self.has_lost && !self.back.is_empty());
        self.back = who.collect();
    }

    /// One of them has their turn: it is looked first how they stand.
    pub(super) fn add_back(&mut self, operation: Operation, who: Who) {
        self.waiting.push_back(Waiting { operation, whose: Whose::Back(who), must_see: true });
    }

    pub(super) fn next_back(&mut self) -> Option<(Who, bool)> {
        Some((self.back.pop_front()?, self.has_lost))
    }

    pub(super) fn look(&mut self, asked: Asked) {
        self.looks.push(asked);
    }

    /// Whether it is the session of somebody who is just coming in.
    pub(super) fn is_coming(&self, number: u64) -> bool {
        let underway = match &self.underway {
            Some(Underway::Commit(_, done)) => done.as_slice(),
            _ => &[],
        };
        let waiting = self.waiting.iter().chain(underway.iter().map(|done| &done.waiting));
        waiting.filter_map(|waiting| waiting.whose.entry()).any(|entry| entry.number == number)
    }

    /// The store has not said who is here.
    pub(super) fn ask_for_sessions(&mut self, now: u64) {
        self.sessions_at = Some(self.again(now));
    }

    /// The store is asked for an epoch for the origin that is to be.
    pub(super) fn ask_for_epoch(&mut self, origin: NodeId) {
        self.underway = Some(Underway::Epoch(origin));
    }

    /// It has answered.
    pub(super) fn epoch_answered(&mut self) -> Option<NodeId> {
        match self.underway.take() {
            Some(Underway::Epoch(origin)) => Some(origin),
            _ => None,
        }
    }

    /// An origin is to be found, from then on.
    pub(super) fn want_origin(&mut self, at: u64) {
        self.origin_at = Some(self.origin_at.map_or(at, |before| before.min(at)));
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() + self.looks.len() >= MAX_WAITING
    }

    /// The store has said that there is no place for whoever wants in. Who is told so is not asked about for a
    /// while: each question goes to the store by itself, and everybody else waits for it.
    fn is_full_for(&mut self, now: u64, operation: &Operation) {
        let Operation::Enter { arrival, .. } = operation else { return };
        self.full_parties.retain(|_, until| now < *until);
        if let Some(party) = arrival.party.filter(|_| self.full_parties.len() < MAX_FULL) {
            self.full_parties.insert(party, now + FULL_MS);
        }
    }

    /// Whether the store has just said so to guests of this party.
    pub(super) fn is_party_full(&self, now: u64, party: Party) -> bool {
        self.full_parties.get(&party).is_some_and(|until| now < *until)
    }

    pub(super) fn is_idle(&self) -> bool {
        let nothing = self.waiting.is_empty() && self.back.is_empty() && self.later.is_empty();
        nothing && self.looks.is_empty() && self.underway.is_none()
    }

    /// The store's time, as far as it is known.
    pub(super) fn store_now(&self, now: u64) -> Option<u64> {
        self.clock.map(|(store, at)| store + now.saturating_sub(at))
    }

    fn again(&mut self, now: u64) -> u64 {
        now + self.rng.random_range(AGAIN_MS)
    }

    /// Whether the store has just told all that an operation is decided on.
    fn was_told(&self, operation: &Operation) -> bool {
        self.is_fresh && operation.concerns().into_iter().all(|identity| self.known.contains_key(identity))
    }

    /// Whether everybody's entry is known on whom an operation is decided. Whoever enters is taken for new
    /// until the store says otherwise.
    fn knows(&self, people: &People, waiting: &Waiting) -> bool {
        let is_known = |identity: &Identity| {
            let here = people.get(identity).and_then(|here| here.entry.as_ref());
            here.is_some() || self.known.contains_key(identity)
        };
        let is_new = matches!(waiting.operation, Operation::Enter { .. });
        is_new || waiting.whose.gone().is_some() || waiting.operation.concerns().into_iter().all(is_known)
    }
}

impl Live {
    pub(super) fn go_on_with_work(&mut self, around: &mut Around<'_>) {
        self.take_up_later(around.now);
        if self.work.sessions_at.take_if(|at| *at <= around.now).is_some() {
            self.effects.push(Effect::Sessions);
        }
        while self.work.underway.is_none() && self.step(around) {}
    }

    /// When there is something to do, though nothing happens.
    pub(super) fn work_due(&self, now: u64) -> Option<u64> {
        if self.work.underway.is_some() {
            return None;
        }
        let lost = self.ledger.lost().map(|(since, _)| since + PATIENCE_MS);
        let later = self.work.later.iter().map(|(at, _)| *at);
        let load = self.ledger.load_at().map(|at| at.max(self.work.pause));
        let waits = !self.work.waiting.is_empty() || !self.work.back.is_empty();
        let waits = waits.then_some(self.work.pause.max(now));
        let others = [self.work.origin_at, self.work.sessions_at, lost].into_iter().flatten();
        later.chain(load).chain(waits).chain(others).min()
    }

    fn take_up_later(&mut self, now: u64) {
        for index in (0..self.work.later.len()).rev() {
            if self.work.later[index].0 <= now {
                let (_, waiting) = self.work.later.swap_remove(index);
                match waiting.whose {
                    Whose::Back(who) => self.work.back.push_back(who),
                    _ => self.work.waiting.push_back(waiting),
                }
            }
        }
    }

    /// Asks the store something, or does what can be done without it. Whether there may be more to do.
    fn step(&mut self, around: &mut Around<'_>) -> bool {
        let now = around.now;
        if now < self.work.pause && self.work.looks.is_empty() {
            return false;
        }
        if self.work.waiting.is_empty() {
            self.take_up_back(now);
        }
        let must_load = self.ledger.load_at().is_some_and(|at| at <= now);
        if must_load || !self.work.looks.is_empty() || self.must_see_front() {
            self.load();
            return false;
        }
        if let Some(is_begun) = self.restore(around) {
            return is_begun;
        }
        if self.work.origin_at.take_if(|at| *at <= now).is_some() {
            return self.seek_origin(around);
        }
        !self.work.waiting.is_empty() && self.decide(around)
    }

    fn must_see_front(&self) -> bool {
        let Some(front) = self.work.waiting.front() else { return false };
        let is_unknown = !self.work.knows(&self.people, front);
        is_unknown || self.work.clock.is_none() || (front.must_see && !self.work.was_told(&front.operation))
    }

    fn load(&mut self) {
        let work = &self.work;
        let asked = work.waiting.iter().take(work.most).flat_map(|waiting| waiting.operation.concerns());
        let people: std::collections::BTreeSet<&Identity> = asked.collect();
        let people: Vec<Identity> = people.into_iter().cloned().collect();
        let known = self.ledger.known().cloned();
        self.work.underway = Some(Underway::Load(self.ledger.version(), people.clone()));
        self.outdated_asked();
        self.effects.push(Effect::Load { known, people });
    }

    pub(super) fn loaded(&mut self, around: &mut Around<'_>, loaded: Result<Loaded, Trouble>) {
        let Some(Underway::Load(asked, people)) = self.work.underway.take() else { return };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(trouble) => return self.store_failed(around, trouble),
        };
        self.work.clock = Some((loaded.now, around.now));
        self.work.present = loaded.present;
        let news = self.ledger.loaded(around.now, &loaded, asked);
        self.outdated_loaded();
        let mut entries = loaded.people;
        let known = people.into_iter().map(|identity| {
            let entry = entries.remove(&identity);
            (identity, entry)
        });
        self.work.known = known.collect();
        self.work.is_fresh = true;
        if std::mem::take(&mut self.work.is_untold) && self.ledger.version() > asked {
            self.publish(Note::Known { version: self.ledger.version() });
        }
        self.show(around, news);
        let looks = std::mem::take(&mut self.work.looks);
        let answer = self.looked(around);
        for asked in looks {
            self.answer(asked, answer.clone().map(Answered::Looked));
        }
        self.go_on_with_work(around);
    }

    fn looked(&self, around: &Around<'_>) -> Result<Looked, ApiError> {
        let room = self.ledger.shown().cloned().ok_or_else(no_room)?;
        Ok(Looked { room, counts: around.board.counts() })
    }

    /// Decides what waits, and commits what comes of it.
    pub(super) fn decide(&mut self, around: &mut Around<'_>) -> bool {
        let Some(store_now) = self.work.store_now(around.now) else { return false };
        let people = self.entries_of_waiting();
        let participants = self.settings.participants;
        let ledger = &self.ledger;
        let present = self.work.present;
        let mut fold = Fold::new(
            &self.id,
            store_now,
            present,
            participants,
            ledger.newest(),
            ledger.tombstone(),
            people,
        );
        let mut done = Vec::new();
        let waited = self.work.waiting.len();
        while done.len() < self.work.most
            && let Some(front) = self.work.waiting.front()
        {
            if let Whose::Back(who) = &front.whose
                && self.people.get(&who.identity).is_none_or(|here| here.number != who.number)
            {
                self.work.waiting.pop_front();
                continue;
            }
            let result = fold.decide(&front.operation);
            let is_sure = matches!(&result, Ok(decision) if decision.commit.is_some());
            if !is_sure && !self.work.was_told(&front.operation) {
                if let Some(front) = self.work.waiting.front_mut() {
                    front.must_see = true;
                }
                break;
            }
            let fits = result.as_ref().is_ok_and(|decision| fold.fits(decision)) || result.is_err();
            let session = session_after(&fold, &front.operation, &result);
            if !fits {
                break;
            }
            let Some(waiting) = self.work.waiting.pop_front() else { break };
            let mut more = true;
            let result = result.map(|mut decision| {
                more = fold.take(&mut decision);
                decision
            });
            done.push(Done { waiting, result, session });
            let next = self.work.waiting.front();
            if !more || next.is_none_or(|next| !self.work.knows(&self.people, next)) {
                break;
            }
        }
        self.work.is_fresh = false;
        match fold.commit.take() {
            Some(commit) => {
                self.effects.push(Effect::Commit(Box::new(commit.clone())));
                self.work.underway = Some(Underway::Commit(Box::new(commit), done));
                false
            }
            None => {
                let is_done = self.work.waiting.len() < waited;
                self.finish(around, None, done);
                is_done || self.must_see_front()
            }
        }
    }

    fn entries_of_waiting(&self) -> BTreeMap<Identity, Numbered<Present>> {
        let work = &self.work;
        let waiting = work.waiting.iter().take(work.most);
        let concerned =
            waiting.flat_map(|it| it.operation.concerns().into_iter().map(|who| (who, &it.whose)));
        let entry = |identity: &Identity, whose: &Whose| match work.known.get(identity) {
            Some(known) => known.clone(),
            None => {
                let here = self.people.get(identity).and_then(|here| here.entry.as_ref());
                here.or(whose.gone()).cloned()
            }
        };
        concerned.filter_map(|(who, whose)| Some((who.clone(), entry(who, whose)?))).collect()
    }

    pub(super) fn committed(
        &mut self,
        around: &mut Around<'_>,
        committed: Result<Result<Committed, Conflict>, Trouble>,
    ) {
        let Some(Underway::Commit(commit, done)) = self.work.underway.take() else { return };
        match committed {
            Ok(Ok(committed)) => {
                (self.work.tries, self.work.most) = (0, MAX_FOLD);
                self.work.present = committed.present;
                self.finish(around, Some((&commit, &committed)), done);
            }
            Ok(Err(Conflict::Changed(current))) => self.changed(around, &current, done),
            Ok(Err(Conflict::Full)) => {
                self.no_place(around, done, Refusal::RoomFull(self.settings.participants))
            }
            Ok(Err(Conflict::PartyFull)) => self.no_place(around, done, Refusal::PartyFull),
            Ok(Err(Conflict::Alive(owner))) => self.is_alive(done, &owner),
            Err(trouble) => {
                // Whether it was done is not known.
                self.ledger.doubt();
                self.work.is_untold = true;
                for Done { waiting, .. } in done {
                    self.fail(around, &trouble, waiting, true);
                }
                // Nor could what waits be done now: whoever asked is told at once, not each after the other.
                let all = self.work.waiting.len();
                self.fail_waiting(around, &trouble, if trouble == Trouble::Unavailable { all } else { 0 });
            }
        }
        self.go_on_with_work(around);
    }

    /// Somebody was faster: it is decided again on how things are.
    fn changed(&mut self, around: &mut Around<'_>, current: &Current, done: Vec<Done>) {
        self.work.clock = Some((current.now, around.now));
        self.ledger.correct(around.now, current);
        let people = current.people.iter();
        self.work.known.extend(people.map(|(identity, entry)| (identity.clone(), entry.clone())));
        self.put_back_front(done, |_| true);
        self.work.tries += 1;
        if self.work.tries >= TRIES {
            self.work.tries = 0;
            return self.fail_waiting(around, &Trouble::Unavailable, self.work.most);
        }
        if self.work.tries >= PATIENT.0 {
            self.work.pause = around.now + self.work.rng.random_range(1..=PATIENT.1);
        }
    }

    /// One of them has no place, or some: it is tried with fewer.
    fn no_place(&mut self, around: &mut Around<'_>, mut done: Vec<Done>, refusal: Refusal) {
        if done.len() > 1 {
            self.work.most = done.len() / 2;
            return self.put_back_front(done, |_| true);
        }
        self.work.most = MAX_FOLD;
        for done in &mut done {
            self.work.is_full_for(around.now, &done.waiting.operation);
            done.result = Err(refusal.clone().into());
        }
        self.finish(around, None, done);
    }

    /// A signaling node lives: nobody takes its sessions for gone.
    fn is_alive(&mut self, done: Vec<Done>, owner: &Owner) {
        let is_off = |done: &&Done| done.waiting.operation.is_only_if_lapsed(owner);
        for entry in done.iter().filter(is_off).filter_map(|done| done.waiting.whose.entry()) {
            let error = ApiError::new(Code::Conflict, "the signaling node of this session lives");
            self.effects.push(Effect::Answer(entry.asked, Err(error)));
        }
        self.put_back_front(done, |it| !it.is_only_if_lapsed(owner));
    }

    /// They wait again, but for those that are not wanted any more.
    fn put_back_front(&mut self, done: Vec<Done>, is_wanted: impl Fn(&Operation) -> bool) {
        let is_wanted = |it: &Operation| is_wanted(it) && !matches!(it, Operation::Restore { .. });
        let again = done.into_iter().map(|done| done.waiting).filter(|it| is_wanted(&it.operation));
        for waiting in again.rev() {
            self.work.waiting.push_front(waiting);
        }
    }

    /// The store has no answer to what somebody waits for.
    fn store_failed(&mut self, around: &mut Around<'_>, trouble: Trouble) {
        for asked in std::mem::take(&mut self.work.looks) {
            self.answer(asked, Err(trouble.clone().into()));
        }
        self.work.pause = self.work.again(around.now);
        let all = self.work.waiting.len();
        self.fail_waiting(around, &trouble, all);
    }

    /// The first of those that wait cannot be done now.
    fn fail_waiting(&mut self, around: &mut Around<'_>, trouble: &Trouble, most: usize) {
        self.work.known.clear();
        for _ in 0..most {
            let Some(waiting) = self.work.waiting.pop_front() else { break };
            self.fail(around, trouble, waiting, false);
        }
    }

    /// This cannot be done now; or it is done, and nobody knows.
    fn fail(&mut self, around: &mut Around<'_>, trouble: &Trouble, waiting: Waiting, may_be_done: bool) {
        let error = ApiError::from(trouble.clone());
        match waiting.whose {
            Whose::Gone(_) | Whose::Back(_) if *trouble == Trouble::Unavailable => {
                let at = self.work.again(around.now);
                self.work.later.push((at, waiting));
            }
            Whose::Gone(_) | Whose::Back(_) | Whose::Nobody => {}
            Whose::Origin => self.no_origin(around, &error),
            Whose::Entry(entry) => {
                self.answer(entry.asked, Err(error));
                // If they are in all the same, nobody is there.
                let cut = cut(&waiting.operation, entry.is_resumed).filter(|_| may_be_done);
                if let Some(operation) = cut {
                    let at = self.work.again(around.now);
                    self.work
                        .later
                        .push((at, Waiting { operation, whose: Whose::Gone(None), must_see: true }));
                }
            }
            Whose::Act(asked) | Whose::Create(asked) => self.answer(asked, Err(error)),
            Whose::Said(who, id, _) => self.reply(&who, ServerMessage::Error(error), id),
        }
    }

    /// What was decided holds: everybody learns it.
    fn finish(&mut self, around: &mut Around<'_>, committed: Option<(&Commit, &Committed)>, done: Vec<Done>) {
        self.work.known.clear();
        // The answers go first: `end` closes the connection that asked.
        for done in &done {
            if let Whose::Said(who, id, promoted) = &done.waiting.whose {
                self.reply(who, told(&done.result, promoted.as_ref()), id.clone());
            }
        }
        let resumed: Vec<Identity> = done.iter().filter_map(Done::resumed).collect();
        let kept: Vec<_> = resumed.iter().map(|identity| self.people.take_peers(identity)).collect();
        let mut kept: BTreeMap<Identity, _> = resumed.iter().cloned().zip(kept).collect();
        let mut note = None;
        if let Some((commit, committed)) = committed {
            note = Some(self.note(commit, committed, &done, resumed));
            self.take_entries(commit, committed.number);
            let news = self.ledger.take_own(around.now, commit, committed, Told::default());
            self.show(around, news);
        }
        for Done { waiting, result, session } in done {
            match (waiting.whose, result) {
                (whose, Ok(decision)) => {
                    let Decision { answer, changes, gone, arrival, .. } = decision;
                    self.follow(around, Told { changes, gone });
                    let newcomer = arrival.map(|arrival| Newcomer {
                        peers: kept.remove(&arrival.identity).flatten().unwrap_or_default(),
                        entry: committed.and_then(|(commit, it)| entry_of(&arrival.identity, commit, it)),
                        arrival,
                    });
                    self.finish_one(around, whose, answer, newcomer, session);
                }
                (whose, Err(error)) => self.refuse_one(around, whose, error),
            }
        }
        if let Some(note) = note.flatten() {
            self.publish(Note::Acted(Box::new(note)));
        }
    }

    fn finish_one(
        &mut self,
        around: &mut Around<'_>,
        whose: Whose,
        answer: Answer,
        newcomer: Option<Newcomer>,
        session: Option<Session>,
    ) {
        match whose {
            Whose::Entry(entry) => {
                if let Some(newcomer) = newcomer {
                    self.entered(around, entry, newcomer, answer);
                }
            }
            Whose::Act(asked) => self.answer(asked, Ok(Answered::Acted(answer))),
            Whose::Create(asked) => {
                let looked = self.looked(around).map(Answered::Looked);
                self.answer(asked, looked);
            }
            Whose::Back(who) => self.settle_back(around, &who, session),
            Whose::Origin => self.settle_permits(around),
            Whose::Said(..) | Whose::Gone(_) | Whose::Nobody => {}
        }
    }

    fn refuse_one(&mut self, around: &mut Around<'_>, whose: Whose, error: HallError) {
        match whose {
            Whose::Entry(entry) => self.answer(entry.asked, Err(error.into())),
            Whose::Act(asked) | Whose::Create(asked) => self.answer(asked, Err(error.into())),
            Whose::Origin => self.no_origin(around, &error.into()),
            // There is no room any more.
            Whose::Back(who) => self.settle_back(around, &who, None),
            // Whoever asked has been answered; of the rest somebody else has done it, or the room is over.
            Whose::Said(..) | Whose::Gone(_) | Whose::Nobody => {}
        }
    }

    pub(super) fn reply(&mut self, who: &Who, body: ServerMessage, id: Option<RequestId>) {
        if self.people.current(who).is_some_and(|here| here.has_socket()) {
            self.effects.push(Effect::Reply(who.number, Reply { body, id }));
        }
    }

    /// The entries of those who are here are now as they were set. Of a room that is put back it is not said what
    /// its people were: that is kept, to put them back.
    fn take_entries(&mut self, commit: &Commit, number: u64) {
        let people = commit.people.iter().filter(|_| commit.above.is_none());
        for (identity, entry) in people {
            let Some(here) = self.people.get_mut(identity) else { continue };
            let owner = &self.settings.owner;
            let is_ours = |it: &Present| it.session.owner() == *owner && it.session.number == here.number;
            // Where it is another session's, this one has been replaced: that is seen when it is put back.
            if let Some(value) = entry.present.clone().filter(is_ours) {
                here.entry = Some(Numbered { number, value });
            }
        }
    }

    /// What the other nodes are told, if it concerns them.
    fn note(
        &self,
        commit: &Commit,
        committed: &Committed,
        done: &[Done],
        resumed: Vec<Identity>,
    ) -> Option<Acted> {
        let decisions = || done.iter().filter_map(|done| done.result.as_ref().ok());
        let changes: Vec<_> = decisions().flat_map(|decision| decision.changes.clone()).collect();
        let gone: Vec<Gone> = decisions().flat_map(|decision| decision.gone.clone()).collect();
        let is_news = committed.before != committed.version || !changes.is_empty() || !gone.is_empty();
        is_news.then(|| Acted {
            from: self.settings.owner.node.clone(),
            before: committed.before,
            version: committed.version,
            delta: commit.delta.clone(),
            changes,
            gone,
            resumed,
        })
    }

    pub(super) fn create(&mut self, asked: Asked, actor: Actor, plan: Plan) {
        self.work.add(Operation::Create { actor, plan }, Whose::Create(asked));
    }

    pub(super) fn act(&mut self, asked: Asked, actor: Actor, action: Action) {
        self.work.add(Operation::Act { actor, action }, Whose::Act(asked));
    }
}

impl Done {
    /// Who goes on with what they had.
    fn resumed(&self) -> Option<Identity> {
        let is_resumed = matches!(&self.waiting.whose, Whose::Entry(entry) if entry.is_resumed);
        let decision = self.result.as_ref().ok().filter(|_| is_resumed)?;
        decision.arrival.as_ref().map(|arrival| arrival.identity.clone())
    }
}

fn entry_of(identity: &Identity, commit: &Commit, committed: &Committed) -> Option<Numbered<Present>> {
    let value = commit.people.get(identity)?.present.clone()?;
    Some(Numbered { number: committed.number, value })
}

/// What undoes that somebody came in.
fn cut(entry: &Operation, had_media: bool) -> Option<Operation> {
    let (identity, session) = match entry {
        Operation::Enter { arrival, session, .. } => (&arrival.identity, session),
        Operation::Resume { ticket, session, .. } => (&ticket.identity, session),
        Operation::Adopt { identity, session, .. } => (identity, session),
        _ => return None,
    };
    Some(Operation::Cut { identity: identity.clone(), session: session.clone(), had_media, if_lapsed: false })
}

/// Whose entry it is where somebody was to be put back.
fn session_after(
    fold: &Fold<'_>,
    operation: &Operation,
    result: &Result<Decision, HallError>,
) -> Option<Session> {
    let (Operation::Return { identity, .. } | Operation::Cut { identity, .. }) = operation else {
        return None;
    };
    let set = result.as_ref().ok().and_then(|decision| decision.commit.as_ref()?.people.get(identity));
    match set.and_then(|entry| entry.present.as_ref()) {
        Some(present) => Some(present.session.clone()),
        None => fold.people.get(identity).map(|person| person.value.session.clone()),
    }
}

/// The answer in words. Only whoever promoted somebody else is told more than that it is done.
fn told(result: &Result<Decision, HallError>, asked_for: Option<&Identity>) -> ServerMessage {
    let answer = match result {
        Ok(decision) => decision.answer,
        Err(error) => return ServerMessage::Error(error.clone().into()),
    };
    match (answer, asked_for) {
        (Answer::Seated { .. }, Some(identity)) => ServerMessage::Seated { identity: identity.clone() },
        (Answer::Invited { expires_ms }, Some(identity)) => {
            ServerMessage::Invited { identity: Some(identity.clone()), by: None, expires_ms }
        }
        _ => ServerMessage::Ok,
    }
}

#[cfg(test)]
mod tests;
