//! A real `dais up`, spoken to from outside: by the full `webrtc` crate over WHIP and WHEP, by plain
//! WebSockets, and by people who mean no good.
//!
//! Each test starts a program of its own on free ports; nothing here knows the inside of any crate but
//! `protocol`.

mod bad_input;
mod description;
mod ear;
mod interop;
mod socket;
mod tone;
mod town;
mod webrtc_peer;
mod wire;
