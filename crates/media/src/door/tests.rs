//! Storms at a door, on a clock of our own.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::testing;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A shard that needs `each` for a handshake, and newcomers who need `way` to begin it.
struct Storm {
    begun: Instant,
    now: Instant,
    each: Duration,
    way: Duration,
    door: Door<PeerId>,
    /// Who knocks when.
    knocks: BTreeSet<(Instant, PeerId)>,
    /// When handshakes are done.
    done: BTreeSet<(Instant, PeerId)>,
    /// When the shard is through with those that it has.
    free: Instant,
    entered: Vec<PeerId>,
    /// How many connected in each second.
    connected: BTreeMap<u64, u32>,
    knocked: BTreeMap<PeerId, u32>,
    appointments: Vec<Instant>,
}

impl Storm {
    fn new(each: Duration) -> Self {
        let begun = testing::start();
        Self {
            begun,
            now: begun,
            each,
            way: 300 * MS,
            door: Door::default(),
            knocks: BTreeSet::new(),
            done: BTreeSet::new(),
            free: begun,
            entered: Vec::new(),
            connected: BTreeMap::new(),
            knocked: BTreeMap::new(),
            appointments: Vec::new(),
        }
    }

    /// Everybody knocks within this time.
    fn breaks_loose(&mut self, newcomers: u64, within: Duration) {
        let gap = within / newcomers as u32;
        self.knocks = (0..newcomers).map(|n| (self.begun + gap * n as u32, PeerId(n))).collect();
    }

    fn knock(&mut self, peer: PeerId) {
        *self.knocked.entry(peer).or_default() += 1;
        if let Err(after) = self.door.knock(self.now, peer, peer) {
            self.come_back(peer, after);
        }
    }

    fn come_back(&mut self, peer: PeerId, after: Duration) {
        self.appointments.push(self.now + after);
        self.knocks.insert((self.now + after, peer));
    }

    /// Lets in whose turn it is; their handshakes are done one after another.
    fn let_in(&mut self) {
        while let Some(turn) = self.door.turn(self.now) {
            match turn {
                Turn::Enter(peer) => {
                    self.entered.push(peer);
                    self.door.arrives(self.now, peer);
                    self.free = self.free.max(self.now + self.way) + self.each;
                    self.done.insert((self.free, peer));
                }
                Turn::Leave(peer, after) => self.come_back(peer, after),
            }
            assert!(self.door.arriving.len() <= ARRIVING);
        }
    }

    /// Until everybody is in.
    fn rages(&mut self) {
        while let Some(next) = self.next() {
            self.now = self.now.max(next);
            if let Some(&(at, peer)) = self.done.first().filter(|&&(at, _)| at <= self.now) {
                self.done.remove(&(at, peer));
                self.door.connected(self.now, peer);
                *self.connected.entry((self.now - self.begun).as_secs()).or_default() += 1;
            } else if let Some(&(at, peer)) = self.knocks.first().filter(|&&(at, _)| at <= self.now) {
                self.knocks.remove(&(at, peer));
                self.knock(peer);
            }
            self.let_in();
            assert!(self.door.poll_timeout().is_none_or(|due| due > self.now), "nobody's turn is missed");
        }
    }

    fn next(&self) -> Option<Instant> {
        let first = |events: &BTreeSet<(Instant, PeerId)>| events.first().map(|&(at, _)| at);
        let times = [first(&self.done), first(&self.knocks), self.door.poll_timeout()];
        times.into_iter().flatten().min()
    }
}

#[test]
fn in_a_storm_everybody_gets_in_at_a_steady_rate_and_comes_back_when_told() {
    let mut storm = Storm::new(2 * MS);
    storm.breaks_loose(10_000, SECOND);
    storm.rages();
    assert_eq!(storm.connected.values().sum::<u32>(), 10_000, "nobody is lost");
    let last = (storm.now - storm.begun).as_secs();
    assert!(last < 25, "{last} s at 500 a second");
    let steady: Vec<_> = storm.connected.range(1..last).map(|(_, &count)| count).collect();
    assert!(steady.iter().all(|count| (250..=501).contains(count)), "{steady:?}");
    let often = storm.knocked.values().max();
    assert!(often <= Some(&4), "somebody knocked {often:?} times");
    // No second storm: as many come back at a time as can be served, or twice that where the book was
    // begun again.
    let mut per_second = BTreeMap::<u64, u32>::new();
    storm
        .appointments
        .iter()
        .for_each(|&at| *per_second.entry((at - storm.begun).as_secs()).or_default() += 1);
    assert!(per_second.values().all(|&count| count <= 1_000), "{per_second:?}");
}

