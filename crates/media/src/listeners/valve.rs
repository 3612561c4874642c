//! The overload valve: how long the packets are for listeners for whom nobody chose.
//!
//! ```text
//!   20 ms   while the shard has room to spare: the least delay
//!   60 ms   as it fills: a third of the packets
//!   120 ms  rather than lose anything: a sixth
//! ```
//!
//! It goes by two figures, whichever is greater: how busy the thread was, and how busy it would be if one
//! voice sounded without a pause; else every silence would look like room to spare. Listeners change a
//! few at a time, up at once and down slowly, and the two limits are far enough apart that a step down is
//! never followed by one up.

use super::lanes::LEVELS;
use crate::plane::Load;

/// Above this share of its time a shard fills up: 20 ms become 60 ms.
const FILLING: f32 = 0.5;

/// Above this it is about to lose something: 60 ms become 120 ms.
const OVERLOADED: f32 = 0.85;

/// It goes back to shorter packets where it would stay below these shares afterwards: to 20 ms, to 60 ms.
const SPARE: [f32; 2] = [0.35, 0.6];

/// Share of the adapting listeners that change at one look.
const STEP: f32 = 0.125;

/// The same when the shard has no time left.
const LEAP: f32 = 0.5;

/// Share of the newest look in what counts as busy: about the last second.
const WEIGHT: f32 = 0.3;

/// What remains of a peak at the next look, a quarter of a second later: half of it after 17 s.
const DECAY: f32 = 0.99;

/// Fewer sends than this say nothing about what one costs.
const ENOUGH: u64 = 100;

/// What a send costs before it has been measured, in s: somewhat more than it will be.
const COST: f32 = 4e-6;

/// Nobody knows better than this how little a send costs, in s: a figure below is an error.
const LEAST_COST: f32 = 5e-7;

/// So many listeners, by levels.
pub(super) type Counts = [usize; LEVELS.len()];

/// A share of those who adapt goes from one level to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shift {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) share: f32,
}

#[derive(Debug)]
pub(super) struct Valve {
    /// Seconds for each send.
    cost: f32,
    /// Share of the time, about now.
    busy: f32,
    /// The greatest of the last while.
    peak: f32,
    /// By so much: all listeners, with one voice.
    expected: f32,
}

impl Default for Valve {
    fn default() -> Self {
        Self { cost: COST, busy: 0.0, peak: 0.0, expected: 0.0 }
    }
}

impl Valve {
    /// Looks at how it goes, and says what should change.
    pub(super) fn turn(&mut self, load: Load, all: Counts, adapting: Counts) -> Option<Shift> {
        self.learn(load);
        self.expected = self.share(all);
        let now = self.busy.max(self.expected);
        let up = |from, share| Some(Shift { from, to: from + 1, share });
        if now > FILLING && adapting[0] > 0 {
            return up(0, if self.busy > OVERLOADED { LEAP } else { STEP });
        }
        if now > OVERLOADED && adapting[1] > 0 {
            return up(1, STEP);
        }
        let back = (1..LEVELS.len()).rev().find(|&from| adapting[from] > 0)?;
        let more = self.share_of(back - 1) - self.share_of(back);
        let then = self.peak.max(self.expected) + more * (adapting[back] as f32 * STEP).ceil();
        (then < SPARE[back - 1]).then_some(Shift { from: back, to: back - 1, share: STEP })
    }

    /// The framing of a newcomer, in ms.
    pub(super) fn newcomers(&self) -> u8 {
        let now = self.busy.max(self.expected);
        LEVELS[usize::from(now > FILLING) + usize::from(now > OVERLOADED)]
    }

    fn learn(&mut self, load: Load) {
        self.busy += (load.busy - self.busy) * WEIGHT;
        self.peak = (self.peak * DECAY).max(self.busy);
        if load.sends >= ENOUGH {
            let cost = load.busy * load.span.as_secs_f32() / load.sends as f32;
            self.cost += (cost.clamp(LEAST_COST, COST) - self.cost) * WEIGHT;
        }
    }

