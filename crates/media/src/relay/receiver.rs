//! One room's frames as they come down one hop: which are new, which are missing, which come too late.
//!
//! It outlives a change of parent: what the old one has brought is not taken twice from the new one,
//! and what the old one failed to bring is asked of the new one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::frame::Frame;
use protocol::link::MAX_MISSING;
use protocol::{Epoch, VOICES, VoiceId};

/// A frame that has not come after this long is given up: below this hop nobody could still play it.
pub const GIVE_UP: Duration = Duration::from_millis(240);

/// Shortest time between two requests for the same frame: on a fast link the parent may itself still be
/// waiting for it.
pub const MIN_RETRY: Duration = Duration::from_millis(20);

/// A room that is silent sends something every 400 ms, on its first voice. After this long the next of
/// those frames must be lost: no later one will tell, so it is asked for.
pub const QUIET: Duration = Duration::from_millis(450);

/// Between two such questions.
const PROBE: Duration = Duration::from_millis(100);

/// Frames behind the newest of which is known whether they came: 1.28 s. Older ones count as late.
const WINDOW: u32 = u64::BITS;

/// What a hop has brought and lost, since the room was joined.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverStats {
    /// Frames passed on.
    pub fresh: u64,
    /// Of those, frames that were noticed to be missing before they came.
    pub repaired: u64,
    /// Frames that never came, or too late.
    pub lost: u64,
    /// Frames that had come before: the price of redundancy.
    pub duplicates: u64,
    /// Frames that came after they had been given up, or from before we joined.
    pub late: u64,
    /// Frames of a lower epoch: of an origin that has been replaced.
    pub stale: u64,
}

impl ReceiverStats {
    /// Adds what another hop or room counted.
    pub fn add(&mut self, other: &Self) {
        self.fresh += other.fresh;
        self.repaired += other.repaired;
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.stale += other.stale;
    }
}

/// What one datagram tells about its link.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Datagrams that should have come since the last one.
    pub expected: u32,
    /// How many of them did not.
    pub missed: u32,
}

/// The state of one room on one hop.
#[derive(Debug, Default)]
pub struct Receiver {
    epoch: Epoch,
    lanes: [Lane; VOICES],
    /// When to ask because nothing came, once something has.
    probe: Option<Instant>,
    stats: ReceiverStats,
}

/// One voice.
#[derive(Debug, Default)]
struct Lane {
    /// The highest number that came; none before the first frame.
    highest: Option<u32>,
    /// Bit i: the frame i below the highest came, or is not waited for any more.
    seen: u64,
    /// In the order of their numbers. At most [`WINDOW`].
    missing: VecDeque<Gap>,
}

/// A frame that should have come.
#[derive(Debug)]
struct Gap {
    number: u32,
    noticed: Instant,
    ask: Instant,
}

/// What became of a frame.
enum Taken {
    Fresh { skipped: u32 },
    Repaired,
    Duplicate,
    Late,
}

impl Receiver {
    /// Takes the frames of a datagram, and appends those to `fresh` that are to be passed on, in the
    /// order of the datagram.
    pub fn receive(&mut self, now: Instant, frames: Vec<Frame>, fresh: &mut Vec<Frame>) -> Tally {
        let mut tally = Tally::default();
        self.probe = Some(now + QUIET);
        let last = frames.len().saturating_sub(1);
        for (index, frame) in frames.into_iter().enumerate() {
            if !self.follow_epoch(frame.epoch) {
                continue;
            }
            let taken = self.lanes[frame.voice.index()].take(now, frame.number, &mut self.stats);
            match taken {
                Taken::Fresh { skipped } => {
                    // One that rides along and is still new tells that its own datagram was lost.
                    tally.expected += 1 + skipped;
                    tally.missed += skipped + u32::from(index < last);
                    self.stats.fresh += 1;
                    fresh.push(frame);
                }
                Taken::Repaired => {
                    self.stats.fresh += 1;
                    self.stats.repaired += 1;
                    fresh.push(frame);
                }
                Taken::Duplicate => self.stats.duplicates += 1,
                Taken::Late => self.stats.late += 1,
            }
        }
        tally
    }

