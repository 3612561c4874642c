//! Drives a live room: the one task of this node that hears everything about a room, and does what comes of it.
//!
//! ```text
//!   connections, HTTP ── Word ───▶┐                            ┌──▶ lanes of everybody who is here
//!   other signaling nodes, bus ──▶┤ LiveRoom ◀─▶ room::live ───┤──▶ other signaling nodes (`room.<id>`)
//!   media nodes' events ─────────▶┘                            └──▶ store, media nodes; their answers come back
//! ```
//!
//! Nothing is decided here. The task waits for nobody: what it asks of the store and of nodes is under way
//! beside it.

mod contacts;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cluster::{Heard, Message, Subscription};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use protocol::message::{ClientMessage, Purpose, RequestId, ServerMessage};
use protocol::node::{NodeKind, Request, Response, room_subject};
use protocol::{ApiError, Code, NodeId, Region, RoomId};
use room::live::{
    Admitted, Answered, Around, Asked, By, Effect, Enter as Entering, Input, Live, Looked, Note, Origins,
    Permit, Settings, Trouble, Who,
};
use room::placement::{Spill, Wish};
use room::presence::{Board, Restraint};
use room::{Action, Actor, Answer, Owner, Plan, Secret};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::app::{Shared, now_ms};
use crate::media;
use crate::presence::Presence;
use crate::rooms::{Entered, Member, Reply};
pub(crate) use contacts::Body;
use contacts::Contacts;

/// Words that are taken before it is looked what else is due: in a storm that costs more than they do.
const AT_ONCE: usize = 32;

/// What a room can be told.
pub(crate) enum Word {
    Enter(Enter, Reply<Entered>),
    Permit(Who, Purpose, Reply<Permit>),
    Admitted(Who, Admitted, Reply<()>),
    Create(Actor, Plan, Reply<Looked>),
    Act(Actor, Action, Reply<Answer>),
    Look(Reply<Looked>),
    /// What nobody waits for.
    Tell(Input),
}

/// Somebody who wants in.
#[derive(Clone)]
pub(crate) struct Enter {
    pub(crate) by: By,
    pub(crate) body: Body,
    /// Where they are.
    pub(crate) region: Region,
}

/// Who waits for an answer.
enum Question {
    Entered(u64, Region, Reply<Entered>),
    Permit(Reply<Permit>),
    Admitted(Reply<()>),
    Acted(Reply<Answer>),
    Looked(Reply<Looked>),
}

pub(crate) struct LiveRoom {
    app: Shared,
    id: RoomId,
    live: Live,
    contacts: Contacts,
    presence: Arc<Presence>,
    questions: HashMap<Asked, Question>,
    asked: Asked,
    /// What was asked of the store and of nodes.
    underway: FuturesUnordered<BoxFuture<'static, Option<Input>>>,
    /// What the gauges hold of this room: hosts, speakers, listeners.
    counted: [i64; 3],
    inbox: mpsc::Receiver<Word>,
    to_inbox: mpsc::Sender<Word>,
}

