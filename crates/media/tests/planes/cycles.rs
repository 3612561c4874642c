//! Whole cycles of sequence numbers, with everything that may happen to a listener on the way.

use protocol::FRAME_TICKS;

use crate::edge::{Edge, counts, dtx, speech};
use crate::person::Heard;

/// Frames of 20 ms: over an hour.
const FRAMES: u32 = 230_000;

/// What a listener must have heard so far.
struct Check {
    cycles: u32,
    last: Option<Heard>,
    next_count: u32,
}

impl Check {
    /// Numbers are consecutive, time only grows, and every frame is there once.
    fn hear(&mut self, heard: Heard) {
        if let Some(last) = self.last.replace(heard.clone()) {
            assert_eq!(heard.sequence, last.sequence.wrapping_add(1));
            assert!((heard.timestamp.wrapping_sub(last.timestamp) as i32) > 0);
            self.cycles += u32::from(heard.sequence == 0);
        } else {
            assert!(heard.sequence < 1 << 15);
        }
        for count in counts(&heard) {
            assert_eq!(count, self.next_count);
            self.next_count += 1;
        }
    }
}

#[test]
fn a_standard_receiver_hears_every_frame_through_whole_cycles() {
    let mut edge = Edge::new();
    let listeners = [edge.join(3, 20), edge.join(3, 60)];
    let mut checks = listeners.map(|_| Check { cycles: 0, last: None, next_count: 0 });
    let (mut epoch, mut number, mut clock, mut count) = (1, 0, 0u32, 0);
    for i in 0..FRAMES {
        let frame = speech(0, epoch, number, clock, count);
        let silence = i % 1_000 == 999;
        count += u32::from(!silence);
        edge.frame(if silence { dtx(frame) } else { frame });
        edge.wait(if silence { 400 } else { 20 });
        clock = clock.wrapping_add(if silence { 20 * FRAME_TICKS } else { FRAME_TICKS });
        number += 1;
        if i % 50_000 == 49_999 {
            (epoch, number, clock) = (epoch + 1, 0, clock.wrapping_mul(2_654_435_761));
        }
        if i % 500 == 0 {
            edge.consent();
        }
        // The first is at 20 ms most of the time, the second at 60.
        match i % 10_007 {
            0 => [(0, 20), (1, 60)].map(|(listener, framing)| edge.reframe(listener, framing)),
            9_000 => [(0, 60), (1, 20)].map(|(listener, framing)| edge.reframe(listener, framing)),
            _ => [(); 2],
        };
        for (listener, check) in listeners.into_iter().zip(&mut checks) {
            edge.take(listener).into_iter().for_each(|heard| check.hear(heard));
        }
    }
    edge.wait(100);
    for (listener, check) in listeners.into_iter().zip(&mut checks) {
        edge.take(listener).into_iter().for_each(|heard| check.hear(heard));
        assert_eq!(check.next_count, count);
    }
    assert!(checks[0].cycles >= 3 && checks[1].cycles >= 1);
    let stats = edge.stats();
    assert_eq!((stats.dropped_late, stats.dropped_late_joined, stats.dropped_duplicate), (0, 0, 0));
}
