//! A live room: what one signaling node knows of a room, does to it, and tells those of its people whose
//! sessions are here.
//!
//! ```text
//!   connections, HTTP ─┐                                      ┌─▶ tell, answer, end      people here
//!   notes of others ───┤            ┌─ Ledger: what is known  ├─▶ load, commit           the store
//!   media nodes ───────┼─ Input ─▶ Live ── work: what waits ──┼─▶ publish                other nodes
//!   store's answers ───┘            └─ People: who is here    └─▶ remove, push, close    media nodes
//! ```
//!
//! It is pure: inputs come in with the time, effects go out, and whoever drives it brings back the answers of
//! the store, late or never. At most one question to the store is under way; whatever comes meanwhile waits
//! and goes together. What is allowed is decided by [`hall`](crate::hall); here it is seen to that what was
//! decided holds, and that everybody learns it.

mod back;
mod door;
mod drains;
mod fold;
mod ledger;
mod lingering;
mod note;
mod origin;
mod peers;
mod people;
mod stage;
mod tell;
mod work;

use std::sync::Arc;

use protocol::error::{ApiError, Code};
use protocol::id::{Epoch, Identity, NodeId, PeerId, Region, RoomId, SpeakerNumber};
use protocol::message::{
    ClientMessage, Counts, IceServer, Person, Purpose, RemoveReason, Reply, RequestId, ServerMessage,
};
use protocol::node::{Event, Orphan, RoomOrigin, Root, Stage};

use crate::hall::{Commit, Committed, Conflict, Due, Loaded};
use crate::presence::Board;
use crate::{Action, Actor, Answer, Arrival, Owner, Plan, Room, Secret, Session, Ticket};

pub use drains::Draining;
pub use fold::MAX_FOLD;
pub use ledger::PATIENCE_MS;
pub use note::{Acted, Note};
pub use peers::no_node;
pub use people::{Contact, Peer};

use drains::Drains;
use ledger::Ledger;
use lingering::Lingering;
use origin::Outdated;
use people::People;
use stage::StagePush;
use tell::{Shown, Told};
use work::Work;

/// How long a room stays after the last of its people: longer than it takes to tell the other nodes and the
/// origin that they are gone, in ms.
pub const LINGER_MS: u64 = 2_000;

/// Longest time without looking what is due, in ms.
const IDLE_MS: u64 = 1_000;

/// How a live room is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The signaling node.
    pub owner: Owner,
    /// Most participants of a room.
    pub participants: usize,
    /// How long a peer that was replaced goes on while its successor is not up, in ms.
    pub replaced_ms: u64,
    /// How long it goes on once the successor is up, in ms.
    pub switched_ms: u64,
    /// For `welcome`.
    pub ice_servers: Vec<IceServer>,
    /// Of what must differ from node to node: when it is tried again.
    pub seed: u64,
}

/// A session at this node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    /// Whose.
    pub identity: Identity,
    /// Which; a later one has a higher number.
    pub number: u64,
}

/// A question whose answer somebody waits for: [`Effect::Answer`] names it.
pub type Asked = u64;

/// What a live room hears.
#[derive(Debug)]
pub enum Input {
    /// Somebody wants in. Answered with [`Answered::Entered`], for sockets after their `welcome`.
    Enter(Box<Enter>),
    /// Somebody says something; answered by [`Effect::Reply`].
    Say {
        /// Who.
        who: Who,
        /// What.
        body: ClientMessage,
        /// Of the request.
        id: Option<RequestId>,
    },
    /// People for somebody who has asked for a page of the audience, and how many they asked for.
    Page {
        /// Who.
        who: Who,
        /// Of the request.
        id: Option<RequestId>,
        /// From the store.
        people: Result<Vec<Person>, ApiError>,
        /// Most of them.
        limit: usize,
    },
    /// A socket is gone without a word.
    Cut(Who),
    /// Somebody goes of their own accord.
    Leave(Who),
    /// May they have media? Answered with [`Answered::Permit`].
    Permit(Asked, Who, Purpose),
    /// A node has made a peer. An error means that nobody wants it any more.
    Admitted(Asked, Who, Admitted),
    /// Make the room. Answered with [`Answered::Looked`].
    Create(Asked, Actor, Plan),
    /// Do something. Answered with [`Answered::Acted`].
    Act(Asked, Actor, Action),
    /// How does it stand? Answered with [`Answered::Looked`].
    Look(Asked),
    /// These are due.
    Due(Vec<Due>),
    /// The nodes of these sessions are gone.
    Orphans(Vec<(Identity, Session)>),
    /// This node's lease has run out: its people may have been taken for gone.
    Lapsed,
    /// The store may be another one than it was, or have lost something.
    Suspect,
    /// The answer to [`Effect::Sessions`].
    Sessions(Result<Vec<(Identity, Session)>, Trouble>),
    /// Another node tells something.
    Note(Note),
    /// Notes may have been missed.
    Missed,
    /// Something happened to a peer.
    Event(Event),
    /// At that node there is a peer that nobody wants.
    Orphan(NodeId, Orphan),
    /// That node knows something else of the room than it was told.
    Known(NodeId, RoomOrigin),
    /// This media node is gone, or has forgotten its peers.
    NodeLost(NodeId),
    /// These media nodes let their people go, and no others.
    Draining(Arc<Draining>),
    /// This signaling node is about to stop, and has so many ms for its people to go elsewhere.
    Shutdown(u64),
    /// The answer to [`Effect::Load`].
    Loaded(Result<Loaded, Trouble>),
    /// The answer to [`Effect::Commit`].
    Committed(Result<Result<Committed, Conflict>, Trouble>),
    /// The answer to [`Effect::Epoch`].
    Epoch(Result<Epoch, Trouble>),
    /// The answer to [`Effect::Push`]: whether the origin has taken it.
    Pushed(bool),
}