impl LiveRoom {
    pub(crate) fn new(
        app: Shared,
        id: RoomId,
        to_inbox: mpsc::Sender<Word>,
        inbox: mpsc::Receiver<Word>,
    ) -> Self {
        let (config, now) = (&app.config, app.elapsed_ms());
        let ms = |time: Duration| time.as_millis() as u64;
        let settings = Settings {
            owner: Owner { node: config.node.clone(), boot: app.boot },
            participants: config.limits.room_participants,
            replaced_ms: ms(config.times.replaced),
            switched_ms: ms(config.times.switched),
            ice_servers: config.ice_servers.clone(),
            seed: rand::random(),
        };
        let board = Board::new(config.node.clone(), app.boot, now);
        Self {
            live: Live::new(now, id.clone(), settings),
            contacts: Contacts::new(&app),
            presence: Presence::new(board, app.counters.presence_people()),
            questions: HashMap::new(),
            asked: 0,
            underway: FuturesUnordered::new(),
            counted: [0; 3],
            inbox,
            to_inbox,
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
        let shutdown = self.app.tasks.shutdown().clone();
        // Over how many ms people go elsewhere; none before this node is to stop.
        let mut goodbye = None;
        self.take(Input::Draining(self.app.draining()));
        loop {
            self.do_what_is_due().await;
            let due = self.due();
            tokio::select! {
                Some(word) = self.inbox.recv(), if !self.live.is_full() => self.hear_some(word),
                heard = next_note(&mut notes) => match heard {
                    Heard::Message(note) => self.hear_note(&note),
                    Heard::Gap => {
                        self.app.counters.gap("room");
                        self.take(Input::Missed);
                    }
                },
                Some(input) = self.underway.next(), if !self.underway.is_empty() => {
                    input.into_iter().for_each(|input| self.take(input));
                }
                () = sleep_until(due) => {}
                () = shutdown.begun(), if goodbye.is_none() => goodbye = Some(u64::MAX),
            }
            // The others may be about to stop, too: then there is nowhere to go.
            if let Some(over_ms) = goodbye.filter(|over_ms| self.app.goodbye_ms() < *over_ms) {
                let over_ms = self.app.goodbye_ms().min(over_ms);
                self.take(Input::Shutdown(over_ms));
                goodbye = Some(over_ms);
            }
            let is_over = self.live.is_over(self.app.elapsed_ms()) && self.questions.is_empty();
            if is_over && self.app.rooms.retire(&self.id, &mut self.inbox) {
                return self.retire().await;
            }
        }
    }

    async fn retire(mut self) {
        self.app.origins.set(&self.id, None);
        self.app.wanted.forget(&self.id);
        let farewell = self.presence.board(|board| self.live.farewell(board));
        self.presence.close();
        self.app.counters.participants(self.counted.map(|people| -people));
        self.publish(&farewell).await;
    }

    /// Hears a word, and those that wait behind it.
    fn hear_some(&mut self, first: Word) {
        self.hear(first);
        for _ in 1..AT_ONCE {
            let Ok(next) = self.inbox.try_recv() else { return };
            self.hear(next);
        }
    }

    fn hear(&mut self, word: Word) {
        let input = match word {
            Word::Enter(enter, reply) => self.enter(enter, reply),
            Word::Permit(who, purpose, reply) => {
                Input::Permit(self.ask(Question::Permit(reply)), who, purpose)
            }
            Word::Admitted(who, admitted, reply) => {
                Input::Admitted(self.ask(Question::Admitted(reply)), who, admitted)
            }
            Word::Create(actor, plan, reply) => Input::Create(self.ask(Question::Looked(reply)), actor, plan),
            Word::Act(actor, action, reply) => Input::Act(self.ask(Question::Acted(reply)), actor, action),
            Word::Look(reply) => Input::Look(self.ask(Question::Looked(reply))),
            Word::Tell(Input::Say { who, body, id }) => match self.may_say(&who, body, id) {
                Some(input) => input,
                None => return,
            },
            Word::Tell(input) => input,
        };
        self.take(input);
    }

    fn ask(&mut self, question: Question) -> Asked {
        self.asked += 1;
        self.questions.insert(self.asked, question);
        self.asked
    }

    fn enter(&mut self, enter: Enter, reply: Reply<Entered>) -> Input {
        let Enter { by, body, region } = enter;
        let number = self.app.rooms.next_number();
        let asked = self.ask(Question::Entered(number, region.clone(), reply));
        let (contact, id) = self.contacts.knock(number, body);
        let secret = Secret(rand::random());
        Input::Enter(Box::new(Entering { asked, by, number, secret, contact, region, id }))
    }

    /// What somebody says, unless it does not concern the room, or they say it too often.
    fn may_say(&mut self, who: &Who, body: ClientMessage, id: Option<RequestId>) -> Option<Input> {
        match &body {
            ClientMessage::Quality(quality) => {
                self.app.counters.heard(quality);
                if id.is_some() {
                    self.contacts.reply(who.number, ServerMessage::Ok, id);
                }
                return None;
            }
            ClientMessage::RaiseHand => {
                let passed = self.app.gates.hands.pass(&(self.id.clone(), who.identity.clone()));
                if let Err(error) = passed {
                    self.contacts.reply(who.number, ServerMessage::Error(error), id);
                    return None;
                }
            }
            _ => {}
        }
        self.contacts.asks(who.number, &body, id.as_ref());
        Some(Input::Say { who: who.clone(), body, id })
    }

    /// Hears what another node tells; one's own notes come back too.
    fn hear_note(&mut self, message: &Message) {
        match serde_json::from_slice(&message.payload) {
            Ok(note) => self.take(Input::Note(note)),
            Err(_) => self.app.counters.bad("bus_room"),
        }
    }

    fn take(&mut self, input: Input) {
        let Self { app, live, presence, .. } = self;
        let refused = presence.board(|board| {
            let before = board.refused();
            live.take(
                &mut Around { now: app.elapsed_ms(), unix_ms: now_ms(), board, origins: &mut There(app) },
                input,
            );
            board.refused() - before
        });
        app.counters.shares_refused(refused);
    }

    /// What is due by time, and what follows from what was taken.
    async fn do_what_is_due(&mut self) {
        let Self { app, live, presence, .. } = self;
        let now = app.elapsed_ms();
        let restraint = Restraint::from_per_mille(app.restraint.load(Ordering::Relaxed));
        let is_deaf = !app.bus.is_up();
        presence.board(|board| {
            board.restrain(restraint);
            if is_deaf {
                board.deaf(now);
            }
            live.poll(&mut Around { now, unix_ms: now_ms(), board, origins: &mut There(app) });
        });
        presence.poll(now);
        loop {
            let effects: Vec<Effect> = self.live.effects().collect();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.do_one(effect).await;
            }
        }
        self.app.wanted.set(now, &self.id, &self.live);
        let now = self.live.counts();
        self.app.counters.participants(std::array::from_fn(|role| now[role] - self.counted[role]));
        self.counted = now;
    }

