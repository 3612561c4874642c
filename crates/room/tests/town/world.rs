//! The evening: nodes, store, bus, origins and people, and what happens to them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use protocol::ApiError;
use protocol::error::Code;
use protocol::id::{Epoch, Identity, NodeId, PeerId, RoomId};
use protocol::message::{ClientMessage, Hand, MoveReason, Purpose, RequestId, RoomState, ServerMessage};
use protocol::node::Stage;
use protocol::token::Role;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use room::hall::Due;
use room::lease::Lease;
use room::live::{
    Answered, Around, By, Contact, Effect, Enter, Input, Live, Note, Origins, Permitted, Pushed, Settings,
    Trouble, Who,
};
use room::presence::Board;
use room::{Owner, Secret, Session};

use super::client::{Client, Place};
use super::media::{Media, Word};
use super::store::Store;

pub(crate) const NODES: usize = 3;
/// How long things go wrong, and how long they may take to be right again, in ms.
pub(crate) const MISFORTUNE_MS: u64 = 60_000;
pub(crate) const CALM_MS: u64 = 25_000;
/// Between two times that a node does what it does all the time.
const UPKEEP_MS: u64 = 250;
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

/// What goes wrong, for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Dead(usize),
    Asleep(usize),
    NoBus(usize),
    NoBusAtAll,
    NoStore(usize),
    NoStoreAtAll,
    NoOrigin(usize),
    /// The store comes back without anything.
    Empty,
    /// The store comes back as it was a while ago.
    Older,
}

pub(crate) struct Node {
    pub(crate) name: NodeId,
    pub(crate) life: Option<Life>,
    boots: u64,
    asleep_until: u64,
    has_bus: bool,
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
    sockets: BTreeMap<u64, usize>,
    /// When the room is looked at next.
    poll_at: u64,
}

pub(crate) enum Question {
    Enter(usize),
    Permit(usize, u64, Purpose),
    Admitted { client: usize, number: u64, media: usize, peer: PeerId, purpose: Purpose },
}

pub(crate) struct Origin {
    pub(crate) name: NodeId,
    pub(crate) is_live: bool,
    stage: Option<Stage>,
}

pub(crate) struct World {
    rng: StdRng,
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
    older: Store,
    pub(crate) people: Vec<Client>,
    /// Nothing has gone wrong since.
    calm_since: u64,
    faults: usize,
    /// When what one node says reaches another.
    last_said: BTreeMap<(usize, usize), u64>,
    story: Vec<String>,
    seed: u64,
}

/// What a live room sees of the origins.
struct Seen<'a>(&'a [Origin]);

