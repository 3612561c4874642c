//! WebSocket and HTTP API, rooms, presence, placement; serves the stage page.
//!
//! ```text
//!   server ─┬─ connection ─▶ entry ─▶ rooms ─▶ live   one task for each live room
//!           ├─ api, whip ───▶ entry ───┘        │     decides nothing: room::hall does
//!           └─ web                              ├─▶ lanes, presence   to the people
//!              limits, answer, counters         └─▶ media             to the nodes
//! ```
//!
//! Signaling carries no media: audio goes on while every signaling node is down. Nothing here logs a
//! token, a name or an address of a person.

mod address;
mod announce;
mod answer;
mod api;
mod app;
mod config;
mod connection;
mod counters;
mod encode;
mod entry;
mod gzip;
mod lanes;
mod limits;
mod live;
mod load;
mod media;
mod origin;
mod origins;
mod peers;
mod presence;
mod rooms;
mod server;
mod timed;
mod upkeep;
mod web;
mod whip;

pub use address::{Cidr, NotCidr};
pub use axum::http::HeaderName;
pub use config::{Limits, SignalingConfig, Times};
pub use origin::{NotOrigin, Origin, Origins};
pub use room::placement::{Spill, SpillOrder};
pub use server::{Parts, Server, run};
