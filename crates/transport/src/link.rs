//! A link: one QUIC connection between a child and its parent in the relay tree.
//!
//! ```text
//!   child                                            parent
//!     │ ── control stream: subscribe, unsubscribe ──▶ │
//!     │ ◀── control stream: path, refused ─────────── │
//!     │ ◀── datagrams: frames ─────────────────────── │
//!     │ ── datagrams: missing ──────────────────────▶ │
//!     │ ◀─▶ datagrams: heartbeat, every 50 ms          │
//! ```
//!
//! The child dials. A link ends when either side closes it, says something unintelligible on the
//! control stream, or has been silent for [`SILENCE`]. What a datagram or message means is the relay's
//! business, not this module's.

mod driver;
mod endpoint;
mod version;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use protocol::NodeId;
use protocol::link::{ChildMessage, Datagram, ParentMessage};
use tokio::sync::mpsc;

use crate::identity::{IdentityError, Remote};

pub use driver::Link;
pub use endpoint::{Incoming, Links};
pub use version::Versions;

/// Between two heartbeats.
pub const HEARTBEAT: Duration = Duration::from_millis(50);

/// A link on which nothing came for this long, 12 heartbeats, is lost. Lower and a burst of loss, or a
/// machine that stalls, moves rooms for nothing; higher and listeners are without a packet for a second
/// before the next parent is there, which their clients take for a failure.
pub const SILENCE: Duration = Duration::from_millis(600);

/// Most control messages that wait to be written. A peer that reads so slowly is lost.
const MAX_CONTROL: usize = 8_192;

/// A child's link to its parent.
pub type ToParent = Link<ChildMessage, ParentMessage>;

/// A parent's link to its child.
pub type ToChild = Link<ParentMessage, ChildMessage>;

/// What arrives on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<In> {
    /// A datagram that could be read.
    Datagram(Datagram),
    /// A message on the control stream.
    Message(In),
}

/// Why there is no link, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// QUIC could not begin.
    #[error("cannot dial: {0}")]
    Dial(#[from] quinn::ConnectError),
    /// QUIC ended, or never was.
    #[error("connection: {0}")]
    Connection(#[from] quinn::ConnectionError),
    /// No answer in time.
    #[error("no answer")]
    Timeout,
    /// The certificate names another node than was dialled, or no node at all, or one of a role that has
    /// no business here.
    #[error("the other side is not who it should be")]
    Stranger,
    /// The certificate of the other side has ended, or its authority is no longer believed.
    #[error("the certificate of the other side no longer holds: {0}")]
    Certificate(IdentityError),
    /// Ours is of no use.
    #[error("our own certificate: {0}")]
    Identity(#[from] IdentityError),
    /// There is no version of the protocol that both sides speak.
    #[error("no common version of the protocol: we speak {ours}, {node} speaks {theirs}")]
    Version {
        /// The other one.
        node: NodeId,
        /// What this build speaks.
        ours: Versions,
        /// What the other one speaks.
        theirs: Versions,
    },
    /// Nothing came for too long.
    #[error("silent")]
    Silent,
    /// The control stream ended or broke.
    #[error("control stream ended")]
    Control,
    /// A message is too long or not one of ours.
    #[error("unintelligible message")]
    Message,
}

impl LinkError {
    /// For a metric's `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Dial(_) => "dial",
            Self::Connection(_) => "connection",
            Self::Timeout => "timeout",
            Self::Stranger => "stranger",
            Self::Certificate(_) => "certificate",
            Self::Identity(_) => "identity",
            Self::Version { .. } => "version",
            Self::Silent => "silent",
            Self::Control => "control",
            Self::Message => "message",
        }
    }
}

/// Counts since the link was made. They only grow.
#[derive(Debug, Default)]
pub struct Stats {
    /// Datagrams that made room for newer ones in the send buffer.
    pub dropped: AtomicU64,
    /// Datagrams that could not be sent because they are longer than the path allows.
    pub oversized: AtomicU64,
    /// Datagrams received of a version or kind that this build does not know.
    pub unknown_version: AtomicU64,
    /// Datagrams received that are none.
    pub malformed: AtomicU64,
}

/// What a node says on a link. Clones share it.
#[derive(Debug)]
pub struct LinkHandle<Out> {
    remote: Remote,
    version: u16,
    connection: quinn::Connection,
    control: mpsc::Sender<Out>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What the next heartbeats say.
    loss_permille: AtomicU16,
    stats: Stats,
}

impl<Out> LinkHandle<Out> {
    /// Who is at the other end.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The version of the protocol that is spoken on it.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Sends a datagram now or, where the buffer is full, instead of the oldest one in it. On a link that
    /// has ended it does nothing: the end is told by [`Link::run`].
    pub fn send_datagram(&self, datagram: Bytes) {
        if self.connection.datagram_send_buffer_space() < datagram.len() {
            self.shared.stats.dropped.fetch_add(1, Relaxed);
        }
        if let Err(quinn::SendDatagramError::TooLarge) = self.connection.send_datagram(datagram) {
            self.shared.stats.oversized.fetch_add(1, Relaxed);
        }
    }

    /// Writes a message on the control stream. If too many wait already, the link is closed: the other
    /// side does not read, and must not be left with an old truth.
    pub fn send(&self, message: Out) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.control.try_send(message) {
            self.close("control queue full");
        }
    }

    /// Sets what the heartbeats tell the other side about its datagrams.
    pub fn set_loss_permille(&self, permille: u16) {
        self.shared.loss_permille.store(permille, Relaxed);
    }

    /// Round trip time as QUIC measures it.
    pub fn rtt(&self) -> Duration {
        self.connection.rtt()
    }

    /// What was lost on our side of the link.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Ends the link.
    pub fn close(&self, why: &str) {
        self.connection.close(0u32.into(), why.as_bytes());
    }
}

impl<Out> Clone for LinkHandle<Out> {
    fn clone(&self) -> Self {
        Self {
            remote: self.remote.clone(),
            version: self.version,
            connection: self.connection.clone(),
            control: self.control.clone(),
            shared: self.shared.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
