//! How much is due: so many a second, whatever the ticks do.

use std::time::Duration;

/// What a late tick makes up for at most: a burst is another load than the one asked for.
const AT_MOST: Duration = Duration::from_millis(50);

pub(super) struct Pace {
    per_s: u64,
    /// Thrown, or given up.
    done: u64,
}

impl Pace {
    pub(super) fn new(per_s: u64) -> Self {
        Self { per_s, done: 0 }
    }

    /// How many are to be thrown so long after the beginning.
    pub(super) fn due(&mut self, elapsed: Duration) -> u64 {
        let due = self.in_time(elapsed).saturating_sub(self.done);
        self.done += due;
        due.min(self.in_time(AT_MOST).max(1))
    }

    fn in_time(&self, time: Duration) -> u64 {
        (u128::from(self.per_s) * time.as_micros() / 1_000_000) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_whatever_the_ticks_do() {
        for (per_s, tick_us) in [(50_000, 1_000), (50_000, 1_370), (7, 1_000), (333, 20_000)] {
            let mut pace = Pace::new(per_s);
            let ticks = 2_000_000 / tick_us;
            let thrown: u64 = (1..=ticks).map(|tick| pace.due(Duration::from_micros(tick * tick_us))).sum();
            assert!(thrown.abs_diff(2 * per_s) <= per_s * tick_us / 1_000_000 + 1, "{thrown} at {per_s}/s");
        }
    }

    #[test]
    fn a_long_pause_is_not_made_up_for() {
        let mut pace = Pace::new(50_000);
        assert_eq!(pace.due(Duration::from_secs(3)), 2_500);
        assert_eq!(pace.due(Duration::from_millis(3_001)), 50);
    }
}
