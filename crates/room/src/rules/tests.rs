//! Stories of a stage, told by what people do and what everybody learns.

mod decisions;
mod random;
mod seats;

use std::collections::BTreeMap;

use protocol::id::RoomId;

use super::*;
use crate::Plan;
use crate::limits::{AWAY_MS, INVITATION_MS};

/// A room with everybody who is in it, and a clock.
struct Town {
    room: Room,
    people: BTreeMap<Identity, String>,
    now: u64,
}

impl People for BTreeMap<Identity, String> {
    fn name(&self, identity: &Identity) -> Option<&str> {
        self.get(identity).map(String::as_str)
    }
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

const STEP_DOWN: Action = Action::Demote { identity: None };
const MUTE_ME: Action = Action::Mute { identity: None };

impl Town {
    /// With this many seats, a host `hanna` and listeners `lea` and `leo`.
    fn new(seats: u16) -> Self {
        let plan = Plan { seats: Some(seats), ..Plan::default() };
        let room = Room::new(RoomId::new("town").unwrap(), &plan, 0).unwrap();
        let mut town = Self { room, people: BTreeMap::new(), now: 1_000 };
        town.enter("hanna", Role::Host).unwrap();
        town.enter("lea", Role::Listener).unwrap();
        town.enter("leo", Role::Listener).unwrap();
        town
    }

    fn enter(&mut self, name: &str, role: Role) -> Result<Answer, Refusal> {
        let arrival = Arrival { identity: id(name), name: name.into(), role, hidden: false };
        let outcome = self.room.enter(self.now, &arrival)?;
        self.people.insert(id(name), name.into());
        Ok(outcome.answer)
    }

    fn leave(&mut self, name: &str) -> Vec<Change> {
        self.people.remove(&id(name));
        self.room.leave(self.now, &id(name)).unwrap().changes
    }

    fn cut(&mut self, name: &str) {
        self.room.cut(self.now, &id(name)).unwrap();
    }

    fn act(&mut self, actor: &Actor, action: Action) -> Result<Outcome, Refusal> {
        let outcome = self.room.act(self.now, actor, &action, &self.people)?;
        for change in &outcome.changes {
            if let Change::Removed { identity, .. } = change {
                self.people.remove(identity);
            }
        }
        Ok(outcome)
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

    /// Lets time pass, with a timer that is on time; answers with what came of it.
    fn wait(&mut self, ms: u64) -> Vec<Change> {
        self.now += ms;
        self.room.expire(self.now).unwrap().changes
    }

    fn on_stage(&self) -> Vec<String> {
        self.room.stage().iter().map(|seat| seat.identity.to_string()).collect()
    }

    fn is_muted(&self, name: &str) -> bool {
        self.room.place(&id(name)).muted
    }
}
