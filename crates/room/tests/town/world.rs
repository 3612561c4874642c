//! The evening: nodes, store, bus, origins and people, and what happens to them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use protocol::ApiError;
use protocol::error::Code;
use protocol::id::{Epoch, Identity, NodeId, PeerId, Region, RoomId};
use protocol::message::{ClientMessage, Purpose, RequestId, ServerMessage};
use protocol::node::Root;
use protocol::token::Role;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use room::lease::Lease;
use room::live::{
    Answered, Around, By, Contact, Effect, Enter, Input, Live, Note, Permitted, Settings, Trouble, Who,
};
use room::presence::Board;
use room::{Owner, Secret};

use super::client::{Client, Place};
use super::fault::Fault;
use super::media::{Media, Word};
use super::origins::{Origin, Seen};
use super::store::Store;

pub(crate) const NODES: usize = 3;
/// How long things go wrong, and how long they may take to be right again, in ms.
pub(crate) const MISFORTUNE_MS: u64 = 60_000;
pub(crate) const CALM_MS: u64 = 25_000;
/// Between two times that a node does what it does all the time.
pub(crate) const UPKEEP_MS: u64 = 250;
/// How long a store may take to answer.
const TIME_OUT_MS: u64 = 1_000;
/// After how long without news people try another node.
const PATIENCE_MS: u64 = 8_000;

/// What happens, and when.
pub(crate) enum Happening {
    Input(usize, u64, Box<Input>),
    Poll(usize, u64),
    Upkeep(usize, u64),
    Store(usize, u64, Asked, Fate),
    /// What a signaling node says to a media node.
    Word(usize, u64, usize, Word),
    Compare(usize, u64),
    Media(usize),
    People(usize),
    Fault,
    End(Fault),
    Check,
}

/// What a node asks the store.
pub(crate) enum Asked {
    Load(Vec<Identity>),
    Commit(Box<room::hall::Commit>),
    Epoch(Epoch),
    Sessions(Owner),
    Renew(Owner),
    Due,
    Orphans,
}

/// What becomes of a question.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    Answered,
    Lost,
    LostAfterTheDeed,
}

pub(crate) struct Node {
    pub(crate) name: NodeId,
    pub(crate) life: Option<Life>,
    boots: u64,
    pub(crate) asleep_until: u64,
    pub(crate) has_bus: bool,
    pub(crate) has_store: bool,
}

/// One life of a node.
pub(crate) struct Life {
    pub(crate) boot: u64,
    pub(crate) room: Option<(Live, Board)>,
    lease: Lease,
    /// The life of the store that it knows.
    pub(crate) store: u64,
    /// Since when that has been the same, and its lease held.
    pub(crate) steady_since: Option<u64>,
    sessions: u64,
    asked: u64,
    questions: BTreeMap<u64, Question>,
    /// Whose each session is.
    pub(crate) sockets: BTreeMap<u64, usize>,
    /// Where the room comes from, and the version of its stage, as far as it knows.
    pub(crate) comes_from: Option<(Root, u64)>,
    /// When the room is looked at next.
    poll_at: u64,
}

pub(crate) enum Question {
    Enter(usize),
    Permit(usize, u64, Purpose),
    Admitted { client: usize, number: u64, media: usize, peer: PeerId, purpose: Purpose },
}

