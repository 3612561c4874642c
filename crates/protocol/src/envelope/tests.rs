use proptest::prelude::*;

use super::window::NotNew;
use super::*;

const HALL: &str = "room.hall";

fn keys() -> Keys {
    Keys::new(b"the key of this cluster")
}

fn life(node: &str, boot: u64) -> Life {
    Life { node: NodeId::new(node).unwrap(), boot }
}

/// What one life says; each word has the next number.
struct Speaker {
    life: Life,
    number: u64,
    tick: u64,
}

impl Speaker {
    fn new(node: &str, boot: u64) -> Self {
        Self { life: life(node, boot), number: 0, tick: 0 }
    }

    fn says(&mut self, to: To) -> Envelope {
        self.number += 1;
        let from = self.life.clone();
        Envelope { from, number: self.number, tick: self.tick, to, payload: Bytes::from_static(b"words") }
    }

    fn asks(&mut self, of: &Life, tick: u64) -> Envelope {
        self.says(To::Asked { life: of.clone(), tick })
    }

    fn answers(&mut self, life: &Life, number: u64) -> Envelope {
        self.says(To::Asker { life: life.clone(), number })
    }
}

/// One process that hears.
struct Hearer {
    trust: Trust,
    life: Life,
    ear: Ear,
}

impl Hearer {
    fn new() -> Self {
        let life = life("hearer", 7);
        let trust = Trust::new(life.clone());
        Self { ear: trust.ear(), trust, life }
    }

    fn hears(&mut self, now: u64, envelope: &Envelope) -> Result<(), Refused> {
        self.trust.hear(now, &mut self.ear, envelope)
    }

    /// Asks whether it lives, and gets its answer.
    fn meets(&mut self, now: u64, speaker: &mut Speaker) -> Result<(), Refused> {
        let answer = speaker.answers(&self.life, 1);
        self.trust.answered(now, &speaker.life, 1, &answer)
    }
}

fn what(result: Result<(), Refused>) -> &'static str {
    result.map_or_else(|why| why.what(), |()| "taken")
}

fn any_life() -> impl Strategy<Value = Life> {
    ("[a-z0-9_-][a-z0-9._-]{0,63}", any::<u64>()).prop_map(|(node, boot)| life(&node, boot))
}

fn any_to() -> impl Strategy<Value = To> {
    prop_oneof![
        Just(To::Everybody),
        (any_life(), any::<u64>()).prop_map(|(life, tick)| To::Asked { life, tick }),
        (any_life(), any::<u64>()).prop_map(|(life, number)| To::Asker { life, number }),
    ]
}

prop_compose! {
    fn any_envelope()(
        from in any_life(), number: u64, tick: u64, to in any_to(), payload in prop::collection::vec(any::<u8>(), 0..200)
    ) -> Envelope {
        Envelope { from, number, tick, to, payload: payload.into() }
    }
}

proptest! {
    #[test]
    fn what_was_sealed_is_what_is_opened(envelope in any_envelope()) {
        let sealed = envelope.seal(&keys(), HALL);
        prop_assert!(sealed.len() <= envelope.payload.len() + MAX_OVERHEAD);
        prop_assert_eq!(Envelope::open(&keys(), HALL, sealed), Ok(envelope));
    }

    #[test]
    fn whatever_is_changed_is_noticed(envelope in any_envelope(), at: prop::sample::Index, bit in 0..8u32) {
        let sealed = envelope.seal(&keys(), HALL);
        let mut changed = sealed.to_vec();
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        prop_assert_eq!(Envelope::open(&keys(), HALL, changed.into()), Err(Refused::Forged));
        prop_assert_eq!(Envelope::open(&keys(), HALL, sealed.slice(..at)), Err(Refused::Forged));
        prop_assert_eq!(Envelope::open(&keys(), "room.other", sealed), Err(Refused::Forged));
    }

    #[test]
    fn what_is_signed_and_no_envelope_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let signed = [&bytes[..], &keys().sign(HALL, &bytes)].concat();
        prop_assert!(!matches!(Envelope::open(&keys(), HALL, signed.into()), Err(Refused::Forged)));
    }

    #[test]
    fn a_window_takes_each_number_once(numbers in prop::collection::vec(0..5_000u64, 0..400)) {
        let mut window = Window::open();
        let mut taken = std::collections::HashSet::new();
        let mut newest = 0;
        for number in numbers {
            let is_near = number + 1_024 > newest;
            prop_assert_eq!(window.take(number).is_ok(), is_near && taken.insert(number), "{}", number);
            newest = newest.max(number);
        }
    }

    #[test]
    fn however_things_are_repeated_and_reordered_each_word_is_taken_at_most_once(
        order in prop::collection::vec((0..60usize, 0..40u64), 0..300)
    ) {
        let mut speakers = [Speaker::new("a", 1), Speaker::new("a", 2), Speaker::new("b", 1)];
        let mut hearer = Hearer::new();
        let mut words = Vec::new();
        for tick in 0..10 {
            for speaker in &mut speakers {
                speaker.tick = tick;
                words.push(speaker.says(To::Everybody));
                words.push(speaker.asks(&hearer.life, tick));
            }
        }
        let (mut now, mut taken) = (0, std::collections::HashSet::new());
        for (index, seconds) in order {
            now += seconds / 10;
            hearer.trust.forget(now);
            if hearer.hears(now, &words[index]).is_ok() {
                prop_assert!(taken.insert(index), "{:?} at {}", words[index], now);
            }
        }
    }
}