/// Somebody who wants in.
#[derive(Debug)]
pub struct Enter {
    /// Their question.
    pub asked: Asked,
    /// By what right.
    pub by: By,
    /// Of their session; higher than any before.
    pub number: u64,
    /// Of the ticket that they get.
    pub secret: Secret,
    /// By what they take part.
    pub contact: Contact,
    /// Where they are.
    pub region: Region,
    /// Of their `join`.
    pub id: Option<RequestId>,
}

/// By what right somebody enters.
#[derive(Debug, Clone)]
pub enum By {
    /// A token says who they are.
    Token(Arrival),
    /// They were here before.
    Ticket(Ticket),
    /// They are here by a WHIP or WHEP session whose signaling node is gone, and have this peer.
    Peer {
        /// Who.
        identity: Identity,
        /// By what they were here.
        from: Session,
        /// What they have.
        purpose: Purpose,
        /// Where.
        peer: Peer,
    },
}

/// A peer that a node has made for somebody.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// What for.
    pub purpose: Purpose,
    /// Of the media requests of a session: a later one holds.
    pub turn: u64,
    /// Where.
    pub node: NodeId,
    /// Which.
    pub peer: PeerId,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// This session is in the room: its contact is kept, and it is told what everybody is told.
    Seat(Who),
    /// Tell these sessions.
    Tell(Vec<u64>, ServerMessage),
    /// Tell every session that is in the room.
    TellAll(ServerMessage),
    /// Answer a session.
    Reply(u64, Reply),
    /// Read a page of the audience, and bring it back as [`Input::Page`].
    Page {
        /// For whom.
        who: Who,
        /// Of the request.
        id: Option<RequestId>,
        /// From behind here on.
        after: Option<Identity>,
        /// Most of them.
        limit: usize,
    },
    /// A session's contact is gone, and nobody need be told.
    Release(u64),
    /// A session is over: its contact is told why, and forgotten.
    End(u64, RemoveReason),
    /// Answer a question.
    Answer(Asked, Result<Answered, ApiError>),
    /// Load the room, and whatever there is of these people. `known` is what is known of it.
    Load {
        /// As it is known.
        known: Option<Arc<Room>>,
        /// Whom.
        people: Vec<Identity>,
    },
    /// Commit this.
    Commit(Box<Commit>),
    /// Who is connected to this node, as far as the store knows?
    Sessions,
    /// Get an epoch that nobody was given before, higher than this.
    Epoch(Epoch),
    /// Tell the other signaling nodes.
    Publish(Note),
    /// Tell the origin how the stage stands.
    Push(NodeId, Stage),
    /// Have a node end a peer, however long that takes.
    Remove(NodeId, PeerId),
    /// Have every node forget the room, whose last version this is.
    Close(u64, Option<Epoch>),
    /// The room comes from there, as far as this node knows, and this is the version of its stage.
    Origin(Option<(Root, u64)>),
    /// Somebody has replaced so many peers that the oldest one had to go at once.
    LingeringFull,
    /// Whoever runs this must know.
    Warn(&'static str),
}

/// What a question is answered.
#[derive(Debug)]
pub enum Answered {
    /// They are in.
    Entered {
        /// By this session.
        who: Who,
        /// The version of presence that they were told.
        presence: u64,
        /// They would have had a seat, but none was free.
        is_full: bool,
    },
    /// They may have media.
    Permit(Permit),
    /// The peer is theirs.
    Admitted,
    /// It is done.
    Acted(Answer),
    /// So it stands.
    Looked(Looked),
}

/// What a media node must know about a newcomer.
#[derive(Debug, Clone)]
pub struct Permit {
    /// Of the room.
    pub version: u64,
    /// What they may.
    pub to: Permitted,
}