impl Origins for Seen<'_> {
    fn is_live(&self, node: &NodeId) -> bool {
        self.0.iter().any(|origin| origin.name == *node && origin.is_live)
    }

    fn place(&mut self) -> Option<NodeId> {
        self.0.iter().find(|origin| origin.is_live).map(|origin| origin.name.clone())
    }
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
        let origin = |name: &str| Origin { name: NodeId::new(name).unwrap(), is_live: true, stage: None };
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
            origins: ["o1", "o2"].map(origin).into(),
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

    fn start(&mut self, index: usize) {
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
                repeat_ms: 5_000,
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
            return self.publish(index, &farewell);
        }
        let next = live.next_deadline(now, board).max(now + 1);
        life.poll_at = next;
        effects.into_iter().for_each(|effect| self.effect(index, boot, effect));
        self.at(next, Happening::Poll(index, boot));
    }

    fn effect(&mut self, index: usize, boot: u64, effect: Effect) {
        match effect {
            Effect::Seat(_) | Effect::LingeringFull | Effect::Origin(_) | Effect::Close(..) => {}
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
            Effect::EndAll(_) => unreachable!("nobody stops a node gently here"),
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

    fn push(&mut self, index: usize, boot: u64, node: &NodeId, stage: Stage) {
        let origin = self.origins.iter_mut().find(|origin| origin.name == *node && origin.is_live);
        let is_reached = self.nodes[index].has_bus && self.has_bus;
        let Some(origin) = origin.filter(|_| is_reached) else {
            return self
                .at(self.now + 500, Happening::Input(index, boot, Box::new(Input::Pushed(Pushed::Failed))));
        };
        let told = (stage.epoch, stage.version);
        if let Some(later) = origin.stage.as_ref().filter(|known| (known.epoch, known.version) > told) {
            let line = format!("{node} refuses {told:?} for {:?} {}", later.epoch, later.version);
            self.tell(line);
            let outdated = Box::new(Input::Pushed(Pushed::Outdated(stage.epoch, stage.version)));
            return self.at(self.now + 4, Happening::Input(index, boot, outdated));
        }
        let is_newer = |known: &Stage| (known.epoch, known.version) < (stage.epoch, stage.version);
        if origin.stage.as_ref().is_none_or(is_newer) {
            origin.stage = Some(stage);
        }
        self.at(self.now + 4, Happening::Input(index, boot, Box::new(Input::Pushed(Pushed::Taken))));
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

    // -- misfortune --------------------------------------------------------------------------------------

    fn fault(&mut self) {
        if !self.is_misfortune() {
            return;
        }
        let next = self.now + self.rng.random_range(1_000..9_000);
        self.at(next, Happening::Fault);
        let index = self.rng.random_range(0..NODES);
        let (fault, most) = match self.rng.random_range(0..10) {
            0 => (Fault::Dead(index), 12_000),
            1 | 2 => (Fault::Asleep(index), 9_000),
            3 => (Fault::NoBus(index), 12_000),
            4 => (Fault::NoBusAtAll, 12_000),
            5 => (Fault::NoStore(index), 12_000),
            6 => (Fault::NoStoreAtAll, 12_000),
            7 => (Fault::Empty, 2_000),
            8 => (Fault::Older, 2_000),
            _ => (Fault::NoOrigin(self.rng.random_range(0..2)), 12_000),
        };
        let until = (self.now + self.rng.random_range(300..most)).min(MISFORTUNE_MS);
        self.tell(format!("FAULT {fault:?} until {until}"));
        match fault {
            Fault::Dead(index) => self.die(index),
            Fault::Asleep(index) => self.nodes[index].asleep_until = until,
            Fault::NoBus(index) => self.nodes[index].has_bus = false,
            Fault::NoBusAtAll => self.has_bus = false,
            Fault::NoStore(index) => self.nodes[index].has_store = false,
            Fault::NoStoreAtAll | Fault::Empty | Fault::Older => self.has_store = false,
            Fault::NoOrigin(index) => self.lose_origin(index),
        }
        self.faults += 1;
        self.at(until, Happening::End(fault));
    }

    fn end_fault(&mut self, fault: Fault) {
        self.tell(format!("END {fault:?}"));
        self.faults -= 1;
        self.calm_since = self.calm_since.max(self.now);
        match fault {
            Fault::Dead(index) => {
                if self.nodes[index].life.is_none() {
                    self.start(index);
                }
            }
            Fault::Asleep(_) => {}
            Fault::NoBus(index) => {
                self.nodes[index].has_bus = true;
                self.missed(index);
            }
            Fault::NoBusAtAll => {
                self.has_bus = true;
                (0..NODES).for_each(|index| self.missed(index));
            }
            Fault::NoStore(index) => self.nodes[index].has_store = true,
            Fault::NoStoreAtAll => self.has_store = true,
            Fault::Empty => {
                self.has_store = true;
                self.store.lose(&Store::default());
                self.calm_since += 2_500;
            }
            Fault::Older => {
                self.has_store = true;
                let older = std::mem::take(&mut self.older);
                self.store.lose(&older);
                self.calm_since += 2_500;
            }
            Fault::NoOrigin(index) => self.origins[index].is_live = true,
        }
    }

    fn missed(&mut self, index: usize) {
        if let Some(life) = self.nodes[index].life.as_ref().filter(|_| self.hears(index)) {
            let boot = life.boot;
            self.at(self.now + 20, Happening::Input(index, boot, Box::new(Input::Missed)));
        }
    }

    fn die(&mut self, index: usize) {
        let Some(life) = self.nodes[index].life.take() else { return };
        for client in life.sockets.into_values() {
            let is_there = match self.people[client].place {
                Place::In(node, boot, _) => node == index && boot == life.boot,
                Place::Door(node, ..) => node == index,
                Place::Out(_) | Place::Gone => false,
            };
            if is_there {
                let wait = self.rng.random_range(100..1_500);
                self.people[client].place = Place::Out(self.now + wait);
            }
        }
    }

    fn lose_origin(&mut self, index: usize) {
        let origin = &mut self.origins[index];
        (origin.is_live, origin.stage) = (false, None);
        let name = origin.name.clone();
        self.media.iter_mut().filter(|media| media.name == name).for_each(Media::forget);
        for node in 0..NODES {
            if let Some(life) = &self.nodes[node].life {
                let input = Box::new(Input::Node(name.clone(), MoveReason::NodeLost));
                let boot = life.boot;
                self.at(self.now + 700, Happening::Input(node, boot, input));
            }
        }
    }

    // -- what must hold ----------------------------------------------------------------------------------

    /// Where nothing has gone wrong for a while, and nothing was done within a second, what was done holds.
    fn check_soon(&mut self) {
        if self.faults == 0 && self.rng.random_bool(0.2) {
            self.older = self.store.clone();
        }
        self.at(self.now + UPKEEP_MS, Happening::Check);
        let is_asleep = self.nodes.iter().any(|node| self.now < node.asleep_until + 1_500);
        let is_calm = self.faults == 0 && self.now >= self.calm_since + 1_500 && !is_asleep;
        if !is_calm || self.now < self.store.changed_at + 1_000 {
            return;
        }
        let Some(room) = self.store.records.room().cloned() else { return };
        if room.state() == RoomState::Ended {
            return;
        }
        if let (Some(wanted), Some((node, _))) = (room.node_stage(), room.origin()) {
            let origin = self.origins.iter().find(|origin| origin.name == *node && origin.is_live);
            let is_anybody_here = self.nodes.iter().any(|node| {
                node.life
                    .as_ref()
                    .is_some_and(|life| life.room.as_ref().is_some_and(|(live, _)| live.room().is_some()))
            });
            if let Some(origin) = origin.filter(|_| is_anybody_here) {
                assert_eq!(origin.stage.as_ref(), Some(&wanted), "the origin knows the stage");
            }
        }
        for (index, person) in self.people.iter().enumerate() {
            if let Place::In(node, ..) = person.place {
                assert!(!room.is_banned(&person.arrival.identity), "{index} is banned, and in at s{node}");
            }
        }
    }

    /// At the end of the evening everything is the same everywhere, and true.
    fn check_all(&mut self) {
        let Some(room) = self.store.records.room().cloned() else { panic!("there is no room any more") };
        assert_eq!(room.state(), RoomState::Live);
        let everybody: Vec<Identity> = self.people.iter().map(|it| it.arrival.identity.clone()).collect();
        let loaded = self.store.load(self.now, &everybody);
        for seat in room.stage() {
            assert!(loaded.people.contains_key(&seat.identity), "{} is on stage and not here", seat.identity);
        }
        let listed = loaded.people.keys().cloned().collect();
        let people = loaded.people.into_iter();
        let present: BTreeMap<Identity, Session> = people
            .filter(|(_, person)| person.value.away_until.is_none())
            .map(|(identity, person)| (identity, person.value.session))
            .collect();
        self.check_media(&listed);
        self.check_sessions(&present);
        let stage: BTreeMap<_, _> =
            room.members().into_iter().map(|member| (member.identity.clone(), member)).collect();
        let hands = room.hands();
        for (index, node) in self.nodes.iter().enumerate() {
            let Some((live, board)) = node.life.as_ref().and_then(|life| life.room.as_ref()) else {
                continue;
            };
            assert_eq!(live.room().map(|it| it.version()), Some(room.version()), "s{index}");
            assert_eq!(live.room(), Some(&room), "s{index}");
            let visible = present.keys().filter(|identity| !identity.as_str().starts_with("hidden")).count();
            let counts = board.counts();
            // Those who were cut off at a node that is there still count.
            let counted = (counts.listeners + counts.speakers) as usize;
            assert!(
                (visible..=loaded.present).contains(&counted),
                "s{index} counts {counted}, {visible} are here"
            );
            assert_eq!(counts.hands as usize, hands.len(), "s{index} counts hands");
        }
        for (index, person) in self.people.iter().enumerate() {
            if !matches!(person.place, Place::In(..)) {
                continue;
            }
            assert_eq!(person.seen.stage, stage, "{index} sees the stage");
            assert_eq!(person.seen.state, Some(room.state()), "{index} sees the room");
            if room.is_host(&person.arrival.identity) {
                let mut seen: Vec<_> = person.seen.hands.values().collect();
                seen.sort_by_key(|hand| hand.turn);
                let order = |hand: &Hand| (hand.identity.clone(), hand.turn);
                assert!(
                    seen.into_iter().map(order).eq(hands.iter().map(order)),
                    "{index} sees the hands in their order"
                );
            }
        }
        let due: Vec<Due> = self.store.due(self.now.saturating_sub(3_000));
        assert_eq!(due, [], "all that was due is done");
    }

    /// Whoever is in is in the list by that session, and whoever is in the list is in.
    fn check_sessions(&self, present: &BTreeMap<Identity, Session>) {
        let mut here = BTreeMap::new();
        for node in &self.nodes {
            let Some(life) = &node.life else { continue };
            let Some((live, _)) = &life.room else { continue };
            for Who { identity, number } in live.connected() {
                let session = Session { node: node.name.clone(), boot: life.boot, number };
                assert_eq!(here.insert(identity.clone(), session), None, "{identity} is here twice");
            }
        }
        assert_eq!(here, *present, "who is here, and who is in the list");
        for (index, person) in self.people.iter().enumerate() {
            match person.place {
                Place::In(node, boot, number) => {
                    let session = Session { node: self.nodes[node].name.clone(), boot, number };
                    assert_eq!(here.get(&person.arrival.identity), Some(&session), "{index} is in");
                }
                Place::Gone => {}
                place => panic!("{index} has not come in: {place:?}"),
            }
        }
    }
}
