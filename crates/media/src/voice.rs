//! A voice: one audio lane of a room, with one timeline however many speakers take turns on it.
//!
//! ```text
//!   source    7000 7960 8920 |            | 51 1011          each speaker's own clock
//!   room      1920 2880 3840 | 4800 … DTX | 9600 10560       the room's clock, always on its grid
//! ```
//!
//! All voices of a room share one clock, so that their frames fall on one grid of 20 ms and leave
//! together. A timestamp follows that clock through silence, because a frozen one makes jitter
//! buffers grow. New ground is only ever broken forwards; a late frame may fill a hole behind.

use std::time::Instant;

use protocol::FRAME_TICKS;

use crate::opus::Toc;

/// How far behind the newest frame a late one may still go. Higher fills holes that every listener
/// has already played past; lower loses what a distant speaker repairs.
const LATE: i32 = 10 * FRAME_TICKS as i32;

/// How far a running turn may be ahead of the clock before it is set anew.
const AHEAD: i32 = 10 * FRAME_TICKS as i32;

/// How far a running turn may be behind: a network that stalled for so long gives it up.
const BEHIND: i32 = 50 * FRAME_TICKS as i32;

/// After a pause the clock is nearly free to choose. Less than this would follow mere jitter.
const BEHIND_AFTER_PAUSE: i32 = 3 * FRAME_TICKS as i32;

/// No frame is placed further ahead than this: a speaker that sends faster than time is cut.
const MAX_LEAD: i32 = 25 * FRAME_TICKS as i32;

/// DTX frames that end a turn: three leave no audible tail, measured in Chromium.
pub const ENDING_FRAMES: u32 = 3;

/// A room's media clock, on the grid of 20 ms.
#[derive(Debug, Clone, Copy)]
pub struct RoomClock {
    start: Instant,
    base: u32,
}

impl RoomClock {
    /// A clock that shows `base`, which should be random, at `start`.
    pub fn new(start: Instant, base: u32) -> Self {
        Self { start, base }
    }

    /// The time at `now`, in 1/48,000 s, rounded down to a whole frame.
    pub fn at(&self, now: Instant) -> u32 {
        let frames = now.saturating_duration_since(self.start).as_millis() / 20;
        self.base.wrapping_add((frames as u32).wrapping_mul(FRAME_TICKS))
    }
}

/// How much later `a` is than `b`, across the wrap.
pub fn since(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

/// Why a frame has no place on the voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misplaced {
    /// Its time is over.
    Late,
    /// Its time is too far in the future.
    Early,
}

/// The timeline of one voice.
#[derive(Debug, Default)]
pub struct Voice {
    /// Where the newest frame ended.
    end: Option<u32>,
    /// Coding of the newest frame.
    toc: Option<Toc>,
    /// Whether the newest frame was audio rather than DTX.
    sounding: bool,
    /// How the one who speaks maps onto it.
    turn: Option<Turn>,
}

#[derive(Debug, Clone, Copy)]
struct Turn {
    /// Room time minus source time.
    offset: u32,
    /// Where it began: nothing of it may lie before.
    first: u32,
}

/// A frame that wants a place.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// When it was said, on the speaker's clock.
    pub source: u32,
    /// How long it is, in 1/48,000 s.
    pub ticks: u32,
    /// How it is coded.
    pub toc: Toc,
    /// It holds no audio.
    pub dtx: bool,
}

impl Voice {
    /// Whoever sends next starts a turn: their clock has nothing to do with the last one's.
    pub fn begin_turn(&mut self) {
        self.turn = None;
    }

    /// Gives a frame its timestamp, while the room's clock shows `clock`.
    pub fn place(&mut self, clock: u32, frame: Wanted) -> Result<u32, Misplaced> {
        let timestamp = match self.turn {
            None => self.anchor(clock, frame.source),
            Some(turn) => {
                let mapped = frame.source.wrapping_add(turn.offset);
                let end = self.end.unwrap_or(clock);
                match since(mapped, end) {
                    ahead if ahead >= 0 && self.in_step(clock, mapped, frame) => mapped,
                    behind if (-LATE..0).contains(&behind) => return turn.late(mapped),
                    behind if (-BEHIND..0).contains(&behind) => return Err(Misplaced::Late),
                    _ => self.anchor(clock, frame.source),
                }
            }
        };
        if since(timestamp, clock) > MAX_LEAD {
            self.turn = None;
            return Err(Misplaced::Early);
        }
        self.end = Some(timestamp.wrapping_add(frame.ticks));
        (self.toc, self.sounding) = (Some(frame.toc), !frame.dtx);
        Ok(timestamp)
    }

    /// Ends what sounds: the timestamp of the first of [`ENDING_FRAMES`] DTX frames to send, and their
    /// payload. None where the voice is silent already.
    pub fn end_turn(&mut self) -> Option<(u32, Toc)> {
        self.turn = None;
        let first = self.end.filter(|_| self.sounding)?;
        self.sounding = false;
        self.end = Some(first.wrapping_add(ENDING_FRAMES * FRAME_TICKS));
        Some((first, self.toc.unwrap_or(Toc::DEFAULT).dtx()))
    }

    /// One DTX frame to show that the room is there: its timestamp and payload.
    pub fn keep_alive(&mut self, clock: u32) -> (u32, Toc) {
        let timestamp = self.next_free(clock);
        *self = Self { end: Some(timestamp.wrapping_add(FRAME_TICKS)), sounding: false, turn: None, ..*self };
        (timestamp, self.toc.unwrap_or(Toc::DEFAULT).dtx())
    }

    /// Whether the newest frame was audio.
    pub fn is_sounding(&self) -> bool {
        self.sounding
    }

    fn anchor(&mut self, clock: u32, source: u32) -> u32 {
        let first = self.next_free(clock);
        self.turn = Some(Turn { offset: first.wrapping_sub(source), first });
        first
    }

    /// The first place on the grid that is neither taken nor in the past.
    fn next_free(&self, clock: u32) -> u32 {
        let taken = self.end.map_or(0, |end| since(end, clock).max(0) as u32);
        clock.wrapping_add(taken.next_multiple_of(FRAME_TICKS))
    }

    fn in_step(&self, clock: u32, mapped: u32, frame: Wanted) -> bool {
        let drift = since(mapped, clock);
        let paused = !self.sounding || self.end != Some(mapped);
        let range = if paused { -BEHIND_AFTER_PAUSE..=FRAME_TICKS as i32 } else { -BEHIND..=AHEAD };
        let on_grid = drift % FRAME_TICKS as i32 == 0 || frame.ticks != FRAME_TICKS;
        range.contains(&drift) && on_grid
    }
}

impl Turn {
    fn late(&self, timestamp: u32) -> Result<u32, Misplaced> {
        if since(timestamp, self.first) >= 0 { Ok(timestamp) } else { Err(Misplaced::Late) }
    }
}

#[cfg(test)]
mod tests;
