//! The rooms' shared truth: loads, compares and sets.
//!
//! ```text
//!   a live room ── load ────▶ Store   what is decided on
//!     │         ◀── Loaded ──   │
//!     ├─ room::hall decides
//!     └─────────── Commit ────▶ │      all of it or nothing: the loser is told how it is, and decides again
//! ```
//!
//! A store knows no rule. Time is its own, in ms: whoever shares it shares its clock.

mod memory;
mod redis;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use protocol::error::{ApiError, Code};
use protocol::id::{Epoch, Identity, RoomId};
use protocol::message::{Counts, Person, RoomInfo, StageMember};
use room::hall::{Commit, Committed, Conflict, Due, Loaded};
use room::limits::{DEFAULT_PARTICIPANTS, DEFAULT_ROOMS};
use room::live::Trouble;
use room::{Owner, Room, Session};

pub use memory::MemoryStore;
pub use redis::{Condition, NotRedis, RedisStore, RedisUrl};

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

/// A room in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The room.
    pub info: RoomInfo,
    /// Everybody on stage.
    pub stage: Vec<StageMember>,
    /// How many are in it.
    pub counts: Counts,
}

/// Why an operation did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such room.
    #[error("there is no such room")]
    NoRoom,
    /// Too many rooms.
    #[error("the limit of {0} rooms is reached")]
    Rooms(usize),
    /// What is kept cannot be read.
    #[error("the rooms' store holds what is no part of a room: {0}")]
    Garbage(String),
    /// The store cannot be reached, or not be written.
    #[error("the rooms' store does not answer: {0}")]
    Unavailable(String),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Rooms(rooms) => Self::Rooms(rooms),
            StoreError::Garbage(what) => Self::Garbage(what),
            StoreError::Unavailable(_) => Self::Unavailable,
            StoreError::NoRoom => Self::Garbage("no room".into()),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoRoom => Self::new(Code::NotFound, error.to_string()),
            // What went wrong between the servers concerns those who run them.
            error => Trouble::from(error).into(),
        }
    }
}

/// A lease is renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// It was good until now: otherwise others may have taken the node's sessions for gone.
    pub good: bool,
    /// Of the store: one that was started again, replaced or emptied may have lost something, and has another.
    pub life: String,
}

/// A session whose node is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Where.
    pub room: RoomId,
    /// Whose.
    pub identity: Identity,
    /// Which.
    pub session: Session,
}

/// Keeps rooms. Nothing here decides anything.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What an operation that concerns these people is decided on. What is `known` of the room need not be
    /// fetched again.
    async fn load(
        &self,
        room: &RoomId,
        known: Option<&Arc<Room>>,
        concerns: &[&Identity],
    ) -> Result<Loaded, StoreError>;

    /// Sets all of it, or nothing. Where it is not known whether an earlier try was done, it is tried again
    /// without being done twice.
    async fn commit(&self, room: &RoomId, commit: &Commit)
    -> Result<Result<Committed, Conflict>, StoreError>;

    /// The store's time, in ms.
    async fn time(&self) -> Result<u64, StoreError>;

    /// An epoch that nobody was given before, higher than this one: a store may have lost what it gave.
    async fn next_epoch(&self, above: Epoch) -> Result<Epoch, StoreError>;

    /// Some of what is due now. Whoever is answered has a while to do it before others are asked to.
    async fn due(&self) -> Result<Vec<(RoomId, Vec<Due>)>, StoreError>;

    /// Lets the sessions of a signaling node live for another [`LEASE_MS`](room::lease::LEASE_MS). Whether its lease was good until
    /// now: otherwise others may have taken its sessions for gone.
    async fn renew(&self, owner: &Owner) -> Result<Renewed, StoreError>;

    /// Those in a room who are connected to a signaling node.
    async fn sessions(&self, room: &RoomId, owner: &Owner) -> Result<Vec<(Identity, Session)>, StoreError>;

    /// The rooms in which somebody is connected to a signaling node.
    async fn rooms_of(&self, owner: &Owner) -> Result<BTreeSet<RoomId>, StoreError>;

    /// Some of the sessions whose nodes have let their leases run out, at most `limit` of them. Whoever is
    /// answered has a while to cut them before others are asked to.
    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>, StoreError>;

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

/// A store that is shared.
pub type SharedStore = Arc<dyn Store>;