    /// The next voice of which frames should be asked for now, and their numbers. Call until there is
    /// none; `rtt` is the link's.
    pub fn poll_missing(&mut self, now: Instant, rtt: Duration) -> Option<(Epoch, VoiceId, Vec<u32>)> {
        let epoch = self.epoch;
        if let Some((voice, number)) = self.poll_probe(now) {
            return Some((epoch, voice, vec![number]));
        }
        for voice in VoiceId::all() {
            let lane = &mut self.lanes[voice.index()];
            self.stats.lost += lane.give_up(now);
            let numbers = lane.ask(now, retry(rtt));
            if !numbers.is_empty() {
                return Some((epoch, voice, numbers));
            }
        }
        None
    }

    /// When [`poll_missing`](Self::poll_missing) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let gaps = self.lanes.iter().flat_map(|lane| &lane.missing);
        gaps.map(|gap| gap.ask.min(gap.noticed + GIVE_UP)).chain(self.probe).min()
    }

    /// There is a new parent: what is missing is asked of it at once.
    pub fn ask_again(&mut self, now: Instant) {
        self.lanes.iter_mut().flat_map(|lane| &mut lane.missing).for_each(|gap| gap.ask = now);
    }

    /// Of the newest origin that was heard.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What came and what did not.
    pub fn stats(&self) -> &ReceiverStats {
        &self.stats
    }

    /// The frame to ask for because nothing has come for too long.
    fn poll_probe(&mut self, now: Instant) -> Option<(VoiceId, u32)> {
        self.probe.filter(|&at| at <= now)?;
        self.probe = Some(now + PROBE);
        let voice = VoiceId::all().next()?;
        Some((voice, self.lanes[voice.index()].highest?.checked_add(1)?))
    }

    /// False for a frame of an origin that has been replaced.
    fn follow_epoch(&mut self, epoch: Epoch) -> bool {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.lanes = Default::default();
        }
        if epoch < self.epoch {
            self.stats.stale += 1;
        }
        epoch == self.epoch
    }
}

impl Lane {
    fn take(&mut self, now: Instant, number: u32, stats: &mut ReceiverStats) -> Taken {
        let Some(highest) = self.highest else {
            // What was before we joined is not missed.
            (self.highest, self.seen) = (Some(number), u64::MAX);
            return Taken::Fresh { skipped: 0 };
        };
        match number.checked_sub(highest) {
            None => self.take_earlier(highest - number, number),
            Some(0) => Taken::Duplicate,
            Some(ahead) => {
                self.highest = Some(number);
                self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
                self.skip(now, highest, number, stats);
                Taken::Fresh { skipped: ahead - 1 }
            }
        }
    }

    fn take_earlier(&mut self, behind: u32, number: u32) -> Taken {
        if behind >= WINDOW {
            return Taken::Late;
        }
        let bit = 1 << behind;
        if self.seen & bit != 0 {
            return Taken::Duplicate;
        }
        match self.missing.iter().position(|gap| gap.number == number) {
            Some(index) => {
                self.missing.remove(index);
                self.seen |= bit;
                Taken::Repaired
            }
            None => Taken::Late,
        }
    }

    /// Notes what is missing between two numbers; of a wide gap only the end can be repaired in time.
    fn skip(&mut self, now: Instant, before: u32, number: u32, stats: &mut ReceiverStats) {
        let first = (before + 1).max(number.saturating_sub(MAX_MISSING as u32));
        stats.lost += u64::from(first - (before + 1));
        for missing in first..number {
            self.missing.push_back(Gap { number: missing, noticed: now, ask: now });
        }
        while self.missing.len() > WINDOW as usize {
            self.missing.pop_front();
            stats.lost += 1;
        }
    }

    fn give_up(&mut self, now: Instant) -> u64 {
        let before = self.missing.len();
        self.missing.retain(|gap| now.saturating_duration_since(gap.noticed) < GIVE_UP);
        (before - self.missing.len()) as u64
    }

    fn ask(&mut self, now: Instant, retry: Duration) -> Vec<u32> {
        let due = self.missing.iter_mut().filter(|gap| gap.ask <= now).take(MAX_MISSING);
        due.map(|gap| {
            gap.ask = now + retry;
            gap.number
        })
        .collect()
    }
}

/// An answer needs a round trip, and a little for the parent to think.
fn retry(rtt: Duration) -> Duration {
    (rtt + rtt / 4).max(MIN_RETRY)
}

#[cfg(test)]
mod tests;
