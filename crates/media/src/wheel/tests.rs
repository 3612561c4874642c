//! The wheel against a sorted set that knows exactly when each key is due.

use std::collections::{BTreeSet, HashMap};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::testing;

const SECOND: Duration = Duration::from_secs(1);

/// Keys with one time each, on a wheel and in a set.
#[derive(Default)]
struct Both {
    wheel: Wheel<u32>,
    ticks: HashMap<u32, Tick>,
    set: BTreeSet<(Instant, u32)>,
}

impl Both {
    fn set(&mut self, now: Instant, at: Instant, key: u32) {
        let tick = self.wheel.tick(now, at);
        self.ticks.insert(key, tick);
        self.wheel.set(tick, key);
        self.set.retain(|&(_, other)| other != key);
        self.set.insert((at, key));
    }

    /// Everything that has come up and is still wanted.
    fn pop(&mut self, now: Instant) -> Vec<u32> {
        let mut keys = Vec::new();
        while let Some((tick, key)) = self.wheel.pop(now) {
            if self.ticks.get(&key) == Some(&tick) {
                self.ticks.remove(&key);
                keys.push(key);
            }
        }
        keys
    }
}

#[test]
fn every_key_comes_up_once_not_early_and_at_most_a_slot_late() {
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut both, mut now) = (Both::default(), testing::start());
        for _ in 0..400 {
            for _ in 0..rng.random_range(0..4) {
                let at = now + Duration::from_micros(rng.random_range(0..32_000_000));
                both.set(now, at, rng.random_range(0..40));
            }
            let most = if rng.random_bool(0.02) { 60_000_000 } else { 300_000 };
            now += Duration::from_micros(rng.random_range(0..most));
            for key in both.pop(now) {
                let at = both.set.iter().find(|&&(_, other)| other == key).copied();
                assert!(at.is_some_and(|(at, _)| at <= now), "seed {seed}: {key} is early");
                both.set.retain(|&(_, other)| other != key);
            }
            let first = both.set.first().map(|&(at, _)| at);
            assert!(first.is_none_or(|at| now < at + SLOT), "seed {seed}: late at {now:?}");
            let due = both.wheel.poll_timeout();
            assert!(due.is_none_or(|due| due > now), "seed {seed}: not all was taken");
            assert!(first.is_none_or(|at| due.is_some_and(|due| due < at + SLOT)), "seed {seed}");
        }
    }
}

#[test]
fn what_is_further_away_than_the_wheel_reaches_comes_up_to_be_set_again() {
    let mut wheel = Wheel::default();
    let start = testing::start();
    let (mut now, mut times) = (start, 0);
    while now < start + 100 * SECOND {
        let tick = wheel.tick(now, start + 100 * SECOND);
        wheel.set(tick, "key");
        now = wheel.poll_timeout().unwrap();
        assert_eq!(wheel.pop(now), Some((tick, "key")));
        times += 1;
    }
    assert!(now < start + 100 * SECOND + SLOT && times == 4, "{times}");
}

#[test]
fn a_wheel_that_stood_still_with_nothing_on_it_goes_on_from_now() {
    let mut wheel = Wheel::default();
    let now = testing::start();
    let first = wheel.tick(now, now);
    wheel.set(first, 1);
    assert_eq!(wheel.pop(now), Some((first, 1)));
    assert_eq!(wheel.poll_timeout(), None);
    let later = now + 10_000 * SECOND;
    let second = wheel.tick(later, later + 30 * SECOND);
    wheel.set(second, 2);
    let due = wheel.poll_timeout().unwrap();
    assert!((later + 30 * SECOND..later + 30 * SECOND + SLOT).contains(&due));
    assert_eq!(wheel.pop(due - Duration::from_nanos(1)), None);
    assert_eq!(wheel.pop(due), Some((second, 2)));
}

#[test]
fn keys_of_one_slot_come_up_together_and_what_is_left_is_due_at_once() {
    let mut wheel = Wheel::default();
    let now = testing::start();
    let tick = wheel.tick(now, now + SECOND);
    (0..3).for_each(|key| wheel.set(tick, key));
    let due = wheel.poll_timeout().unwrap();
    let first = wheel.pop(due);
    assert_eq!(wheel.poll_timeout(), Some(due));
    let mut keys: Vec<_> = first.into_iter().chain(std::iter::from_fn(|| wheel.pop(due))).collect();
    keys.sort_unstable();
    assert_eq!(keys, [(tick, 0), (tick, 1), (tick, 2)]);
}
