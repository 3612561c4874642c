use super::*;
use crate::ledger::{Mirror, Mouth, hash};

const FRAME: u64 = 20 * MS;
const START: u64 = 1_000_000 * MS;

/// A speaker who says a frame every 20 ms, but for the pauses.
struct Speech {
    mirror: Mirror,
    mouth: Mouth,
}

impl Speech {
    fn new() -> Self {
        Self { mirror: Mirror::default(), mouth: Mouth::default() }
    }

    fn of(frames: std::ops::Range<u64>) -> Self {
        let mut speech = Self::new();
        frames.for_each(|frame| speech.say(frame));
        speech
    }

    fn say(&mut self, frame: u64) {
        let said = self.mouth.say(0, 1, &frame.to_le_bytes(), START + frame * FRAME);
        self.mirror.note(Arc::new(said));
    }

    /// Somebody else says something then, and is heard.
    fn interrupt(&mut self, frame: u64) {
        let said = Mouth::default().say(0, 2, b"other", START + frame * FRAME);
        said.heard.store(true, Ordering::Relaxed);
        self.mirror.note(Arc::new(said));
    }

    fn hear(&self, ear: &mut Ear, frame: u64, delay: u64) -> Heard {
        let at = START + frame * FRAME + delay * MS;
        ear.hear(self.room(), 1, hash(&frame.to_le_bytes()), at)
    }

    fn room(&self) -> &Room {
        self.mirror.room(0).unwrap()
    }
}

/// The ear of somebody at the first nodes.
fn ear_from(ready_ns: u64) -> Ear {
    Ear::new(ready_ns, Via::default())
}

/// The one stay of somebody who changed nothing.
fn close(ear: &mut Ear, now_ns: u64) -> Stay {
    let stays = ear.close(None, now_ns);
    assert_eq!(stays.len(), 1);
    stays[0]
}

#[test]
fn each_frame_is_heard_once_with_its_latency() {
    let (speech, mut ear) = (Speech::of(0..10), Ear::default());
    for frame in 0..10 {
        let Heard::Frame { latency_ns, .. } = speech.hear(&mut ear, frame, 30) else { panic!("{frame}") };
        assert_eq!(latency_ns, 30 * MS);
    }
    assert_eq!(speech.hear(&mut ear, 9, 31), Heard::Again);
    assert_eq!(speech.hear(&mut ear, 10, 31), Heard::Unknown);
}

#[test]
fn a_repaired_frame_counts_and_a_late_one_does_not() {
    let (speech, mut ear) = (Speech::of(0..4), Ear::default());
    speech.hear(&mut ear, 0, 30);
    speech.hear(&mut ear, 3, 30);
    assert!(matches!(speech.hear(&mut ear, 1, 130), Heard::Frame { gap_ns: 0, .. }));
    assert_eq!(speech.hear(&mut ear, 2, 501), Heard::Late);
    assert_eq!(close(&mut ear, START + 2_000 * MS).received, 3);
}

#[test]
fn joined_frames_are_a_gap_of_their_packets_and_a_speakers_pause_is_none() {
    let (mut speech, mut ear) = (Speech::of(0..6), Ear::default());
    (100..103).for_each(|frame| speech.say(frame));
    let gaps: Vec<u64> = [(0, 60), (1, 40), (2, 20), (3, 60), (4, 40), (5, 20), (100, 60)]
        .into_iter()
        .map(|(frame, delay)| match speech.hear(&mut ear, frame, delay) {
            Heard::Frame { gap_ns, .. } => gap_ns / MS,
            other => panic!("{frame}: {other:?}"),
        })
        .collect();
    assert_eq!(gaps, [0, 0, 0, 60, 0, 0, 60]);
    assert_eq!(close(&mut ear, START).longest_gap_ns, 60 * MS);
}

#[test]
fn a_hole_in_the_sound_is_a_gap() {
    let (speech, mut ear) = (Speech::of(0..20), Ear::default());
    speech.hear(&mut ear, 0, 30);
    let Heard::Frame { gap_ns, .. } = speech.hear(&mut ear, 10, 30) else { panic!("it is heard") };
    assert_eq!(gap_ns, 200 * MS);
}

#[test]
fn a_silence_in_the_whole_room_is_a_gap_and_the_loss_of_a_voice_is_none() {
    for (interrupted, expected) in [(false, 40 * FRAME), (true, 0)] {
        let (mut speech, mut ear) = (Speech::of(0..60), Ear::default());
        if interrupted {
            speech.interrupt(20);
        }
        speech.hear(&mut ear, 0, 30);
        let Heard::Frame { gap_ns, .. } = speech.hear(&mut ear, 40, 30) else { panic!("it is heard") };
        assert_eq!(gap_ns, expected);
    }
}

#[test]
fn what_was_sent_in_the_last_half_second_does_not_count() {
    let (speech, mut ear) = (Speech::of(0..100), Ear::default());
    (0..100).for_each(|frame| assert_ne!(speech.hear(&mut ear, frame, 30), Heard::Unknown));
    let stay = close(&mut ear, START + 2_000 * MS);
    assert_eq!((stay.from_ns, stay.until_ns), (START, START + 1_500 * MS));
    assert_eq!(stay.received, 75);
    let late = close(&mut ear, START + 60_000 * MS);
    assert_eq!(late.received, 100);
}

