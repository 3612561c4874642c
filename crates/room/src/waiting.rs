//! Those for whom every edge is full: when it is their turn.
//!
//! ```text
//!   ask(who, outlook) ─▶ none: let them try      the outlook: places now, and how many come free a second
//!                     └▶ so many ms, an appointment
//! ```
//!
//! Places that come free are those people's who wait, in their order; whoever comes new gets the next
//! appointment, unless there are more free places than people waiting. Who does not keep an appointment
//! has lost it.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{Identity, Region, RoomId};

use crate::placement::Outlook;

/// Nobody is told to come back sooner: places are counted once a second.
pub const SOONEST_MS: u64 = 2_000;

/// Nobody waits longer than about this to hear how it stands.
pub const LATEST_MS: u64 = 60_000;

/// How long an appointment holds after its time.
const HELD_MS: u64 = 5_000;

/// As much earlier somebody may come: their clock is another one.
const EARLY_MS: u64 = 250;

/// Most people of one region who wait. Others come back by chance.
pub const MOST: usize = 10_000;

/// Who waits, and where.
pub type Who = (RoomId, Identity);

/// Everybody who waits at one signaling node, by their region.
#[derive(Debug, Default)]
pub struct Waiting(BTreeMap<Region, Line>);

#[derive(Debug, Default)]
struct Line {
    turns: BTreeMap<Who, u64>,
    /// The same in their order.
    order: BTreeSet<(u64, Who)>,
    /// The last turn that was given.
    last: u64,
}

impl Waiting {
    /// Somebody wants a place. None: they may try. Else they are to come back after so many ms. `chance`, from 0
    /// to 1, spreads those who get no turn.
    pub fn ask(
        &mut self,
        now: u64,
        region: &Region,
        who: &Who,
        outlook: Outlook,
        chance: f64,
    ) -> Option<u64> {
        if outlook.places == 0 {
            let line = self.0.entry(region.clone()).or_default();
            line.forget_missed(now);
            return line.wait(now, who, outlook.freeing, chance);
        }
        let line = self.0.get_mut(region)?;
        line.forget_missed(now);
        let has_turn = line.take_turn(now, who);
        if has_turn || outlook.places as usize > line.turns.len() {
            return None;
        }
        line.wait(now, who, outlook.freeing, chance)
    }

    /// Forgets those who have not come. To be called every second or so.
    pub fn forget_missed(&mut self, now: u64) {
        self.0.values_mut().for_each(|line| line.forget_missed(now));
        self.0.retain(|_, line| !line.turns.is_empty());
    }

    /// How many wait.
    pub fn people(&self) -> usize {
        self.0.values().map(|line| line.turns.len()).sum()
    }
}

impl Line {
    fn forget_missed(&mut self, now: u64) {
        while self.order.first().is_some_and(|(turn, _)| turn + HELD_MS <= now) {
            if let Some((_, who)) = self.order.pop_first() {
                self.turns.remove(&who);
            }
        }
    }

    /// Whether it is their turn, which is then over.
    fn take_turn(&mut self, now: u64, who: &Who) -> bool {
        let Some(&turn) = self.turns.get(who).filter(|turn| **turn <= now + EARLY_MS) else { return false };
        self.turns.remove(who);
        self.order.remove(&(turn, who.clone()));
        true
    }

    /// How long they wait for their turn, which is given to them if they have none.
    fn wait(&mut self, now: u64, who: &Who, freeing: f64, chance: f64) -> Option<u64> {
        if let Some(turn) = self.turns.get(who).filter(|turn| **turn > now) {
            return Some(turn - now);
        }
        self.take_turn(now, who);
        let step = 1_000.0 / freeing.max(1_000.0 / LATEST_MS as f64);
        let turn = self.last.max(now + SOONEST_MS) + step as u64;
        if turn > now + LATEST_MS || self.turns.len() >= MOST {
            return Some(LATEST_MS / 2 + (LATEST_MS as f64 / 2.0 * chance) as u64);
        }
        self.last = turn;
        self.turns.insert(who.clone(), turn);
        self.order.insert((turn, who.clone()));
        Some(turn - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Region {
        Region::new("here").unwrap()
    }

    fn who(number: u64) -> Who {
        (RoomId::new("r").unwrap(), Identity::new(&format!("p{number}")).unwrap())
    }

    fn full(freeing: f64) -> Outlook {
        Outlook { nodes: 1, places: 0, freeing }
    }

    #[test]
    fn whoever_keeps_their_appointment_finds_a_place() {
        let mut waiting = Waiting::default();
        // Ten places come free each second, and twenty newcomers want one.
        let mut places = 0u32;
        let mut back: Vec<(u64, u64, u32)> = Vec::new();
        let (mut let_in, mut told_again) = (0, 0);
        for tick in 0..6_000u64 {
            let now = tick * 10;
            if tick % 10 == 0 {
                places += 1;
            }
            let mut come: Vec<_> = back.extract_if(.., |(at, ..)| *at <= now).collect();
            if tick % 5 == 0 {
                come.push((now, tick, 0));
            }
            for (_, number, times) in come {
                let outlook = Outlook { nodes: 1, places, freeing: 10.0 };
                match waiting.ask(now, &here(), &who(number), outlook, 0.5) {
                    None => {
                        places -= 1;
                        let_in += 1;
                    }
                    Some(ms) => {
                        // Beyond the last turn it is no appointment, and not told as one.
                        told_again += u32::from(times > 0 && ms < LATEST_MS / 2);
                        back.push((now + ms, number, times + 1));
                    }
                }
            }
        }
        assert!(let_in > 550, "no place stays free: {let_in}");
        assert!(told_again < 20, "{told_again} of {let_in} came in vain");
    }

    #[test]
    fn newcomers_wait_behind_those_who_wait_unless_there_is_room_for_all() {
        let mut waiting = Waiting::default();
        let told = |waiting: &mut Waiting, now, number, places| {
            waiting.ask(now, &here(), &who(number), Outlook { nodes: 1, places, freeing: 1.0 }, 0.0)
        };
        assert_eq!(told(&mut waiting, 0, 1, 0), Some(3_000));
        assert_eq!(told(&mut waiting, 0, 2, 0), Some(4_000));
        assert_eq!(told(&mut waiting, 1_000, 1, 0), Some(2_000), "asked too early, it stays their turn");
        assert_eq!(told(&mut waiting, 3_000, 3, 1), Some(3_000), "the free place is another's");
        assert_eq!(told(&mut waiting, 3_000, 1, 1), None);
        assert_eq!(told(&mut waiting, 3_000, 4, 3), None, "there are places for all who wait");
        assert_eq!(told(&mut waiting, 12_000, 5, 1), None, "who did not come has lost their turn");
        waiting.forget_missed(12_000);
        assert_eq!(waiting.0.len(), 0);
    }

    #[test]
    fn where_nothing_comes_free_nobody_waits_for_ever_and_not_all_together() {
        let mut waiting = Waiting::default();
        let told: Vec<_> = (0..100u64)
            .map(|number| waiting.ask(0, &here(), &who(number), full(0.0), number as f64 / 100.0).unwrap())
            .collect();
        assert!(told.iter().all(|ms| (SOONEST_MS..=LATEST_MS).contains(ms)), "{told:?}");
        assert!(told.iter().max().unwrap() - told.iter().min().unwrap() > LATEST_MS / 3);
        assert!(waiting.people() <= MOST);
    }
}
