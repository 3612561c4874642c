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
        ear.hear(self.mirror.room(0).unwrap(), 1, hash(&frame.to_le_bytes()), at)
    }
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
    assert_eq!(ear.close(START + 2_000 * MS).received, 3);
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
    assert_eq!(ear.close(START).longest_gap_ns, 60 * MS);
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
    let stay = ear.close(START + 2_000 * MS);
    assert_eq!((stay.from_ns, stay.until_ns), (START, START + 1_500 * MS));
    assert_eq!(stay.received, 75);
    let late = ear.close(START + 60_000 * MS);
    assert_eq!(late.received, 100);
}

#[test]
fn who_has_heard_nothing_was_in_all_the_same() {
    let stay = Ear::new(START).close(START + 5_000 * MS);
    assert_eq!((stay.from_ns, stay.received), (START, 0));
}

#[test]
fn what_was_sent_before_somebody_was_in_is_not_owed() {
    let (speech, mut ear) = (Speech::of(0..10), Ear::new(START + 5 * FRAME));
    assert!(matches!(speech.hear(&mut ear, 1, 200), Heard::Frame { owed: false, .. }));
    assert!(ear.has_heard());
    assert!(matches!(speech.hear(&mut ear, 7, 30), Heard::Frame { owed: true, .. }));
    let stay = ear.close(START + 5_000 * MS);
    assert_eq!((stay.from_ns, stay.received), (START + 7 * FRAME, 1));
}