/// What somebody may do.
#[derive(Debug, Clone)]
pub enum Permitted {
    /// Hear the room, from there once it has an origin.
    Listen(Option<Root>),
    /// Speak under this number, at that origin.
    Speak(SpeakerNumber, Root),
}

/// How a room stands.
#[derive(Debug, Clone)]
pub struct Looked {
    /// The room.
    pub room: Arc<Room>,
    /// How many are in it.
    pub counts: Counts,
}

/// Why a store has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It cannot be reached, or not be written. Whether it has done what was asked is not known.
    #[error("the rooms' store does not answer")]
    Unavailable,
    /// What is kept cannot be read.
    #[error("the rooms' store holds what is no part of a room: {0}")]
    Garbage(String),
    /// It has as many rooms as it may.
    #[error("the limit of {0} rooms is reached")]
    Rooms(usize),
}

impl From<Trouble> for ApiError {
    fn from(trouble: Trouble) -> Self {
        let says = trouble.to_string();
        match trouble {
            Trouble::Unavailable => Self::new(Code::Unavailable, says).retry_after_ms(1_000),
            Trouble::Rooms(_) => Self::new(Code::Unavailable, says),
            Trouble::Garbage(_) => Self::new(Code::Internal, says),
        }
    }
}

/// What a live room sees of its surroundings.
pub struct Around<'a> {
    /// The time, in ms; it only grows.
    pub now: u64,
    /// The clock that people see, in ms of Unix time.
    pub unix_ms: u64,
    /// Who is around the stage.
    pub board: &'a mut Board,
    /// Where origins are.
    pub origins: &'a mut dyn Origins,
}

/// The origins there are.
pub trait Origins {
    /// Whether one is there.
    fn is_live(&self, node: &NodeId) -> bool;

    /// The one for a room whose speakers are there; none: wherever this node is.
    fn place(&mut self, region: Option<&Region>) -> Option<NodeId>;
}

/// One room at one signaling node.
#[derive(Debug)]
pub struct Live {
    id: RoomId,
    settings: Settings,
    ledger: Ledger<Told>,
    work: Work,
    people: People,
    shown: Shown,
    push: StagePush,
    /// Peers that were replaced or left behind.
    lingering: Lingering,
    /// Media nodes that let their people go.
    drains: Drains,
    /// This node, once it does so too.
    goodbyes: Drains,
    /// Those who are to speak and wait for the room to have an origin.
    permits: Vec<(Asked, Who)>,
    /// The origin of this epoch is gone, and another one is to be assigned.
    lost_origin: Option<Epoch>,
    /// A media node knows more than this room.
    outdated: Option<Outdated>,
    /// Epochs up to this one may have been given, and the store has forgotten it.
    forgotten: Epoch,
    /// The nodes have been told that the room is over.
    is_closed: bool,
    is_draining: bool,
    /// Since when nobody is here.
    empty_since: Option<u64>,
    effects: Vec<Effect>,
}

impl Live {
    /// A room of which nothing is known yet.
    pub fn new(now: u64, id: RoomId, settings: Settings) -> Self {
        Self {
            ledger: Ledger::new(),
            work: Work::new(settings.seed),
            people: People::default(),
            shown: Shown::default(),
            push: StagePush::default(),
            lingering: Lingering::default(),
            drains: Drains::default(),
            goodbyes: Drains::default(),
            permits: Vec::new(),
            lost_origin: None,
            outdated: None,
            forgotten: Epoch::default(),
            is_closed: false,
            is_draining: false,
            empty_since: Some(now),
            effects: Vec::new(),
            id,
            settings,
        }
    }

    /// Takes what it hears.
    pub fn take(&mut self, around: &mut Around<'_>, input: Input) {
        match input {
            Input::Enter(enter) => self.enter(around, *enter),
            Input::Say { who, body, id } => self.say(around, &who, body, id),
            Input::Page { who, id, people, limit } => self.page(&who, id, people, limit),
            Input::Cut(who) => self.cut(&who),
            Input::Leave(who) => self.leave(around, &who),
            Input::Permit(asked, who, purpose) => self.permit(around, asked, who, purpose),
            Input::Admitted(asked, who, admitted) => {
                let answer = self.admitted(around.now, &who, admitted).map(|()| Answered::Admitted);
                self.answer(asked, answer);
            }
            Input::Create(asked, actor, plan) => self.create(asked, actor, plan),
            Input::Act(asked, actor, action) => self.act(asked, actor, action),
            Input::Look(asked) => self.work.look(asked),
            Input::Due(due) => self.lapse(due),
            Input::Orphans(sessions) => self.cut_orphans(sessions),
            Input::Lapsed => self.put_back(false),
            Input::Suspect => {
                self.ledger.suspect();
                self.put_back(true);
                self.effects.push(Effect::Sessions);
            }
            Input::Sessions(sessions) => self.cut_others(around.now, sessions),
            Input::Note(note) => self.hear(around, note),
            Input::Missed => {
                around.board.missed();
                self.ledger.doubt();
                self.put_back(false);
            }
            Input::Event(event) => self.event(around, event),
            Input::Orphan(node, orphan) => self.orphan(around.now, node, orphan),
            Input::Known(node, known) => self.known_otherwise(around.now, &node, &known),
            Input::NodeLost(node) => self.node_lost(around, &node),
            Input::Draining(draining) => self.drains.set(around.now, &draining),
            Input::Shutdown(over_ms) => {
                let here = self.settings.owner.node.clone();
                self.is_draining = true;
                self.goodbyes.set(around.now, &Draining::from([(here, over_ms)]));
            }
            Input::Loaded(loaded) => self.loaded(around, loaded),
            Input::Committed(committed) => self.committed(around, committed),
            Input::Epoch(epoch) => self.take_epoch(around, epoch),
            Input::Pushed(is_taken) => self.push.answered(around.now, is_taken),
        }
    }