    fn due(&self) -> Instant {
        let now = self.app.elapsed_ms();
        let due = self.presence.board(|board| self.live.next_deadline(now, board));
        Instant::now() + Duration::from_millis(due.saturating_sub(now))
    }

    async fn do_one(&mut self, effect: Effect) {
        match effect {
            Effect::Seat(who) => self.contacts.seat(who.number),
            Effect::Tell(numbers, message) => self.contacts.tell(&numbers, &message),
            Effect::TellAll(message) => self.contacts.tell_all(&message),
            Effect::Reply(number, reply) => self.contacts.reply(number, reply.body, reply.id),
            Effect::Release(number) => self.contacts.release(number),
            Effect::End(number, reason) => self.contacts.end(number, reason),
            Effect::Answer(asked, answer) => self.answer(asked, answer),
            Effect::Publish(note) => self.publish(&note).await,
            Effect::Remove(node, peer) => self.app.remove_peer(node, peer),
            Effect::Close(version, epoch) => self.app.close_room(&self.id, version, epoch),
            Effect::Origin(from) => self.app.origins.set(&self.id, from),
            Effect::LingeringFull => self.app.counters.lingering_full(),
            Effect::Warn(what) => tracing::warn!("{what}"),
            asked => self.ask_others(asked),
        }
    }

