//! What carries the words between processes: publish, subscribe, request and reply.
//!
//! Nothing here is kept or sent twice: whoever needs certainty asks and waits for the answer, or
//! publishes state with a version again and again. A subject is matched as a whole, without wildcards.
//! What a subscription may have missed it is told: a [`Heard::Gap`].

mod memory;
pub mod nats;
mod queue;
pub mod sealed;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::envelope::{MAX_ENVELOPE, MAX_OVERHEAD, To};

pub use memory::MemoryBus;
pub use nats::{NatsBus, NatsConfig};
use queue::Queue;
use sealed::Gate;
pub use sealed::Sealed;

/// Largest message, in bytes: what NATS takes by default.
pub const MAX_MESSAGE: usize = MAX_ENVELOPE;

/// Largest payload that every bus takes: a message less its envelope.
pub const MAX_PAYLOAD: usize = MAX_MESSAGE - MAX_OVERHEAD;

/// Messages that a subscription holds for a reader who is behind. A second of a busy system; older
/// ones have been overtaken by newer state.
pub const MAX_QUEUE: usize = 4_096;

/// Why a message did not go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Nobody takes requests on this subject.
    #[error("nobody answers on {0}")]
    NoResponder(String),
    /// The answer did not come in time.
    #[error("no answer on {0} in time")]
    Timeout(String),
    /// The answer is not from whom was asked.
    #[error("the answer on {0} cannot be believed")]
    Unbelievable(String),
    /// Larger than [`MAX_PAYLOAD`], or for a bus without envelopes than [`MAX_MESSAGE`].
    #[error("a message of {0} bytes is larger than the bus takes")]
    TooLarge(usize),
    /// The bus cannot be reached.
    #[error("the bus is down: {0}")]
    Down(String),
}

/// A message as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub subject: String,
    /// What it says.
    pub payload: Bytes,
    /// How to answer, if an answer is waited for.
    pub reply: Option<Reply>,
}

/// How to answer a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Where to.
    subject: String,
    /// What goes onto its envelope, where the bus has any.
    to: Option<To>,
}

/// What comes out of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Somebody published this.
    Message(Message),
    /// From here on everything is heard again; before, messages may have been missed. Whoever follows
    /// a state by what is published loads it now.
    Gap,
}

/// What a bus has done, since it was made.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct BusStats {
    /// Messages taken.
    pub published: u64,
    /// Messages handed to subscriptions: each counts once for each of them.
    pub delivered: u64,
    /// Messages dropped because a subscription's queue was full.
    pub dropped: u64,
}

/// The words between processes.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Sends to everybody who is subscribed at this moment. One publisher's messages on one subject
    /// arrive in their order.
    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), BusError>;

    /// Takes part in a subject until the subscription is dropped. On return what others publish is heard;
    /// while the bus is down it is as soon as that is up, which is a [`Heard::Gap`].
    async fn subscribe(&self, subject: &str) -> Result<Subscription, BusError>;

    /// Answers a request.
    async fn respond(&self, reply: &Reply, payload: Bytes) -> Result<(), BusError>;

    /// Sends and waits for the first answer.
    async fn request(&self, subject: &str, payload: Bytes, timeout: Duration) -> Result<Bytes, BusError>;

    /// Whether it works now, as far as one can know. While it does not, silence proves nothing.
    fn is_up(&self) -> bool;

    /// What it has done.
    fn stats(&self) -> BusStats;
}

impl Message {
    /// Answers, if an answer is waited for.
    pub async fn respond(&self, bus: &dyn Bus, payload: Bytes) -> Result<(), BusError> {
        match &self.reply {
            Some(reply) => bus.respond(reply, payload).await,
            None => Ok(()),
        }
    }
}

/// The receiving end of a subject; dropping it ends the subscription.
pub struct Subscription {
    queue: Arc<Queue>,
    /// What comes out goes through it.
    gate: Option<Box<Gate>>,
}

impl Subscription {
    /// The next message or gap; none once the bus is gone, which an outage is not. Cancelling loses
    /// nothing.
    pub async fn hear(&mut self) -> Option<Heard> {
        match &mut self.gate {
            Some(gate) => gate.pass(&self.queue).await,
            None => self.queue.pop().await,
        }
    }

    /// The next message, for whom it makes no difference to have missed some.
    pub async fn recv(&mut self) -> Option<Message> {
        loop {
            if let Heard::Message(message) = self.hear().await? {
                return Some(message);
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.close();
    }
}
