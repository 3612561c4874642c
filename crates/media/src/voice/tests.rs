use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MS_20: u32 = FRAME_TICKS;
/// Close to the wrap, so that every test crosses it.
const START: u32 = u32::MAX - 10 * MS_20;

fn speech(source: u32) -> Wanted {
    Wanted { source, ticks: MS_20, toc: Toc(0x78), dtx: false }
}

fn dtx(source: u32) -> Wanted {
    Wanted { dtx: true, ..speech(source) }
}

fn clock(frames: u32) -> u32 {
    START.wrapping_add(frames * MS_20)
}

#[test]
fn the_clock_runs_on_a_grid_of_20_ms() {
    let start = crate::testing::start();
    let room = RoomClock::new(start, START);
    assert_eq!(room.at(start), START);
    assert_eq!(room.at(start + Duration::from_millis(19)), START);
    assert_eq!(room.at(start + Duration::from_millis(41)), clock(2));
    assert_eq!(room.at(start + Duration::from_secs(1)), clock(50));
}

#[test]
fn speakers_take_turns_on_one_timeline() {
    let mut voice = Voice::default();
    assert_eq!(voice.place(clock(0), speech(7_000)), Ok(clock(0)));
    assert_eq!(voice.place(clock(1), speech(7_960)), Ok(clock(1)));
    voice.begin_turn();
    assert_eq!(voice.place(clock(2), speech(51)), Ok(clock(2)));
    assert_eq!(voice.place(clock(3), speech(1_011)), Ok(clock(3)));
    voice.begin_turn();
    assert_eq!(voice.place(clock(3), speech(900_000)), Ok(clock(4)), "that place is taken");
}

#[test]
fn a_pause_is_as_long_as_it_was() {
    let mut voice = Voice::default();
    voice.place(clock(0), speech(0)).unwrap();
    voice.place(clock(1), dtx(MS_20)).unwrap();
    assert_eq!(voice.place(clock(40), speech(40 * MS_20)), Ok(clock(40)));
}

#[test]
fn a_source_whose_clock_stood_still_follows_the_room_again() {
    let mut voice = Voice::default();
    voice.place(clock(0), speech(0)).unwrap();
    voice.place(clock(1), dtx(MS_20)).unwrap();
    assert_eq!(voice.place(clock(40), speech(2 * MS_20)), Ok(clock(40)));
}

#[test]
fn a_source_whose_clock_jumps_goes_on_without_a_hole() {
    let mut voice = Voice::default();
    voice.place(clock(0), speech(0)).unwrap();
    assert_eq!(voice.place(clock(1), speech(123_456_789)), Ok(clock(1)));
    assert_eq!(voice.place(clock(2), speech(5)), Ok(clock(2)));
    assert_eq!(voice.place(clock(3), speech(5 + MS_20 + 7)), Ok(clock(3)), "off the grid");
}

#[test]
fn a_late_frame_fills_its_hole_but_never_somebody_elses_ground() {
    let mut voice = Voice::default();
    for i in [0, 1, 3] {
        voice.place(clock(i), speech(i * MS_20)).unwrap();
    }
    assert_eq!(voice.place(clock(4), speech(2 * MS_20)), Ok(clock(2)));
    assert_eq!(voice.place(clock(4), speech(4 * MS_20)), Ok(clock(4)), "the newest is still the newest");
    voice.begin_turn();
    voice.place(clock(5), speech(70_000)).unwrap();
    assert_eq!(voice.place(clock(6), speech(70_000 - MS_20)), Err(Misplaced::Late));
}

#[test]
fn a_turn_ends_with_three_dtx_frames_and_only_once() {
    let mut voice = Voice::default();
    voice.place(clock(0), speech(0)).unwrap();
    assert_eq!(voice.end_turn(), Some((clock(1), Toc(0x78))));
    assert_eq!(voice.end_turn(), None);
    assert_eq!(voice.place(clock(2), speech(99)), Ok(clock(4)), "the ending has its place too");
}

#[test]
fn a_silent_voice_follows_the_clock() {
    let mut voice = Voice::default();
    assert_eq!(voice.keep_alive(clock(0)), Some((clock(0), Toc(0xF8))));
    assert_eq!(voice.keep_alive(clock(20)), Some((clock(20), Toc(0xF8))));
}

#[test]
fn what_shows_that_the_room_is_there_takes_no_moment_ahead_of_the_clock() {
    let mut voice = Voice::default();
    voice.place(clock(0), speech(0)).unwrap();
    assert_eq!(voice.keep_alive(clock(9)), None, "it sounds");
    voice.end_turn();
    assert_eq!(voice.keep_alive(clock(3)), None, "its ending is not over");
    assert_eq!(voice.keep_alive(clock(4)), Some((clock(4), Toc(0x78))));
    assert_eq!(voice.keep_alive(clock(4)), None, "that moment is taken");
}

#[test]
fn a_voice_that_nobody_used_for_a_day_is_still_there() {
    let mut voice = Voice::default();
    voice.place(clock(0), speech(0)).unwrap();
    voice.end_turn();
    for hour in 1..=24 {
        voice.follow(clock(hour * 3_600 * 50));
    }
    let now = clock(20 * 3_600 * 50);
    assert_eq!(voice.place(now, speech(7)), Ok(now), "not in 2^31 ticks, when past and future look alike");
}

