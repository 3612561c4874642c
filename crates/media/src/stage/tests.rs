use proptest::prelude::*;

use super::*;

const SPEECH: u8 = 30;
const NOISE: u8 = 80;
const NOTHING: u8 = 127;

/// A stage whose speakers send a packet every 20 ms.
struct Scene {
    now: Instant,
    stage: Stage,
}

impl Scene {
    fn new() -> Self {
        Self { now: crate::testing::start(), stage: Stage::default() }
    }

    /// Everybody sends for `ms`, speaker n at the nth level; the last verdicts.
    fn run(&mut self, ms: u64, levels: &[u8]) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for _ in 0..ms / 20 {
            self.now += Duration::from_millis(20);
            verdicts = self.tick(levels);
        }
        verdicts
    }

    fn tick(&mut self, levels: &[u8]) -> Vec<Verdict> {
        let numbers = (1..).map(SpeakerNumber);
        numbers.zip(levels).map(|(number, &level)| self.stage.hear(self.now, number, level)).collect()
    }

    fn holders(&self) -> Vec<u32> {
        VoiceId::all().filter_map(|voice| self.stage.holder(voice)).map(|number| number.0).collect()
    }
}

#[test]
fn the_first_packet_of_an_interruption_takes_a_free_voice() {
    let mut scene = Scene::new();
    let voices: Vec<_> = VoiceId::all().collect();
    assert_eq!(scene.run(20, &[SPEECH]), [Verdict::Takes { voice: voices[0], from: None }]);
    let verdicts = scene.run(20, &[SPEECH, SPEECH]);
    assert_eq!(verdicts, [Verdict::Holds(voices[0]), Verdict::Takes { voice: voices[1], from: None }]);
}

#[test]
fn the_voice_of_somebody_who_pauses_is_free_at_once_for_the_next() {
    let mut scene = Scene::new();
    scene.run(2_000, &[SPEECH, SPEECH, SPEECH, NOTHING]);
    scene.run(600, &[SPEECH, NOISE, SPEECH, NOTHING]);
    assert_eq!(scene.holders(), [1, 2, 3], "a pause alone takes no voice away");
    let verdict = scene.run(20, &[SPEECH, NOISE, SPEECH, SPEECH])[3];
    assert!(matches!(verdict, Verdict::Takes { from: Some(SpeakerNumber(2)), .. }));
}

#[test]
fn a_cough_steals_no_voice_that_is_in_use() {
    let mut scene = Scene::new();
    scene.run(3_000, &[SPEECH, SPEECH, SPEECH, NOISE]);
    scene.run(400, &[SPEECH, SPEECH, SPEECH, 5]);
    assert_eq!(scene.holders(), [1, 2, 3]);
    scene.run(1_000, &[SPEECH, SPEECH, SPEECH, NOISE]);
    assert_eq!(scene.holders(), [1, 2, 3]);
}

#[test]
fn whoever_is_louder_and_goes_on_is_heard_in_the_end() {
    let mut scene = Scene::new();
    scene.run(3_000, &[SPEECH, 50, SPEECH, NOISE]);
    scene.run(1_500, &[SPEECH, 50, SPEECH, 20]);
    assert_eq!(scene.holders(), [1, 4, 3]);
}

#[test]
fn two_who_are_equally_loud_do_not_take_turns() {
    let mut scene = Scene::new();
    let levels = [SPEECH; 5];
    scene.run(1_000, &levels);
    let before = scene.holders();
    scene.run(10_000, &levels);
    assert_eq!(scene.holders(), before);
}

#[test]
fn silence_takes_no_voice_and_noise_none_that_somebody_has() {
    let mut scene = Scene::new();
    assert_eq!(scene.run(100, &[NOTHING]), [Verdict::Unheard]);
    scene.run(1_000, &[NOISE, NOISE, NOISE, NOISE]);
    assert_eq!(scene.holders(), [1, 2, 3]);
    scene.run(1_000, &[NOISE, NOISE, NOISE, SPEECH]);
    assert!(scene.holders().contains(&4));
}

#[test]
fn whoever_speaks_softly_gets_a_voice_that_nobody_makes_a_sound_on() {
    let mut scene = Scene::new();
    scene.run(2_000, &[SPEECH, SPEECH, SPEECH, NOTHING]);
    scene.run(480, &[NOTHING, NOISE, NOTHING, NOISE]);
    assert_eq!(scene.holders(), [1, 2, 3], "a pause for breath");
    let verdicts = scene.run(100, &[NOTHING, NOISE, NOTHING, NOISE]);
    assert!(matches!(verdicts[3], Verdict::Holds(_)));
    assert!(scene.holders().contains(&2), "who makes a sound, however soft, keeps theirs");
}

#[test]
fn two_who_are_equally_soft_do_not_take_turns() {
    let mut scene = Scene::new();
    let levels = [NOISE, NOISE, NOISE, NOISE, NOISE];
    scene.run(1_000, &levels);
    let before = scene.holders();
    scene.run(10_000, &levels);
    assert_eq!(scene.holders(), before);
}

#[test]
fn silence_keeps_no_voice_from_who_speaks_however_long_it_had_it() {
    let mut scene = Scene::new();
    scene.run(10_000, &[SPEECH, SPEECH, SPEECH]);
    scene.run(520, &[NOTHING, NOTHING, NOTHING]);
    for soft_or_loud in [SILENT - 1, NOISE, AUDIBLE, SPEECH] {
        let verdicts = scene.run(20, &[NOTHING, NOTHING, NOTHING, soft_or_loud]);
        assert_ne!(verdicts[3], Verdict::Unheard, "at −{soft_or_loud} dBov");
        scene.stage.remove(SpeakerNumber(4));
        scene.run(20, &[SPEECH, SPEECH, SPEECH]);
        scene.run(520, &[NOTHING, NOTHING, NOTHING]);
    }
}

#[test]
fn whoever_is_removed_leaves_a_free_voice() {
    let mut scene = Scene::new();
    scene.run(1_000, &[SPEECH; 3]);
    let voice = scene.stage.remove(SpeakerNumber(2)).unwrap();
    assert_eq!(scene.stage.holder(voice), None);
    assert_eq!(scene.stage.remove(SpeakerNumber(2)), None);
    assert!(matches!(
        scene.stage.hear(scene.now, SpeakerNumber(9), SPEECH),
        Verdict::Takes { from: None, .. }
    ));
}

proptest! {
    #[test]
    fn whoever_makes_a_sound_that_only_two_others_make_is_heard(
        rounds in prop::collection::vec((prop::collection::vec(0u8..=127, 5), 1u32..60), 1..60),
        level in 0u8..SILENT,
    ) {
        let mut scene = Scene::new();
        for (levels, packets) in rounds {
            scene.run(u64::from(packets) * 20, &levels);
        }
        // From here on one speaks, one makes a noise, one sends silence, and one nothing.
        let verdicts = scene.run(520, &[SPEECH, NOISE, NOTHING, level]);
        prop_assert_ne!(verdicts[3], Verdict::Unheard, "{:?}", scene.holders());
    }
}
