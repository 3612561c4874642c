//! The control plane, pure: what a stage's rules are, who is here, what presence says, who goes where.
//!
//! ```text
//!   Room       who is on stage, whose hands are up, what hosts decided      the rules, all of them
//!   Roster     who is here                                                  counts, pages, cuts
//!   presence   what changed around the stage, merged and paced              for everybody's eyes
//!   placement  which node takes the next peer
//! ```
//!
//! No socket, no clock, no randomness: time is an argument, in ms of Unix time.

pub mod action;
pub mod limits;
pub mod placement;
pub mod presence;
mod room;
pub mod roster;
mod rules;
pub mod tree;

pub use action::{Action, Actor, Answer, Arrival, Change, Outcome, Refusal};
pub use placement::Fleet;
pub use presence::{Board, Share};
pub use room::{Invitation, People, Place, Plan, RaisedHand, Room, Seat, Standing};
pub use roster::{Gone, Present, Roster, Session};
