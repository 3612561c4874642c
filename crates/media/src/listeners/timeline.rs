//! Time and order of a room's frames as its listeners see them, whatever the tree does.
//!
//! Each frame is let through once. A new origin starts a higher epoch on a clock of its own: then all
//! timestamps are moved, once, so that they go on from where they were. Ticks count the 20 ms of the
//! room without ever wrapping, because 2^32 is no multiple of a frame.

use std::time::Instant;

use protocol::{Epoch, FRAME_TICKS, Frame, VOICES};

use crate::framing::Timed;
use crate::opus;
use crate::voice::since;

/// A repaired frame is of use to unjoined listeners this long after its successors, in ticks.
const LATE: i64 = 5;

/// A clock this far from where it should be is another clock, in ticks: 10 s.
const OTHER_CLOCK: i64 = 500;

/// Why a frame goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// Of an origin that has been replaced.
    Epoch,
    /// It was here before.
    Duplicate,
    /// Its time is over.
    Late,
}

#[derive(Debug, Default)]
pub(super) struct Timeline {
    epoch: Epoch,
    /// Listeners' time minus the origin's.
    offset: u32,
    newest: Option<Newest>,
    /// First tick of this epoch: what is before belongs to the last one.
    floor: i64,
    voices: [Window; VOICES],
}

/// The newest frame of all voices.
#[derive(Debug, Clone, Copy)]
struct Newest {
    timestamp: u32,
    tick: i64,
    arrived: Instant,
}

impl Timeline {
    /// Places a frame, or says why it has no place.
    pub(super) fn place(&mut self, mut frame: Frame, arrived: Instant) -> Result<Timed, Dropped> {
        if frame.epoch < self.epoch {
            return Err(Dropped::Epoch);
        }
        if frame.epoch > self.epoch || self.is_other_clock(&frame, arrived) {
            self.rebase(&frame, arrived);
        }
        let voice = &mut self.voices[frame.voice.index()];
        let follows = voice.insert(frame.number)?;
        frame.timestamp = frame.timestamp.wrapping_add(self.offset);
        let (tick, on_grid) = self.tick(frame.timestamp);
        let voice = &mut self.voices[frame.voice.index()];
        if tick < self.floor || voice.newest_tick.is_some_and(|newest| newest - tick > LATE) {
            return Err(Dropped::Late);
        }
        voice.newest_tick = voice.newest_tick.max(Some(tick));
        self.note(Newest { timestamp: frame.timestamp, tick, arrived });
        let whole = on_grid && opus::Packet::parse(&frame.payload).is_ok_and(|p| p.ticks() == FRAME_TICKS);
        Ok(Timed { frame, tick, whole, arrived, follows })
    }

    /// The newest tick of all voices.
    pub(super) fn newest_tick(&self) -> i64 {
        self.newest.map_or(0, |newest| newest.tick)
    }

    /// Where a timestamp lies, and whether a frame begins there.
    fn tick(&self, timestamp: u32) -> (i64, bool) {
        let Some(newest) = self.newest else { return (0, true) };
        let ticks = i64::from(since(timestamp, newest.timestamp));
        let frame = i64::from(FRAME_TICKS);
        (newest.tick + ticks.div_euclid(frame), ticks.rem_euclid(frame) == 0)
    }

    /// Keeps only timestamps on the grid, so that an odd frame does not move it.
    fn note(&mut self, frame: Newest) {
        if self.newest.is_none_or(|newest| frame.tick > newest.tick && self.tick(frame.timestamp).1) {
            self.newest = Some(frame);
        }
    }

    fn is_other_clock(&self, frame: &Frame, arrived: Instant) -> bool {
        self.newest.is_some_and(|newest| {
            let (tick, _) = self.tick(frame.timestamp.wrapping_add(self.offset));
            (tick - newest.expected(arrived)).abs() > OTHER_CLOCK
        })
    }

    fn rebase(&mut self, first: &Frame, arrived: Instant) {
        self.epoch = first.epoch;
        self.voices = Default::default();
        let Some(newest) = self.newest else { return };
        self.floor = newest.expected(arrived).max(newest.tick + 1);
        let passed = (self.floor - newest.tick) as u32;
        let timestamp = newest.timestamp.wrapping_add(passed.wrapping_mul(FRAME_TICKS));
        self.offset = timestamp.wrapping_sub(first.timestamp);
        self.newest = Some(Newest { timestamp, tick: self.floor, arrived });
    }
}

impl Newest {
    /// Which tick it is by now, going by the clock on the wall.
    fn expected(&self, now: Instant) -> i64 {
        self.tick + (now.saturating_duration_since(self.arrived).as_millis() / 20) as i64
    }
}

/// Which of the last frames of a voice were here.
#[derive(Debug, Default)]
struct Window {
    highest: Option<u32>,
    /// Bit n: `highest - n` was here.
    seen: u64,
    newest_tick: Option<i64>,
}

