//! The bounded queue in front of whoever handles media: a shard's thread, or the relay of a node.
//!
//! Two lanes. Control is never dropped once it is taken, and refused when there is too much of it, but for
//! what nobody would say again: that a link is up or lost, that a peer ends.
//! Frames are worth less the older they are: when they pile up, the oldest goes, and is counted.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most control messages that wait: some seconds of the fiercest join storm.
pub const MAX_CONTROL: usize = 16_384;

/// Most frames that wait. A shard that is this far behind (40 rooms for half a second) only gets later by
/// keeping more.
pub const MAX_FRAMES: usize = 4_096;

/// Wakes whoever empties a queue. Called after something was put into an empty one.
pub trait Wake: Send + Sync {
    /// Makes the consumer look again.
    fn wake(&self);
}

impl Wake for tokio::sync::Notify {
    fn wake(&self) {
        self.notify_one();
    }
}

/// Two lanes, many producers, one consumer.
#[derive(Debug)]
pub struct Queue<C, F, W> {
    lanes: Mutex<Lanes<C, F>>,
    waker: W,
}

#[derive(Debug)]
struct Lanes<C, F> {
    control: VecDeque<C>,
    frames: VecDeque<F>,
    counts: Counts,
}

/// What a queue had to do because it was full.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Control messages that were not taken.
    pub refused: u64,
    /// Frames that made room for newer ones.
    pub dropped: u64,
}

/// The queue has no room for another control message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub struct Full;

impl<C, F, W: Wake> Queue<C, F, W> {
    /// An empty queue whose consumer `waker` wakes.
    pub fn new(waker: W) -> Self {
        let lanes = Lanes { control: VecDeque::new(), frames: VecDeque::new(), counts: Counts::default() };
        Self { lanes: Mutex::new(lanes), waker }
    }

    /// Puts a control message last, or refuses it.
    pub fn push(&self, message: C) -> Result<(), Full> {
        let mut lanes = self.lock();
        if lanes.control.len() >= MAX_CONTROL {
            lanes.counts.refused += 1;
            return Err(Full);
        }
        let was_empty = lanes.is_empty();
        lanes.control.push_back(message);
        drop(lanes);
        self.wake_if(was_empty);
        Ok(())
    }

    /// Puts a control message last though there may be too many: for what would be wrong for good if it
    /// were lost. Whoever says such things must not have many of them to say.
    pub fn push_always(&self, message: C) {
        let mut lanes = self.lock();
        let was_empty = lanes.is_empty();
        lanes.control.push_back(message);
        drop(lanes);
        self.wake_if(was_empty);
    }

    /// Puts a frame last; where there are too many, the oldest goes.
    pub fn push_frame(&self, frame: F) {
        let mut lanes = self.lock();
        let was_empty = lanes.is_empty();
        if lanes.frames.len() >= MAX_FRAMES {
            lanes.frames.pop_front();
            lanes.counts.dropped += 1;
        }
        lanes.frames.push_back(frame);
        drop(lanes);
        self.wake_if(was_empty);
    }

    /// Swaps what waits for the two collections: so memory is reused. A collection that is not empty
    /// stays as it is, and whoever has it must come again before it sleeps: it would not be woken.
    pub fn take(&self, control: &mut VecDeque<C>, frames: &mut VecDeque<F>) {
        let mut lanes = self.lock();
        if control.is_empty() {
            std::mem::swap(&mut lanes.control, control);
        }
        if frames.is_empty() {
            std::mem::swap(&mut lanes.frames, frames);
        }
    }

    /// What the waker waits on.
    pub fn waker(&self) -> &W {
        &self.waker
    }

    /// What was lost because the queue was full, since it was made.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn wake_if(&self, was_empty: bool) {
        if was_empty {
            self.waker.wake();
        }
    }

    /// A producer that panicked left the lanes whole: each push is one step.
    fn lock(&self) -> MutexGuard<'_, Lanes<C, F>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C, F> Lanes<C, F> {
    fn is_empty(&self) -> bool {
        self.control.is_empty() && self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_oldest_frame_makes_room_and_control_is_refused() {
        let queue = Queue::new(Wakes::default());
        (0..MAX_FRAMES + 2).for_each(|frame| queue.push_frame(frame));
        (0..MAX_CONTROL).for_each(|message| queue.push(message).unwrap());
        assert_eq!(queue.push(0), Err(Full));
        assert_eq!(queue.counts(), Counts { refused: 1, dropped: 2 });
        queue.push_always(7);
        let (mut control, mut frames) = (VecDeque::new(), VecDeque::new());
        queue.take(&mut control, &mut frames);
        assert_eq!((control.pop_back(), control.len(), frames.front()), (Some(7), MAX_CONTROL, Some(&2)));

        frames.clear();
        queue.push(1).unwrap();
        queue.push_frame(3);
        queue.take(&mut control, &mut frames);
        assert_eq!(
            (control.len(), frames.pop_front()),
            (MAX_CONTROL, Some(3)),
            "what is not done yet stays first"
        );
        control.clear();
        queue.take(&mut control, &mut frames);
        assert_eq!((control.pop_front(), frames.len()), (Some(1), 0));
    }

    #[test]
    fn the_consumer_is_woken_once_for_all_that_waits() {
        let queue = Queue::new(Wakes::default());
        queue.push(1).unwrap();
        queue.push_frame(2);
        assert_eq!(queue.waker().0.load(Ordering::Relaxed), 1);
        queue.take(&mut VecDeque::new(), &mut VecDeque::new());
        queue.push_frame(3);
        assert_eq!(queue.waker().0.load(Ordering::Relaxed), 2);
    }
}
