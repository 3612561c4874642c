//! The live rooms of this node, each with its one task, and the way to talk to them.
//!
//! A task begins with the first word to its room and ends once nobody of this node is in it; a word
//! that comes in between starts the next one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::message::{ClientMessage, Purpose, RequestId};
use protocol::{ApiError, Code, Region, RoomId};
use room::live::{Admitted, Input, Permit, Who};
use tokio::sync::{mpsc, oneshot};

use crate::app::Shared;
use crate::live::{Enter, LiveRoom, Word};
use crate::presence::Reader;

/// Words that may wait for a room. Whoever has more to say waits.
const INBOX: usize = 1_024;

/// How often a word is repeated whose room ended its task just then.
const TRIES: usize = 3;

/// What goes back to whoever asked a room.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, ApiError>>;

#[derive(Default)]
pub(crate) struct Rooms {
    inboxes: Mutex<HashMap<RoomId, mpsc::Sender<Word>>>,
    numbers: AtomicU64,
}

/// What an entered connection needs.
pub(crate) struct Entered {
    pub(crate) member: Member,
    /// Their place on the presence lane.
    pub(crate) presence: Reader,
    /// They would have had a seat, but none was free.
    pub(crate) is_full: bool,
}

/// One participant's way to their room.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) room: RoomId,
    pub(crate) who: Who,
    /// Where they are.
    pub(crate) region: Region,
    inbox: mpsc::Sender<Word>,
}

impl Rooms {
    /// Never given twice while this process runs.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets somebody in.
    pub(crate) async fn enter(&self, app: &Shared, room: &RoomId, enter: Enter) -> Result<Entered, ApiError> {
        self.ask(app, room, |reply| Word::Enter(enter.clone(), reply)).await
    }

    /// Asks a room, starting its task if there is none.
    pub(crate) async fn ask<T>(
        &self,
        app: &Shared,
        room: &RoomId,
        input: impl Fn(Reply<T>) -> Word,
    ) -> Result<T, ApiError> {
        for _ in 0..TRIES {
            let inbox = self.inbox(app, room)?;
            let (reply, answer) = oneshot::channel();
            if inbox.send(input(reply)).await.is_ok()
                && let Ok(answer) = answer.await
            {
                return answer;
            }
        }
        Err(lost())
    }

    /// Tells a room something, if it is live here.
    pub(crate) async fn tell(&self, room: &RoomId, input: Input) {
        let inbox = self.lock().get(room).cloned();
        if let Some(inbox) = inbox {
            // A room that has just ended its task has nobody whom this could concern.
            let _ = inbox.send(Word::Tell(input)).await;
        }
    }

    /// Tells a room something, starting its task if there is none.
    pub(crate) async fn tell_or_start(&self, app: &Shared, room: &RoomId, input: Input) {
        let Ok(inbox) = self.inbox(app, room) else { return };
        let _ = inbox.send(Word::Tell(input)).await;
    }

    /// Whether a room is live here.
    pub(crate) fn is_live(&self, room: &RoomId) -> bool {
        self.lock().contains_key(room)
    }

    /// The rooms that are live here.
    pub(crate) fn all(&self) -> Vec<RoomId> {
        self.lock().keys().cloned().collect()
    }

    /// Ends the room's task unless words wait for it. Called by that task alone.
    pub(crate) fn retire(&self, room: &RoomId, inbox: &mut mpsc::Receiver<Word>) -> bool {
        let mut inboxes = self.lock();
        if !inbox.is_empty() {
            return false;
        }
        inboxes.remove(room);
        inbox.close();
        true
    }

    fn inbox(&self, app: &Shared, room: &RoomId) -> Result<mpsc::Sender<Word>, ApiError> {
        let mut inboxes = self.lock();
        if let Some(inbox) = inboxes.get(room).filter(|inbox| !inbox.is_closed()) {
            return Ok(inbox.clone());
        }
        if inboxes.len() >= app.config.limits.rooms {
            let says =
                format!("this node has {} live rooms, as many as it may (limit: rooms)", inboxes.len());
            return Err(ApiError::new(Code::Unavailable, says).retry_after_ms(10_000));
        }
        let (inbox, words) = mpsc::channel(INBOX);
        inboxes.insert(room.clone(), inbox.clone());
        let live = LiveRoom::new(app.clone(), room.clone(), inbox.clone(), words);
        app.tasks.errand("room", live.run());
        Ok(inbox)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, mpsc::Sender<Word>>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    pub(crate) fn new(room: RoomId, who: Who, region: Region, inbox: mpsc::Sender<Word>) -> Self {
        Self { room, who, region, inbox }
    }

    /// Passes a message on; the room answers onto the lanes.
    pub(crate) async fn say(&self, body: ClientMessage, id: Option<RequestId>) {
        let _ = self.inbox.send(Word::Tell(Input::Say { who: self.who.clone(), body, id })).await;
    }

    /// The connection is gone.
    pub(crate) async fn cut(&self) {
        let _ = self.inbox.send(Word::Tell(Input::Cut(self.who.clone()))).await;
    }

    /// Asks whether media of this purpose may be had, and from where.
    pub(crate) async fn permit(&self, purpose: Purpose) -> Result<Permit, ApiError> {
        self.ask(|reply| Word::Permit(self.who.clone(), purpose, reply)).await
    }

    /// Notes a peer that a node has made.
    pub(crate) async fn admitted(&self, admitted: Admitted) -> Result<(), ApiError> {
        self.ask(|reply| Word::Admitted(self.who.clone(), admitted, reply)).await
    }

    async fn ask<T>(&self, input: impl FnOnce(Reply<T>) -> Word) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(input(reply)).await.map_err(|_| lost())?;
        answer.await.map_err(|_| lost())?
    }
}

fn lost() -> ApiError {
    ApiError::new(Code::Unavailable, "the room was closing: try again").retry_after_ms(200)
}
