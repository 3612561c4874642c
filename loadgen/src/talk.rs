//! What is said in a room, 20 ms by 20 ms: a pattern gives the floor, and whoever has it plays speech.
//!
//! Pure and seeded: the same pattern, number of speakers and seed give the same talk.

mod floor;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::speech::{Player, Said};
use floor::Floor;

/// How people take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// The first speaker, all the time.
    Monologue,
    /// One at a time, another every few seconds, and sometimes the next one does not wait.
    Conversation,
    /// Everybody in turn for two seconds, each cutting into the one before.
    Turns,
    /// Everybody at once, all the time.
    All,
}

impl std::str::FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "monologue" => Ok(Self::Monologue),
            "conversation" => Ok(Self::Conversation),
            "turns" => Ok(Self::Turns),
            "all" => Ok(Self::All),
            other => Err(format!("`{other}` is none of monologue, conversation, turns, all")),
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Monologue => "monologue",
            Self::Conversation => "conversation",
            Self::Turns => "turns",
            Self::All => "all",
        })
    }
}

/// The talk of one room as it goes on.
pub struct Talk {
    floor: Floor,
    players: Vec<Player>,
    /// What each speaker says in the frame before `next`.
    said: Vec<Option<Said>>,
    /// The first frame that has not been played yet.
    next: u64,
}

impl Talk {
    /// The talk of this many speakers, from its beginning.
    pub fn new(pattern: Pattern, speakers: usize, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            players: (0..speakers).map(|number| Player::new(number, rng.random())).collect(),
            said: vec![None; speakers],
            next: 0,
            floor: Floor::new(pattern, speakers, rng),
        }
    }

    /// What a speaker sends in this frame of 20 ms, counted from the start; none in a pause. Frames are
    /// asked for in order; those that nobody asked for are skipped, and of those gone by there is none.
    pub fn say(&mut self, speaker: usize, frame: u64) -> Option<Said> {
        while self.next <= frame {
            self.play();
        }
        let is_now = self.next == frame + 1;
        self.said.get(speaker).copied().flatten().filter(|_| is_now)
    }

    fn play(&mut self) {
        let floor = self.floor.step();
        for ((player, said), &has_floor) in self.players.iter_mut().zip(&mut self.said).zip(floor) {
            *said = player.step(has_floor);
        }
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute of what one speaker sends.
    fn minute(talk: &mut Talk, speaker: usize) -> Vec<Option<Said>> {
        (0..3_000).map(|frame| talk.say(speaker, frame)).collect()
    }

    #[test]
    fn whoever_has_the_floor_speaks_and_the_others_send_dtx() {
        let mut talk = Talk::new(Pattern::Monologue, 2, 1);
        let mut spoke = [0, 0];
        for frame in 0..3_000 {
            for (speaker, spoke) in spoke.iter_mut().enumerate() {
                *spoke += usize::from(talk.say(speaker, frame).is_some_and(|said| said.payload.len() > 2));
            }
        }
        assert!(spoke[0] > 2_000 && spoke[1] == 0, "{spoke:?}");
    }

    #[test]
    fn what_one_speaker_says_is_never_the_same_twice_within_500_ms() {
        let mut talk = Talk::new(Pattern::Conversation, 2, 3);
        let heard = |said: Option<Said>| said.map(|said| said.payload).filter(|payload| payload.len() > 2);
        let said: Vec<_> = minute(&mut talk, 0).into_iter().map(heard).collect();
        for window in said.windows(25) {
            assert!(window[24].is_none() || !window[..24].contains(&window[24]));
        }
    }

    #[test]
    fn the_same_seed_is_the_same_talk_and_another_one_is_not() {
        let said = |seed| minute(&mut Talk::new(Pattern::Conversation, 4, seed), 2);
        assert_eq!(said(5), said(5));
        assert_ne!(said(5), said(6));
    }

    #[test]
    fn skipped_frames_are_gone() {
        let (mut whole, mut late) = (Talk::new(Pattern::All, 1, 9), Talk::new(Pattern::All, 1, 9));
        let all = minute(&mut whole, 0);
        assert_eq!(late.say(0, 0), all[0]);
        assert_eq!(late.say(0, 40), all[40]);
        assert_eq!(late.say(0, 39), None);
        assert_eq!(late.say(7, 41), None);
    }

    #[test]
    fn an_unknown_pattern_is_told_which_there_are() {
        assert_eq!("turns".parse(), Ok(Pattern::Turns));
        assert_eq!(Pattern::All.to_string().parse(), Ok(Pattern::All));
        assert!("shouting".parse::<Pattern>().unwrap_err().contains("conversation"));
    }
}
