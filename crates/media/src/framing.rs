//! Framing: how many 20 ms frames ride in one packet.
//!
//! ```text
//!   ticks      …  6  7  8 │ 9 10 11 │ 12 …      tick = 20 ms of the room's clock
//!   phase 0         block │  block  │           three phases, so that a third of the listeners
//!   phase 1     block │ 7 8 9 │ …               is served every 20 ms
//! ```
//!
//! Frames of a block wait in slots for each other, so that a repaired one still joins a packet that
//! has not left. A packet leaves when its block is full and the other voices' are too, so that they
//! share one send, or when it has waited long enough. The rules are in `docs/architecture.md`; what
//! each is for was measured: without them DTX and loss cost a third of the audio.

use std::ops::Range;
use std::time::{Duration, Instant};

use protocol::{FRAME_TICKS, Frame, SpeakerNumber, VOICES};

use crate::audience::{Head, NO_LEVEL, Packets};
use crate::opus::{self, Toc};

/// Most frames in one packet: 120 ms.
pub const MAX_FRAMES: usize = 6;

/// Longest payload that joining makes, in bytes, so that the packet stays below any path's limit.
pub const MAX_PAYLOAD: usize = 1_150;

/// Opus frames in the longest packet: 120 ms of 2.5 ms.
const MAX_JOINED: usize = opus::MAX_FRAMES;

/// Length of a tick.
const FRAME: Duration = Duration::from_millis(20);

/// How much longer than its framing a packet waits for a hole to be filled: until the next frame, which
/// on a link that loses brings along the one before it, has come in any case. A whole packet never waits
/// so long, nor does the last one before silence, which DTX pushes out.
const PATIENCE: Duration = Duration::from_millis(5);

/// Silence longer than this makes what follows a talkspurt of its own, in ticks.
const TALKSPURT_GAP: i64 = 5;

/// A frame at its place on the room's grid.
#[derive(Debug, Clone)]
pub struct Timed {
    /// The frame, its timestamp as listeners see it.
    pub frame: Frame,
    /// Which 20 ms of the room it begins in.
    pub tick: i64,
    /// It fills exactly that tick: only such frames are ever joined.
    pub whole: bool,
    /// When it arrived.
    pub arrived: Instant,
    /// The frame before it on its voice is known, so there is none to wait for.
    pub follows: bool,
}

impl Timed {
    fn is_dtx(&self) -> bool {
        opus::is_dtx(&self.frame.payload)
    }

    fn level(&self) -> u8 {
        if self.is_dtx() { NO_LEVEL } else { self.frame.level }
    }

    /// Whether `next` may follow in the same packet.
    fn joins(&self, next: &Self) -> bool {
        next.tick == self.tick + 1 && next.frame.speaker == self.frame.speaker && next.toc().joins(self.toc())
    }

    fn toc(&self) -> Toc {
        Toc(self.frame.payload.first().copied().unwrap_or(Toc::DEFAULT.0))
    }

    /// The first tick after it.
    fn end(&self) -> i64 {
        let ticks = opus::Packet::parse(&self.frame.payload).map_or(FRAME_TICKS, |packet| packet.ticks());
        self.tick + i64::from(ticks.div_ceil(FRAME_TICKS))
    }
}

/// A frame that came after its successor had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLate;

/// The framing of one group of listeners, all voices.
#[derive(Debug)]
pub struct Framing {
    frames: usize,
    phase: i64,
    voices: [Lane; VOICES],
}

/// One voice in one framing.
#[derive(Debug)]
struct Lane {
    /// Frames that wait for each other, by tick: all of one block.
    waiting: Vec<Timed>,
    /// Which block that is. Counts while something waits.
    block: i64,
    /// When they leave at the latest. Counts while something waits.
    deadline: Instant,
    /// The first tick after all that has been sent.
    unsent: i64,
    /// What the last packet was, for the marker.
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    speaker: SpeakerNumber,
    dtx: bool,
    end: i64,
}

impl Framing {
    /// Joins `frames` (1, 3 or 6) at a time; blocks begin where the tick modulo `frames` is `phase`.
    pub fn new(now: Instant, frames: usize, phase: usize) -> Self {
        debug_assert!((1..=MAX_FRAMES).contains(&frames) && phase < frames);
        Self { frames, phase: phase as i64, voices: std::array::from_fn(|_| Lane::new(now)) }
    }

    /// Takes a frame that was not here before. What leaves because of it goes to `out`, behind what is
    /// there. Unjoined frames may leave in any order.
    pub fn push(&mut self, timed: Timed, out: &mut Packets) -> Result<(), TooLate> {
        let arrived = timed.arrived;
        let lane = &mut self.voices[timed.frame.voice.index()];
        if self.frames == 1 {
            lane.emit(&[timed], arrived, out);
            return Ok(());
        }
        if timed.tick < lane.unsent {
            return Err(TooLate);
        }
        if timed.is_dtx() || !timed.whole {
            lane.flush(arrived, out);
            lane.emit(&[timed], arrived, out);
        } else {
            let block = (timed.tick - self.phase).div_euclid(self.frames as i64);
            let patience = FRAME * self.frames as u32 + PATIENCE;
            lane.wait(timed, block, patience, out);
        }
        self.release(arrived, out);
        Ok(())
    }

    /// Sends what has waited long enough. After it, [`deadline`](Self::deadline).
    pub fn on_timeout(&mut self, now: Instant, out: &mut Packets) {
        for lane in &mut self.voices {
            if let Some(deadline) = lane.deadline().filter(|&deadline| deadline <= now) {
                lane.flush(deadline, out);
            }
        }
        self.release(now, out);
    }

