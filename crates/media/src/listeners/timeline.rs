//! Time and order of a room's frames as its listeners see them, whatever the tree does.
//!
//! Each frame is let through once. A new origin starts a higher epoch on a clock of its own: then all
//! timestamps are moved, once, so that they go on from where they were. So they do where a room had no
//! origin, and silence was made in its place. Ticks count the 20 ms of the room without ever wrapping,
//! because 2^32 is no multiple of a frame.

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::{Epoch, FRAME_TICKS, Frame, SpeakerNumber, VOICES, VoiceId};

use crate::audience::NO_LEVEL;
use crate::framing::Timed;
use crate::opus::{self, Toc};
use crate::voice::since;

/// A repaired frame is of use to unjoined listeners this long after its successors, in ticks.
const LATE: i64 = 5;

/// A clock this far from where it should be is another clock, in ticks: 10 s.
const OTHER_CLOCK: i64 = 500;

/// Length of a tick.
const FRAME: Duration = Duration::from_millis(20);

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
    /// Of the newest origin; none before the first.
    epoch: Option<Epoch>,
    /// Listeners' time minus the origin's.
    offset: u32,
    newest: Option<Newest>,
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
        let epoch = Some(frame.epoch);
        if epoch < self.epoch {
            return Err(Dropped::Epoch);
        }
        if epoch > self.epoch || self.is_other_clock(&frame, arrived) {
            self.rebase(&frame, arrived);
        }
        let voice = &mut self.voices[frame.voice.index()];
        let follows = voice.insert(frame.number)?;
        frame.timestamp = frame.timestamp.wrapping_add(self.offset);
        let (tick, on_grid) = self.tick(frame.timestamp);
        self.voices[frame.voice.index()].reach(tick)?;
        self.note(Newest { timestamp: frame.timestamp, tick, arrived });
        let whole = on_grid && opus::Packet::parse(&frame.payload).is_ok_and(|p| p.ticks() == FRAME_TICKS);
        Ok(Timed { frame, tick, whole, arrived, follows })
    }

    /// A frame of silence, at the moment that it is, in place of those that do not come. `base` is where
    /// timestamps begin if none ever came: random.
    pub(super) fn fill(&mut self, voice: VoiceId, now: Instant, base: u32) -> Timed {
        let first = Newest { timestamp: base, tick: 0, arrived: now };
        let next = self.newest.map_or(first, |newest| newest.next(now));
        self.newest = Some(next);
        self.voices[voice.index()].newest_tick = Some(next.tick);
        let frame = Frame {
            epoch: self.epoch.unwrap_or_default(),
            number: 0,
            timestamp: next.timestamp,
            speaker: SpeakerNumber::NOBODY,
            voice,
            level: NO_LEVEL,
            payload: Bytes::from_static(&[Toc::DEFAULT.0]),
        };
        Timed { frame, tick: next.tick, whole: true, arrived: now, follows: true }
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
        self.epoch = Some(first.epoch);
        self.voices.iter_mut().for_each(Window::rebase);
        let Some(newest) = self.newest else { return };
        let next = newest.next(arrived);
        self.offset = next.timestamp.wrapping_sub(first.timestamp);
        self.newest = Some(Newest { arrived, ..next });
    }
}

impl Newest {
    /// Which tick it is by now, going by the clock on the wall.
    fn expected(&self, now: Instant) -> i64 {
        self.tick + (now.saturating_duration_since(self.arrived).as_millis() / 20) as i64
    }

    /// What goes on from here at `now`. It counts as having come at its own moment, or what a timer is late
    /// by would add up.
    fn next(self, now: Instant) -> Self {
        let tick = self.expected(now).max(self.tick + 1);
        let passed = (tick - self.tick) as u32;
        let timestamp = self.timestamp.wrapping_add(passed.wrapping_mul(FRAME_TICKS));
        Self { timestamp, tick, arrived: self.arrived + FRAME * passed }
    }
}

/// Which of the last frames of a voice were here.
#[derive(Debug, Default)]
struct Window {
    highest: Option<u32>,
    /// Bit n: `highest - n` was here.
    seen: u64,
    newest_tick: Option<i64>,
    /// The last tick of the last epoch: what is not after it belongs to that one.
    floor: Option<i64>,
}

