//! Steps of handshakes that wait for their turn.
//!
//! A step takes a tenth of a millisecond, and in a storm thousands come at once. All of them in one tick
//! would leave the socket unread until it overflows, and the generator would lose what the server had sent.
//! So a tick takes only as many as fit into a slice of it, and the rest waits here. Nothing here knows a
//! clock: times come in.

use std::collections::VecDeque;

use super::Place;
use crate::clock::MS;

/// How much of a tick may be spent on steps: the socket holds far more than what comes in that time.
pub(super) const SLICE_NS: u64 = 2 * MS;

/// Most steps that wait: three flights of five thousand people. What comes beyond that is lost, as on a
/// network, and repeated by whoever sent it.
const MOST: usize = 16_384;

/// What is to be done for somebody's handshake.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Say hello.
    Begin,
    /// Read what has come.
    Read(Box<[u8]>),
    /// Repeat what was not answered, if that is due.
    Repeat,
}

/// Steps in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    steps: VecDeque<(u64, Place, Step)>,
    /// Most that have waited at once.
    pub(super) longest: usize,
    /// The longest that one has waited, in ns.
    pub(super) waited_ns: u64,
    /// Those that found no room.
    pub(super) dropped: u64,
}

impl Backlog {
    /// Lets a step wait; false if there is no room for it.
    pub(super) fn push(&mut self, now_ns: u64, place: Place, step: Step) -> bool {
        if self.steps.len() >= MOST {
            self.dropped += 1;
            return false;
        }
        self.steps.push_back((now_ns, place, step));
        self.longest = self.longest.max(self.steps.len());
        true
    }

    /// The next step, if there is one and time for it.
    pub(super) fn next(&mut self, now_ns: u64, until_ns: u64) -> Option<(Place, Step)> {
        if now_ns >= until_ns {
            return None;
        }
        let (since_ns, place, step) = self.steps.pop_front()?;
        self.waited_ns = self.waited_ns.max(now_ns.saturating_sub(since_ns));
        Some((place, step))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs one tick in which every step takes as long as this; who had a turn.
    fn tick(backlog: &mut Backlog, now_ns: &mut u64, each_ns: u64) -> Vec<u32> {
        let until_ns = *now_ns + SLICE_NS;
        let mut served = Vec::new();
        while let Some((place, _)) = backlog.next(*now_ns, until_ns) {
            served.push(place.0);
            *now_ns += each_ns;
        }
        served
    }

    #[test]
    fn a_storm_is_worked_off_in_order_a_slice_at_a_time() {
        let (mut backlog, mut now_ns) = (Backlog::default(), 7 * MS);
        (0..50).for_each(|number| assert!(backlog.push(now_ns, Place(number), Step::Begin)));
        assert_eq!(tick(&mut backlog, &mut now_ns, MS / 10), (0..20).collect::<Vec<_>>());
        now_ns += MS;
        assert_eq!(tick(&mut backlog, &mut now_ns, MS / 10), (20..40).collect::<Vec<_>>());
        assert!(!backlog.is_empty());
        assert_eq!(tick(&mut backlog, &mut now_ns, MS / 10), (40..50).collect::<Vec<_>>());
        assert!(backlog.is_empty());
        assert_eq!((backlog.longest, backlog.dropped), (50, 0));
        // The last one had its turn after two whole slices, a pause, and nine tenths of a millisecond.
        assert_eq!(backlog.waited_ns, 2 * SLICE_NS + MS + 9 * MS / 10);
    }

    #[test]
    fn a_step_that_is_longer_than_a_slice_is_still_done() {
        let (mut backlog, mut now_ns) = (Backlog::default(), 0);
        (0..2).for_each(|number| assert!(backlog.push(now_ns, Place(number), Step::Repeat)));
        assert_eq!(tick(&mut backlog, &mut now_ns, 10 * MS), [0]);
        assert_eq!(tick(&mut backlog, &mut now_ns, 10 * MS), [1]);
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let mut backlog = Backlog::default();
        let datagram = || Step::Read([22, 254, 253].into());
        (0..MOST).for_each(|_| assert!(backlog.push(0, Place(1), datagram())));
        assert!(!backlog.push(0, Place(2), datagram()));
        assert_eq!((backlog.longest, backlog.dropped), (MOST, 1));
        assert_eq!(backlog.next(0, 1), Some((Place(1), datagram())));
        assert!(backlog.push(0, Place(2), datagram()), "there is room again");
    }
}
