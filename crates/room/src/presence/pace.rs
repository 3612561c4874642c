//! How often presence comes: at a pace that looks immediate, and less and less often as the threads fill
//! that serve people. It gives way first, so that control and audio need not.
//!
//! ```text
//!   busy part of a sample ─▶ Busy, a sliding mean ─▶ Restraint ─▶ stretch(interval), up to 4 s
//! ```
//!
//! Presence is work itself: where it comes less often the threads are less busy. Because the mean is slow
//! and the stretch grows evenly with it, this settles and does not swing.

/// Least time between two versions with names: four a second look immediate.
pub const NAMED_INTERVAL_MS: u64 = 250;

/// Least time between two versions of counts only. Ten thousand people are told each of them.
pub const COUNTS_INTERVAL_MS: u64 = 500;

/// What any interval is stretched to at most.
pub const SLOWEST_MS: u64 = 4_000;

/// Between two samples of how busy the threads are.
pub const SAMPLE_MS: u64 = 100;

/// Part of a sample in the mean: what lasts for a second counts, a burst hardly does.
const WEIGHT: f64 = 0.1;

/// Up to here nothing is stretched: half of the time is free for whatever comes.
const SPARE: f64 = 0.5;

/// From here on everything is stretched as far as it goes: words begin to wait for a thread.
const FULL: f64 = 0.85;

/// How busy the threads are that serve people: 0 not at all, 1 all of them all the time.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Busy(f64);

/// How far presence is held back, in thousandths of the way from its pace to [`SLOWEST_MS`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Restraint(u16);

impl Busy {
    /// Takes in how busy they were in the last [`SAMPLE_MS`]: which part of their time.
    pub fn add(&mut self, part: f64) {
        self.0 += (part.clamp(0.0, 1.0) - self.0) * WEIGHT;
    }

    /// The mean.
    pub fn mean(self) -> f64 {
        self.0
    }

    /// How far presence is to be held back.
    pub fn restraint(self) -> Restraint {
        Restraint((((self.0 - SPARE) / (FULL - SPARE)).clamp(0.0, 1.0) * 1_000.0) as u16)
    }
}

impl Restraint {
    /// From what [`per_mille`](Self::per_mille) said; more than all is all.
    pub fn from_per_mille(per_mille: u16) -> Self {
        Self(per_mille.min(1_000))
    }

    /// In thousandths.
    pub fn per_mille(self) -> u16 {
        self.0
    }

    /// An interval of at most [`SLOWEST_MS`] as it is now.
    pub fn stretch(self, interval_ms: u64) -> u64 {
        interval_ms + SLOWEST_MS.saturating_sub(interval_ms) * u64::from(self.0) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(part: f64) -> Busy {
        let mut busy = Busy::default();
        (0..200).for_each(|_| busy.add(part));
        busy
    }

    #[test]
    fn half_of_the_time_may_be_busy_before_anything_is_stretched() {
        for part in [0.0, 0.3, 0.5] {
            assert_eq!(busy(part).restraint().stretch(NAMED_INTERVAL_MS), NAMED_INTERVAL_MS);
        }
        for part in [0.86, 1.0, 7.0] {
            assert_eq!(busy(part).restraint().stretch(NAMED_INTERVAL_MS), SLOWEST_MS);
            assert_eq!(busy(part).restraint().stretch(COUNTS_INTERVAL_MS), SLOWEST_MS);
        }
        let between = busy(0.675).restraint().stretch(COUNTS_INTERVAL_MS);
        assert!((2_100..2_400).contains(&between), "{between}");
    }

    #[test]
    fn it_is_stretched_evenly_and_a_burst_does_nothing() {
        let mut busy = busy(0.3);
        busy.add(1.0);
        busy.add(1.0);
        assert_eq!(busy.restraint(), Restraint::default(), "a burst of 0.2 s");
        let mut last = busy.restraint().stretch(NAMED_INTERVAL_MS);
        for sample in 0..60 {
            busy.add(if sample < 30 { 1.0 } else { 0.2 });
            let next = busy.restraint().stretch(NAMED_INTERVAL_MS);
            assert!(next.abs_diff(last) < 1_000, "from {last} to {next}");
            last = next;
        }
        assert_eq!(last, NAMED_INTERVAL_MS, "back at its pace");
    }

    /// The work of presence itself is part of the load, in proportion to how often it comes.
    #[test]
    fn it_settles_where_presence_itself_is_the_load() {
        let mut busy = Busy::default();
        let mut seen = Vec::new();
        for _ in 0..300 {
            let interval = busy.restraint().stretch(COUNTS_INTERVAL_MS);
            busy.add(0.3 + 0.6 * COUNTS_INTERVAL_MS as f64 / interval as f64);
            seen.push(interval);
        }
        let settled = &seen[200..];
        let (least, most) = (settled.iter().min().unwrap(), settled.iter().max().unwrap());
        assert!(most - least < 50, "from {least} to {most}");
        assert!(busy.mean() < 0.7);
    }
}
