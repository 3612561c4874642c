//! Stories of a room and its people, told by what they do and what everybody learns.

mod decisions;
mod parties;
mod random;
mod seats;

use std::sync::Arc;

use protocol::id::{RoomId, SpeakerNumber};
use protocol::message::{DeclineReason, RoomState, StageMember};
use protocol::token::Role;

use super::*;
use crate::limits::{AWAY_MS, BRIEF_MS, INVITATION_MS, MAX_STANDING};
use crate::{Outcome, Standing};

/// A room with everybody who is in it, and a clock.
struct Town {
    records: Records,
    room: Arc<Room>,
    now: u64,
    sessions: u64,
}

fn id(text: &str) -> Identity {
    Identity::new(text).unwrap()
}

fn host(text: &str) -> Actor {
    Actor::Participant(id(text))
}

fn promote(text: &str) -> Action {
    Action::Promote { identity: id(text) }
}

fn demote(text: &str) -> Action {
    Action::Demote { identity: Some(id(text)) }
}

fn mute(text: &str) -> Action {
    Action::Mute { identity: Some(id(text)) }
}

fn kick(text: &str) -> Action {
    Action::Kick { identity: id(text) }
}

fn ban(text: &str) -> Action {
    Action::Ban { identity: id(text) }
}

fn arrival(name: &str, role: Role) -> Arrival {
    Arrival { identity: id(name), name: name.into(), role, hidden: false, party: None }
}

fn refused(error: HallError) -> Refusal {
    match error {
        HallError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

const STEP_DOWN: Action = Action::Demote { identity: None };
/// Of the room.
const PLACES: usize = 2_500;
const MUTE_ME: Action = Action::Mute { identity: None };

/// How one does what an operation says to records: a store does no more than that.
fn run(records: &mut Records, now: u64, operation: &Operation) -> Result<(Decision, Outcome), HallError> {
    let id = RoomId::new("town").unwrap();
    let loaded = records.load(now, &operation.concerns());
    let view = View {
        id: &id,
        room: loaded.room.as_deref(),
        tombstone: loaded.tombstone.as_ref(),
        people: &loaded.people,
        present: loaded.present,
        participants: PLACES,
    };
    let decision = operation.decide(now, view)?;
    let version = loaded.room.as_ref().map_or(0, |room| room.version());
    let (before, version) = match &decision.commit {
        None => (version, version),
        Some(commit) => {
            let committed = match records.commit(now, commit) {
                Ok(committed) => committed,
                Err(Conflict::Full) => return Err(Refusal::RoomFull(PLACES).into()),
                Err(Conflict::PartyFull) => return Err(Refusal::PartyFull.into()),
                Err(Conflict::Changed(_) | Conflict::Alive(_)) => panic!("nobody else is there"),
            };
            (committed.before, committed.version)
        }
    };
    let (answer, changes) = (decision.answer, decision.changes.clone());
    Ok((decision, Outcome { before, version, answer, changes }))
}

impl Town {
    /// With this plan, and nobody.
    fn planned(plan: Plan) -> Self {
        let mut records = Records::default();
        run(&mut records, 0, &Operation::Create { actor: Actor::Admin, plan }).unwrap();
        let room = records.room().unwrap().clone();
        Self { records, room, now: 1_000, sessions: 0 }
    }

    /// With this many seats, a host `hanna` and listeners `lea` and `leo`.
    fn new(seats: u16) -> Self {
        let mut town = Self::planned(Plan { seats: Some(seats), ..Plan::default() });
        town.enter("hanna", Role::Host).unwrap();
        town.enter("lea", Role::Listener).unwrap();
        town.enter("leo", Role::Listener).unwrap();
        town
    }

    fn run(&mut self, operation: &Operation) -> Result<(Decision, Outcome), HallError> {
        let done = run(&mut self.records, self.now, operation);
        if let Some(room) = self.records.room() {
            self.room = room.clone();
        }
        done
    }

    fn session(&mut self) -> Session {
        self.sessions += 1;
        Session { node: NodeId::new("s").unwrap(), boot: 1, number: self.sessions }
    }

    fn current(&self, name: &str) -> Option<Session> {
        let identity = id(name);
        let loaded = self.records.load(self.now, &[&identity]);
        loaded.people.get(&identity).map(|person| person.value.session.clone())
    }

    fn arrive(&mut self, arrival: Arrival) -> Result<Outcome, Refusal> {
        let (session, secret) = (self.session(), Secret(u128::from(self.sessions)));
        let entered = self.run(&Operation::Enter { arrival, session, secret });
        entered.map(|(_, outcome)| outcome).map_err(refused)
    }

    fn enter(&mut self, name: &str, role: Role) -> Result<Answer, Refusal> {
        self.arrive(arrival(name, role)).map(|outcome| outcome.answer)
    }

    fn leave(&mut self, name: &str) -> Vec<Change> {
        let Some(session) = self.current(name) else { return Vec::new() };
        self.run(&Operation::Leave { identity: id(name), session }).unwrap().1.changes
    }

    fn cut(&mut self, name: &str) {
        self.cut_with(name, true);
    }

    fn cut_with(&mut self, name: &str, had_media: bool) {
        let session = self.current(name).unwrap();
        self.run(&Operation::Cut { identity: id(name), session, had_media, if_lapsed: false }).unwrap();
    }

    fn act(&mut self, actor: &Actor, action: Action) -> Result<Outcome, Refusal> {
        let acted = self.run(&Operation::Act { actor: actor.clone(), action });
        acted.map(|(_, outcome)| outcome).map_err(refused)
    }

    /// Does what must succeed, and answers with it.
    fn does(&mut self, who: &str, action: Action) -> Answer {
        self.act(&host(who), action).unwrap().answer
    }

    /// Does what must be refused, and answers with why.
    fn refused(&mut self, who: &str, action: Action) -> Refusal {
        let before = self.room.clone();
        let refusal = self.act(&host(who), action).unwrap_err();
        assert_eq!(self.room, before, "a refusal changes nothing");
        refusal
    }

    fn origin(&mut self, node: &NodeId, epoch: Epoch, lost: Option<Epoch>) -> Vec<Change> {
        self.run(&Operation::Origin { node: node.clone(), epoch, lost }).unwrap().1.changes
    }

    /// Lets time pass, with a timer that is on time; answers with what came of it.
    fn wait(&mut self, ms: u64) -> Vec<Change> {
        self.now += ms;
        let due: Vec<_> = self.records.due(self.now).cloned().collect();
        due.into_iter().flat_map(|due| self.run(&Operation::Lapse(due)).unwrap().1.changes).collect()
    }

    fn on_stage(&self) -> Vec<String> {
        self.room.stage().iter().map(|seat| seat.identity.to_string()).collect()
    }

    fn is_muted(&self, name: &str) -> bool {
        self.room.place(&id(name)).muted
    }
}
