//! What one person hears: which frames, when, which are missing, and how long the longest gap was.
//!
//! Everything per frame happens here, ten thousand times every 20 ms: no allocation, no lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::MS;
use crate::ledger::{Found, LATE_NS, Room, Said};
use crate::places::Via;

/// Frames of one speaker that can be told from repeats.
const WINDOW: u64 = 64;

/// What was sent last before somebody leaves may still be on its way: so much is not counted.
const TAIL_NS: u64 = LATE_NS;

/// Frames are put away by the 100 ms in which they were sent.
const BUCKET_NS: u64 = 100 * MS;
const BUCKETS: usize = 16;

/// A gap that is worth looking at the frames within.
const NOTABLE_NS: u64 = 100 * MS;

/// What became of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The first time, so long after it was sent.
    Frame {
        /// In ns.
        latency_ns: u64,
        /// When it was sent.
        at_ns: u64,
        /// Since the frame before of the same speaker, without their pauses.
        gap_ns: u64,
        /// It was expected, and counts.
        owed: bool,
    },
    /// Too late to be played.
    Late,
    /// Not the first time.
    Again,
    /// Not the first time, for the peer before this one brought it.
    Before,
    /// Nobody said it.
    Unknown,
}

/// One person's ear.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    speakers: Vec<Speaker>,
    /// What was sent before is not owed, though repairs may bring it.
    ready_ns: u64,
    /// Sending time of the first frame heard that was owed.
    first_ns: Option<u64>,
    has_heard: bool,
    /// Until when another peer has brought some of what they hear.
    moved_ns: u64,
    here: Part,
    /// Where they were before, in order: nearly always nowhere.
    before: Vec<Part>,
    /// How many of the newest frames were sent in which 100 ms, and the newest of those.
    tail: [u16; BUCKETS],
    newest_bucket: u64,
}

#[derive(Debug)]
struct Speaker {
    csrc: u32,
    /// The newest frame heard of them.
    highest: u64,
    /// Bit n: `highest - n` was heard.
    seen: u64,
    /// When it arrived, and how long they had paused until then.
    arrived_ns: u64,
    paused_ns: u64,
}

/// What somebody heard while they had the same nodes. A gap belongs to where they were when it began.
#[derive(Debug, Default)]
struct Part {
    via: Via,
    from_ns: u64,
    received: u64,
    longest_gap_ns: u64,
}

/// The time somebody was in with the same nodes, for the reckoning at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stay {
    /// By which nodes.
    pub(crate) via: Via,
    /// Frames sent from here on were expected.
    pub(crate) from_ns: u64,
    /// Frames sent from here on were not.
    pub(crate) until_ns: u64,
    /// Frames of that time that came, in time.
    pub(crate) received: u64,
    /// The longest gap.
    pub(crate) longest_gap_ns: u64,
}

impl Ear {
    /// The ear of somebody who can hear from `ready_ns` on.
    pub(crate) fn new(ready_ns: u64, via: Via) -> Self {
        let here = Part { via, from_ns: ready_ns, ..Part::default() };
        Self { ready_ns, here, ..Self::default() }
    }

    /// From now on another peer brings what they hear, and until then the one before as well.
    pub(crate) fn comes_over(&mut self, now_ns: u64, until_ns: u64, via: Via) {
        self.moved_ns = until_ns;
        self.moves(now_ns, via);
    }

    /// From now on other nodes are theirs.
    pub(crate) fn moves(&mut self, now_ns: u64, via: Via) {
        if via != self.here.via {
            let here = Part { via, from_ns: now_ns, ..Part::default() };
            self.before.push(std::mem::replace(&mut self.here, here));
        }
    }

    /// Hears one frame of `csrc` that arrived at `now_ns`.
    pub(crate) fn hear(&mut self, room: &Room, csrc: u32, hash: u64, now_ns: u64) -> Heard {
        let index = self.speakers.iter().position(|speaker| speaker.csrc == csrc);
        let known = index.map(|index| &self.speakers[index]);
        let found = room.find(csrc, hash, |said| known.is_none_or(|speaker| speaker.lacks(said.number)));
        let said = match found {
            Found::Frame(said) => Arc::as_ref(said),
            Found::Again => {
                let before = room.find(csrc, hash, |said| said.at_ns < self.moved_ns);
                return if matches!(before, Found::Frame(_)) { Heard::Before } else { Heard::Again };
            }
            Found::Unknown => return Heard::Unknown,
        };
        if !said.heard.load(Ordering::Relaxed) {
            said.heard.store(true, Ordering::Relaxed);
        }
        let latency_ns = now_ns.saturating_sub(said.at_ns);
        let is_late = latency_ns > LATE_NS;
        let gap_ns = match index {
            Some(index) => self.speakers[index].take(room, said, now_ns, is_late),
            None => {
                self.speakers.push(Speaker::new(said, now_ns));
                0
            }
        };
        if is_late {
            return Heard::Late;
        }
        let part = self.part(now_ns - gap_ns);
        part.longest_gap_ns = part.longest_gap_ns.max(gap_ns);
        self.has_heard = true;
        let owed = self.count(said.at_ns);
        Heard::Frame { latency_ns, at_ns: said.at_ns, gap_ns, owed }
    }