    /// What is asked of the store and of nodes, beside the room.
    fn ask_others(&mut self, effect: Effect) {
        let (app, id) = (self.app.clone(), self.id.clone());
        self.underway.push(match effect {
            Effect::Load { known, people } => Box::pin(async move {
                let people: Vec<_> = people.iter().collect();
                let loaded = app.store.load(&id, known.as_ref(), &people).await;
                Some(Input::Loaded(loaded.map_err(Trouble::from)))
            }),
            Effect::Commit(commit) => Box::pin(async move {
                Some(Input::Committed(app.store.commit(&id, &commit).await.map_err(Trouble::from)))
            }),
            Effect::Epoch(above) => Box::pin(async move {
                Some(Input::Epoch(app.store.next_epoch(above).await.map_err(Trouble::from)))
            }),
            Effect::Sessions => Box::pin(async move {
                let owner = Owner { node: app.config.node.clone(), boot: app.boot };
                Some(Input::Sessions(app.store.sessions(&id, &owner).await.map_err(Trouble::from)))
            }),
            Effect::Page { who, id: request, after, limit } => Box::pin(async move {
                let people = app.store.people(&id, after.as_ref(), limit).await.map_err(ApiError::from);
                Some(Input::Page { who, id: request, people, limit })
            }),
            Effect::Push(node, stage) => Box::pin(async move {
                let answer = media::ask(&app, &node, &Request::Stage(stage)).await;
                match &answer {
                    // An origin that knows more says so for itself.
                    Ok(Response::Done) | Ok(Response::Refused(ApiError { code: Code::Conflict, .. })) => {}
                    Ok(_) => tracing::warn!(%node, "the origin does not take the stage"),
                    Err(error) => tracing::debug!(%node, %error, "the origin is not told the stage"),
                }
                Some(Input::Pushed(answer == Ok(Response::Done)))
            }),
            _ => return,
        });
    }

    fn answer(&mut self, asked: Asked, answer: Result<Answered, ApiError>) {
        let Some(question) = self.questions.remove(&asked) else { return };
        match (question, answer) {
            (Question::Entered(_, region, reply), Ok(Answered::Entered { who, presence, is_full })) => {
                let member = Member::new(self.id.clone(), who.clone(), region, self.to_inbox.clone());
                let entered = Entered { member, presence: self.presence.reader(presence), is_full };
                // Whoever hung up while they were let in is cut off at once.
                if reply.send(Ok(entered)).is_err() {
                    self.take(Input::Cut(who));
                }
            }
            (Question::Entered(number, _, reply), answer) => {
                self.contacts.release(number);
                let _ = reply.send(Err(refusal(answer)));
            }
            (Question::Permit(reply), Ok(Answered::Permit(permit))) => drop(reply.send(Ok(permit))),
            (Question::Permit(reply), answer) => drop(reply.send(Err(refusal(answer)))),
            (Question::Admitted(reply), Ok(Answered::Admitted)) => drop(reply.send(Ok(()))),
            (Question::Admitted(reply), answer) => drop(reply.send(Err(refusal(answer)))),
            (Question::Acted(reply), Ok(Answered::Acted(answer))) => drop(reply.send(Ok(answer))),
            (Question::Acted(reply), answer) => drop(reply.send(Err(refusal(answer)))),
            (Question::Looked(reply), Ok(Answered::Looked(looked))) => drop(reply.send(Ok(looked))),
            (Question::Looked(reply), answer) => drop(reply.send(Err(refusal(answer)))),
        }
    }

    /// Tells the other nodes. Of what is lost here the stage is found by its version and presence is
    /// repeated.
    async fn publish(&mut self, note: &Note) {
        let Ok(payload) = serde_json::to_vec(note) else { return };
        if let Err(error) = self.app.bus.publish(&room_subject(&self.id), payload.into()).await {
            tracing::debug!(%error, "the other signaling nodes are not told");
        }
    }
}

/// The origins that this node knows of.
struct There<'a>(&'a Shared);

impl Origins for There<'_> {
    fn is_live(&self, node: &NodeId) -> bool {
        self.0.nodes.live().contains_key(node)
    }

    fn place(&mut self, region: Option<&Region>) -> Option<NodeId> {
        let region = region.unwrap_or(&self.0.config.region);
        // Far away is better than nowhere.
        let wish = Wish { kind: NodeKind::Origin, region, spill: &Spill::default(), not: &[] };
        self.0.nodes.place(&wish).ok().map(|origin| origin.node)
    }
}

fn refusal(answer: Result<Answered, ApiError>) -> ApiError {
    answer.err().unwrap_or_else(|| ApiError::new(Code::Internal, "an answer to another question"))
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
