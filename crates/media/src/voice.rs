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
//! No moment is used twice, so a voice that is ahead of the clock can only wait for it: how far ahead it
//! may get is bounded, and what shows that the room is there never adds to it.

use std::time::{Duration, Instant};

use protocol::FRAME_TICKS;

use crate::opus::Toc;

/// How far behind the newest frame a late one may still go. Higher fills holes that every listener
/// has already played past; lower loses what a distant speaker repairs.
const LATE: i32 = 10 * FRAME_TICKS as i32;

/// How far ahead of the clock a voice may end: what a bursty network brings at once. Who sends faster
/// than time is cut here. Whoever speaks next waits for the clock, so higher makes them wait longer.
const LEAD: i32 = 10 * FRAME_TICKS as i32;

/// How far a running turn may be behind: a network that stalled for so long gives it up.
const BEHIND: i32 = 50 * FRAME_TICKS as i32;

/// After a pause the clock is nearly free to choose. Less than this would follow mere jitter.
const BEHIND_AFTER_PAUSE: i32 = 3 * FRAME_TICKS as i32;

/// So many late frames in a row are no stragglers: the speaker's clock has jumped back.
const STRAGGLERS: u8 = 4;

/// Nobody goes without a packet for longer: quiet and broken must not be the same.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_millis(400);

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
    /// Frames refused as late since the last that had a place.
    late: u8,
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
        let timestamp = match &mut self.turn {
            None => self.anchor(clock, frame.source),
            Some(turn) => {
                let mapped = frame.source.wrapping_add(turn.offset);
                let behind = since(self.end.unwrap_or(clock), mapped);
                if (1..=LATE).contains(&behind) && since(mapped, turn.first) >= 0 {
                    return Ok(mapped);
                }
                if (1..=BEHIND).contains(&behind) && turn.late < STRAGGLERS {
                    turn.late += 1;
                    return Err(Misplaced::Late);
                }
                if behind <= 0 && self.in_step(clock, mapped, frame) {
                    mapped
                } else {
                    self.anchor(clock, frame.source)
                }
            }
        };
        let end = timestamp.wrapping_add(frame.ticks);
        if since(end, clock) > LEAD {
            self.turn = None;
            return Err(Misplaced::Early);
        }
        self.end = Some(end);
        self.turn.iter_mut().for_each(|turn| turn.late = 0);
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

    /// One DTX frame to show that the room is there: its timestamp, which is the clock's, and payload.
    /// None where that moment is taken or the voice sounds: nothing is ever put ahead of the clock.
    pub fn keep_alive(&mut self, clock: u32) -> Option<(u32, Toc)> {
        let is_ahead = self.end.is_some_and(|end| since(end, clock) > 0);
        if self.sounding || is_ahead {
            return None;
        }
        *self = Self { end: Some(clock.wrapping_add(FRAME_TICKS)), turn: None, ..*self };
        Some((clock, self.toc.unwrap_or(Toc::DEFAULT).dtx()))
    }

    /// Forgets where a silent voice ended once that is long ago: timestamps can be compared for 12 hours,
    /// after which the past would be taken for the future. Call it more often than that.
    pub fn follow(&mut self, clock: u32) {
        if !self.sounding && self.end.is_some_and(|end| since(clock, end) > BEHIND) {
            (self.end, self.turn) = (None, None);
        }
    }

    /// Whether the newest frame was audio.
    pub fn is_sounding(&self) -> bool {
        self.sounding
    }

    fn anchor(&mut self, clock: u32, source: u32) -> u32 {
        let first = self.next_free(clock);
        self.turn = Some(Turn { offset: first.wrapping_sub(source), first, late: 0 });
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
        let range = if paused { -BEHIND_AFTER_PAUSE..=FRAME_TICKS as i32 } else { -BEHIND..=LEAD };
        let on_grid = drift % FRAME_TICKS as i32 == 0 || frame.ticks != FRAME_TICKS;
        range.contains(&drift) && on_grid
    }
}

#[cfg(test)]
mod tests;