    /// Whether anything was heard yet.
    pub(crate) fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Closes the account at `now_ns`, a stay for each time with the same nodes. What was sent in the last half
    /// second does not count, neither as expected nor as heard.
    pub(crate) fn close(&mut self, room: Option<&Room>, now_ns: u64) -> Vec<Stay> {
        let until = now_ns.saturating_sub(TAIL_NS) / BUCKET_NS;
        let oldest = (self.newest_bucket + 1).saturating_sub(BUCKETS as u64);
        let tail: u64 = (until.max(oldest)..=self.newest_bucket)
            .map(|bucket| u64::from(self.tail[bucket as usize % BUCKETS]))
            .sum();
        let until_ns = until * BUCKET_NS;
        self.count_open_gaps(room, until_ns);
        self.stays(until_ns, tail)
    }

    /// Who has fallen deaf for good has the longest gap of all, though no frame has ended it.
    fn count_open_gaps(&mut self, room: Option<&Room>, until_ns: u64) {
        let open = |speaker: &Speaker| Some((speaker.arrived_ns, speaker.open_gap(room?, until_ns)?));
        for (since_ns, gap_ns) in self.speakers.iter().filter_map(open).collect::<Vec<_>>() {
            let part = self.part(since_ns);
            part.longest_gap_ns = part.longest_gap_ns.max(gap_ns);
        }
    }

    /// All parts, the newest first; `tail` frames at their end do not count.
    fn stays(&self, mut until_ns: u64, mut tail: u64) -> Vec<Stay> {
        let first_ns = self.first_ns.unwrap_or(self.ready_ns);
        let parts = std::iter::once(&self.here).chain(self.before.iter().rev());
        let stays = parts.map(|part| {
            let beyond = tail.min(part.received);
            tail -= beyond;
            let from_ns = part.from_ns.max(first_ns);
            let stay = Stay {
                via: part.via,
                from_ns,
                until_ns,
                received: part.received - beyond,
                longest_gap_ns: part.longest_gap_ns,
            };
            until_ns = until_ns.min(part.from_ns);
            stay
        });
        stays.collect()
    }

    /// Where they were at that time.
    fn part(&mut self, at_ns: u64) -> &mut Part {
        if at_ns >= self.here.from_ns {
            return &mut self.here;
        }
        let earlier = self.before.iter().rposition(|part| at_ns >= part.from_ns).unwrap_or_default();
        self.before.get_mut(earlier).unwrap_or(&mut self.here)
    }

    /// Counts a frame, unless it was repaired from before the first one that is owed.
    fn count(&mut self, at_ns: u64) -> bool {
        if at_ns < self.ready_ns || at_ns < *self.first_ns.get_or_insert(at_ns) {
            return false;
        }
        self.part(at_ns).received += 1;
        let bucket = at_ns / BUCKET_NS;
        if bucket > self.newest_bucket {
            let passed = (bucket - self.newest_bucket).min(BUCKETS as u64);
            (0..passed).for_each(|back| self.tail[(bucket - back) as usize % BUCKETS] = 0);
            self.newest_bucket = bucket;
        }
        if bucket + BUCKETS as u64 > self.newest_bucket {
            self.tail[bucket as usize % BUCKETS] += 1;
        }
        true
    }
}

impl Speaker {
    fn new(said: &Said, arrived_ns: u64) -> Self {
        Self { csrc: said.speaker, highest: said.number, seen: 1, arrived_ns, paused_ns: said.paused_ns }
    }

    fn lacks(&self, number: u64) -> bool {
        match self.highest.checked_sub(number) {
            None => true,
            Some(behind) => behind < WINDOW && self.seen & 1 << behind == 0,
        }
    }

    /// Notes a frame; the gap before it. One that is too late to be played ends none.
    fn take(&mut self, room: &Room, said: &Said, arrived_ns: u64, is_late: bool) -> u64 {
        if said.number < self.highest {
            self.seen |= 1 << (self.highest - said.number);
            return 0;
        }
        let ahead = said.number - self.highest;
        let paused = said.paused_ns.saturating_sub(self.paused_ns);
        let gap = arrived_ns.saturating_sub(self.arrived_ns).saturating_sub(paused);
        let off = ahead > 1 && gap > NOTABLE_NS && room.was_off_voice(self.highest, said);
        self.seen = if ahead < WINDOW { self.seen << ahead | 1 } else { 1 };
        self.highest = said.number;
        if is_late {
            return 0;
        }
        (self.arrived_ns, self.paused_ns) = (arrived_ns, said.paused_ns);
        if off { 0 } else { gap }
    }

    /// The gap that has not ended: until the last frame before `until_ns` that others heard.
    fn open_gap(&self, room: &Room, until_ns: u64) -> Option<u64> {
        let said = room.last_heard(self.csrc, until_ns).filter(|said| said.number > self.highest)?;
        if room.was_off_voice(self.highest, said) {
            return None;
        }
        let paused = said.paused_ns.saturating_sub(self.paused_ns);
        Some(said.at_ns.saturating_sub(self.arrived_ns).saturating_sub(paused))
    }
}

#[cfg(test)]
mod tests;
