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
    assert_eq!(voice.keep_alive(clock(0)), (clock(0), Toc(0xF8)));
    assert_eq!(voice.keep_alive(clock(20)), (clock(20), Toc(0xF8)));
}

#[test]
fn nobody_sends_faster_than_time() {
    let mut voice = Voice::default();
    let placed = (0..200).filter(|i| voice.place(clock(0), speech(i * MS_20)).is_ok()).count();
    assert_eq!(placed, 26);
    assert_eq!(voice.place(clock(30), speech(200 * MS_20)), Ok(clock(30)));
}

/// What may happen on a voice.
#[derive(Debug, Clone)]
enum Step {
    Speak { jump: Option<u32>, dtx: bool },
    Pause(u32),
    TakeTurn,
    End,
    KeepAlive,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (prop::option::weighted(0.05, any::<u32>()), prop::bool::weighted(0.1))
            .prop_map(|(jump, dtx)| Step::Speak { jump, dtx }),
        1 => (0u32..200).prop_map(Step::Pause),
        1 => Just(Step::TakeTurn),
        1 => Just(Step::End),
        1 => Just(Step::KeepAlive),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn whatever_happens_time_goes_on_and_follows_the_clock(steps in steps(), start: u32) {
        let mut voice = Voice::default();
        let (mut frame, mut source, mut newest) = (0u32, 0u32, None);
        for step in steps {
            let now = start.wrapping_add(frame * MS_20);
            let placed = match step {
                Step::Pause(frames) => { frame += frames; source = source.wrapping_add(frames * MS_20); None }
                Step::TakeTurn => { voice.begin_turn(); None }
                Step::End => voice.end_turn().map(|(first, _)| (first, 3)),
                Step::KeepAlive => Some((voice.keep_alive(now).0, 1)),
                Step::Speak { jump, dtx } => {
                    (frame, source) = (frame + 1, jump.unwrap_or(source.wrapping_add(MS_20)));
                    voice.place(now, Wanted { dtx, ..speech(source) }).ok().map(|ts| (ts, 1))
                }
            };
            let Some((timestamp, frames)) = placed else { continue };
            prop_assert_eq!(since(timestamp, start) % MS_20 as i32, 0, "on the grid");
            if frames == 1 {
                prop_assert!(since(timestamp, now).abs() <= BEHIND, "near the clock");
            }
            if let Some(newest) = newest {
                prop_assert!(since(timestamp, newest) > 0 || since(newest, timestamp) <= LATE);
            }
            let last = timestamp.wrapping_add((frames - 1) * MS_20);
            newest = Some(newest.map_or(last, |n| if since(last, n) > 0 { last } else { n }));
        }
    }
}