#[test]
fn nobody_waits_while_there_is_room() {
    let mut storm = Storm::new(MS / 2);
    storm.breaks_loose(10_000, 10 * SECOND);
    storm.rages();
    assert!(storm.appointments.is_empty());
    assert!(storm.knocked.values().all(|&knocks| knocks == 1));
}

#[test]
fn who_waits_enters_in_order() {
    let mut storm = Storm::new(4 * MS);
    storm.breaks_loose(1_500, 100 * MS);
    storm.rages();
    let waited = storm.entered.iter().filter(|peer| storm.knocked[peer] == 1);
    assert!(waited.is_sorted());
}

#[test]
fn ghosts_do_not_block_the_door_for_longer_than_they_may_settle() {
    let (now, mut door) = (testing::start(), Door::default());
    for ghost in (0..ARRIVING as u64).map(PeerId) {
        door.knock(now, ghost, ghost).unwrap();
        assert_eq!(door.turn(now), Some(Turn::Enter(ghost)));
        door.arrives(now, ghost);
    }
    let alive = PeerId(1_000);
    door.knock(now + SECOND, alive, alive).unwrap();
    assert_eq!(door.turn(now + SECOND), None);
    assert_eq!(door.poll_timeout(), Some(now + SETTLING));
    assert_eq!(door.turn(now + SETTLING), Some(Turn::Enter(alive)));
}

/// A door at which as many arrive as may.
fn full(now: Instant) -> Door<PeerId> {
    let mut door = Door::default();
    (0..ARRIVING as u64).for_each(|n| door.arrives(now, PeerId(n)));
    door
}

#[test]
fn one_goes_and_another_comes() {
    let now = testing::start();
    let mut door = full(now);
    let [first, second, third, fourth] = [1_001, 1_002, 1_003, 1_004].map(PeerId);
    [first, second, third, fourth].into_iter().for_each(|peer| door.knock(now, peer, peer).unwrap());
    assert_eq!((door.turn(now), door.waiting()), (None, 4));
    door.withdraw(first);
    door.retain(|&peer| peer != third);
    door.gone(PeerId(7));
    assert!(door.poll_timeout() <= Some(now), "at once");
    assert_eq!(door.turn(now), Some(Turn::Enter(second)));
    door.arrives(now, second);
    assert_eq!(door.turn(now), None);
    door.connected(now, second);
    assert_eq!(door.turn(now), Some(Turn::Enter(fourth)));
    assert_eq!(door.poll_timeout(), None);
}

#[test]
fn who_has_waited_too_long_is_not_admitted_but_told_to_come_back() {
    let start = testing::start();
    let mut door = full(start + 2 * SECOND);
    door.knock(start, PeerId(1_000), PeerId(1_000)).unwrap();
    assert_eq!(door.poll_timeout(), Some(start + PATIENCE));
    let Some(Turn::Leave(late, after)) = door.turn(start + PATIENCE) else { panic!() };
    assert_eq!(late, PeerId(1_000));
    assert!(after > Duration::ZERO && door.waiting() == 0);
}

#[test]
fn appointments_come_one_after_another_and_after_everybody_who_waits() {
    let now = testing::start();
    let mut door = full(now);
    let mut told = (0..25_000).filter_map(|n| door.knock(now, PeerId(n), PeerId(n)).err());
    let first = told.next().unwrap();
    assert!(first > SOON, "those who wait come first");
    let (mut last, mut begun_again) = (first, 0);
    for after in told {
        assert!(after != last && after <= LATEST);
        begun_again += u32::from(after < last);
        last = after;
    }
    assert_eq!(door.waiting(), 2_000, "four seconds at the usual pace");
    assert_eq!(begun_again, 2);
}
