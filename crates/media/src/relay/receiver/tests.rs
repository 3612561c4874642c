use bytes::Bytes;
use protocol::SpeakerNumber;

use super::*;

const RTT: Duration = Duration::from_millis(40);

fn frame(epoch: u32, number: u32) -> Frame {
    Frame {
        epoch: Epoch(epoch),
        number,
        timestamp: number.wrapping_mul(960),
        speaker: SpeakerNumber(1),
        voice: VoiceId::new(0).unwrap(),
        level: 30,
        payload: Bytes::from_static(&[0x78, 1, 2, 3]),
    }
}

/// A receiver with a clock in ms.
struct Script {
    start: Instant,
    receiver: Receiver,
}

impl Script {
    fn new() -> Self {
        Self { start: crate::testing::start(), receiver: Receiver::default() }
    }

    fn receive(&mut self, ms: u64, frames: &[(u32, u32)]) -> (Vec<u32>, Tally) {
        let mut fresh = Vec::new();
        let frames = frames.iter().map(|&(epoch, number)| frame(epoch, number)).collect();
        let tally = self.receiver.receive(self.at(ms), frames, &mut fresh);
        (fresh.iter().map(|frame| frame.number).collect(), tally)
    }

    fn fresh(&mut self, ms: u64, numbers: &[u32]) -> Vec<u32> {
        self.receive(ms, &numbers.iter().map(|&number| (1, number)).collect::<Vec<_>>()).0
    }

    fn missing(&mut self, ms: u64) -> Vec<u32> {
        let at = self.at(ms);
        std::iter::from_fn(|| self.receiver.poll_missing(at, RTT))
            .flat_map(|(_, _, numbers)| numbers)
            .collect()
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }
}

#[test]
fn a_gap_is_asked_for_at_once_again_after_a_round_trip_and_then_given_up() {
    let mut script = Script::new();
    assert_eq!(script.fresh(0, &[10]), [10]);
    assert_eq!(script.missing(0), [0; 0], "what was before we joined is not missed");
    assert_eq!(script.fresh(20, &[13]), [13]);
    assert_eq!(script.missing(20), [11, 12]);
    assert_eq!(script.missing(60), [0; 0]);
    assert_eq!(script.receiver.poll_timeout(), Some(script.at(70)));
    assert_eq!(script.missing(70), [11, 12]);
    assert_eq!(script.fresh(80, &[11]), [11]);
    assert_eq!(script.missing(259), [12]);
    assert_eq!(script.missing(260), [0; 0]);
    assert_eq!(script.fresh(270, &[12]), [0; 0], "too late for everybody below");
    let stats = script.receiver.stats();
    assert_eq!((stats.fresh, stats.repaired, stats.lost, stats.late), (3, 1, 1, 1));
}

#[test]
fn frames_that_ride_along_fill_gaps_before_they_are_noticed_but_count_as_loss() {
    let mut script = Script::new();
    script.fresh(0, &[1]);
    let (fresh, tally) = script.receive(40, &[(1, 1), (1, 2), (1, 3)]);
    assert_eq!(fresh, [2, 3]);
    assert_eq!(tally, Tally { expected: 2, missed: 1 });
    assert_eq!(script.missing(40), [0; 0]);
    assert_eq!(script.receiver.stats().duplicates, 1);
}

#[test]
fn a_new_epoch_starts_afresh_and_the_old_one_is_not_heard_again() {
    let mut script = Script::new();
    assert_eq!(script.receive(0, &[(1, 100)]).0, [100]);
    assert_eq!(script.receive(20, &[(2, 5)]).0, [5]);
    assert_eq!(script.missing(20), [0; 0]);
    assert_eq!(script.receive(25, &[(1, 101)]).0, [0; 0]);
    assert_eq!(script.receive(40, &[(2, 6)]).0, [6]);
    assert_eq!(script.receiver.stats().stale, 1);
}

#[test]
fn of_a_wide_gap_only_the_end_is_asked_for() {
    let mut script = Script::new();
    script.fresh(0, &[1]);
    assert_eq!(script.fresh(2_000, &[101]), [101]);
    assert_eq!(script.missing(2_000), (69..=100).collect::<Vec<_>>());
    assert_eq!(script.receiver.stats().lost, 67);
    assert_eq!(script.fresh(2_010, &[20, 101]), [0; 0]);
    script.fresh(2_020, &[u32::MAX]);
    assert!(script.receiver.lanes[0].missing.len() <= WINDOW as usize);
}

#[test]
fn a_new_parent_is_asked_at_once() {
    let mut script = Script::new();
    script.fresh(0, &[1, 3]);
    assert_eq!(script.missing(0), [2]);
    let now = script.at(10);
    script.receiver.ask_again(now);
    assert_eq!(script.missing(10), [2]);
}

#[test]
fn a_frame_of_silence_that_was_lost_is_asked_for_because_no_later_one_tells() {
    let mut script = Script::new();
    assert_eq!(script.missing(10_000), [0; 0], "nothing is expected of a room that never spoke");
    script.fresh(10_000, &[10]);
    assert_eq!(script.missing(10_449), [0; 0]);
    assert_eq!(script.missing(10_450), [11]);
    assert_eq!(script.missing(10_500), [0; 0], "the parent may have nothing either");
    assert_eq!(script.missing(10_550), [11]);
    assert_eq!(script.fresh(10_560, &[11]), [11]);
    assert_eq!(script.missing(10_650), [0; 0]);
}
