//! The whole way of the audio on a virtual clock: production peers, stage, relay, framing and audience
//! between seeded mouths, network and ears. Each seed is another event; the same seed is the same event.
//!
//! `SEED=17 cargo test -p media --test simulation` replays one; `SEEDS=1000` tries more than 100.

mod client;
mod net;
mod world;

use std::time::Duration;

use net::Hop;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use world::{Weather, World};

/// The weather of a seed: from none to rough.
fn weather(seed: u64) -> Weather {
    let mut rng = StdRng::seed_from_u64(!seed);
    let mut hop = |loss: f64, delay: u64, jitter: u64| Hop {
        loss: loss * rng.random::<f64>(),
        delay: Duration::from_millis(rng.random_range(0..=delay)),
        jitter: Duration::from_millis(rng.random_range(0..=jitter)),
    };
    let (access, link) = (hop(0.03, 60, 22), hop(0.05, 15, 10));
    // From a second to a minute, as often short as long.
    let silence = Duration::from_secs_f64(60f64.powf(rng.random()));
    Weather { access, link, talk: Duration::from_secs(4), silence }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect(name));
    number("SEED").map_or(0..number("SEEDS").unwrap_or(100), |seed: u64| seed..seed + 1)
}

/// Share of the frames that repair may fail to bring in time, over all weathers.
const MAX_LOST: f64 = 0.0001;

#[test]
fn the_rules_hold_in_any_weather() {
    let mut lost = Vec::new();
    for seed in seeds() {
        println!("SEED={seed} {:?}", weather(seed));
        lost.push(World::new(seed, weather(seed)).run().lost);
    }
    let mean = lost.iter().sum::<f64>() / lost.len() as f64;
    println!("the tree lost {mean:.6} of the frames");
    assert!(mean <= MAX_LOST, "the tree lost {mean:.6} of the frames");
}

#[test]
fn after_an_hour_in_which_nobody_speaks_whoever_does_is_heard() {
    let weather = Weather { silence: Duration::from_secs(3_600), ..weather(1) };
    World::new(1, weather).run();
}

#[test]
fn the_same_seed_is_the_same_event() {
    let [first, second] = [(); 2].map(|()| World::new(7, weather(7)).run());
    assert_eq!(first, second);
}
