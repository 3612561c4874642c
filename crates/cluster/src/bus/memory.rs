//! The bus within one process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::queue::Pushed;
use super::{Bus, BusError, BusStats, MAX_MESSAGE, Message, Queue, Reply, Subscription};

/// What the subjects start with on which answers are waited for.
const REPLY: &str = "_reply.";

/// Carries messages between the tasks of one process.
#[derive(Default)]
pub struct MemoryBus {
    subjects: Mutex<HashMap<String, Vec<Arc<Queue>>>>,
    /// Requests that wait, by the subject of their answer: bounded by those who wait.
    waiting: Mutex<HashMap<String, oneshot::Sender<Bytes>>>,
    next_reply: AtomicU64,
    published: AtomicU64,
    delivered: AtomicU64,
    dropped: AtomicU64,
}

/// Takes a request off the list however its waiting ends.
struct Waiting<'a> {
    bus: &'a MemoryBus,
    reply: String,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.bus.waiting).remove(&self.reply);
    }
}

impl MemoryBus {
    /// A bus on which nobody is.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Hands a message to everybody on its subject, and says to how many.
    fn deliver(&self, message: &Message) -> Result<usize, BusError> {
        if message.payload.len() > MAX_MESSAGE {
            return Err(BusError::TooLarge(message.payload.len()));
        }
        self.published.fetch_add(1, Relaxed);
        let mut subjects = lock(&self.subjects);
        let Some(queues) = subjects.get_mut(&message.subject) else { return Ok(0) };
        queues.retain(|queue| {
            let pushed = queue.push(message.clone());
            self.dropped.fetch_add(u64::from(pushed == Pushed::Overtook), Relaxed);
            pushed != Pushed::Closed
        });
        let reached = queues.len();
        if reached == 0 {
            subjects.remove(&message.subject);
        }
        self.delivered.fetch_add(reached as u64, Relaxed);
        Ok(reached)
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), BusError> {
        self.deliver(&Message { subject: subject.into(), payload, reply: None }).map(drop)
    }

    async fn subscribe(&self, subject: &str) -> Result<Subscription, BusError> {
        let queue = Arc::new(Queue::default());
        let mut subjects = lock(&self.subjects);
        // Subscriptions end by being dropped, which nobody tells the bus: tidied up as others come.
        subjects.retain(|_, queues| {
            queues.retain(|queue| !queue.is_closed());
            !queues.is_empty()
        });
        subjects.entry(subject.into()).or_default().push(Arc::clone(&queue));
        Ok(Subscription { queue, gate: None })
    }

    async fn respond(&self, reply: &Reply, payload: Bytes) -> Result<(), BusError> {
        // Nobody waits any more where the answer is late.
        if let Some(waiting) = lock(&self.waiting).remove(&reply.subject) {
            let _late = waiting.send(payload);
        }
        Ok(())
    }

    async fn request(&self, subject: &str, payload: Bytes, timeout: Duration) -> Result<Bytes, BusError> {
        let reply = format!("{REPLY}{}", self.next_reply.fetch_add(1, Relaxed));
        let (answer, answered) = oneshot::channel();
        lock(&self.waiting).insert(reply.clone(), answer);
        let waiting = Waiting { bus: self, reply };
        let reply = Some(Reply { subject: waiting.reply.clone(), to: None });
        let message = Message { subject: subject.into(), payload, reply };
        if self.deliver(&message)? == 0 {
            return Err(BusError::NoResponder(subject.into()));
        }
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(BusError::Timeout(subject.into())),
        }
    }

    fn is_up(&self) -> bool {
        true
    }

    fn stats(&self) -> BusStats {
        BusStats {
            published: self.published.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> Arc<MemoryBus> {
        MemoryBus::new()
    }

    crate::bus_contract!(fresh);
}
