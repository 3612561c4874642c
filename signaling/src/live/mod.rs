//! A live room: the one task of this node that hears everything about a room, tells those of its people
//! whose connections are here, and sees to their peers.
//!
//! ```text
//!   connections, HTTP ── Input ──▶┐                        ┌──▶ lanes of everybody who is here
//!   other signaling nodes, bus ──▶┤ LiveRoom ── Store ──▶ ─┤──▶ other signaling nodes (`room.<id>`)
//!   media nodes' events ─────────▶┘                        └──▶ the origin: the stage, again on doubt
//! ```
//!
//! What is allowed is decided by `room::hall`, on what the store holds. Here nothing is decided; what came
//! of it is spread. The task waits for the store and never for a client or a media node.

mod door;
mod fan_out;
mod lingering;
mod note;
mod peers;
mod people;
mod say;
mod stage_push;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use cluster::{Acted, Heard, Subscription};
use protocol::message::{ClientMessage, Counts, MoveReason, Purpose, RemoveReason, RequestId};
use protocol::node::{Event, room_subject};
use protocol::{ApiError, Code, Epoch, Identity, NodeId, PeerId, RoomId, SpeakerNumber};
use room::presence::{Board, Restraint};
use room::{Action, Actor, Answer, Arrival, Plan, Room};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::app::Shared;
use crate::lanes::Lanes;
use crate::presence::Presence;
use crate::rooms::{Entered, Member, Reply};
use lingering::Lingering;
use people::People;
use stage_push::StagePush;

/// How long a room's task stays after the last of its people: longer than it takes to tell the other
/// nodes and the origin that they are gone.
const LINGER: Duration = Duration::from_secs(2);

/// Words that are taken before it is looked what else is due: in a storm that costs more than they do.
const AT_ONCE: usize = 32;

/// Longest time without looking whether presence is due.
const IDLE: Duration = Duration::from_secs(1);

/// What a room can be told.
pub(crate) enum Input {
    Enter(Enter, Reply<Entered>),
    Say {
        who: Member,
        body: ClientMessage,
        id: Option<RequestId>,
    },
    Cut(Member),
    Leave(Member),
    /// The WHIP or WHEP session of this key ends.
    Hang(String, Reply<()>),
    Permit(Member, Purpose, Reply<Permit>),
    Admitted(Member, Admitted, Reply<()>),
    Create(Actor, Plan, Reply<Looked>),
    Act(Actor, Action, Reply<Answer>),
    Look(Reply<Looked>),
    /// Something was due, and the store has done it.
    Expired(Acted),
    /// This node's lease has run out: its people may have been taken for gone.
    Lapsed,
    /// The session of this number is over in the store: it ends here too.
    Over(Identity, u64, RemoveReason),
    Event(Event),
    /// Peers of this node must go elsewhere.
    Node(NodeId, MoveReason),
}

/// Somebody who wants in.
#[derive(Clone)]
pub(crate) struct Enter {
    pub(crate) ask: Ask,
    pub(crate) body: Body,
}

/// By what right.
#[derive(Clone)]
pub(crate) enum Ask {
    Token(Arrival),
    Ticket(String),
}

/// By what they take part.
#[derive(Clone)]
pub(crate) enum Body {
    /// A WebSocket; `id` is that of its `join`.
    Socket { lanes: Lanes, id: Option<RequestId> },
    /// WHIP or WHEP: the key in its address, and its place among those of this node.
    Whip { key: String, place: Arc<OwnedSemaphorePermit> },
}

/// What a media node must know about a newcomer.
pub(crate) struct Permit {
    pub(crate) origin: NodeId,
    pub(crate) epoch: Epoch,
    pub(crate) speaker: Option<SpeakerNumber>,
}

/// A peer that a node has made for somebody.
pub(crate) struct Admitted {
    pub(crate) purpose: Purpose,
    pub(crate) turn: u64,
    pub(crate) node: NodeId,
    pub(crate) peer: PeerId,
}

