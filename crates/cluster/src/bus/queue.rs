//! A subscription's queue: bounded, and where it is full the oldest message goes, is counted, and leaves a
//! gap that the reader is told of before anything else.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Heard, MAX_QUEUE, Message};

/// Between whoever delivers and the one who reads.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
    closing: Notify,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    /// Something was missed since the reader was last told so.
    gap: bool,
    closed: bool,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits.
    Queued,
    /// It waits, and the oldest was dropped for it.
    Overtook,
    /// Nobody reads any more.
    Closed,
}

impl Queue {
    pub(crate) fn push(&self, message: Message) -> Pushed {
        let mut state = self.lock();
        if state.closed {
            return Pushed::Closed;
        }
        let full = state.messages.len() >= MAX_QUEUE;
        if full {
            state.messages.pop_front();
            state.gap = true;
        }
        state.messages.push_back(message);
        drop(state);
        self.changed.notify_one();
        if full { Pushed::Overtook } else { Pushed::Queued }
    }

    /// Messages may have been missed that never came here.
    pub(crate) fn missed(&self) {
        self.lock().gap = true;
        self.changed.notify_one();
    }

    /// What the reader must know next, or none once closed and empty. For one reader.
    pub(crate) async fn pop(&self) -> Option<Heard> {
        loop {
            {
                let mut state = self.lock();
                if std::mem::take(&mut state.gap) {
                    return Some(Heard::Gap);
                }
                if let Some(message) = state.messages.pop_front() {
                    return Some(Heard::Message(message));
                }
                if state.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
        self.closing.notify_waiters();
    }

    /// Returns once nobody reads any more.
    pub(crate) async fn closed(&self) {
        let closing = self.closing.notified();
        if !self.is_closed() {
            closing.await;
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: usize) -> Message {
        Message { subject: "events".into(), payload: number.to_string().into(), reply: None }
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_oldest_and_says_so() {
        let queue = Queue::default();
        for number in 0..MAX_QUEUE {
            assert_eq!(queue.push(message(number)), Pushed::Queued);
        }
        assert_eq!(queue.push(message(MAX_QUEUE)), Pushed::Overtook);
        assert_eq!(queue.pop().await, Some(Heard::Gap));
        for number in 1..=MAX_QUEUE {
            assert_eq!(queue.pop().await, Some(Heard::Message(message(number))));
        }
        queue.close();
        assert_eq!(queue.push(message(0)), Pushed::Closed);
        assert_eq!(queue.pop().await, None);
    }
}
