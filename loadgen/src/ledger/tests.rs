use super::*;

/// What one speaker says, a frame each 20 ms from `from` on; the frames in `heard` were heard.
fn says(speaker: u32, from: u64, frames: u64, heard: impl Fn(u64) -> bool) -> Vec<Arc<Said>> {
    let mut mouth = Mouth::default();
    let said = (0..frames).map(|frame| {
        let said = mouth.say(0, speaker, &frame.to_le_bytes(), from + frame * FRAME_NS);
        said.heard.store(heard(frame), Ordering::Relaxed);
        Arc::new(said)
    });
    said.collect()
}

fn together(mut said: Vec<Vec<Arc<Said>>>) -> Vec<Arc<Said>> {
    let mut all: Vec<_> = said.drain(..).flatten().collect();
    all.sort_by_key(|said| said.at_ns);
    all
}

fn on_voice_of(all: &[Arc<Said>], speaker: u32) -> usize {
    settle(all).iter().zip(all).filter(|(on, said)| **on && said.speaker == speaker).count()
}

#[test]
fn what_anybody_heard_was_on_a_voice() {
    assert_eq!(on_voice_of(&says(1, 0, 100, |_| true), 1), 100);
}

#[test]
fn a_short_gap_that_nobody_heard_was_lost_on_the_way() {
    let said = says(1, 0, 100, |frame| !(40..50).contains(&frame));
    assert_eq!(on_voice_of(&said, 1), 100);
}

#[test]
fn a_short_gap_while_others_had_all_voices_was_off_the_voice() {
    let gap = |frame: u64| !(40..50).contains(&frame);
    let mut all = vec![says(1, 0, 100, gap), says(2, MS, 100, |_| true), says(3, 2 * MS, 100, |_| true)];
    assert_eq!(on_voice_of(&together(all.clone()), 1), 100, "two others: a voice was left");
    all.push(says(4, 3 * MS, 100, |_| true));
    assert_eq!(on_voice_of(&together(all), 1), 90);
}

#[test]
fn a_soft_start_was_not_on_a_voice() {
    let all = together(vec![says(1, 0, 100, |_| true), says(2, 0, 50, |frame| frame >= 10)]);
    assert_eq!(on_voice_of(&all, 2), 40);
}

#[test]
fn somebody_who_lost_the_voice_for_long_was_off_it() {
    let off = |frame: u64| !(30..70).contains(&frame);
    let all = together(vec![says(1, 0, 100, |_| true), says(2, 0, 100, off)]);
    assert_eq!(on_voice_of(&all, 2), 60);
}

#[test]
fn a_room_that_falls_silent_while_two_speak_has_lost_everything() {
    let outage = |frame: u64| !(100..200).contains(&frame);
    let all = together(vec![says(1, 0, 300, outage), says(2, 5 * MS, 300, outage)]);
    assert_eq!(on_voice_of(&all, 1) + on_voice_of(&all, 2), 600);
}

#[test]
fn frames_are_recognised_by_their_bytes_and_only_once() {
    let mut mirror = Mirror::default();
    let mut mouth = Mouth::default();
    for (at, bytes) in [(0, "one"), (20, "two"), (40, "one")] {
        mirror.note(Arc::new(mouth.say(7, 1, bytes.as_bytes(), at * MS)));
    }
    let room = mirror.room(7).unwrap();
    let find = |bytes: &str, fits: fn(&Said) -> bool| match room.find(1, hash(bytes.as_bytes()), fits) {
        Found::Frame(said) => Ok(said.number),
        Found::Again => Err("again"),
        Found::Unknown => Err("unknown"),
    };
    assert_eq!(find("two", |_| true), Ok(1));
    assert_eq!(find("one", |_| true), Ok(2), "the newest");
    assert_eq!(find("one", |said| said.number < 2), Ok(0));
    assert_eq!(find("one", |_| false), Err("again"));
    assert_eq!(find("three", |_| true), Err("unknown"));
    assert!(mirror.room(8).is_none());
}

#[test]
fn who_comes_into_a_pause_can_hear_nothing_before_its_end() {
    let mut mirror = Mirror::default();
    says(1, 1_000 * MS, 5, |_| true).into_iter().for_each(|said| mirror.note(said));
    let room = mirror.room(0).unwrap();
    assert_eq!(room.sounding_from(500 * MS), Some(1_000 * MS));
    assert_eq!(room.sounding_from(1_030 * MS), Some(1_030 * MS));
    assert_eq!(room.sounding_from(1_200 * MS), None);
}

#[test]
fn pauses_add_up_beyond_the_pace_of_the_frames() {
    let mut mouth = Mouth::default();
    let paused = [0, 20, 40, 540, 560].map(|at| mouth.say(0, 1, b"x", at * MS).paused_ns);
    assert_eq!(paused, [0, 0, 0, 480 * MS, 480 * MS]);
}