#[test]
fn the_last_numbers_there_are_are_taken_once_or_not_at_all() {
    for mut window in [Window::open(), Window::after(7)] {
        let taken = [u64::MAX - 1, u64::MAX - 1, u64::MAX, u64::MAX].map(|number| window.take(number));
        assert_eq!(taken, [Ok(()), Err(NotNew::Replayed), Err(NotNew::Late), Err(NotNew::Late)]);
    }
}

#[test]
fn two_keys_are_believed_and_one_signs() {
    let (old, new) = (Keys::new(b"old"), Keys::new(b"new"));
    let envelope = Speaker::new("a", 1).says(To::Everybody);
    let both = Keys::new(b"new").and_believes(b"old");
    for signs in [&old, &new, &both] {
        assert!(Envelope::open(&both, HALL, envelope.seal(signs, HALL)).is_ok());
    }
    assert!(Envelope::open(&new, HALL, envelope.seal(&both, HALL)).is_ok());
    assert_eq!(Envelope::open(&old, HALL, envelope.seal(&both, HALL)), Err(Refused::Forged));
}

#[test]
fn another_version_is_named_and_only_with_the_key() {
    let mut bytes = Speaker::new("edge-9", 1).says(To::Everybody).seal(&keys(), HALL).to_vec();
    bytes.truncate(bytes.len() - SIGNATURE);
    bytes[0] = VERSION + 1;
    let signed = [&bytes[..], &keys().sign(HALL, &bytes)].concat();
    let why = Envelope::open(&keys(), HALL, signed.into()).unwrap_err();
    assert_eq!(why, Refused::Version { node: NodeId::new("edge-9").unwrap(), version: VERSION + 1 });
    let long = vec![0; MAX_ENVELOPE + 1];
    assert_eq!(Envelope::open(&keys(), HALL, long.into()), Err(Refused::Oversized(MAX_ENVELOPE + 1)));
}

#[test]
fn a_request_is_for_one_life_for_a_while_and_once() {
    let (mut hearer, mut asker) = (Hearer::new(), Speaker::new("signaling-1", 1));
    let me = hearer.life.clone();
    let asked = asker.asks(&me, 100);
    assert_eq!(what(hearer.hears(101, &asked)), "taken");
    assert_eq!(what(hearer.hears(101, &asked)), "bus_replayed");
    for (life, tick, is) in [
        (life("hearer", 6), 100, "bus_addressee"),
        (life("other", 7), 100, "bus_addressee"),
        (me.clone(), 80, "bus_late"),
        (me.clone(), 200, "bus_late"),
        (me.clone(), 95, "taken"),
    ] {
        assert_eq!(what(hearer.hears(101, &asker.asks(&life, tick))), is, "{life:?} {tick}");
    }
    // Also where the asker is long forgotten.
    hearer.trust.forget(1_000);
    assert_eq!(what(hearer.hears(1_000, &asked)), "bus_late");
}

#[test]
fn a_recording_is_a_stranger_however_often_it_is_played() {
    let (mut hearer, mut speaker) = (Hearer::new(), Speaker::new("edge-1", 1));
    let recorded = [speaker.says(To::Everybody), speaker.says(To::Everybody)];
    assert_eq!(what(hearer.hears(5, &recorded[0])), "bus_stranger");
    assert!(hearer.trust.to_ask(5, &recorded[0]).is_some());
    assert!(hearer.trust.to_ask(5, &recorded[1]).is_none(), "it was asked, and has not lived on since");
    speaker.tick = 1;
    assert!(hearer.trust.to_ask(6, &speaker.says(To::Everybody)).is_some());
    // It lives: from now on it is heard, and what it said before is not.
    hearer.meets(6, &mut speaker).unwrap();
    assert_eq!(what(hearer.hears(6, &recorded[0])), "bus_stranger", "once: something was missed");
    assert_eq!(what(hearer.hears(6, &recorded[1])), "bus_replayed");
    let said = speaker.says(To::Everybody);
    assert_eq!(what(hearer.hears(6, &said)), "taken");
    assert_eq!(what(hearer.hears(6, &said)), "bus_replayed");
    // Nor by a subscription that is made later.
    hearer.ear = hearer.trust.ear();
    assert_eq!(what(hearer.hears(6, &said)), "bus_replayed");
    assert_eq!(what(hearer.hears(6, &speaker.says(To::Everybody))), "taken");
}

