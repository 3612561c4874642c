//! A room together with everybody in it: what each operation reads of the two, and what it makes of them.
//!
//! ```text
//!   Operation + View ──▶ Decision { what people are told, Commit }  │ HallError
//!                          Commit ──▶ a store: compare the numbers, and set all of it or nothing
//! ```
//!
//! Nothing here grows with the audience: an operation reads the head of the room, and of the people those
//! whom it concerns. A store knows no rule: it compares numbers. Where one has moved on, nothing is set,
//! and the operation is decided again on what there is then.

mod commit;
mod decide;
mod records;

use std::collections::BTreeMap;

use protocol::error::{ApiError, Code};
use protocol::id::{Epoch, Identity, NodeId, RoomId};
use protocol::message::RemoveReason;
use serde::{Deserialize, Serialize};

use crate::room::{Delta, Numbered, Tombstone};
use crate::{
    Action, Actor, Answer, Arrival, Change, Gone, Owner, Party, Plan, Present, Refusal, Room, Secret,
    Session, Ticket,
};

pub use commit::{Commit, Committed, Compare, Conflict, Current, Due, Entry, Known};
pub use records::{Loaded, Records, STALE_MS};

/// Something that happens to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Make a room, or a new one in place of one that has ended. The same again changes nothing; a title or
    /// seats that differ are set, as [`Action::Configure`] does.
    Create {
        /// For whom.
        actor: Actor,
        /// How.
        plan: Plan,
    },
    /// Let somebody in, making the room if there is none; a listener's only waits for whoever may speak. A
    /// session that the same identity has already is replaced: seat, hand and mute pass to the new one.
    Enter {
        /// Whom.
        arrival: Arrival,
        /// By what they are here.
        session: Session,
        /// Of the ticket that they get.
        secret: Secret,
    },
    /// Let somebody in again by a ticket, as who they were.
    Resume {
        /// What they show.
        ticket: Ticket,
        /// By what they are here now.
        session: Session,
        /// Of the ticket that they get.
        secret: Secret,
    },
    /// A WHIP or WHEP session goes on at another signaling node: that of the one before has run out of its lease.
    Adopt {
        /// Whose.
        identity: Identity,
        /// By what they were here.
        from: Session,
        /// By what they are here now.
        session: Session,
        /// Of the ticket that they get.
        secret: Secret,
    },
    /// A session's socket is gone without a word: everything is held for a while. Nothing happens where the
    /// session is not the identity's current one.
    Cut {
        /// Whose.
        identity: Identity,
        /// Which.
        session: Session,
        /// They have asked for media, as everybody does who came to listen.
        had_media: bool,
        /// Only if the lease of its node has run out.
        if_lapsed: bool,
    },
    /// A session's socket was there all the time: its node was silent, and was taken for gone. Nothing happens
    /// where the session is not the identity's current one.
    Return {
        /// Whose.
        identity: Identity,
        /// Which.
        session: Session,
        /// What their entry was, where the store may have lost it: then they get it back.
        lost: Option<Present>,
    },
    /// The store has come back without what was done, and this is how the room was.
    Restore {
        /// As it was.
        room: Box<Room>,
        /// Who knows.
        owner: Owner,
    },
    /// Somebody goes for good; their tickets die. Nothing happens where the session is not the identity's
    /// current one.
    Leave {
        /// Who.
        identity: Identity,
        /// By which session.
        session: Session,
    },
    /// Somebody does something.
    Act {
        /// Who.
        actor: Actor,
        /// What.
        action: Action,
    },
    /// Give the room the origin `node` if it has none, or if the one it has is that of the epoch `lost`.
    Origin {
        /// Which.
        node: NodeId,
        /// Higher than any that was given before, in any room.
        epoch: Epoch,
        /// The one that is no more.
        lost: Option<Epoch>,
    },
    /// Something is due.
    Lapse(Due),
}

/// What an operation is decided on.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Of which room.
    pub id: &'a RoomId,
    /// The room, if there is one.
    pub room: Option<&'a Room>,
    /// What is remembered of the one before, if that is all.
    pub tombstone: Option<&'a Tombstone>,
    /// Those of the people who are [concerned](Operation::concerns), as far as they are here.
    pub people: &'a BTreeMap<Identity, Numbered<Present>>,
    /// How many are here and not hidden.
    pub present: usize,
    /// Most participants.
    pub participants: usize,
}

/// What comes of an operation once its commit has been taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// For whoever asked.
    pub answer: Answer,
    /// For everybody else, in this order.
    pub changes: Vec<Change>,
    /// Sessions that end by it. Not listed when the room ends, which ends all.
    pub gone: Vec<Gone>,
    /// Somebody came in: who, as the room knows them.
    pub arrival: Option<Arrival>,
    /// What the store is to set; none where nothing changes.
    pub commit: Option<Commit>,
}

/// One change of a room, as it is noted for whoever wants to know later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// When, by the store's time.
    pub at: u64,
    /// Who did it; nobody where something ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// What was done.
    pub cause: Cause,
    /// What came of it.
    pub changes: Vec<Change>,
}

/// What makes a room change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It was made.
    Created,
    /// Somebody came in.
    Entered,
    /// Somebody left.
    Left,
    /// Somebody did this.
    Did(Action),
    /// It needed an origin.
    Origin,
    /// The store had lost it.
    Restored,
    /// Something ran out.
    Lapsed,
}

/// Why an operation does not happen. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HallError {
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
}

impl From<HallError> for ApiError {
    fn from(error: HallError) -> Self {
        let message = error.to_string();
        let code = match error {
            HallError::Refused(refusal) => return refusal.into(),
            HallError::NoRoom => Code::NotFound,
            HallError::Ticket => Code::ResumeInvalid,
            HallError::Over(RemoveReason::Banned) => Code::Banned,
            HallError::Over(RemoveReason::Replaced) => Code::Replaced,
            HallError::Over(_) => Code::Kicked,
        };
        Self::new(code, message)
    }
}

fn farewell(reason: RemoveReason) -> &'static str {
    match reason {
        RemoveReason::Replaced => "you have joined from somewhere else",
        _ => "a host has removed you from this room",
    }
}

impl View<'_> {
    fn person(&self, identity: &Identity) -> Option<&Present> {
        self.people.get(identity).map(|person| &person.value)
    }
}

impl crate::People for View<'_> {
    fn name(&self, identity: &Identity) -> Option<&str> {
        self.person(identity).filter(|person| !person.hidden).map(|person| person.name.as_str())
    }

    fn party(&self, identity: &Identity) -> Option<Party> {
        self.person(identity)?.party
    }
}

#[cfg(test)]
mod tests;
