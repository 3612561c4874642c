//! A real `dais up`, spoken to from outside: by the full `webrtc` crate over WHIP and WHEP, by plain
//! WebSockets, and by people who mean no good.
//!
//! Each test starts a program of its own on free ports, and knows nothing of the inside of any crate but
//! `protocol`. Only `links` puts the parts together itself, because nobody else can link to a program whose
//! authority lives and dies with it.

mod bad_datagrams;
mod bad_input;
mod description;
mod ear;
mod goodbye;
mod interop;
mod links;
mod socket;
mod tone;
mod town;
mod webrtc_peer;
mod wire;
mod within;
