//! The control plane, pure: what a stage's rules are, who is here, what presence says, who goes where.
//!
//! ```text
//!   Room       who is on stage, whose hands are up, what hosts decided
//!   rules      what may be done to it, all of them
//!   hall       a room with its people: Operation ─▶ Decision and Commit
//!   lease      how long a node's people live without it
//!   live       the room at one node: Input ─▶ Effects
//!   presence   what changed around the stage, merged and paced             for everybody's eyes
//!   load       how busy a node is
//!   placement  which node takes the next peer
//!   waiting    whose turn it is where all are full
//!   stages     what an origin knows of its rooms, against what it is told
//! ```
//!
//! No socket, no clock, no randomness: time is an argument, in ms, and so is whatever must be random.

pub mod action;
pub mod hall;
pub mod lease;
pub mod limits;
pub mod live;
pub mod load;
pub mod peers;
mod person;
pub mod placement;
pub mod presence;
mod room;
mod rules;
pub mod stages;
pub mod tree;
pub mod waiting;

pub use action::{Action, Actor, Answer, Arrival, Change, Outcome, Refusal};
pub use person::{Farewell, Gone, NotTicket, Party, Present, Secret, Ticket, Tickets};
pub use placement::Fleet;
pub use presence::{Board, Share};
pub use protocol::id::{Owner, Session};
pub use room::{
    Delta, Head, Invitation, Numbered, People, Place, Plan, RaisedHand, Room, Seat, Standing, Tombstone,
};
