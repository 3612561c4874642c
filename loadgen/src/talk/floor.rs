//! Who has the floor when: the four patterns of `--talk`, one step for each 20 ms.
//!
//! It says who may speak, not what is heard: breath and pauses are in the speech, and whoever loses the
//! floor ends the word first.

use std::collections::VecDeque;

use rand::Rng;
use rand::rngs::StdRng;

use super::Pattern;

/// Frames in a second.
const SECOND: u64 = 50;

/// One speaker's time, in frames since the start.
#[derive(Debug, Clone, Copy)]
struct Turn {
    speaker: usize,
    from: u64,
    until: u64,
}

/// Who has the floor, as the talk goes on.
pub(super) struct Floor {
    pattern: Pattern,
    /// The frame that the next step is.
    frame: u64,
    /// The turn that goes on and the one after it, where people take turns.
    turns: VecDeque<Turn>,
    has_floor: Vec<bool>,
    rng: StdRng,
}

impl Floor {
    /// The floor of this many speakers; the first one opens.
    pub(super) fn new(pattern: Pattern, speakers: usize, rng: StdRng) -> Self {
        let has_floor = (0..speakers).map(|speaker| pattern == Pattern::All || speaker == 0).collect();
        let mut floor = Self { pattern, frame: 0, turns: VecDeque::new(), has_floor, rng };
        if floor.takes_turns() {
            let first = Turn { speaker: 0, from: 0, until: floor.turn_length() };
            floor.turns = [first, floor.after(first)].into();
        }
        floor
    }

    /// Who has the floor for the next 20 ms, by the speakers' numbers. Call it once for each frame.
    pub(super) fn step(&mut self) -> &[bool] {
        if self.takes_turns() {
            self.take_turns();
        }
        self.frame += 1;
        &self.has_floor
    }

    fn takes_turns(&self) -> bool {
        matches!(self.pattern, Pattern::Conversation | Pattern::Turns) && self.has_floor.len() > 1
    }

    fn take_turns(&mut self) {
        while self.turns.front().is_some_and(|turn| turn.until <= self.frame) {
            self.turns.pop_front();
            if let Some(&last) = self.turns.back() {
                let next = self.after(last);
                self.turns.push_back(next);
            }
        }
        self.has_floor.fill(false);
        for turn in self.turns.iter().filter(|turn| (turn.from..turn.until).contains(&self.frame)) {
            self.has_floor[turn.speaker] = true;
        }
    }

    fn after(&mut self, turn: Turn) -> Turn {
        let from = self.next_start(turn);
        Turn { speaker: self.next_speaker(turn.speaker), from, until: from + self.turn_length() }
    }

    /// No overlap is as long as half a turn, so never three at a time.
    fn next_start(&mut self, turn: Turn) -> u64 {
        match self.pattern {
            Pattern::Turns => turn.until - SECOND / 2,
            _ if self.rng.random_bool(0.25) => turn.until - self.rng.random_range(15..=45),
            _ => turn.until + self.rng.random_range(5..=30),
        }
    }

    fn next_speaker(&mut self, speaker: usize) -> usize {
        let speakers = self.has_floor.len();
        let step = if self.pattern == Pattern::Turns { 1 } else { self.rng.random_range(1..speakers) };
        (speaker + step) % speakers
    }

    fn turn_length(&mut self) -> u64 {
        match self.pattern {
            Pattern::Turns => 2 * SECOND,
            _ => self.rng.random_range(2 * SECOND..=8 * SECOND),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Ten minutes of a talk: for each frame, who has the floor.
    fn talk(pattern: Pattern, speakers: usize) -> Vec<Vec<usize>> {
        let mut floor = Floor::new(pattern, speakers, StdRng::seed_from_u64(7));
        let mut frame = || {
            let floor = floor.step().iter().enumerate();
            floor.filter(|&(_, &has)| has).map(|(speaker, _)| speaker).collect()
        };
        (0..600 * SECOND).map(|_| frame()).collect()
    }

    fn share_of(frames: &[Vec<usize>], talking: usize) -> f64 {
        frames.iter().filter(|frame| frame.len() == talking).count() as f64 / frames.len() as f64
    }

    #[test]
    fn a_monologue_is_the_first_speakers() {
        assert!(talk(Pattern::Monologue, 3).iter().all(|frame| frame == &[0]));
    }

    #[test]
    fn all_at_once_is_everybody_always() {
        assert!(talk(Pattern::All, 4).iter().all(|frame| frame.len() == 4));
    }

    #[test]
    fn in_a_conversation_one_speaks_sometimes_two_and_never_three() {
        let frames = talk(Pattern::Conversation, 4);
        assert!(share_of(&frames, 1) > 0.85, "{}", share_of(&frames, 1));
        assert!((0.01..0.1).contains(&share_of(&frames, 2)), "{}", share_of(&frames, 2));
        assert!(share_of(&frames, 0) > 0.01);
        assert!(frames.iter().all(|frame| frame.len() <= 2));
    }

    #[test]
    fn in_a_conversation_everybody_gets_the_floor_and_nobody_twice_running() {
        let frames = talk(Pattern::Conversation, 4);
        let mut starts: Vec<usize> = frames.iter().filter_map(|frame| frame.first().copied()).collect();
        starts.dedup();
        assert!((75..300).contains(&starts.len()), "{} changes in ten minutes", starts.len());
        assert!((0..4).all(|speaker| starts.iter().filter(|&&who| who == speaker).count() > 10));
    }

    #[test]
    fn turns_go_around_and_overlap() {
        let frames = talk(Pattern::Turns, 32);
        let began = |speaker: usize| frames.iter().position(|frame| frame.contains(&speaker)).unwrap() as u64;
        assert!((1..32).all(|speaker| began(speaker) == began(speaker - 1) + 75));
        assert_eq!(share_of(&frames, 0), 0.0);
        assert!((0.32..0.35).contains(&share_of(&frames, 2)), "{}", share_of(&frames, 2));
    }

    #[test]
    fn a_single_speaker_keeps_the_floor_in_every_pattern() {
        for pattern in [Pattern::Monologue, Pattern::Conversation, Pattern::Turns, Pattern::All] {
            assert!(talk(pattern, 1).iter().all(|frame| frame == &[0]));
            assert!(talk(pattern, 0).iter().all(Vec::is_empty));
        }
    }
}