    /// When [`on_timeout`](Self::on_timeout) is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.voices.iter().filter_map(Lane::deadline).min()
    }

    /// Whether whoever joins or leaves after `tick` neither misses a frame nor gets one twice.
    pub fn is_boundary(&self, tick: i64) -> bool {
        let at_end = (tick + 1 - self.phase).rem_euclid(self.frames as i64) == 0;
        at_end && self.voices.iter().all(|lane| lane.waiting.is_empty())
    }

    /// Sends the full blocks, but for those with which another voice's, still filling, will leave.
    fn release(&mut self, now: Instant, out: &mut Packets) {
        let state = self.voices.each_ref().map(|lane| {
            let first = lane.block * self.frames as i64 + self.phase;
            (lane.block, lane.is_waiting(), lane.is_full(first..first + self.frames as i64))
        });
        for (lane, (block, _, full)) in self.voices.iter_mut().zip(state) {
            let in_company = state.iter().any(|&(other, waiting, full)| waiting && other == block && !full);
            if full && !in_company {
                lane.flush(now, out);
            }
        }
    }
}

impl Lane {
    fn new(now: Instant) -> Self {
        Self { waiting: Vec::new(), block: 0, deadline: now, unsent: i64::MIN, last: None }
    }

    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn deadline(&self) -> Option<Instant> {
        self.is_waiting().then_some(self.deadline)
    }

    /// Whether nothing more is to come for the block with these ticks. A hole, whether a link or the
    /// speaker's network made it, may still be filled.
    fn is_full(&self, block: Range<i64>) -> bool {
        let (Some(oldest), Some(newest)) = (self.waiting.first(), self.waiting.last()) else { return false };
        let without_holes = newest.tick - oldest.tick + 1 == self.waiting.len() as i64;
        let from_start = oldest.tick <= block.start.max(self.unsent);
        let begins = oldest.follows && self.starts_talkspurt(oldest);
        newest.tick + 1 == block.end && without_holes && (from_start || begins)
    }

    fn wait(&mut self, timed: Timed, block: i64, patience: Duration, out: &mut Packets) {
        if self.is_waiting() && block < self.block {
            // All of its block was lost but this, and the next is filling: it still goes first.
            let arrived = timed.arrived;
            self.emit(&[timed], arrived, out);
            return;
        }
        if self.is_waiting() && block > self.block {
            self.flush(timed.arrived, out);
        }
        if !self.is_waiting() {
            (self.block, self.deadline) = (block, timed.arrived + patience);
        }
        let place = self.waiting.partition_point(|other| other.tick < timed.tick);
        self.waiting.insert(place, timed);
    }

    /// Sends what waits, joined as far as it can be.
    fn flush(&mut self, due: Instant, out: &mut Packets) {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.chunk_by(Timed::joins).for_each(|run| self.emit(run, due, out));
        self.waiting = waiting;
        self.waiting.clear();
    }

    /// Sends a run of frames as one packet, or as several where one would be too large.
    fn emit(&mut self, run: &[Timed], due: Instant, out: &mut Packets) {
        let bytes: usize = run.iter().map(|timed| timed.frame.payload.len() + 2).sum();
        if bytes > MAX_PAYLOAD && run.len() > 1 {
            let (first, second) = run.split_at(run.len() / 2);
            self.emit(first, due, out);
            self.emit(second, due, out);
        } else {
            let head = Head { marker: self.starts_talkspurt(&run[0]), ..head(run) };
            out.push(head, due, |bytes| join(run, bytes));
            let first = run.iter().map(|timed| timed.arrived).min().unwrap_or(due);
            out.held_last(due.saturating_duration_since(first));
            self.note(&run[run.len() - 1]);
        }
    }

    fn starts_talkspurt(&self, first: &Timed) -> bool {
        let goes_on = |last: Last| {
            !last.dtx && last.speaker == first.frame.speaker && first.tick - last.end < TALKSPURT_GAP
        };
        !first.is_dtx() && !self.last.is_some_and(goes_on)
    }

    fn note(&mut self, newest: &Timed) {
        let end = newest.end();
        if end > self.unsent {
            self.unsent = end;
            self.last = Some(Last { speaker: newest.frame.speaker, dtx: newest.is_dtx(), end });
        }
    }
}

fn head(run: &[Timed]) -> Head {
    let Frame { timestamp, voice, speaker, .. } = run[0].frame;
    let loudest = run.iter().map(|timed| timed.level()).min();
    Head { marker: false, timestamp, voice, speaker, level: loudest.unwrap_or(NO_LEVEL) }
}

/// Writes the payload of a run of frames.
fn join(run: &[Timed], out: &mut Vec<u8>) {
    if let [only] = run {
        out.extend_from_slice(&only.frame.payload);
        return;
    }
    // What cannot be read is never joined, so every frame has its audio behind one byte of TOC.
    let mut frames: [&[u8]; MAX_JOINED] = [&[]; MAX_JOINED];
    let mut count = 0;
    let packets = run.iter().filter_map(|timed| opus::Packet::parse(&timed.frame.payload).ok());
    for packet in packets {
        let end = count + packet.frames().len();
        frames[count..end].copy_from_slice(packet.frames());
        count = end;
    }
    opus::write(run[0].toc(), frames[..count].iter().copied(), out);
}

#[cfg(test)]
mod tests;
