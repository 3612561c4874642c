use bytes::Bytes;
use proptest::prelude::*;
use protocol::{Epoch, VoiceId};

use super::*;
use crate::{rtp, testing};

/// What left: timestamp in ticks, frames, level, marker.
type Left = (i64, Vec<Vec<u8>>, u8, bool);

/// One framing, and a voice that numbers its frames.
struct Scene {
    start: Instant,
    framing: Framing,
    packets: Packets,
    numbers: [u32; VOICES],
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn audio(tick: i64) -> Vec<u8> {
    vec![tick as u8; 3]
}

/// `Left` of frames that were made by [`audio`], at their usual level.
fn joined(marker: bool, ticks: std::ops::RangeInclusive<i64>) -> Left {
    (*ticks.start(), ticks.map(audio).collect(), 30, marker)
}

impl Scene {
    fn new(frames: usize, phase: usize) -> Self {
        let start = testing::start();
        Self {
            start,
            framing: Framing::new(start, frames, phase),
            packets: Packets::default(),
            numbers: [0; VOICES],
        }
    }

    /// A frame of voice 0 that arrives when it should.
    fn frame(&mut self, tick: i64) -> Timed {
        self.frame_of(0, tick)
    }

    fn frame_of(&mut self, voice: usize, tick: i64) -> Timed {
        let number = self.numbers[voice];
        self.numbers[voice] += 1;
        let frame = Frame {
            epoch: Epoch(1),
            number,
            timestamp: tick as u32 * FRAME_TICKS,
            speaker: SpeakerNumber(1),
            voice: VoiceId::new(voice).unwrap(),
            level: 30,
            payload: [&[0x78], &audio(tick)[..]].concat().into(),
        };
        Timed { frame, tick, whole: true, arrived: self.start + ms(20 * tick as u64), follows: true }
    }

    fn dtx(&mut self, tick: i64) -> Timed {
        let mut timed = self.frame(tick);
        timed.frame.payload = Bytes::from_static(&[0x78]);
        timed
    }

    /// What leaves when this arrives.
    fn push(&mut self, timed: Timed) -> Result<Vec<Left>, TooLate> {
        self.framing.push(timed, &mut self.packets)?;
        Ok(self.left())
    }

    fn say(&mut self, tick: i64) -> Vec<Left> {
        let timed = self.frame(tick);
        self.push(timed).unwrap()
    }

    fn wait_until(&mut self, at: Duration) -> Vec<Left> {
        self.framing.on_timeout(self.start + at, &mut self.packets);
        self.left()
    }

