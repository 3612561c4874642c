//! The relay: a room's voices come in on one link and go out on many, and what a link loses is repaired
//! on that link.
//!
//! ```text
//!   parent ──▶ Upstream ──▶ fresh frames ──┬──▶ this node's shards
//!   parent ◀── missing ──┘                 └──▶ Downstream ──▶ children
//!                                                    └◀── missing ── child
//! ```
//!
//! [`Upstream`] is the child's side: it tells new frames from repeated ones, notices gaps and asks again.
//! [`Downstream`] is the parent's side: it keeps a short history, answers who asks, and sends the last
//! frames along on links that lose. An origin has only the latter. Neither chooses a parent.

mod downstream;
mod history;
mod loss;
mod receiver;
mod upstream;

use bytes::{Bytes, BytesMut};
use protocol::frame::{self, Frame};

pub use downstream::{Downstream, DownstreamStats, MAX_ROOMS, MAX_SUBSCRIPTIONS, SubscribeError};
pub use history::{History, MAX_HISTORY};
pub use loss::{Loss, Redundancy};
pub use receiver::{GIVE_UP, MIN_RETRY, QUIET, Receiver, ReceiverStats, Tally};
pub use upstream::{Told, Upstream};

/// One link of this node. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// What a relay wants sent on a link, `M` being what this side says on the control stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<M> {
    /// As a datagram.
    Datagram(LinkId, Bytes),
    /// On the control stream.
    Message(LinkId, M),
}

/// A datagram for `channel` with `frames`.
fn datagram(channel: u32, frames: &[Frame]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(length(frames));
    frame::write(channel, frames, &mut bytes);
    bytes.freeze()
}

fn length(frames: &[Frame]) -> usize {
    let payloads: usize = frames.iter().map(|frame| frame.payload.len()).sum();
    frame::HEADER_LEN + frames.len() * frame::FRAME_HEADER_LEN + payloads
}

#[cfg(test)]
mod tests;