#[test]
fn who_has_heard_nothing_was_in_all_the_same() {
    let stay = close(&mut ear_from(START), START + 5_000 * MS);
    assert_eq!((stay.from_ns, stay.received), (START, 0));
}

#[test]
fn what_was_sent_before_somebody_was_in_is_not_owed() {
    let (speech, mut ear) = (Speech::of(0..10), ear_from(START + 5 * FRAME));
    assert!(matches!(speech.hear(&mut ear, 1, 200), Heard::Frame { owed: false, .. }));
    assert!(ear.has_heard());
    assert!(matches!(speech.hear(&mut ear, 7, 30), Heard::Frame { owed: true, .. }));
    let stay = close(&mut ear, START + 5_000 * MS);
    assert_eq!((stay.from_ns, stay.received), (START + 7 * FRAME, 1));
}

const FIRST: Via = Via { media: 0, signaling: 0 };
const SECOND: Via = Via { media: 1, signaling: 0 };

#[test]
fn a_gap_belongs_to_the_node_where_it_began() {
    let (speech, mut ear) = (Speech::of(0..100), Ear::new(START, FIRST));
    (0..20).for_each(|frame| assert_ne!(speech.hear(&mut ear, frame, 30), Heard::Unknown));
    // The first node dies after frame 19, and the second has its first packet 300 ms later.
    ear.moves(START + 34 * FRAME, SECOND);
    (35..40).for_each(|frame| assert_ne!(speech.hear(&mut ear, frame, 30), Heard::Unknown));
    // It loses three frames of its own.
    (43..75).for_each(|frame| assert_ne!(speech.hear(&mut ear, frame, 30), Heard::Unknown));
    let stays = ear.close(None, START + 2_000 * MS);
    let of = |stay: &Stay| (stay.via, (stay.from_ns - START) / FRAME, (stay.until_ns - START) / FRAME);
    assert_eq!(stays.iter().map(of).collect::<Vec<_>>(), [(SECOND, 34, 75), (FIRST, 0, 34)]);
    assert_eq!(stays.iter().map(|stay| stay.received).collect::<Vec<_>>(), [5 + 32, 20]);
    let gaps: Vec<_> = stays.iter().map(|stay| stay.longest_gap_ns / FRAME).collect();
    assert_eq!(gaps, [4, 16]);
}

#[test]
fn who_leaves_just_after_a_change_is_owed_nothing_there() {
    let (speech, mut ear) = (Speech::of(0..50), Ear::new(START, FIRST));
    (0..50).for_each(|frame| {
        if frame == 45 {
            ear.moves(START + 45 * FRAME, SECOND);
        }
        assert_ne!(speech.hear(&mut ear, frame, 10), Heard::Unknown);
    });
    let stays = ear.close(None, START + 1_000 * MS);
    assert_eq!(stays.iter().map(|stay| stay.received).collect::<Vec<_>>(), [0, 25]);
    assert_eq!(stays[1].until_ns, START + 500 * MS);
    assert!(stays[0].from_ns > stays[0].until_ns, "it counts for nothing");
}

#[test]
fn who_has_fallen_deaf_for_good_has_a_gap_all_the_same() {
    let (speech, mut ear, mut other) = (Speech::of(0..100), ear_from(START), ear_from(START));
    (0..100).for_each(|frame| assert_ne!(speech.hear(&mut other, frame, 30), Heard::Unknown));
    (0..10).for_each(|frame| assert_ne!(speech.hear(&mut ear, frame, 30), Heard::Unknown));
    let stays = ear.close(Some(speech.room()), START + 2_000 * MS);
    // From frame 9, 30 ms after it was sent, to the last that counts: 74.
    assert_eq!(stays[0].longest_gap_ns, 65 * FRAME - 30 * MS);
    assert_eq!(other.close(Some(speech.room()), START + 2_000 * MS)[0].longest_gap_ns, FRAME);
}

#[test]
fn a_frame_that_is_too_late_to_be_played_ends_no_gap() {
    let (speech, mut ear) = (Speech::of(0..100), ear_from(START));
    speech.hear(&mut ear, 0, 30);
    (1..40).for_each(|frame| assert_eq!(speech.hear(&mut ear, frame, 1_500 - frame * 20), Heard::Late));
    let Heard::Frame { gap_ns, .. } = speech.hear(&mut ear, 75, 30) else { panic!("it is heard") };
    assert_eq!(gap_ns, 75 * FRAME);
}

#[test]
fn what_the_peer_before_has_brought_is_no_duplicate_of_the_server() {
    let (speech, mut ear) = (Speech::of(0..20), ear_from(START));
    (0..10).for_each(|frame| assert_ne!(speech.hear(&mut ear, frame, 30), Heard::Unknown));
    ear.comes_over(START + 11 * FRAME, START + 11 * FRAME, FIRST);
    assert_eq!(speech.hear(&mut ear, 8, 70), Heard::Before);
    (10..20).for_each(|frame| assert_ne!(speech.hear(&mut ear, frame, 30), Heard::Unknown));
    assert_eq!(speech.hear(&mut ear, 12, 70), Heard::Again);
    assert_eq!(close(&mut ear, START + 2_000 * MS).received, 20);
}
