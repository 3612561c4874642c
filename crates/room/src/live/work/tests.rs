use protocol::error::Code;
use protocol::id::{Region, RoomId};
use protocol::message::ClientMessage;
use protocol::token::Role;

use super::super::{By, Enter, Input, Origins, Settings};
use super::*;
use crate::hall::Records;
use crate::presence::Board;
use crate::{Arrival, Owner, Secret};

struct NoOrigins;

impl Origins for NoOrigins {
    fn is_live(&self, _node: &NodeId) -> bool {
        false
    }

    fn place(&mut self, _region: Option<&Region>) -> Option<NodeId> {
        None
    }
}

/// A room at one node, over a store that can be read and perhaps not be written.
struct Hall {
    now: u64,
    live: Live,
    board: Board,
    store: Records,
    is_writable: bool,
    answers: BTreeMap<Asked, Result<Answered, ApiError>>,
    replies: Vec<Reply>,
}

impl Hall {
    fn new() -> Self {
        let node = NodeId::new("s1").unwrap();
        let settings = Settings {
            owner: Owner { node: node.clone(), boot: 1 },
            participants: 100,
            replaced_ms: 5_000,
            switched_ms: 1_000,
            ice_servers: Vec::new(),
            seed: 1,
        };
        Self {
            now: 0,
            live: Live::new(0, RoomId::new("town").unwrap(), settings),
            board: Board::new(node, 1, 0),
            store: Records::default(),
            is_writable: true,
            answers: BTreeMap::new(),
            replies: Vec::new(),
        }
    }

    fn take(&mut self, input: Input) {
        let mut around =
            Around { now: self.now, unix_ms: 0, board: &mut self.board, origins: &mut NoOrigins };
        self.live.take(&mut around, input);
        self.live.poll(&mut around);
    }

    /// What is to be done; whatever the store is asked is answered by [`Self::settle`].
    fn effects(&mut self) -> Option<Effect> {
        let mut asked = None;
        for effect in self.live.effects().collect::<Vec<_>>() {
            match effect {
                Effect::Answer(question, answer) => drop(self.answers.insert(question, answer)),
                Effect::Reply(_, reply) => self.replies.push(reply),
                Effect::Load { .. } | Effect::Commit(_) => asked = Some(effect),
                _ => {}
            }
        }
        asked
    }

    /// Answers one question to the store; whether there was one.
    fn store_answers(&mut self) -> bool {
        self.effects().map(|asked| self.store_answers_to(asked)).is_some()
    }

    fn store_answers_to(&mut self, asked: Effect) {
        let input = match asked {
            Effect::Load { people, .. } => {
                Input::Loaded(Ok(self.store.load(self.now, &people.iter().collect::<Vec<_>>())))
            }
            Effect::Commit(commit) if self.is_writable => {
                Input::Committed(Ok(self.store.commit(self.now, &commit)))
            }
            _ => Input::Committed(Err(Trouble::Unavailable)),
        };
        self.take(input);
    }

    /// Time passes, and the store answers whatever it is asked.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.now += 1;
            let mut around =
                Around { now: self.now, unix_ms: 0, board: &mut self.board, origins: &mut NoOrigins };
            self.live.poll(&mut around);
            while self.store_answers() {}
        }
    }

    fn enter(&mut self, number: u64, name: &str) {
        let arrival = Arrival {
            identity: Identity::new(name).unwrap(),
            name: name.into(),
            role: Role::Host,
            hidden: false,
            party: None,
        };
        self.take(Input::Enter(Box::new(Enter {
            asked: number,
            by: By::Token(arrival),
            number,
            secret: Secret(number.into()),
            contact: Contact::Socket,
            region: Region::new("home").unwrap(),
            id: None,
        })));
    }

    fn people(&self) -> Vec<String> {
        self.store.page(None, 9).into_iter().map(|person| person.name).collect()
    }

    /// Who were told so, with the numbers of their questions, that it cannot be done now.
    fn refused(&self) -> Vec<Asked> {
        let is_refused =
            |answer: &Result<Answered, ApiError>| matches!(answer, Err(error) if says_when(error));
        self.answers.iter().filter(|(_, answer)| is_refused(answer)).map(|(asked, _)| *asked).collect()
    }
}

fn says_when(error: &ApiError) -> bool {
    error.code == Code::Unavailable && error.retry_after_ms.is_some()
}

fn who(name: &str, number: u64) -> Who {
    Who { identity: Identity::new(name).unwrap(), number }
}

#[test]
fn whoever_waits_for_a_store_that_cannot_be_written_is_told_at_once_and_no_leave_is_lost() {
    let mut hall = Hall::new();
    for (number, name) in [(1, "hanna"), (2, "lea"), (3, "leo")] {
        hall.enter(number, name);
        while hall.store_answers() {}
    }
    hall.is_writable = false;
    // The first is under way when the others come.
    hall.take(Input::Leave(who("lea", 2)));
    let underway = hall.effects();
    hall.enter(4, "sam");
    hall.take(Input::Act(5, Actor::Admin, Action::End));
    hall.take(Input::Create(6, Actor::Admin, Plan { seats: Some(2), ..Plan::default() }));
    hall.take(Input::Say { who: who("hanna", 1), body: ClientMessage::RaiseHand, id: None });
    hall.take(Input::Leave(who("leo", 3)));
    assert!(matches!(underway, Some(Effect::Commit(_))), "{underway:?}");
    let more = hall.effects();
    assert!(more.is_none(), "{more:?}");
    assert!(hall.refused().is_empty());

    hall.replies.clear();
    hall.take(Input::Committed(Err(Trouble::Unavailable)));
    let next = hall.effects().unwrap();
    assert!(matches!(next, Effect::Load { .. }), "nothing is tried in turn: {next:?}");
    assert_eq!(hall.refused(), [4, 5, 6]);
    assert!(
        matches!(&hall.replies[..], [Reply { body: ServerMessage::Error(error), .. }] if says_when(error))
    );

    hall.store_answers_to(next);
    hall.pass(10_000);
    assert_eq!(hall.people(), ["hanna", "lea", "leo"], "nothing can be written");
    hall.is_writable = true;
    hall.pass(2_000);
    assert_eq!(hall.people(), ["hanna"], "who has left is out, and who was refused is not in");
}

#[test]
fn whoever_comes_or_leaves_costs_the_store_one_question() {
    let mut hall = Hall::new();
    hall.enter(1, "hanna");
    hall.pass(10);
    hall.enter(2, "lea");
    let came = hall.effects();
    assert!(matches!(came, Some(Effect::Commit(_))), "{came:?}");
    hall.store_answers_to(came.unwrap());
    hall.take(Input::Leave(who("lea", 2)));
    let left = hall.effects();
    assert!(matches!(left, Some(Effect::Commit(_))), "{left:?}");
    hall.store_answers_to(left.unwrap());
    assert!(hall.effects().is_none());
    assert_eq!(hall.people(), ["hanna"]);
}
