//! A timer wheel: which of many thousand keys is to be looked at next.
//!
//! ```text
//!   set ─▶ [ ][k][ ][k,k,k][ ] … 512 slots of 64 ms ─▶ pop, slot by slot
//!           ▲ next
//! ```
//!
//! Setting a key is a push, and nothing is ever searched or taken out. So whoever owns a key remembers
//! the tick that it was set to last, and drops what comes up with another one. No key comes up early,
//! and none later than a slot after its time.

use std::time::{Duration, Instant};

/// What one slot spans. Nothing that waits here, a consent or a lost flight, is in more of a hurry.
const SLOT: Duration = Duration::from_millis(64);

/// Slots of the wheel: 32 s, a little more than anything waits.
const SLOTS: u64 = 512;

const WORDS: u64 = SLOTS / 64;

/// A moment on the wheel, in slots since it began to turn.
pub(crate) type Tick = u64;

/// No moment at all.
pub(crate) const NEVER: Tick = Tick::MAX;

/// The wheel.
#[derive(Debug)]
pub(crate) struct Wheel<K> {
    /// When it began to turn: with the first tick that somebody asked for.
    origin: Option<Instant>,
    /// Everything before this tick has come up.
    next: Tick,
    slots: Box<[Vec<K>]>,
    /// A bit for each slot in which there is something.
    filled: [u64; WORDS as usize],
    /// What has come up with the tick before `next`, and has not been taken yet.
    due: Vec<K>,
}

impl<K> Default for Wheel<K> {
    fn default() -> Self {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Self { origin: None, next: 0, slots, filled: [0; WORDS as usize], due: Vec::new() }
    }
}

impl<K> Wheel<K> {
    /// The tick with which something comes up that is due at `at`. What is further away than the wheel
    /// reaches comes up with its last slot, to be set again.
    pub(crate) fn tick(&mut self, now: Instant, at: Instant) -> Tick {
        let origin = *self.origin.get_or_insert(now);
        let slots = |at: Instant| at.saturating_duration_since(origin).as_nanos();
        let now = (slots(now) / SLOT.as_nanos()) as Tick;
        self.next = self.first().map_or(now, |first| first.min(now)).max(self.next);
        let tick = slots(at).div_ceil(SLOT.as_nanos()) as Tick;
        tick.clamp(self.next, self.next + SLOTS - 1)
    }

    /// Has a key come up with a tick that [`tick`](Self::tick) has just told.
    pub(crate) fn set(&mut self, tick: Tick, key: K) {
        let slot = tick % SLOTS;
        self.slots[slot as usize].push(key);
        self.filled[(slot / 64) as usize] |= 1 << (slot % 64);
    }

    /// The next key that has come up, and with which tick. Call until there is none.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Tick, K)> {
        if self.due.is_empty() {
            let tick = self.first().filter(|&tick| self.time(tick) <= Some(now))?;
            let slot = tick % SLOTS;
            std::mem::swap(&mut self.due, &mut self.slots[slot as usize]);
            self.filled[(slot / 64) as usize] &= !(1 << (slot % 64));
            self.next = tick + 1;
        }
        self.due.pop().map(|key| (self.next - 1, key))
    }

    /// When [`pop`](Self::pop) has something; in the past: at once.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let tick = if self.due.is_empty() { self.first()? } else { self.next - 1 };
        self.time(tick)
    }

    fn time(&self, tick: Tick) -> Option<Instant> {
        self.origin.map(|origin| origin + SLOT * tick as u32)
    }

    /// The first tick with something in its slot.
    fn first(&self) -> Option<Tick> {
        let start = self.next % SLOTS;
        // The slots before `start` are those of the next turn: the last to come up.
        let before = (1 << (start % 64)) - 1;
        (0..=WORDS).find_map(|step| {
            let word = (start / 64 + step) % WORDS;
            let filled = match (self.filled[word as usize], step) {
                (bits, 0) => bits & !before,
                (bits, WORDS) => bits & before,
                (bits, _) => bits,
            };
            let slot = word * 64 + u64::from(filled.trailing_zeros());
            (filled != 0).then(|| self.next + (slot + SLOTS - start) % SLOTS)
        })
    }
}

#[cfg(test)]
mod tests;