#[test]
fn a_source_whose_clock_jumps_back_is_heard_again_at_once() {
    let mut voice = Voice::default();
    for i in 0..100 {
        voice.place(clock(i), speech(i * MS_20)).unwrap();
    }
    let refused =
        (100..150).take_while(|&i| voice.place(clock(i), speech((i - 40) * MS_20)).is_err()).count();
    assert_eq!(refused, usize::from(STRAGGLERS));
    assert!((110..200).all(|i| voice.place(clock(i), speech((i - 40) * MS_20)).is_ok()));
}

#[test]
fn nobody_sends_faster_than_time() {
    let mut voice = Voice::default();
    let placed = (0..200).filter(|i| voice.place(clock(0), speech(i * MS_20)).is_ok()).count();
    assert_eq!(placed, 10);
    assert_eq!(voice.place(clock(30), speech(200 * MS_20)), Ok(clock(30)));
}

/// What may happen on a voice.
#[derive(Debug, Clone)]
enum Step {
    /// So many frames of `ticks` each, all of them in the same moment.
    Speak {
        frames: u32,
        ticks: u32,
        jump: Option<u32>,
        dtx: bool,
    },
    Pause(u32),
    TakeTurn,
    End,
    KeepAlive,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let jump = prop_oneof![any::<u32>(), (0u32..100).prop_map(|frames| (frames * MS_20).wrapping_neg())];
    let frames = prop_oneof![20 => Just(1u32), 1 => 0u32..40];
    let ticks = prop_oneof![9 => Just(MS_20), 1 => Just(3 * MS_20)];
    let step = prop_oneof![
        10 => (frames, ticks, prop::option::weighted(0.05, jump), prop::bool::weighted(0.1))
            .prop_map(|(frames, ticks, jump, dtx)| Step::Speak { frames, ticks, jump, dtx }),
        1 => (0u32..200).prop_map(Step::Pause),
        1 => Just(Step::TakeTurn),
        1 => Just(Step::End),
        1 => Just(Step::KeepAlive),
    ];
    prop::collection::vec(step, 1..200)
}

/// A voice with its clock, and how its rules are kept.
struct Played {
    voice: Voice,
    start: u32,
    frame: u32,
    source: u32,
    newest: Option<u32>,
}

impl Played {
    fn new(start: u32) -> Self {
        Self { voice: Voice::default(), start, frame: 0, source: 0, newest: None }
    }

    fn now(&self) -> u32 {
        self.start.wrapping_add(self.frame * MS_20)
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now();
        match *step {
            Step::Pause(frames) => {
                self.frame += frames;
                self.source = self.source.wrapping_add(frames * MS_20);
            }
            Step::TakeTurn => self.voice.begin_turn(),
            Step::End => {
                if let Some((first, _)) = self.voice.end_turn() {
                    self.check(first, ENDING_FRAMES * MS_20)?;
                }
            }
            Step::KeepAlive => {
                if let Some((timestamp, _)) = self.voice.keep_alive(now) {
                    prop_assert_eq!(timestamp, now, "a keep-alive makes no lead");
                    self.check(timestamp, MS_20)?;
                }
            }
            Step::Speak { frames, ticks, jump, dtx } => {
                self.source = self.source.wrapping_add(jump.unwrap_or(0));
                for _ in 0..frames {
                    self.source = self.source.wrapping_add(ticks);
                    let wanted = Wanted { ticks, dtx, ..speech(self.source) };
                    if let Ok(timestamp) = self.voice.place(now, wanted) {
                        self.check(timestamp, ticks)?;
                    }
                }
                self.frame += 1;
            }
        }
        self.voice.follow(self.now());
        let lead = self.voice.end.map_or(0, |end| since(end, self.now()));
        prop_assert!(lead <= LEAD + ENDING_FRAMES as i32 * MS_20 as i32, "{} ahead of the clock", lead);
        Ok(())
    }

    /// Something lies on the voice from here on, for so long.
    fn check(&mut self, timestamp: u32, ticks: u32) -> Result<(), TestCaseError> {
        prop_assert!(self.newest.is_none_or(|newest| since(timestamp, newest) >= -LATE), "time goes on");
        if self.newest.is_none_or(|newest| since(timestamp, newest) >= 0) {
            self.newest = Some(timestamp.wrapping_add(ticks));
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_happens_time_goes_on_and_is_hardly_ahead_of_the_clock(steps in steps(), start: u32) {
        let mut played = Played::new(start);
        steps.iter().try_for_each(|step| played.take(step))?;
    }

    #[test]
    fn whoever_speaks_is_heard_within_100_ms_whatever_happened_before(
        steps in steps(), start: u32, source: u32, is_new: bool,
    ) {
        let mut played = Played::new(start);
        steps.iter().try_for_each(|step| played.take(step))?;
        if is_new {
            played.voice.begin_turn();
        }
        let is_heard: Vec<_> = (0..100).map(|count| {
            let placed = played.voice.place(played.now(), speech(source.wrapping_add(count * MS_20)));
            played.frame += 1;
            placed.is_ok()
        }).collect();
        let first = is_heard.iter().position(|&heard| heard);
        prop_assert!(first.is_some_and(|refused| refused <= 5), "{:?}", is_heard);
        let refused = is_heard.iter().filter(|&&heard| !heard).count();
        prop_assert!(refused <= 5, "{:?}", is_heard);
    }
}