    /// Does what is due by now, and what follows from what was taken.
    pub fn poll(&mut self, around: &mut Around<'_>) {
        let now = around.now;
        self.go_on_with_work(around);
        if let Some((node, stage)) = self.push.poll(now) {
            self.effects.push(Effect::Push(node, stage));
        }
        if let Some(identities) = self.push.news(now).map(<[Identity]>::to_vec) {
            self.tell_hosts(ServerMessage::Pending { identities });
        }
        if let Some(share) = around.board.share(now) {
            self.publish(Note::Presence { share, version: self.ledger.version() });
        }
        self.let_go_of_lingering(now);
        self.move_people(around);
        self.say_goodbye(now);
        match (self.people.is_empty(), self.empty_since) {
            (true, None) => self.empty_since = Some(now),
            (false, Some(_)) => self.empty_since = None,
            _ => {}
        }
    }

    /// What is to be done, in this order.
    pub fn effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// When something is due next.
    pub fn next_deadline(&self, now: u64, board: &Board) -> u64 {
        let due = [
            self.work_due(now),
            self.lingering.due(),
            self.push.due(),
            self.drains.due(),
            self.goodbyes.due(),
        ];
        let due = due.into_iter().flatten().chain([board.next_deadline(), now + IDLE_MS]);
        due.min().unwrap_or(now).max(now)
    }

    /// Whether so much waits that it must take no more for a while.
    pub fn is_full(&self) -> bool {
        self.work.is_full()
    }

    /// Whether nobody needs it any more.
    pub fn is_over(&self, now: u64) -> bool {
        if self.is_draining && !self.people.any_socket() {
            return true;
        }
        let is_long_empty = self.empty_since.is_some_and(|since| now >= since + LINGER_MS);
        is_long_empty && self.lingering.is_empty() && self.work.is_idle()
    }

    /// The last word to the others.
    pub fn farewell(&mut self, board: &mut Board) -> Note {
        Note::Presence { share: board.farewell(), version: self.ledger.version() }
    }

    /// The room as people are shown it, if there is one.
    pub fn room(&self) -> Option<&Arc<Room>> {
        self.ledger.shown()
    }

    /// Everybody whose session is here and not cut off.
    pub fn connected(&self) -> impl Iterator<Item = Who> {
        self.people.connected()
    }

    /// The peers that are wanted: where, and which.
    pub fn peers(&self) -> impl Iterator<Item = (&NodeId, PeerId)> {
        self.people.peers().chain(self.lingering.peers()).map(|(node, peer)| (node, *peer))
    }

    /// How many are here: hosts, speakers, listeners.
    pub fn counts(&self) -> [i64; 3] {
        self.people.counts(self.ledger.shown().map(|room| &**room))
    }

    fn session(&self, number: u64) -> Session {
        let Owner { node, boot } = self.settings.owner.clone();
        Session { node, boot, number }
    }

    fn publish(&mut self, note: Note) {
        self.effects.push(Effect::Publish(note));
    }

    fn answer(&mut self, asked: Asked, answer: Result<Answered, ApiError>) {
        self.effects.push(Effect::Answer(asked, answer));
    }

    /// Tells one person, if they can be reached here.
    fn tell(&mut self, identity: &Identity, message: ServerMessage) {
        if let Some(number) = self.people.socket(identity) {
            self.effects.push(Effect::Tell(vec![number], message));
        }
    }

    fn tell_hosts(&mut self, message: ServerMessage) {
        let hosts: Vec<u64> = self.people.hosts().collect();
        if !hosts.is_empty() {
            self.effects.push(Effect::Tell(hosts, message));
        }
    }
}

fn no_room() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such room")
}