/// How a room stands, for the HTTP API.
pub(crate) struct Looked {
    pub(crate) room: Arc<Room>,
    pub(crate) counts: Counts,
}

pub(crate) struct LiveRoom {
    app: Shared,
    id: RoomId,
    /// Newest known state; none before there is a room of this name.
    room: Option<Arc<Room>>,
    people: People,
    presence: Arc<Presence>,
    push: StagePush,
    /// Those whose session must end because they have no socket that could be told.
    unseated: Vec<Identity>,
    /// Peers that were replaced or left behind.
    lingering: Lingering,
    /// The origin of this epoch is gone, and another one is to be assigned.
    lost_origin: Option<Epoch>,
    /// The nodes have been told that the room is over.
    is_closed: bool,
    /// Since when nobody is here.
    empty_since: Option<Instant>,
    inbox: mpsc::Receiver<Input>,
    to_inbox: mpsc::Sender<Input>,
}

impl LiveRoom {
    pub(crate) fn new(
        app: Shared,
        id: RoomId,
        to_inbox: mpsc::Sender<Input>,
        inbox: mpsc::Receiver<Input>,
    ) -> Self {
        let board = Board::new(app.config.node.clone(), app.boot, app.elapsed_ms());
        Self {
            people: People::default(),
            presence: Presence::new(board, app.counters.presence_people()),
            push: StagePush::new(&app),
            room: None,
            unseated: Vec::new(),
            lingering: Lingering::default(),
            lost_origin: None,
            is_closed: false,
            empty_since: Some(Instant::now()),
            to_inbox,
            inbox,
            id,
            app,
        }
    }

    /// Runs until nobody is here any more.
    pub(crate) async fn run(mut self) {
        let mut notes = match self.app.bus.subscribe(&room_subject(&self.id)).await {
            Ok(notes) => Some(notes),
            Err(error) => {
                tracing::error!(%error, "a room cannot hear the other signaling nodes");
                None
            }
        };
        self.reload().await;
        let shutdown = self.app.tasks.shutdown().clone();
        let mut draining = false;
        loop {
            let due = self.due();
            tokio::select! {
                Some(input) = self.inbox.recv() => self.take_some(input).await,
                heard = next_note(&mut notes) => match heard {
                    Heard::Message(note) => self.hear(&note).await,
                    Heard::Gap => self.catch_up().await,
                },
                () = self.push.work() => {}
                () = sleep_until(due) => {}
                () = shutdown.begun(), if !draining => {
                    draining = true;
                    self.people.end_all(RemoveReason::Shutdown);
                }
            }
            self.keep_up().await;
            if self.is_over(draining) && self.app.rooms.retire(&self.id, &mut self.inbox) {
                self.app.origins.set(&self.id, None);
                let farewell = self.presence.board(|board| board.farewell());
                self.presence.close();
                return self.publish(&note::Note::Presence(farewell)).await;
            }
        }
    }

    /// Takes a word, and those that wait behind it.
    async fn take_some(&mut self, first: Input) {
        self.take(first).await;
        for _ in 1..AT_ONCE {
            let Ok(next) = self.inbox.try_recv() else { return };
            self.take(next).await;
        }
    }

    async fn take(&mut self, input: Input) {
        match input {
            Input::Enter(enter, reply) => self.enter(enter, reply).await,
            Input::Say { who, body, id } => self.say(&who, body, id).await,
            Input::Cut(who) => self.cut(&who).await,
            Input::Leave(who) => self.leave(&who).await,
            Input::Hang(key, reply) => answer(reply, self.hang(&key).await),
            Input::Permit(who, purpose, reply) => answer(reply, self.permit(&who, purpose).await),
            Input::Admitted(who, admitted, reply) => answer(reply, self.admitted(&who, admitted)),
            Input::Create(actor, plan, reply) => answer(reply, self.create(&actor, &plan).await),
            Input::Act(actor, action, reply) => answer(reply, self.act(&actor, &action).await),
            Input::Look(reply) => answer(reply, self.look().await),
            Input::Expired(acted) => self.spread(acted).await,
            Input::Lapsed => self.put_back(),
            Input::Over(identity, number, reason) => self.over(&identity, number, reason),
            Input::Event(event) => self.event(event).await,
            Input::Node(node, why) => self.node_changed(&node, why).await,
        }
    }

