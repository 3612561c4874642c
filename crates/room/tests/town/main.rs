//! A room at several signaling nodes, on a virtual clock: production's live rooms over a store and a bus that
//! are late, lose things and go away, nodes that die, sleep and come back, and people who come, act and go.
//! Each seed is another evening; the same seed is the same evening.
//!
//! `SEED=17 cargo test -p room --test town` replays one; `SEEDS=1000` tries more than 200.

#![allow(clippy::unwrap_used, reason = "tests")]

mod check;
mod client;
mod fault;
mod media;
mod origins;
mod store;
mod world;

use world::World;

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect(name));
    number("SEED").map_or(0..number("SEEDS").unwrap_or(200), |seed: u64| seed..seed + 1)
}

#[test]
fn whatever_happens_the_room_is_the_same_everywhere_and_true() {
    for seed in seeds() {
        World::new(seed).run();
    }
}

#[test]
fn the_same_seed_is_the_same_evening() {
    let [first, second] = [(); 2].map(|()| World::new(7).run());
    assert_eq!(first, second);
}
