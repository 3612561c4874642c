//! The two planes as a node drives them, with people who use somebody else's SRTP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod cycles;
mod edge;
mod origin;
mod person;
mod storm;
