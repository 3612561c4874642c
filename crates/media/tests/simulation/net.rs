//! The network between the parts: it loses, delays and reorders, all from one seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;

/// What one hop does to datagrams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop {
    /// Share of datagrams that never arrive.
    pub(crate) loss: f64,
    /// Shortest way.
    pub(crate) delay: Duration,
    /// Longest addition to it; where it is more than the time between two datagrams, they overtake.
    pub(crate) jitter: Duration,
}

/// What is under way, with when and to whom it arrives.
pub(crate) struct Net<T> {
    pub(crate) rng: StdRng,
    queue: BinaryHeap<Reverse<Entry<T>>>,
    sent: u64,
}

impl<T> Net<T> {
    pub(crate) fn new(rng: StdRng) -> Self {
        Self { rng, queue: BinaryHeap::new(), sent: 0 }
    }

    /// Sends something over `hop`; says whether it will arrive.
    pub(crate) fn send(&mut self, now: Instant, hop: Hop, what: T) -> bool {
        if self.rng.random_bool(hop.loss) {
            return false;
        }
        let jitter = hop.jitter.mul_f64(self.rng.random());
        self.at(now + hop.delay + jitter, what);
        true
    }

    /// Lets something happen at `when`.
    pub(crate) fn at(&mut self, when: Instant, what: T) {
        self.sent += 1;
        self.queue.push(Reverse(Entry { when, order: self.sent, what }));
    }

    /// When the next thing arrives.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse(entry)| entry.when)
    }

    /// What arrives at `now` or should have before.
    pub(crate) fn take(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop().map(|Reverse(entry)| entry.what)
    }
}

struct Entry<T> {
    when: Instant,
    order: u64,
    what: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.when, self.order).cmp(&(other.when, other.order))
    }
}
