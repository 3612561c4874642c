//! How much a link loses, and what its parent does about it.
//!
//! The child measures, because only it knows what did not come; its heartbeats tell the parent, who
//! then lets each frame bring along the one or two before it. That costs bytes, not packets, and heals
//! a loss without the round trip that a repair takes.

use std::time::{Duration, Instant};

use protocol::link::Heartbeat;

/// What remains of a measurement after each heartbeat: the mean reaches back about 2 s.
const MEMORY: f32 = 0.975;

/// Fewer expected datagrams than this say nothing.
const ENOUGH: f32 = 10.0;

/// Loss in 1,000 from which each frame brings along one, or two, before it. The first is low: asking again
/// takes a round trip, which joined packets do not wait for, and a few bytes on a link cost nothing.
const LEVELS: [u16; 2] = [2, 50];

/// How long a link must have lost less before it is believed. Loss comes in bursts.
const CALM: Duration = Duration::from_secs(5);

/// The child's measurement of one link.
#[derive(Debug, Default)]
pub struct Loss {
    expected: f32,
    missed: f32,
    heartbeat: Option<u32>,
}

impl Loss {
    /// Datagrams of audio that should have come, and how many of them did not.
    pub fn count(&mut self, expected: u32, missed: u32) {
        self.expected += expected as f32;
        self.missed += missed as f32;
    }

    /// A heartbeat has come: those before it should have, too. So a silent link is measured as well.
    pub fn heartbeat(&mut self, heartbeat: Heartbeat) {
        let ahead = self.heartbeat.map_or(1, |last| heartbeat.sequence.wrapping_sub(last).cast_signed());
        if ahead < 1 {
            self.missed = (self.missed - 1.0).max(0.0);
            return;
        }
        self.heartbeat = Some(heartbeat.sequence);
        self.expected *= MEMORY;
        self.missed *= MEMORY;
        self.count(ahead.cast_unsigned(), ahead.cast_unsigned() - 1);
    }

    /// What our heartbeats should say.
    pub fn permille(&self) -> u16 {
        if self.expected < ENOUGH {
            return 0;
        }
        (self.missed / self.expected * 1_000.0).clamp(0.0, 1_000.0) as u16
    }
}

/// The parent's answer to the loss of one link.
#[derive(Debug, Default)]
pub struct Redundancy {
    level: usize,
    /// Since when the link would do with less.
    calm: Option<Instant>,
}

impl Redundancy {
    /// The child has told how much it lost lately.
    pub fn report(&mut self, now: Instant, loss_permille: u16) {
        let wanted = LEVELS.iter().filter(|&&level| loss_permille >= level).count();
        let mut is_calm = || now.saturating_duration_since(*self.calm.get_or_insert(now)) >= CALM;
        if wanted >= self.level || is_calm() {
            self.level = wanted;
            self.calm = None;
        }
    }

    /// How many earlier frames each frame brings along.
    pub fn frames(&self) -> usize {
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(sequence: u32) -> Heartbeat {
        Heartbeat { sequence, loss_permille: 0 }
    }

    #[test]
    fn heartbeats_alone_measure_a_silent_link() {
        let mut loss = Loss::default();
        // Wraps on the way, and every fifth is lost.
        (0..200u32)
            .filter(|n| n % 5 != 0)
            .for_each(|n| loss.heartbeat(beat((u32::MAX - 90).wrapping_add(n))));
        assert!((150..250).contains(&loss.permille()), "{}", loss.permille());
        (200..600u32).for_each(|n| loss.heartbeat(beat((u32::MAX - 90).wrapping_add(n))));
        assert!(loss.permille() < LEVELS[0], "{}", loss.permille());
    }

    #[test]
    fn a_reordered_heartbeat_was_not_lost() {
        let mut loss = Loss::default();
        (0..30u32).for_each(|n| loss.heartbeat(beat(n ^ 1)));
        assert_eq!(loss.permille(), 0);
    }

    #[test]
    fn redundancy_comes_at_once_and_goes_slowly() {
        let start = crate::testing::start();
        let at = |ms| start + Duration::from_millis(ms);
        let mut redundancy = Redundancy::default();
        let mut report = |ms, permille| {
            redundancy.report(at(ms), permille);
            redundancy.frames()
        };
        assert_eq!(report(0, 1), 0);
        assert_eq!(report(50, 60), 2);
        assert_eq!(report(100, 0), 2);
        assert_eq!(report(5_000, 20), 2);
        assert_eq!(report(5_100, 20), 1);
        assert_eq!(report(5_150, 50), 2, "worse again");
    }
}