impl Window {
    /// Another epoch: its frames come after those of the last one.
    fn rebase(&mut self) {
        *self = Self { floor: self.newest_tick.or(self.floor), ..Self::default() };
    }

    /// Lets a tick through that is not too late.
    fn reach(&mut self, tick: i64) -> Result<(), Dropped> {
        let is_late = self.newest_tick.is_some_and(|newest| newest - tick > LATE);
        if is_late || self.floor.is_some_and(|floor| tick <= floor) {
            return Err(Dropped::Late);
        }
        self.newest_tick = self.newest_tick.max(Some(tick));
        Ok(())
    }

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

        let back = |voice, ticks| Frame {
            voice: VoiceId::new(voice).unwrap(),
            number: 1,
            timestamp: 123_456_789 - ticks * FRAME_TICKS,
            ..other.clone()
        };
        assert!(timeline.place(back(0, 4), later).is_ok());
        assert_eq!(
            timeline.place(Frame { number: 2, ..back(0, 5) }, later).err(),
            Some(Dropped::Late),
            "that is the last origin's ground"
        );
        assert!(timeline.place(back(1, 5), later).is_ok(), "of this voice it had none");
    }

    #[test]
    fn a_voice_that_begins_a_little_behind_the_first_is_heard_from_its_first_frame() {
        let mut timeline = Timeline::default();
        let now = testing::start();
        timeline.place(frame(1, 1, 0, 10), now).unwrap();
        assert_eq!(timeline.place(frame(1, 0, 0, 8), now).unwrap().tick, -2);
        assert_eq!(timeline.place(frame(1, 0, 1, 9), now).unwrap().tick, -1);
    }

    /// Silence on the first voice, at so many ms.
    fn silence(timeline: &mut Timeline, start: Instant, ms: u64) -> Timed {
        timeline.fill(VoiceId::new(0).unwrap(), start + Duration::from_millis(ms), START)
    }

    #[test]
    fn the_first_origin_goes_on_where_the_silence_was() {
        let mut timeline = Timeline::default();
        let now = testing::start();
        // The timer is always a little late.
        for (i, late) in [0, 7, 14, 3, 19].into_iter().enumerate() {
            let made = silence(&mut timeline, now, i as u64 * 400 + late);
            assert_eq!(made.tick, i as i64 * 20);
            assert_eq!(made.frame.timestamp, START.wrapping_add(i as u32 * 20 * FRAME_TICKS));
            assert!(opus::is_dtx(&made.frame.payload) && made.whole);
        }
        // Even one that says that it is the very first: epoch 0, and on the same clock.
        let mut first = frame(0, 0, 0, 0);
        first.timestamp = START.wrapping_add(3 * FRAME_TICKS);
        let first = timeline.place(first, now + Duration::from_millis(1_700)).unwrap();
        assert_eq!(first.tick, 85);
        assert_eq!(first.frame.timestamp, START.wrapping_add(85 * FRAME_TICKS));
    }

    #[test]
    fn silence_takes_over_from_an_origin_and_gives_back_to_it_or_to_the_next() {
        let mut timeline = Timeline::default();
        let now = testing::start();
        let at = |ms| now + Duration::from_millis(ms);
        let before = timeline.place(frame(1, 0, 7, 100), now).unwrap();
        let made = silence(&mut timeline, now, 400);
        assert_eq!(made.tick, before.tick + 20);
        assert_eq!(made.frame.timestamp, before.frame.timestamp.wrapping_add(20 * FRAME_TICKS));
        assert_eq!(timeline.place(frame(1, 0, 8, 101), at(410)).err(), Some(Dropped::Late));
        // It lives, and its clock went on as ours did.
        let back = timeline.place(frame(1, 0, 9, 121), at(420)).unwrap();
        assert_eq!(
            (back.tick, back.frame.timestamp),
            (before.tick + 21, START.wrapping_add(121 * FRAME_TICKS))
        );
        silence(&mut timeline, now, 800);
        let after = timeline.place(Frame { timestamp: 77, ..frame(2, 0, 0, 0) }, at(840)).unwrap();
        assert_eq!(after.tick, before.tick + 42);
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
