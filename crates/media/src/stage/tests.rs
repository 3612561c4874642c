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
