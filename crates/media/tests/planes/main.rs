//! The two planes as a node drives them, with people who use somebody else's SRTP.

mod cycles;
mod edge;
mod origin;
mod person;
