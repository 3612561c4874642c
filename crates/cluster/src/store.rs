//! The rooms' shared truth: loads, compares and sets.
//!
//! ```text
//!   Halls ── load ────▶ Store      what an operation is decided on
//!     │  ◀── Loaded ──   │
//!     ├─ room::hall decides
//!     └──── Commit ────▶ │         all of it or nothing: the loser decides again
//! ```
//!
//! A store knows no rule. Time is its own, in ms: whoever shares it shares its clock.

mod halls;
mod memory;
mod redis;

use std::sync::Arc;

use async_trait::async_trait;
use protocol::error::{ApiError, Code};
use protocol::id::{Epoch, Identity, RoomId};
use protocol::message::{Counts, Person, RemoveReason, RoomInfo, StageMember};
use room::hall::{Commit, Committed, Conflict, Due, HallError, Loaded};
use room::limits::{DEFAULT_PARTICIPANTS, DEFAULT_ROOMS};
use room::{Owner, Refusal, Session};

pub use halls::{Acted, Entered, Halls};
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
    /// It may not.
    #[error(transparent)]
    Hall(#[from] HallError),
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

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        Self::Hall(refusal.into())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        let code = match error {
            StoreError::Hall(HallError::Refused(refusal)) => return refusal.into(),
            StoreError::Hall(HallError::NoRoom) => Code::NotFound,
            StoreError::Hall(HallError::Ticket) => Code::ResumeInvalid,
            StoreError::Hall(HallError::Over(RemoveReason::Banned)) => Code::Banned,
            StoreError::Hall(HallError::Over(RemoveReason::Replaced)) => Code::Replaced,
            StoreError::Hall(HallError::Over(_)) => Code::Kicked,
            StoreError::Rooms(_) => Code::Unavailable,
            StoreError::Garbage(_) => Code::Internal,
            // What went wrong between the servers concerns those who run them.
            StoreError::Unavailable(_) => {
                let says = "the rooms' store does not answer";
                return Self::new(Code::Unavailable, says).retry_after_ms(1_000);
            }
        };
        Self::new(code, message)
    }
}

/// How long a signaling node's sessions live without its renewing its lease, in ms: three renewals lost, and a
/// little.
pub const LEASE_MS: u64 = 5_000;

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
    /// What an operation that concerns these people is decided on.
    async fn load(&self, room: &RoomId, concerns: &[&Identity]) -> Result<Loaded, StoreError>;

    /// Sets all of it, or nothing. Where it is not known whether an earlier try was done, it is tried again
    /// without being done twice.
    async fn commit(&self, room: &RoomId, commit: &Commit)
    -> Result<Result<Committed, Conflict>, StoreError>;

    /// An epoch that nobody was given before.
    async fn next_epoch(&self) -> Result<Epoch, StoreError>;

    /// Some of what is due now. Whoever is answered has a while to do it before others are asked to.
    async fn due(&self) -> Result<Vec<(RoomId, Vec<Due>)>, StoreError>;

    /// Lets the sessions of a signaling node live for another [`LEASE_MS`]. Whether its lease was good until
    /// now: otherwise others may have taken its sessions for gone.
    async fn renew(&self, owner: &Owner) -> Result<bool, StoreError>;

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
