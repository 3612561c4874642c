//! Speakers whose client sends no audio level: what they say counts, not how many bytes it takes.

use ropus::{Application, Bitrate, Channels, Encoder};

use super::*;

const FRAME: usize = FRAME_TICKS as usize;

/// 20 ms each of a vowel with four syllables a second, as loud as people speak.
fn speech(frames: usize) -> impl Iterator<Item = Vec<i16>> {
    let sample = |i: usize| {
        let t = i as f64 / 48_000.0;
        let turn = std::f64::consts::TAU * t;
        let formant = |n: f64, at: f64| (-((n * 120.0 - at) / 300.0).powi(2)).exp();
        let harmonics = (1..30).map(f64::from);
        let vowel: f64 = harmonics
            .map(|n| (formant(n, 700.0) + 0.5 * formant(n, 1_200.0) + 0.2 / n) * (n * 120.0 * turn).sin())
            .sum();
        let syllables = 0.3 + 0.7 * (4.0 * turn).sin().abs();
        (1_000.0 * vowel * syllables) as i16
    };
    (0..frames).map(move |frame| (frame * FRAME..(frame + 1) * FRAME).map(sample).collect())
}

fn silence(frames: usize) -> impl Iterator<Item = Vec<i16>> {
    (0..frames).map(|_| vec![0; FRAME])
}

/// What an encoder without DTX makes of it, at a constant bitrate.
fn encode(bits: u32, samples: impl Iterator<Item = Vec<i16>>) -> Vec<Vec<u8>> {
    let encoder = Encoder::builder(48_000, Channels::Mono, Application::Voip);
    let mut encoder = encoder.bitrate(Bitrate::try_bits(bits).unwrap()).vbr(false).build().unwrap();
    let packet = |samples: Vec<i16>| {
        let mut packet = vec![0; 1_500];
        let len = encoder.encode(&samples, &mut packet).unwrap();
        packet.truncate(len);
        packet
    };
    samples.map(packet).collect()
}

impl Origin {
    /// Somebody sends these without their level, one each 20 ms, while `others` speak.
    fn send_bare(&mut self, person: usize, packets: &[Vec<u8>], others: &[usize]) {
        for (count, packet) in (1_000..).zip(packets) {
            let datagram = self.people[person].bare_packet(count * FRAME_TICKS, packet);
            self.receive(person, datagram);
            for &other in others {
                self.say(other, count * FRAME_TICKS, LOUD, &audio(count));
            }
            self.wait(20);
        }
    }

    /// Frames of audio of somebody that went down the tree.
    fn heard_of(&self, person: usize) -> usize {
        let of_them = |frame: &Frame| frame.speaker == number(person) && frame.payload.len() > 2;
        self.tree.iter().filter(|(_, frame)| of_them(frame)).count()
    }
}

#[test]
fn speech_in_few_bytes_is_heard_whole_while_those_with_the_voices_are_silent() {
    let mut origin = Origin::with(4);
    origin.talk(&[0, 1, 2], 0..50);
    origin.wait(1_000);
    origin.forget();
    let packets = encode(12_000, speech(500));
    assert!(packets.iter().all(|packet| packet.len() == 30));
    origin.send_bare(3, &packets, &[]);
    assert_eq!(origin.heard_of(3), 500, "{:?}", origin.stats());
    assert_eq!((origin.stats().levels_heard, origin.stats().levels_assumed), (500, 0));
    assert!(origin.tree.iter().any(|(_, frame)| frame.level < 40), "its level is told to those who listen");
}

#[test]
fn silence_in_many_bytes_holds_no_voice_and_costs_those_who_speak_nothing() {
    let mut origin = Origin::with(4);
    let packets = encode(64_000, silence(1_000));
    assert!(packets.iter().all(|packet| packet.len() == 160));
    origin.send_bare(3, &packets[..100], &[]);
    assert!(origin.heard_of(3) < 15, "{}", origin.heard_of(3));
    origin.forget();
    origin.send_bare(3, &packets[100..], &[0, 1, 2]);
    assert_eq!([0, 1, 2, 3].map(|person| origin.heard_of(person)), [900, 900, 900, 0]);
    assert_eq!(origin.stats().dropped_unheard, 0);
}

#[test]
fn whoever_speaks_softly_is_heard_where_nobody_else_makes_a_sound() {
    let mut origin = Origin::with(4);
    origin.talk(&[0, 1, 2], 0..50);
    origin.wait(1_000);
    origin.forget();
    for count in 0..100 {
        origin.say(3, count * FRAME_TICKS, 80, &audio(count));
        origin.wait(20);
    }
    assert_eq!(origin.heard_of(3), 100);
}

#[test]
fn what_nobody_may_hear_is_not_decoded() {
    let mut origin = Origin::with(2);
    let packets = encode(24_000, speech(50));
    let stranger = origin.join(2);
    origin.send_bare(stranger, &packets, &[]);
    origin.stage(RoomState::Live, &[0]);
    origin.send_bare(0, &packets, &[]);
    origin.talk(&[1], 0..50);
    assert_eq!((origin.stats().levels_heard, origin.stats().levels_assumed), (0, 0));
    assert_eq!(origin.stats().dropped_muted, 100);
}

#[test]
fn whoever_sends_faster_than_time_is_not_decoded_faster_than_time() {
    let mut origin = Origin::with(2);
    let packets = encode(24_000, speech(1_000));
    for (tick, ten) in packets.chunks(10).enumerate() {
        for (i, packet) in ten.iter().enumerate() {
            let timestamp = (tick * 10 + i) as u32 * FRAME_TICKS;
            let datagram = origin.people[0].bare_packet(timestamp, packet);
            origin.receive(0, datagram);
        }
        origin.wait(20);
    }
    let stats = origin.stats();
    assert!((100..=110).contains(&stats.levels_heard), "{stats:?}");
    assert_eq!(stats.levels_heard + stats.levels_assumed, 1_000);
}
