//! A subscription's queue: bounded, and where it is full the oldest message goes and is counted.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{MAX_QUEUE, Message};

/// Between whoever delivers and the one who reads.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
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
        }
        state.messages.push_back(message);
        drop(state);
        self.changed.notify_one();
        if full { Pushed::Overtook } else { Pushed::Queued }
    }

    /// The next message, or none once closed and empty. For one reader.
    pub(crate) async fn pop(&self) -> Option<Message> {
        loop {
            {
                let mut state = self.lock();
                if let Some(message) = state.messages.pop_front() {
                    return Some(message);
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
        for number in 1..=MAX_QUEUE {
            assert_eq!(queue.pop().await, Some(message(number)));
        }
        queue.close();
        assert_eq!(queue.push(message(0)), Pushed::Closed);
        assert_eq!(queue.pop().await, None);
    }
}