    fn left(&mut self) -> Vec<Left> {
        let left = self.packets.iter().map(|bytes| {
            let packet = rtp::Packet::parse(bytes).unwrap();
            let opus = opus::Packet::parse(packet.payload).unwrap();
            let frames = opus.frames().iter().map(|frame| frame.to_vec()).collect();
            let level = bytes[bytes.len() - packet.payload.len() - 3] & 0x7F;
            (i64::from(packet.timestamp / FRAME_TICKS), frames, level, packet.marker)
        });
        let left = left.collect();
        self.packets.clear();
        left
    }
}

const NOTHING: [Left; 0] = [];

#[test]
fn three_frames_leave_as_one_when_the_last_has_come() {
    let mut scene = Scene::new(3, 0);
    assert_eq!(scene.say(0), NOTHING);
    assert_eq!(scene.say(1), NOTHING);
    assert_eq!(scene.say(2), [joined(true, 0..=2)]);
    assert_eq!((scene.say(3), scene.say(4)), (vec![], vec![]));
    assert_eq!(scene.say(5), [joined(false, 3..=5)]);
}

#[test]
fn phases_cut_the_same_frames_in_other_places() {
    for phase in 0..3 {
        let mut scene = Scene::new(3, phase);
        let ends: Vec<_> = (300..312).filter(|&tick| !scene.say(tick).is_empty()).collect();
        assert!(ends.iter().all(|end| (end + 1 - phase as i64) % 3 == 0), "{ends:?}");
        assert_eq!(ends.len(), 4);
    }
}

#[test]
fn a_phase_survives_dtx() {
    let mut scene = Scene::new(3, 0);
    scene.say(0);
    let silence = scene.dtx(1);
    assert_eq!(scene.push(silence).unwrap(), [joined(true, 0..=0), (1, vec![vec![]], NO_LEVEL, false)]);
    assert_eq!(scene.say(20), [joined(true, 20..=20)], "the last of its block, and nothing is missing");
    assert_eq!((scene.say(21), scene.say(22)), (vec![], vec![]));
    assert_eq!(scene.say(23), [joined(false, 21..=23)]);
}

#[test]
fn what_has_waited_long_enough_leaves() {
    let mut scene = Scene::new(3, 0);
    scene.say(0);
    scene.say(1);
    assert_eq!(scene.framing.deadline(), Some(scene.start + ms(65)));
    assert_eq!(scene.wait_until(ms(54)), NOTHING);
    assert_eq!(scene.wait_until(ms(65)), [joined(true, 0..=1)]);
    assert_eq!(scene.framing.deadline(), None);
    assert_eq!(scene.say(2), [joined(false, 2..=2)]);
}

#[test]
fn a_repaired_frame_joins_a_packet_that_has_not_left() {
    let mut scene = Scene::new(3, 0);
    scene.say(0);
    let lost = scene.frame(1);
    assert_eq!(scene.say(2), NOTHING, "waits for the hole to be filled");
    assert_eq!(scene.push(lost).unwrap(), [joined(true, 0..=2)]);
}

#[test]
fn a_hole_that_stays_cuts_the_packet_and_its_frame_comes_too_late() {
    let mut scene = Scene::new(3, 0);
    scene.say(0);
    let lost = scene.frame(1);
    scene.say(2);
    assert_eq!(scene.wait_until(ms(65)), [joined(true, 0..=0), joined(false, 2..=2)]);
    assert_eq!(scene.push(lost), Err(TooLate));
}

#[test]
fn the_first_frame_of_a_block_is_waited_for_if_it_is_known_to_be_missing() {
    let mut scene = Scene::new(3, 0);
    let lost = scene.frame(0);
    let second = Timed { follows: false, ..scene.frame(1) };
    scene.push(second).unwrap();
    assert_eq!(scene.say(2), NOTHING);
    assert_eq!(scene.push(lost).unwrap(), [joined(true, 0..=2)]);
}

#[test]
fn another_speaker_coding_or_length_is_never_joined() {
    let changes: [fn(&mut Timed); 3] = [
        |timed| timed.frame.speaker = SpeakerNumber(2),
        |timed| timed.frame.payload = Bytes::from_static(&[0xF8, 1, 1, 1]),
        |timed| timed.frame.payload = Bytes::from_static(&[0x7C, 1, 1, 1]),
    ];
    for change in changes {
        let mut scene = Scene::new(3, 0);
        scene.say(0);
        let mut other = scene.frame(1);
        change(&mut other);
        scene.push(other).unwrap();
        let left = scene.say(2);
        assert_eq!(left.iter().map(|left| left.0).collect::<Vec<_>>(), [0, 1, 2]);
    }
    let mut scene = Scene::new(3, 0);
    scene.say(0);
    let long = Timed { whole: false, ..scene.frame(1) };
    assert_eq!(scene.push(long).unwrap(), [joined(true, 0..=0), joined(false, 1..=1)]);
}

#[test]
fn the_level_of_a_packet_is_that_of_its_loudest_frame() {
    let mut scene = Scene::new(3, 0);
    for (tick, level) in [(0, 50), (1, 20), (2, 90)] {
        let mut timed = scene.frame(tick);
        timed.frame.level = level;
        if let [left] = &scene.push(timed).unwrap()[..] {
            assert_eq!(left.2, 20);
        }
    }
}

#[test]
fn what_would_be_too_large_is_sent_in_parts() {
    let mut scene = Scene::new(6, 0);
    let mut left = Vec::new();
    for tick in 0..6 {
        let mut timed = scene.frame(tick);
        timed.frame.payload = [&[0x78][..], &[7; 300]].concat().into();
        left.extend(scene.push(timed).unwrap());
    }
    assert_eq!(left.iter().map(|left| (left.0, left.1.len())).collect::<Vec<_>>(), [(0, 3), (3, 3)]);
}

#[test]
fn voices_of_one_block_leave_together_when_the_last_is_full() {
    let mut scene = Scene::new(3, 0);
    let mut left = Vec::new();
    for tick in 0..3 {
        for voice in [0, 1] {
            left.clear();
            let mut timed = scene.frame_of(voice, tick);
            timed.arrived += ms(9 * voice as u64);
            left = scene.push(timed).unwrap();
            let expected = if (tick, voice) == (2, 1) { 2 } else { 0 };
            assert_eq!(left.len(), expected, "{tick} {voice}");
        }
    }
    assert_eq!(left, [joined(true, 0..=2), joined(true, 0..=2)]);
}

#[test]
fn one_voice_does_not_wait_for_another_beyond_its_time() {
    let mut scene = Scene::new(3, 0);
    scene.say(0);
    scene.say(1);
    let other = scene.frame_of(1, 1);
    scene.push(other).unwrap();
    assert_eq!(scene.say(2), NOTHING);
    assert_eq!(scene.wait_until(ms(65)), [joined(true, 0..=2)]);
    assert_eq!(scene.wait_until(ms(85)), [joined(true, 1..=1)]);
}

#[test]
fn unjoined_frames_leave_at_once_in_any_order() {
    let mut scene = Scene::new(1, 0);
    let (zero, one, two) = (scene.frame(0), scene.frame(1), scene.frame(2));
    assert_eq!(scene.push(zero).unwrap(), [joined(true, 0..=0)]);
    assert_eq!(scene.push(two).unwrap(), [joined(false, 2..=2)]);
    assert_eq!(scene.push(one).unwrap(), [joined(false, 1..=1)]);
    assert_eq!(scene.framing.deadline(), None);
}

proptest! {
    /// Frames lost, late, reordered: each leaves at most once, in order, and none is invented.
    #[test]
    fn whatever_arrives_leaves_once_and_in_order(
        delays in prop::collection::vec(prop::option::weighted(0.9, 0i64..5), 1..60),
        phase in 0usize..3,
    ) {
        let mut scene = Scene::new(3, phase);
        let frames = delays.iter().enumerate().map(|(tick, &delay)| (scene.frame(tick as i64), delay));
        let mut arriving: Vec<_> = frames.filter_map(|(timed, delay)| Some((timed.tick + delay?, timed))).collect();
        arriving.sort_by_key(|(at, timed)| (*at, timed.tick));
        let (mut left, mut late, total) = (Vec::new(), 0, arriving.len());
        let mut newest: Option<u32> = None;
        for (at, mut timed) in arriving {
            timed.arrived = scene.start + ms(20 * at as u64);
            timed.follows = newest.is_none_or(|newest| newest + 1 >= timed.frame.number);
            newest = newest.max(Some(timed.frame.number));
            left.extend(scene.wait_until(ms(20 * at as u64)));
            match scene.push(timed) {
                Ok(more) => left.extend(more),
                Err(TooLate) => late += 1,
            }
        }
        left.extend(scene.wait_until(ms(100_000)));
        let mut heard = Vec::new();
        for (first, frames, ..) in &left {
            heard.extend(frames.iter().zip(*first..).map(|(frame, tick)| {
                assert_eq!(frame, &audio(tick));
                tick
            }));
        }
        prop_assert_eq!(heard.len() + late, total);
        prop_assert!(heard.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