impl Window {
    /// Lets each number through once, and says whether the one before it was here, or can no longer be.
    fn insert(&mut self, number: u32) -> Result<bool, Dropped> {
        let ahead = self.highest.map_or(i32::MAX, |highest| since(number, highest));
        if ahead > 0 {
            self.seen = if ahead < 64 { self.seen << ahead | 1 } else { 1 };
            let is_first = self.highest.replace(number).is_none();
            return Ok(is_first || self.seen & 2 != 0);
        }
        let bit = 1u64.checked_shl(ahead.unsigned_abs()).ok_or(Dropped::Late)?;
        if self.seen & bit != 0 {
            return Err(Dropped::Duplicate);
        }
        self.seen |= bit;
        Ok(self.seen & bit << 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use protocol::{SpeakerNumber, VoiceId};

    use super::*;
    use crate::testing;

    const START: u32 = u32::MAX - 4 * FRAME_TICKS;

    fn frame(epoch: u32, voice: usize, number: u32, at: u32) -> Frame {
        Frame {
            epoch: Epoch(epoch),
            number,
            timestamp: START.wrapping_add(at * FRAME_TICKS),
            speaker: SpeakerNumber(1),
            voice: VoiceId::new(voice).unwrap(),
            level: 30,
            payload: Bytes::from_static(&[0x78, 1, 2, 3]),
        }
    }

    #[test]
    fn ticks_count_through_the_wrap_of_timestamps() {
        let mut timeline = Timeline::default();
        let now = testing::start();
        for i in 0..20 {
            let timed = timeline.place(frame(0, 0, i, i), now + Duration::from_millis(20) * i).unwrap();
            assert_eq!((timed.tick, timed.whole, timed.follows), (i64::from(i), true, true));
        }
    }

    #[test]
    fn a_frame_passes_once_and_not_too_late() {
        let mut timeline = Timeline::default();
        let now = testing::start();
        for i in [0, 1, 3, 9] {
            timeline.place(frame(0, 0, i, i), now).unwrap();
        }
        assert_eq!(timeline.place(frame(0, 0, 3, 3), now).err(), Some(Dropped::Duplicate));
        assert_eq!(timeline.place(frame(0, 0, 2, 2), now).err(), Some(Dropped::Late));
        let repaired = timeline.place(frame(0, 0, 5, 5), now).unwrap();
        assert_eq!((repaired.tick, repaired.follows), (5, false));
        assert!(timeline.place(frame(0, 1, 0, 2), now).is_ok(), "each voice has its own lateness");
    }

    #[test]
    fn a_new_origin_goes_on_where_the_last_one_was() {
        let mut timeline = Timeline::default();
        let now = testing::start();
        let before = timeline.place(frame(1, 0, 7, 100), now).unwrap();
        let later = now + Duration::from_millis(100);
        let mut other = frame(2, 0, 0, 0);
        other.timestamp = 123_456_789;
        let after = timeline.place(other.clone(), later).unwrap();
        assert_eq!(after.tick, before.tick + 5);
        assert_eq!(after.frame.timestamp, before.frame.timestamp.wrapping_add(5 * FRAME_TICKS));
        assert!(after.whole);
        assert_eq!(timeline.place(frame(1, 0, 8, 101), later).err(), Some(Dropped::Epoch));

        let earlier =
            Frame { voice: VoiceId::new(1).unwrap(), timestamp: 123_456_789 - FRAME_TICKS, ..other };
        assert_eq!(
            timeline.place(earlier, later).err(),
            Some(Dropped::Late),
            "that is the last origin's ground"
        );
    }

    #[test]
    fn a_clock_that_is_hours_away_is_taken_for_another() {
        let mut timeline = Timeline::default();
        let now = testing::start();
        timeline.place(frame(0, 0, 0, 0), now).unwrap();
        let much_later = now + Duration::from_secs(20 * 3_600);
        let mut late = frame(0, 0, 1, 1);
        late.timestamp = START.wrapping_sub(77_777);
        assert_eq!(timeline.place(late, much_later).unwrap().tick, 20 * 3_600 * 50);
    }

    #[test]
    fn frames_of_another_length_or_off_the_grid_are_not_whole() {
        let mut timeline = Timeline::default();
        let now = testing::start();
        timeline.place(frame(0, 0, 0, 0), now).unwrap();
        let sixty = Frame { payload: Bytes::from_static(&[0x18, 1]), ..frame(0, 0, 1, 1) };
        assert!(!timeline.place(sixty, now).unwrap().whole);
        let mut odd = frame(0, 0, 2, 4);
        odd.timestamp = odd.timestamp.wrapping_add(480);
        let odd = timeline.place(odd, now).unwrap();
        assert_eq!((odd.whole, odd.tick), (false, 4));
        assert!(timeline.place(frame(0, 0, 3, 5), now).unwrap().whole, "the grid has not moved");
    }
}