    /// How busy the thread would be with so many listeners and one voice that never pauses.
    fn share(&self, listeners: Counts) -> f32 {
        (0..LEVELS.len()).map(|level| listeners[level] as f32 * self.share_of(level)).sum()
    }

    /// The same for one listener.
    fn share_of(&self, level: usize) -> f32 {
        self.cost * 1_000.0 / f32::from(LEVELS[level])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing;

    const LOOK: Duration = Duration::from_millis(250);

    /// A shard on which a send costs 3 µs.
    #[derive(Default)]
    struct Shard {
        valve: Valve,
        listeners: Counts,
        shifts: usize,
    }

    impl Shard {
        fn look(&mut self, voices: f32) {
            let rate: f32 = (0..3).map(|i| self.listeners[i] as f32 * 1_000.0 / f32::from(LEVELS[i])).sum();
            let sends = rate * voices * LOOK.as_secs_f32();
            let busy = (sends * 3e-6 / LOOK.as_secs_f32()).min(1.0);
            let load = Load { now: testing::start(), span: LOOK, busy, sends: sends as u64 };
            if let Some(Shift { from, to, share }) = self.valve.turn(load, self.listeners, self.listeners) {
                let moved = (self.listeners[from] as f32 * share).ceil() as usize;
                self.listeners[from] -= moved;
                self.listeners[to] += moved;
                self.shifts += 1;
            }
        }

        fn looks(&mut self, seconds: usize, voices: f32) {
            self.shifts = 0;
            (0..seconds * 4).for_each(|_| self.look(voices));
        }

        fn join(&mut self, listeners: usize) {
            for _ in 0..listeners {
                let framing_ms = self.valve.newcomers();
                self.listeners[LEVELS.iter().position(|&ms| ms == framing_ms).unwrap()] += 1;
            }
        }
    }

    #[test]
    fn a_few_hear_at_20_ms_and_stay_there() {
        let mut shard = Shard::default();
        shard.join(1_000);
        shard.looks(60, 1.0);
        assert_eq!((shard.listeners, shard.shifts), ([1_000, 0, 0], 0));
    }

    #[test]
    fn as_it_fills_listeners_go_to_60_ms_and_rest_there() {
        let mut shard = Shard::default();
        for _ in 0..100 {
            shard.join(80);
            shard.looks(1, 1.0);
        }
        assert!(shard.listeners[1] > shard.listeners[0], "{:?}", shard.listeners);
        assert_eq!(shard.listeners[2], 0);
        shard.looks(120, 1.0);
        assert_eq!(shard.shifts, 0, "nobody goes to and fro");
    }

    #[test]
    fn silence_is_no_room_to_spare() {
        let mut shard = Shard { listeners: [0, 9_000, 0], ..Shard::default() };
        shard.looks(10, 1.0);
        let before = shard.listeners;
        shard.looks(600, 0.0);
        assert_eq!(shard.listeners, before);
    }

    #[test]
    fn an_overload_makes_packets_of_120_ms_and_these_go_with_it() {
        let mut shard = Shard { listeners: [0, 9_000, 0], ..Shard::default() };
        shard.looks(20, 3.0);
        assert!(shard.listeners[2] > 2_000, "{:?}", shard.listeners);
        shard.looks(120, 1.0);
        assert_eq!(shard.listeners[2], 0, "with one voice 60 ms is enough");
        assert!(shard.listeners[1] > 6_000, "{:?}", shard.listeners);
    }

    #[test]
    fn when_most_have_left_the_others_hear_at_20_ms_again() {
        let mut shard = Shard { listeners: [0, 9_000, 0], ..Shard::default() };
        shard.looks(10, 1.0);
        shard.listeners = shard.listeners.map(|listeners| listeners / 10);
        shard.looks(120, 1.0);
        assert_eq!(shard.listeners[1..], [0, 0]);
    }
}
