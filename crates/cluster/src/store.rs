//! The rooms' shared truth, with whole operations rather than get and set.
//!
//! The rules are `room::Room`'s; a store only makes sure that each operation happens at once or not at
//! all. One over a network loads the room, applies the rules and sets it if its version is still the
//! one that was loaded. `now` is in ms of Unix time.

mod hall;
mod memory;
mod ticket;

use std::sync::Arc;

use async_trait::async_trait;
use protocol::error::{ApiError, Code};
use protocol::id::{Epoch, Identity, NodeId, RoomId};
use protocol::message::{Counts, Person, RemoveReason, RoomState};
use room::limits::{DEFAULT_PARTICIPANTS, DEFAULT_ROOMS};
use room::{Action, Actor, Arrival, Change, Gone, Outcome, Plan, Refusal, Room, Session};
use serde::{Deserialize, Serialize};

pub use memory::MemoryStore;

/// What a store takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rooms at once.
    pub rooms: usize,
    /// Participants of each.
    pub participants: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rooms: DEFAULT_ROOMS, participants: DEFAULT_PARTICIPANTS }
    }
}

/// What came of an operation.
///
/// Whoever made it tells the others. Versions let them notice what they missed: `outcome.before` is
/// the version on which the changes build, and equals `outcome.version` where the stage did not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// The room as it is now.
    pub room: Arc<Room>,
    /// What happened.
    pub outcome: Outcome,
    /// Sessions that ended by it: replaced, kicked, banned, left. Not listed when the room ended,
    /// which ends all.
    pub gone: Vec<Gone>,
}

impl Acted {
    /// Whether the room ended by it, and so everybody's session.
    pub fn ended(&self) -> bool {
        let over = |change: &Change| matches!(change, Change::Room { state: RoomState::Ended, .. });
        self.outcome.changes.iter().any(over)
    }
}

/// Somebody came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// Who, as the room knows them.
    pub arrival: Arrival,
    /// What came of it. The answer is `Seated`, `StageFull` (they would have had a seat) or `Done`.
    pub acted: Acted,
    /// Opens the door again while they are here and for 60 s after they were cut, until the ticket that
    /// it brings has been shown.
    pub ticket: String,
    /// How many are here and not hidden, this one included.
    pub present: usize,
}

/// A room in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The room.
    pub room: Arc<Room>,
    /// How many are in it.
    pub counts: Counts,
}

/// Why an operation did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Against the rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No such room.
    #[error("there is no such room")]
    NoRoom,
    /// The ticket is spent, too old, dead, or was never issued.
    #[error("the resume token is spent or too old: join with a token")]
    Ticket,
    /// The ticket is that of somebody who was put out meanwhile, or joined somewhere else.
    #[error("{}", farewell(*.0))]
    Over(RemoveReason),
    /// Too many rooms.
    #[error("the limit of {0} rooms is reached")]
    Rooms(usize),
    /// The store cannot be reached.
    #[error("the rooms' store does not answer: {0}")]
    Unavailable(String),
}

fn farewell(reason: RemoveReason) -> &'static str {
    match reason {
        RemoveReason::Replaced => "you have joined from somewhere else",
        _ => "a host has removed you from this room",
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::NoRoom => Self::new(Code::NotFound, message),
            StoreError::Ticket => Self::new(Code::ResumeInvalid, message),
            StoreError::Over(RemoveReason::Banned) => Self::new(Code::Banned, message),
            StoreError::Over(RemoveReason::Replaced) => Self::new(Code::Replaced, message),
            StoreError::Over(_) => Self::new(Code::Kicked, message),
            StoreError::Rooms(_) => Self::new(Code::Unavailable, message),
            StoreError::Unavailable(_) => Self::new(Code::Unavailable, message).retry_after_ms(1_000),
        }
    }
}

/// The rooms' shared truth.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes a room, or a new one in place of one that has ended. The same again changes nothing; a
    /// title or seats that differ are set, as [`Action::Configure`] does.
    async fn create(&self, now: u64, room: &RoomId, plan: &Plan) -> Result<Acted, StoreError>;

    /// Lets somebody in, making the room if there is none; a listener's only waits for whoever may speak. A session that the same identity has
    /// already is replaced: it is in `acted.gone`, and seat, hand and mute pass to the new one.
    async fn enter(
        &self,
        now: u64,
        room: &RoomId,
        arrival: &Arrival,
        session: &Session,
    ) -> Result<Entered, StoreError>;

    /// Lets somebody in again by a ticket, as who they were. Whoever was kicked or banned meanwhile is told
    /// [`StoreError::Over`] until the room ends, and whoever joined somewhere else while they are there.
    async fn resume(&self, now: u64, ticket: &str, session: &Session) -> Result<Entered, StoreError>;

    /// A session's socket is gone without a word: everything is held for 60 s. Nothing happens where
    /// the session is not the identity's current one.
    async fn cut(
        &self,
        now: u64,
        room: &RoomId,
        identity: &Identity,
        session: &Session,
    ) -> Result<Acted, StoreError>;

    /// Somebody goes for good; their ticket dies. Nothing happens where the session is not the
    /// identity's current one.
    async fn leave(
        &self,
        now: u64,
        room: &RoomId,
        identity: &Identity,
        session: &Session,
    ) -> Result<Acted, StoreError>;

    /// Somebody does something.
    async fn act(&self, now: u64, room: &RoomId, actor: &Actor, action: &Action)
    -> Result<Acted, StoreError>;

    /// Gives the room the origin `node` if it has none, or if the one it has is that of the epoch
    /// `lost`. Either way `acted.room.origin()` says which holds. Epochs only grow, over all rooms.
    async fn assign_origin(
        &self,
        now: u64,
        room: &RoomId,
        node: &NodeId,
        lost: Option<Epoch>,
    ) -> Result<Acted, StoreError>;

    /// Does what is due in all rooms: invitations, people who did not come back, empty rooms. Any
    /// number of signaling nodes may call it; each thing happens once, and to one of them.
    async fn expire(&self, now: u64) -> Result<Vec<Acted>, StoreError>;

    /// When [`expire`](Self::expire) is due next.
    async fn next_deadline(&self) -> Result<Option<u64>, StoreError>;

    /// A room as it is.
    async fn room(&self, room: &RoomId) -> Result<Option<Arc<Room>>, StoreError>;

    /// Rooms in the order of their ids, from behind `after` on.
    async fn rooms(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<Listed>, StoreError>;

    /// Those in a room who are not hidden, on stage or not, in the order of identities from behind
    /// `after` on.
    async fn people(
        &self,
        room: &RoomId,
        after: Option<&Identity>,
        limit: usize,
    ) -> Result<Vec<Person>, StoreError>;
}
