//! The I/O under the media plane: UDP shards in batches, and QUIC links between nodes.
//!
//! ```text
//!   node ──commands, frames──▶ queue ──▶ shard (one thread, one UDP port, one plane) ──▶ clients
//!   node ◀──────── queue ◀──── link (QUIC: control stream, datagrams, heartbeats) ◀────▶ other node
//! ```
//!
//! Nothing here starts a thread or a task: it hands out what is to be run, and the node runs it where
//! its end is noticed. Nothing here knows what a room is.

pub mod authority;
mod congestion;
pub mod identity;
pub mod link;
pub mod queue;
pub mod shard;
pub mod socket;

pub use authority::{Authority, AuthorityError};
pub use identity::{Believed, Credentials, IdentityError, LinkIdentity, Remote};
pub use link::{LinkError, Links};
pub use queue::Queue;
pub use shard::{Shard, ShardHandle};
