//! Percentiles of millions of values in bounded memory.
//!
//! ```text
//!   values in µs     0 … 255    256 … 511    512 … 1,023     …
//!   bucket width        1           2            4           …       exact, then within 0.4 %
//! ```
//!
//! Count, sum and maximum are exact. Histograms of several threads add up to the one that a single
//! thread would have filled. Any unit will do; the report fills them with µs.

/// Buckets below which every value has its own; each doubling above has half as many.
const EXACT: u64 = 256;

/// Doublings above [`EXACT`]: up to 2^40 µs, which is twelve days.
const DOUBLINGS: u32 = 32;

const BUCKETS: usize = EXACT as usize + DOUBLINGS as usize * HALF;
const HALF: usize = EXACT as usize / 2;

/// How often each value was seen. 34 KB, whatever is recorded.
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into(), count: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one value. What is beyond the last bucket counts there; the maximum stays exact.
    pub fn record(&mut self, value: u64) {
        self.record_many(value, 1);
    }

    /// Counts one value as if it had come `times` times.
    pub fn record_many(&mut self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        self.counts[bucket(value)] += times;
        self.count += times;
        self.sum += u128::from(value) * u128::from(times);
        self.max = self.max.max(value);
    }

    /// Takes over what another one saw.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.count, self.sum, self.max) = (0, 0, 0);
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The greatest one, exactly; 0 where there was none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Their mean; none where there was no value.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The value that `share` (0 to 1) of all are at or below; none where there was no value.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Some(middle(index).min(self.max));
            }
        }
        None
    }

    /// What was seen, in ascending order: a value in the middle of its bucket, and how often.
    pub fn values(&self) -> impl Iterator<Item = (u64, u64)> {
        let seen = self.counts.iter().enumerate().filter(|&(_, &count)| count > 0);
        seen.map(|(index, &count)| (middle(index).min(self.max), count))
    }
}

fn bucket(value: u64) -> usize {
    if value < EXACT {
        return value as usize;
    }
    let doubling = value.ilog2() - EXACT.ilog2() + 1;
    if doubling > DOUBLINGS {
        return BUCKETS - 1;
    }
    doubling as usize * HALF + (value >> doubling) as usize
}

/// The value that stands for a bucket: the middle of what falls into it.
fn middle(index: usize) -> u64 {
    if index < EXACT as usize {
        return index as u64;
    }
    let doubling = index / HALF - 1;
    let first = ((index - doubling * HALF) as u64) << doubling;
    first + (1 << doubling >> 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_seen_has_no_percentile() {
        let empty = Histogram::default();
        assert_eq!((empty.quantile(0.99), empty.mean(), empty.max(), empty.count()), (None, None, 0, 0));
        assert_eq!(empty.values().count(), 0);
    }

    #[test]
    fn small_values_are_exact() {
        let mut seen = Histogram::default();
        (1..=100).for_each(|value| seen.record(value));
        let at = |share| seen.quantile(share).unwrap();
        assert_eq!((at(0.0), at(0.5), at(0.95), at(0.99), at(1.0)), (1, 50, 95, 99, 100));
        assert_eq!(seen.mean(), Some(50.5));
    }

    #[test]
    fn one_slow_listener_in_ten_thousand_is_the_maximum_and_not_the_p99() {
        let mut seen = Histogram::default();
        seen.record_many(20_000, 9_999);
        seen.record(3_000_001);
        let p99 = seen.quantile(0.99).unwrap();
        assert!(p99.abs_diff(20_000) <= 80, "{p99}");
        assert_eq!(seen.max(), 3_000_001);
    }

    #[test]
    fn a_value_beyond_all_buckets_is_still_counted() {
        let mut seen = Histogram::default();
        seen.record(u64::MAX);
        assert_eq!((seen.count(), seen.max()), (1, u64::MAX));
        assert!(seen.quantile(0.5).is_some());
    }

    #[test]
    fn cleared_is_as_new() {
        let mut seen = Histogram::default();
        seen.record(7);
        seen.clear();
        assert_eq!((seen.count(), seen.max(), seen.quantile(0.5)), (0, 0, None));
    }

    proptest! {
        #[test]
        fn every_value_lands_within_four_in_a_thousand(value in 0..1_u64 << 40) {
            let off = middle(bucket(value)).abs_diff(value);
            prop_assert!(off * 1_000 <= value * 4, "{} for {value}", middle(bucket(value)));
        }

        #[test]
        fn percentiles_agree_with_sorting(mut values in prop::collection::vec(0..10_000_000_u64, 1..500), share in 0.0..=1.0_f64) {
            let mut seen = Histogram::default();
            values.iter().for_each(|&value| seen.record(value));
            values.sort_unstable();
            let rank = ((values.len() as f64 * share).ceil() as usize).max(1);
            let exact = values[rank - 1];
            let found = seen.quantile(share).unwrap();
            prop_assert!(found.abs_diff(exact) * 1_000 <= exact * 4, "{found} for {exact}");
        }

        #[test]
        fn threads_add_up(values in prop::collection::vec((0..9_000_000_u64, any::<bool>()), 0..200)) {
            let (mut one, mut left, mut right) = (Histogram::default(), Histogram::default(), Histogram::default());
            for (value, to_left) in values {
                one.record(value);
                if to_left { left.record(value) } else { right.record(value) }
            }
            left.add(&right);
            prop_assert_eq!(left.values().collect::<Vec<_>>(), one.values().collect::<Vec<_>>());
            prop_assert_eq!((left.count(), left.max(), left.mean()), (one.count(), one.max(), one.mean()));
        }
    }
}
