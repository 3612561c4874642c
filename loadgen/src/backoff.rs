//! How long to wait before the next try: longer each time, and random, so that thousands who were cut at the
//! same moment do not come back at the same moment. As the SDK does.

use std::time::Duration;

use rand::Rng;

/// The pauses of one person.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    /// Pauses from `first` on, doubled each time up to `most`.
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, tries: 0 }
    }

    /// The pause before the next try.
    pub(crate) fn pause(&mut self) -> Duration {
        let longest = self.first.saturating_mul(1 << self.tries.min(16)).min(self.most);
        self.tries += 1;
        longest.mul_f64(rand::rng().random_range(0.25..=1.0))
    }

    /// How many tries there were since it worked last.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_begin_anew_once_it_worked() {
        let mut backoff = Backoff::new(Duration::from_millis(400), Duration::from_secs(15));
        let mut within = |least_ms, most_ms| {
            let pause = backoff.pause();
            assert!((least_ms..=most_ms).contains(&pause.as_millis()), "{pause:?}");
        };
        within(100, 400);
        within(200, 800);
        (0..50).for_each(|_| within(0, 15_000));
        within(3_750, 15_000);
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(400));
    }
}
