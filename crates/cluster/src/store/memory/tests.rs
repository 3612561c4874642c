use proptest::prelude::*;
use protocol::token::Role;

use super::*;

async fn fresh(limits: Limits) -> Arc<MemoryStore> {
    MemoryStore::new(limits)
}

crate::store_contract!(fresh);

#[derive(Debug, Clone)]
enum Step {
    Enter(u8, Role),
    Resume(usize),
    Cut(u8),
    Leave(u8),
    Act(Action),
    Wait(u64),
}

fn id(who: u8) -> Identity {
    Identity::new(&format!("p{who}")).unwrap()
}

fn action() -> impl Strategy<Value = Action> {
    let who = || (0..6u8).prop_map(id);
    prop_oneof![
        4 => who().prop_map(|identity| Action::Promote { identity }),
        2 => who().prop_map(|identity| Action::Demote { identity: Some(identity) }),
        2 => who().prop_map(|identity| Action::Kick { identity }),
        2 => who().prop_map(|identity| Action::Ban { identity }),
        2 => who().prop_map(|identity| Action::Unban { identity }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let role = prop_oneof![1 => Just(Role::Host), 1 => Just(Role::Speaker), 3 => Just(Role::Listener)];
    prop_oneof![
        6 => (0..6u8, role).prop_map(|(who, role)| Step::Enter(who, role)),
        3 => any::<usize>().prop_map(Step::Resume),
        3 => (0..6u8).prop_map(Step::Cut),
        1 => (0..6u8).prop_map(Step::Leave),
        6 => action().prop_map(Step::Act),
        3 => (0..90_000u64).prop_map(Step::Wait),
    ]
}

/// A room, and what was handed out in it.
struct Town {
    store: Arc<MemoryStore>,
    room: RoomId,
    now: u64,
    tickets: Vec<String>,
    sessions: u64,
}

impl Town {
    fn session(&mut self) -> Session {
        self.sessions += 1;
        Session { node: NodeId::new("s").unwrap(), number: self.sessions }
    }

    fn current(&self, who: u8) -> Option<Session> {
        let inner = self.store.inner();
        inner.halls.get(&self.room)?.session(&id(who))
    }

    async fn take(&mut self, step: Step) {
        let (store, room, now) = (Arc::clone(&self.store), self.room.clone(), self.now);
        match step {
            Step::Enter(who, role) => {
                let arrival = Arrival { identity: id(who), name: "N".into(), role, hidden: who == 5 };
                let entered = store.enter(now, &room, &arrival, &self.session()).await;
                self.tickets.extend(entered.ok().map(|entered| entered.ticket));
            }
            Step::Resume(which) if !self.tickets.is_empty() => {
                let ticket = self.tickets[which % self.tickets.len()].clone();
                let back = store.resume(now, &ticket, &self.session()).await;
                self.tickets.extend(back.ok().map(|entered| entered.ticket));
            }
            Step::Resume(_) => {}
            Step::Cut(who) => {
                let Some(session) = self.current(who) else { return };
                store.cut(now, &room, &id(who), &session).await.unwrap();
            }
            Step::Leave(who) => {
                let Some(session) = self.current(who) else { return };
                store.leave(now, &room, &id(who), &session).await.unwrap();
            }
            Step::Act(action) => drop(store.act(now, &room, &Actor::Admin, &action).await),
            Step::Wait(ms) => {
                self.now += ms;
                store.expire(self.now).await.unwrap();
            }
        }
    }

    fn check(&self) {
        let inner = self.store.inner();
        let Some(hall) = inner.halls.get(&self.room) else { return };
        let room = hall.room();
        for who in 0..6 {
            let here = hall.session(&id(who)).is_some();
            assert!(!(here && room.is_banned(&id(who))), "a banned person is in");
            let on_stage = room.stage().iter().any(|seat| seat.identity == id(who));
            assert!(here || !on_stage, "somebody on stage is not in the room");
            let ticket = inner.tickets.is_held(&self.room, &id(who));
            assert_eq!(here, ticket, "everybody in the room can come back, and nobody else");
        }
        assert!(hall.next_deadline().is_none_or(|deadline| deadline > self.now) || self.now == 0);
    }
}

proptest! {
    #[test]
    fn room_roster_and_tickets_agree_whatever_happens(steps in proptest::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut town = Town {
            store: MemoryStore::new(Limits::default()),
            room: RoomId::new("town").unwrap(),
            now: 0,
            tickets: Vec::new(),
            sessions: 0,
        };
        for step in steps {
            runtime.block_on(town.take(step));
            town.check();
        }
    }
}