#[test]
fn an_answer_is_to_one_request_of_this_life() {
    let (mut hearer, mut asked) = (Hearer::new(), Speaker::new("edge-1", 1));
    let me = hearer.life.clone();
    for (asker, number, of, is) in [
        (me.clone(), 3, life("edge-1", 1), "taken"),
        (me.clone(), 4, life("edge-1", 1), "bus_addressee"),
        (life("hearer", 6), 3, life("edge-1", 1), "bus_addressee"),
        (me.clone(), 3, life("edge-1", 2), "bus_addressee"),
    ] {
        let answer = asked.answers(&asker, number);
        assert_eq!(what(hearer.trust.answered(1, &of, 3, &answer)), is);
        assert_eq!(what(hearer.hears(1, &answer)), "bus_addressee", "nobody waits for one on a subscription");
    }
}

#[test]
fn a_node_is_asked_as_late_as_it_counts_itself() {
    let (mut hearer, mut speaker) = (Hearer::new(), Speaker::new("edge-1", 1));
    assert_eq!(hearer.trust.address(50, &speaker.life.node), None);
    speaker.tick = 1_000;
    hearer.meets(50, &mut speaker).unwrap();
    let address = hearer.trust.address(53, &speaker.life.node);
    assert_eq!(address, Some((speaker.life.clone(), 1_003)));
    hearer.trust.forget(50 + 100);
    assert_eq!(hearer.trust.address(150, &speaker.life.node), None);
    let own = hearer.life.clone();
    assert_eq!(hearer.trust.address(150, &own.node), Some((own, 150)));
}

#[test]
fn an_outage_makes_nobody_a_stranger_again_and_gives_nobodys_name_away() {
    let mut hearer = Hearer::new();
    let [mut first, mut second] = [1, 2].map(|boot| Speaker::new("edge-1", boot));
    hearer.meets(50, &mut second).unwrap();
    hearer.trust.deaf(1_000);
    hearer.trust.forget(1_001);
    assert_eq!(what(hearer.meets(1_002, &mut first)), "bus_twin");
    assert_eq!(what(hearer.hears(1_002, &second.says(To::Everybody))), "taken");
    hearer.trust.deaf(2_000);
    hearer.trust.forget(2_000 + 30);
    assert!(!hearer.trust.knows(&second.life), "silent since");
}

#[test]
fn of_two_processes_with_one_name_the_later_one_is_believed() {
    let mut hearer = Hearer::new();
    let [mut first, mut second] = [1, 2].map(|boot| Speaker::new("edge-1", boot));
    hearer.meets(10, &mut first).unwrap();
    hearer.meets(10, &mut second).unwrap();
    assert_eq!(what(hearer.hears(10, &first.says(To::Everybody))), "bus_stranger");
    assert_eq!(what(hearer.meets(11, &mut first)), "bus_twin");
    let command = first.asks(&hearer.life.clone(), 11);
    assert_eq!(what(hearer.hears(11, &command)), "bus_twin");
    assert_eq!(what(hearer.hears(11, &second.says(To::Everybody))), "taken");
    // The later one has ended: a name is not held by whoever is silent. So a clock may step back.
    hearer.meets(20, &mut first).unwrap();
    assert_eq!(what(hearer.hears(20, &first.says(To::Everybody))), "taken");
}

#[test]
fn nobody_takes_our_own_name() {
    let mut hearer = Hearer::new();
    for boot in [6, 8] {
        let mut twin = Speaker::new("hearer", boot);
        assert_eq!(what(hearer.meets(100, &mut twin)), "bus_twin", "{boot}");
        assert_eq!(what(hearer.hears(100, &twin.says(To::Everybody))), "bus_stranger", "{boot}");
    }
    let mut me = Speaker { life: hearer.life.clone(), number: 0, tick: 100 };
    assert_eq!(what(hearer.hears(100, &me.says(To::Everybody))), "taken", "one's own words come back");
}

#[test]
fn more_than_can_be_remembered_are_refused_until_others_are_forgotten() {
    let mut hearer = Hearer::new();
    for number in 1..MAX_SENDERS {
        hearer.meets(0, &mut Speaker::new(&format!("e{number}"), 1)).unwrap();
    }
    assert_eq!(what(hearer.meets(0, &mut Speaker::new("more", 1))), "bus_crowd");
    hearer.trust.forget(60);
    assert_eq!(what(hearer.meets(60, &mut Speaker::new("more", 1))), "taken");
}
