//! The media plane, pure: time comes in as `now`, randomness as a seeded source, datagrams as slices.
//!
//! ```text
//!   speaker ─▶ Peers ─▶ Stage ─▶ Voices ─▶ Frame ──(relay)──▶ Framing ─▶ Audience ─▶ Batch ─▶ listener
//!            STUN DTLS  loudest  unbroken                    20 → 60 ms  patch, seal
//!            SRTP open  K        timeline
//! ```
//!
//! Two planes are composed of these parts, one for each kind of node: `speakers` for an origin's
//! shard and `listeners` for an edge's. Both implement [`Plane`], which is all that a shard's thread,
//! a test or the simulation needs to know.

pub mod audience;
pub mod batch;
mod door;
pub mod dtls;
pub mod framing;
pub mod listeners;
pub mod loudness;
pub mod opus;
pub mod peer;
pub mod plane;
pub mod red;
pub mod relay;
pub mod rtcp;
pub mod rtp;
pub mod speakers;
pub mod srtp;
pub mod stage;
pub mod stun;
#[cfg(test)]
mod testing;
pub mod voice;
mod wheel;

pub use batch::Batch;
pub use peer::{Credentials, PeerChange, Peers, PeersConfig, Received};
pub use plane::{Load, Plane};