pub(crate) struct World {
    pub(crate) rng: StdRng,
    pub(crate) now: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    pub(crate) number: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) origins: Vec<Origin>,
    /// An edge, and the origins.
    pub(crate) media: Vec<Media>,
    pub(crate) store: Store,
    pub(crate) has_store: bool,
    pub(crate) has_bus: bool,
    /// The store as it was a while ago.
    pub(crate) older: Store,
    pub(crate) people: Vec<Client>,
    /// Nothing has gone wrong since.
    pub(crate) calm_since: u64,
    pub(crate) faults: usize,
    /// When what one node says reaches another.
    last_said: BTreeMap<(usize, usize), u64>,
    story: Vec<String>,
    seed: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let node = |name: String| Node {
            name: NodeId::new(&name).unwrap(),
            life: None,
            boots: 0,
            asleep_until: 0,
            has_bus: true,
            has_store: true,
        };
        let roles = |index: usize| match index {
            0 | 1 => ("host", Role::Host),
            2 | 3 => ("speaker", Role::Speaker),
            4 => ("hidden", Role::Listener),
            _ => ("listener", Role::Listener),
        };
        let person = |index: usize| {
            let (name, role) = roles(index);
            Client::new(&format!("{name}-{index}"), role, 10 + index as u64 * 37)
        };
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            now: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            number: 0,
            nodes: (0..NODES).map(|index| node(format!("s{index}"))).collect(),
            origins: ["o1", "o2"].map(Origin::new).into(),
            media: ["e1", "o1", "o2"].map(Media::new).into(),
            store: Store::default(),
            has_store: true,
            has_bus: true,
            older: Store::default(),
            people: (0..14).map(person).collect(),
            calm_since: 0,
            faults: 0,
            last_said: BTreeMap::new(),
            story: Vec::new(),
            seed,
        };
        (0..NODES).for_each(|index| world.start(index));
        (0..world.people.len()).for_each(|index| world.at(10, Happening::People(index)));
        (0..world.media.len()).for_each(|media| world.at(0, Happening::Media(media)));
        world.at(2_000, Happening::Fault);
        world.at(UPKEEP_MS, Happening::Check);
        world
    }

    /// The whole evening. What was told, so that two of the same seed can be compared.
    pub(crate) fn run(mut self) -> Vec<String> {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while let Some(Reverse((at, number))) = self.queue.pop() {
                // What was done last has reached everybody.
                if at > (MISFORTUNE_MS + CALM_MS).max(self.store.changed_at + 6_000) {
                    break;
                }
                self.now = at;
                let happening = self.happenings.remove(&number).unwrap();
                self.happen(happening);
            }
            self.check_all();
        }));
        if let Err(panic) = result {
            let last = self.story.len().saturating_sub(400);
            self.story[last..].iter().for_each(|line| println!("{line}"));
            println!("SEED={}", self.seed);
            std::panic::resume_unwind(panic);
        }
        self.story
    }

    pub(crate) fn at(&mut self, at: u64, happening: Happening) {
        self.number += 1;
        self.queue.push(Reverse((at.max(self.now), self.number)));
        self.happenings.insert(self.number, happening);
    }

    pub(crate) fn tell(&mut self, line: String) {
        self.story.push(format!("{:>6} {line}", self.now));
    }

    pub(crate) fn chance(&mut self, of: f64) -> bool {
        self.rng.random::<f64>() < of
    }

    /// Things go wrong in the first part of the evening.
    pub(crate) fn is_misfortune(&self) -> bool {
        self.now < MISFORTUNE_MS
    }

    pub(crate) fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.boots += 1;
        let boot = node.boots;
        node.life = Some(Life {
            boot,
            room: None,
            lease: Lease::default(),
            store: self.store.life,
            steady_since: None,
            sessions: 0,
            asked: 0,
            questions: BTreeMap::new(),
            sockets: BTreeMap::new(),
            comes_from: None,
            poll_at: u64::MAX,
        });
        self.at(self.now, Happening::Upkeep(index, boot));
        self.at(self.now + 500, Happening::Compare(index, boot));
    }

    pub(crate) fn is_life(&self, index: usize, boot: u64) -> bool {
        self.nodes[index].life.as_ref().is_some_and(|life| life.boot == boot)
    }

    fn happen(&mut self, happening: Happening) {
        // Whoever sleeps hears it all when they wake.
        if let Happening::Input(index, ..)
        | Happening::Poll(index, _)
        | Happening::Upkeep(index, _)
        | Happening::Compare(index, _) = &happening
            && self.now < self.nodes[*index].asleep_until
        {
            let until = self.nodes[*index].asleep_until;
            return self.at(until, happening);
        }
        match happening {
            Happening::Input(index, boot, input) if self.is_life(index, boot) => self.input(index, *input),
            Happening::Poll(index, boot) if self.is_life(index, boot) => self.poll(index),
            Happening::Upkeep(index, boot) if self.is_life(index, boot) => self.upkeep(index, boot),
            Happening::Compare(index, boot) if self.is_life(index, boot) => self.compare(index, boot),
            Happening::Word(index, boot, media, word) => self.word(index, boot, media, word),
            Happening::Media(media) => self.look_after(media),
            Happening::Store(index, boot, asked, fate) => self.ask_store(index, boot, asked, fate),
            Happening::People(index) => self.person(index),
            Happening::Fault => self.fault(),
            Happening::End(fault) => self.end_fault(fault),
            Happening::Check => self.check_soon(),
            Happening::Input(..) | Happening::Poll(..) | Happening::Upkeep(..) | Happening::Compare(..) => {}
        }
    }

    // -- a node ------------------------------------------------------------------------------------------

    fn input(&mut self, index: usize, input: Input) {
        let starts = matches!(
            input,
            Input::Enter(_) | Input::Due(_) | Input::Orphans(_) | Input::Look(_) | Input::Suspect
        );
        self.with_room(index, starts, |live, around| live.take(around, input));
    }

    fn poll(&mut self, index: usize) {
        if self.nodes[index].life.as_ref().is_some_and(|life| life.poll_at <= self.now) {
            self.with_room(index, false, |_, _| {});
        }
    }

    fn with_room(&mut self, index: usize, starts: bool, work: impl FnOnce(&mut Live, &mut Around<'_>)) {
        let (now, seed) = (self.now, self.rng.random());
        let is_deaf = !self.hears(index);
        let node = &mut self.nodes[index];
        let Some(life) = &mut node.life else { return };
        if life.room.is_none() && !starts {
            return;
        }
        let owner = Owner { node: node.name.clone(), boot: life.boot };
        let (live, board) = life.room.get_or_insert_with(|| {
            let settings = Settings {
                owner: owner.clone(),
                participants: 100,
                replaced_ms: 6_000,
                switched_ms: 1_500,
                ice_servers: Vec::new(),
                seed,
            };
            let board = Board::new(owner.node.clone(), owner.boot, now);
            (Live::new(now, RoomId::new("hall").unwrap(), settings), board)
        });
        let mut origins = Seen(&self.origins);
        let mut around = Around { now, unix_ms: now, board, origins: &mut origins };
        work(live, &mut around);
        if is_deaf {
            around.board.deaf(now);
        }
        live.poll(&mut around);
        board.poll(now);
        let effects: Vec<Effect> = live.effects().collect();
        let boot = life.boot;
        if live.is_over(now) {
            let farewell = live.farewell(board);
            life.room = None;
            life.poll_at = u64::MAX;
            effects.into_iter().for_each(|effect| self.effect(index, boot, effect));
            self.nodes[index].life.as_mut().unwrap().comes_from = None;
            return self.publish(index, &farewell);
        }
        let next = live.next_deadline(now, board).max(now + 1);
        life.poll_at = next;
        effects.into_iter().for_each(|effect| self.effect(index, boot, effect));
        self.at(next, Happening::Poll(index, boot));
    }

    fn effect(&mut self, index: usize, boot: u64, effect: Effect) {
        match effect {
            Effect::Seat(_) | Effect::LingeringFull | Effect::Close(..) => {}
            Effect::Origin(from) => {
                let before = &mut self.nodes[index].life.as_mut().unwrap().comes_from;
                let before = std::mem::replace(before, from.clone());
                if before.map(|(root, _)| root) != from.map(|(root, _)| root) {
                    self.tell_origin(index, boot, true);
                }
            }
            Effect::Warn(what) => self.tell(format!("s{index} warns: {what}")),
            Effect::Tell(numbers, message) => {
                numbers.into_iter().for_each(|number| self.told(index, number, &message));
            }
            Effect::TellAll(message) => {
                let life = self.nodes[index].life.as_ref().unwrap();
                let numbers: Vec<u64> = life.sockets.keys().copied().collect();
                numbers.into_iter().for_each(|number| self.told(index, number, &message));
            }
            Effect::Reply(number, reply) => {
                if let ServerMessage::Error(error) = &reply.body {
                    self.tell(format!("s{index} refuses session {number}: {}", error.message));
                }
                self.told(index, number, &reply.body);
            }
            Effect::Page { .. } => {}
            Effect::Release(number) => {
                self.nodes[index].life.as_mut().unwrap().sockets.remove(&number);
            }
            Effect::End(number, reason) => {
                let client = self.nodes[index].life.as_mut().unwrap().sockets.remove(&number);
                if let Some(client) =
                    client.filter(|it| self.people[*it].place == Place::In(index, boot, number))
                {
                    self.tell(format!("s{index} ends session {number} of {client}: {reason:?}"));
                    self.people[client].ended(self.now, reason);
                }
            }
            Effect::Answer(asked, answer) => self.answered(index, boot, asked, answer),
            Effect::Load { people, .. } => self.send(index, boot, Asked::Load(people)),
            Effect::Commit(commit) => self.send(index, boot, Asked::Commit(commit)),
            Effect::Sessions => {
                let owner = Owner { node: self.nodes[index].name.clone(), boot };
                self.send(index, boot, Asked::Sessions(owner));
            }
            Effect::Epoch(above) => self.send(index, boot, Asked::Epoch(above)),
            Effect::Publish(note) => self.publish(index, &note),
            Effect::Push(node, stage) => self.push(index, boot, &node, stage),
            Effect::Remove(node, peer) => self.remove_peer(index, boot, &node, peer),
        }
    }

    fn told(&mut self, index: usize, number: u64, message: &ServerMessage) {
        let life = self.nodes[index].life.as_ref().unwrap();
        let (Some(client), boot) = (life.sockets.get(&number), life.boot) else { return };
        let person = &mut self.people[*client];
        // Whoever has gone on hears nothing on the connection that they left.
        let listens = match person.place {
            Place::In(node, life, session) => (node, life, session) == (index, boot, number),
            Place::Door(node, ..) => node == index,
            Place::Out(_) | Place::Gone => false,
        };
        if listens {
            person.hear(message);
        }
    }

    pub(crate) fn hears(&self, index: usize) -> bool {
        self.has_bus && self.nodes[index].has_bus
    }

    fn publish(&mut self, from: usize, note: &Note) {
        if !self.hears(from) {
            return;
        }
        for to in (0..NODES).filter(|to| *to != from) {
            let Some(boot) = self.nodes[to].life.as_ref().map(|life| life.boot) else { continue };
            if !self.hears(to) {
                continue;
            }
            let at = self.now + self.rng.random_range(1..40);
            let last = self.last_said.entry((from, to)).or_default();
            *last = at.max(*last);
            let at = *last;
            self.at(at, Happening::Input(to, boot, Box::new(Input::Note(note.clone()))));
        }
    }

    // -- the store ---------------------------------------------------------------------------------------

    fn send(&mut self, index: usize, boot: u64, asked: Asked) {
        let reaches = self.has_store && self.nodes[index].has_store;
        let fate = match self.rng.random::<f64>() {
            _ if !reaches => Fate::Lost,
            odds if self.is_misfortune() && odds < 0.01 => Fate::Lost,
            odds if self.is_misfortune() && odds < 0.02 => Fate::LostAfterTheDeed,
            _ => Fate::Answered,
        };
        let mut way = self.rng.random_range(1..20);
        if self.is_misfortune() && self.chance(0.02) {
            way += 400;
        }
        self.at(self.now + way, Happening::Store(index, boot, asked, fate));
    }

    fn ask_store(&mut self, index: usize, boot: u64, asked: Asked, fate: Fate) {
        let (now, store) = (self.now, &mut self.store);
        let lost = fate == Fate::Lost;
        let input = match asked {
            Asked::Load(_) if fate != Fate::Answered => Input::Loaded(Err(Trouble::Unavailable)),
            Asked::Load(people) => Input::Loaded(Ok(store.load(now, &people))),
            Asked::Commit(_) if lost => Input::Committed(Err(Trouble::Unavailable)),
            Asked::Commit(commit) => {
                let done = store.commit(now, &commit);
                if done.is_ok() {
                    let notes: Vec<_> = commit.notes.iter().map(|note| (&note.by, &note.cause)).collect();
                    let people: Vec<_> = commit.people.keys().map(Identity::as_str).collect();
                    let line = format!("s{index} commits {people:?} {notes:?}: {done:?}");
                    self.tell(line);
                }
                if fate == Fate::Answered {
                    Input::Committed(Ok(done))
                } else {
                    Input::Committed(Err(Trouble::Unavailable))
                }
            }
            Asked::Epoch(_) if lost => Input::Epoch(Err(Trouble::Unavailable)),
            Asked::Epoch(above) => Input::Epoch(Ok(store.next_epoch(above))),
            Asked::Renew(owner) if !lost => {
                let good = (store.renew(now, &owner), store.life);
                return self.renewed(index, boot, Some(good));
            }
            Asked::Renew(_) => return self.renewed(index, boot, None),
            Asked::Due if !lost => Input::Due(store.due(now)),
            Asked::Orphans if !lost => Input::Orphans(store.orphans(now, 5)),
            Asked::Sessions(_) if lost => Input::Sessions(Err(Trouble::Unavailable)),
            Asked::Sessions(owner) => Input::Sessions(Ok(store.records.connected_to(&[owner].into(), 1_000))),
            Asked::Due | Asked::Orphans => return,
        };
        let is_nothing = match &input {
            Input::Due(due) => due.is_empty(),
            Input::Orphans(orphans) => orphans.is_empty(),
            _ => false,
        };
        if is_nothing {
            return;
        }
        let way = self.rng.random_range(1..20);
        let late = if fate == Fate::Answered { way } else { TIME_OUT_MS };
        if fate != Fate::Answered {
            self.calm_since = self.calm_since.max(self.now + late);
        }
        self.at(now + late, Happening::Input(index, boot, Box::new(input)));
    }

    fn upkeep(&mut self, index: usize, boot: u64) {
        let now = self.now;
        let owner = Owner { node: self.nodes[index].name.clone(), boot };
        let lease = &mut self.nodes[index].life.as_mut().unwrap().lease;
        let (is_due, may_judge) = (lease.is_due(now), lease.may_judge(now));
        if is_due {
            self.send(index, boot, Asked::Renew(owner));
        }
        self.send(index, boot, Asked::Due);
        if may_judge {
            self.send(index, boot, Asked::Orphans);
        }
        self.at(now + UPKEEP_MS, Happening::Upkeep(index, boot));
    }

    fn renewed(&mut self, index: usize, boot: u64, good: Option<(bool, u64)>) {
        if !self.is_life(index, boot) {
            return;
        }
        let now = self.now;
        let life = self.nodes[index].life.as_mut().unwrap();
        let Life { lease, store, steady_since, .. } = life;
        let Some((good, of)) = good else {
            *steady_since = None;
            return lease.failed();
        };
        *steady_since = (good && *store == of).then(|| steady_since.unwrap_or(now));
        if std::mem::replace(store, of) != of {
            self.at(now, Happening::Input(index, boot, Box::new(Input::Suspect)));
        }
        let lease = &mut self.nodes[index].life.as_mut().unwrap().lease;
        if lease.renewed(now, good) {
            self.at(now, Happening::Input(index, boot, Box::new(Input::Lapsed)));
        }
    }

    // -- people ------------------------------------------------------------------------------------------

    pub(crate) fn ask_if_alive(&mut self, index: usize, boot: u64, question: Question) -> Option<u64> {
        self.is_life(index, boot).then(|| self.ask(index, question))
    }

    fn ask(&mut self, index: usize, question: Question) -> u64 {
        let life = self.nodes[index].life.as_mut().unwrap();
        life.asked += 1;
        life.questions.insert(life.asked, question);
        life.asked
    }

    fn answered(&mut self, index: usize, boot: u64, asked: u64, answer: Result<Answered, ApiError>) {
        let life = self.nodes[index].life.as_mut().unwrap();
        let Some(question) = life.questions.remove(&asked) else { return };
        match (question, answer) {
            (Question::Enter(client), answer) => self.entered(index, boot, asked, client, answer),
            (Question::Permit(client, number, _), Ok(Answered::Permit(permit))) => {
                if self.people[client].place != Place::In(index, boot, number) {
                    return;
                }
                let (purpose, node) = match permit.to {
                    Permitted::Listen(_) => (Purpose::Listen, self.media[0].name.clone()),
                    Permitted::Speak(_, root) => (Purpose::Speak, root.origin),
                };
                self.ask_for_media((index, boot), client, number, purpose, &node);
            }
            (Question::Admitted { client, number, media, peer, purpose }, answer) => {
                self.admitted((index, boot), (client, number), (media, peer), purpose, answer.is_ok());
            }
            (Question::Permit(client, _, Purpose::Listen), Err(error)) => {
                assert_ne!(error.code, Code::Unavailable, "{client} must not wait for an origin to listen");
            }
            _ => {}
        }
    }

    fn entered(
        &mut self,
        index: usize,
        boot: u64,
        asked: u64,
        client: usize,
        answer: Result<Answered, ApiError>,
    ) {
        let waits = matches!(self.people[client].place, Place::Door(node, question, _) if node == index && question == asked);
        match answer {
            Ok(Answered::Entered { who, .. }) if waits => {
                self.tell(format!("{client} is in at s{index}.{boot} by session {}", who.number));
                self.people[client].place = Place::In(index, boot, who.number);
            }
            Ok(Answered::Entered { who, .. }) => {
                // Whoever hung up while they were let in is cut off at once.
                self.at(self.now, Happening::Input(index, boot, Box::new(Input::Cut(who))));
            }
            Ok(_) => unreachable!(),
            Err(error) if waits => {
                self.tell(format!("{client} does not come in at s{index}: {error:?}"));
                let now = self.now;
                let person = &mut self.people[client];
                person.place = match error.code {
                    Code::Banned | Code::Ended | Code::Replaced => Place::Gone,
                    Code::ResumeInvalid | Code::Kicked => {
                        person.ticket = None;
                        Place::Out(now + 200)
                    }
                    _ => Place::Out(now + 1_000),
                };
            }
            Err(_) => {}
        }
    }

    fn person(&mut self, client: usize) {
        let again = self.now + self.rng.random_range(200..2_500);
        self.at(again, Happening::People(client));
        match self.people[client].place {
            Place::Gone => {}
            Place::Out(until) if until <= self.now => self.join(client),
            Place::Out(_) => {}
            Place::Door(_, _, since) if since + PATIENCE_MS <= self.now => {
                self.people[client].place = Place::Out(self.now);
            }
            Place::Door(..) => {}
            Place::In(index, boot, number) => self.act(client, index, boot, number),
        }
    }

    fn join(&mut self, client: usize) {
        let there: Vec<usize> = (0..NODES).filter(|index| self.nodes[*index].life.is_some()).collect();
        let Some(&index) = there.choose(&mut self.rng) else { return };
        let asked = self.ask(index, Question::Enter(client));
        let life = self.nodes[index].life.as_mut().unwrap();
        life.sessions += 1;
        let (number, boot) = (life.sessions, life.boot);
        life.sockets.insert(number, client);
        self.people[client].place = Place::Door(index, asked, self.now);
        let by = match self.people[client].ticket.clone() {
            Some(ticket) => By::Ticket(ticket),
            None => By::Token(self.people[client].arrival.clone()),
        };
        let enter = Enter {
            asked,
            by,
            number,
            secret: Secret(self.rng.random()),
            contact: Contact::Socket,
            region: Region::new("home").unwrap(),
            id: Some(RequestId::Number(1)),
        };
        self.at(self.now + 5, Happening::Input(index, boot, Box::new(Input::Enter(Box::new(enter)))));
    }

    fn act(&mut self, client: usize, index: usize, boot: u64, number: u64) {
        let identity = self.people[client].arrival.identity.clone();
        let who = Who { identity, number };
        if !self.is_misfortune() {
            // Nothing more is done, so that it can be seen how everything stands.
            return;
        }
        let input = match self.rng.random_range(0..100) {
            0..4 => {
                // Their network is gone, and they come again by themselves.
                self.people[client].place = Place::Out(self.now + 300);
                self.tell(format!("{client} is cut off from s{index}"));
                let late = if self.chance(0.5) { 0 } else { 3_000 };
                return self.at(self.now + late, Happening::Input(index, boot, Box::new(Input::Cut(who))));
            }
            4..6 => Input::Leave(who),
            6..20 => {
                let on_stage = self.people[client].seen.stage.contains_key(&who.identity);
                let purpose = if on_stage { Purpose::Speak } else { Purpose::Listen };
                let asked = self.ask(index, Question::Permit(client, number, purpose));
                Input::Permit(asked, who, purpose)
            }
            odds => {
                let Some(body) = self.wish(client, odds) else { return };
                self.tell(format!("{client} at s{index}: {body:?}"));
                Input::Say { who, body, id: Some(RequestId::Number(2)) }
            }
        };
        self.at(self.now + 5, Happening::Input(index, boot, Box::new(input)));
    }

    /// What somebody wants.
    fn wish(&mut self, client: usize, odds: u32) -> Option<ClientMessage> {
        let person = &self.people[client];
        let is_host = person.arrival.role == Role::Host;
        let on_stage: Vec<Identity> = person.seen.stage.keys().cloned().collect();
        let hands: Vec<Identity> = person.seen.hands.keys().cloned().collect();
        let all: Vec<Identity> = self.people[2..].iter().map(|it| it.arrival.identity.clone()).collect();
        let one = on_stage.choose(&mut self.rng).cloned();
        Some(match odds {
            20..30 if !is_host => ClientMessage::RaiseHand,
            30..34 if !is_host => ClientMessage::LowerHand { identity: None },
            34..40 => ClientMessage::Mute { identity: None },
            40..48 => ClientMessage::Unmute,
            48..52 => ClientMessage::Accept,
            52..54 if !is_host => ClientMessage::Demote { identity: None },
            20..30 => ClientMessage::Promote { identity: hands.choose(&mut self.rng)?.clone() },
            30..34 => ClientMessage::Promote { identity: all.choose(&mut self.rng)?.clone() },
            54..70 if is_host => ClientMessage::Mute { identity: Some(one?) },
            70..80 if is_host => ClientMessage::Demote { identity: Some(one?) },
            80..84 if is_host => ClientMessage::Kick { identity: all.choose(&mut self.rng)?.clone() },
            84..86 if is_host => ClientMessage::Ban { identity: all.choose(&mut self.rng)?.clone() },
            86..92 if is_host => {
                ClientMessage::LowerHand { identity: Some(hands.choose(&mut self.rng)?.clone()) }
            }
            _ => return None,
        })
    }
}