    /// What is due by time, and what follows from what was just done.
    async fn keep_up(&mut self) {
        while let Some(identity) = self.unseated.pop() {
            self.hang_up(&identity).await;
        }
        let now = self.app.elapsed_ms();
        let restraint = Restraint::from_per_mille(self.app.restraint.load(Ordering::Relaxed));
        let is_deaf = !self.app.bus.is_up();
        self.presence.board(|board| {
            board.restrain(restraint);
            if is_deaf {
                board.deaf(now);
            }
        });
        self.presence.poll(now);
        if let Some(share) = self.presence.board(|board| board.share(now)) {
            self.publish(&note::Note::Presence(share)).await;
        }
        self.let_go_of_lingering();
        match (self.people.is_empty(), self.empty_since) {
            (true, None) => self.empty_since = Some(Instant::now()),
            (false, Some(_)) => self.empty_since = None,
            _ => {}
        }
    }

    fn due(&self) -> Instant {
        let now = self.app.elapsed_ms();
        let presence = self.presence.board(|board| board.next_deadline());
        let presence = Instant::now() + Duration::from_millis(presence.saturating_sub(now)).min(IDLE);
        self.lingering.due().map_or(presence, |until| until.min(presence))
    }

    fn is_over(&self, draining: bool) -> bool {
        let long_empty = self.empty_since.is_some_and(|since| since.elapsed() >= LINGER);
        let drained = draining && !self.people.any_connected();
        (long_empty && self.lingering.is_empty()) || drained
    }

    /// Takes the room as the store has it.
    async fn reload(&mut self) {
        match self.app.halls.room(&self.id).await {
            Ok(Some(room)) => self.show(room),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a room cannot be loaded"),
        }
    }

    /// Notes of others may have been missed: what they told of is in the store.
    async fn catch_up(&mut self) {
        self.app.counters.gap("room");
        self.presence.board(Board::missed);
        self.reload().await;
    }

    async fn look(&mut self) -> Result<Looked, ApiError> {
        self.reload().await;
        let room = self.room.clone().ok_or_else(no_room)?;
        self.presence.poll(self.app.elapsed_ms());
        let counts = self.presence.board(|board| board.counts());
        Ok(Looked { room, counts })
    }

    async fn create(&mut self, actor: &Actor, plan: &Plan) -> Result<Looked, ApiError> {
        let acted = self.app.halls.create(&self.id, actor, plan).await?;
        self.spread(acted).await;
        self.look().await
    }

    async fn act(&mut self, actor: &Actor, action: &Action) -> Result<Answer, ApiError> {
        let acted = self.app.halls.act(&self.id, actor, action).await?;
        let answer = acted.outcome.answer;
        self.spread(acted).await;
        Ok(answer)
    }
}

/// The next note of another signaling node, or that some were missed. Never returns once there can be none.
async fn next_note(notes: &mut Option<Subscription>) -> Heard {
    if let Some(subscription) = notes {
        match subscription.hear().await {
            Some(heard) => return heard,
            None => *notes = None,
        }
    }
    std::future::pending().await
}

/// Answers, unless whoever asked has gone.
fn answer<T>(reply: Reply<T>, result: Result<T, ApiError>) {
    let _ = reply.send(result);
}

fn no_room() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such room")
}

/// What a client is told, with its kind for the metrics.
struct Said {
    kind: &'static str,
    text: Utf8Bytes,
}

impl Said {
    fn new(message: &protocol::message::ServerMessage) -> Self {
        Self { kind: message.kind(), text: crate::encode::message(message) }
    }
}
