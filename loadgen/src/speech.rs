//! Real speech as Opus: four voices made for this project, and how a speaker plays one.
//!
//! ```text
//!   reel      "DSP1" sentence…
//!   sentence  frames:u16 frame…           little-endian; it ends with the pause after it
//!   frame     level:u8 length:u16 bytes   20 ms; level in −dBov; length 0: nothing is sent (DTX)
//! ```
//!
//! The same frame comes again when a reel begins anew: do not tell frames by their bytes alone.

use std::sync::LazyLock;

use media::opus::{Toc, is_dtx};

/// How often a speaker who is silent says so, in frames: every 400 ms, as Opus encoders do.
const KEEP_ALIVE: u32 = 20;

/// From this level on, in −dBov, a frame is between two words.
const QUIET: u8 = 55;

/// Longest that somebody who has lost the floor goes on until the end of the word, in frames.
const LAST_WORD: u32 = 30;

/// Level of a frame without sound.
const SILENT: u8 = 127;

static REELS: LazyLock<Vec<Reel>> = LazyLock::new(|| {
    let files: [&[u8]; 4] = [
        include_bytes!("../speech/ada.reel"),
        include_bytes!("../speech/brian.reel"),
        include_bytes!("../speech/clara.reel"),
        include_bytes!("../speech/daniel.reel"),
    ];
    let read = |file| Reel::parse(file).expect("the reels in the program are whole: a test reads them");
    files.into_iter().map(read).collect()
});

/// What is wrong with a reel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpeechError {
    /// The first four bytes are not those of a reel.
    #[error("not a reel of speech")]
    NotAReel,
    /// Ends before its frames do.
    #[error("truncated")]
    Truncated,
    /// Has no frame with sound, so there is nothing to play.
    #[error("nothing is said in it")]
    Empty,
}

/// One voice's sentences.
#[derive(Debug)]
struct Reel {
    frames: Vec<Recorded>,
    /// The first frame of each sentence, ascending; the first is 0.
    sentences: Vec<usize>,
    /// What its DTX frames look like.
    dtx: [u8; 1],
}

#[derive(Debug, Clone, Copy)]
struct Recorded {
    payload: &'static [u8],
    level: u8,
}

impl Reel {
    fn parse(bytes: &'static [u8]) -> Result<Self, SpeechError> {
        let mut rest = bytes.strip_prefix(b"DSP1").ok_or(SpeechError::NotAReel)?;
        let (mut frames, mut sentences) = (Vec::new(), Vec::new());
        while !rest.is_empty() {
            sentences.push(frames.len());
            for _ in 0..number(&mut rest)? {
                frames.push(recorded(&mut rest)?);
            }
        }
        let spoken = frames.iter().find(|frame| !is_dtx(frame.payload)).ok_or(SpeechError::Empty)?;
        let dtx = [Toc(spoken.payload[0]).dtx().0];
        Ok(Self { frames, sentences, dtx })
    }

    /// Where the sentence after the one that `frame` is in begins.
    fn sentence_after(&self, frame: usize) -> usize {
        self.sentences.iter().copied().find(|&first| first > frame).unwrap_or(0)
    }
}

fn recorded(rest: &mut &'static [u8]) -> Result<Recorded, SpeechError> {
    let (&level, after) = rest.split_first().ok_or(SpeechError::Truncated)?;
    *rest = after;
    let length = usize::from(number(rest)?);
    let (payload, after) = rest.split_at_checked(length).ok_or(SpeechError::Truncated)?;
    *rest = after;
    Ok(Recorded { payload, level })
}

fn number(rest: &mut &'static [u8]) -> Result<u16, SpeechError> {
    let (bytes, after) = rest.split_first_chunk().ok_or(SpeechError::Truncated)?;
    *rest = after;
    Ok(u16::from_le_bytes(*bytes))
}

/// What one speaker sends in one 20 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// An Opus packet of one 20 ms frame.
    pub payload: &'static [u8],
    /// For the audio level extension, in −dBov (RFC 6464).
    pub level: u8,
    /// Whether a silence ends here: the marker bit.
    pub starts: bool,
}

/// One speaker with a voice.
#[derive(Debug, Clone)]
pub struct Player {
    reel: &'static Reel,
    at: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Without the floor; so many frames since the last one that was sent.
    Silent(u32),
    /// With the floor, and whether a silence goes on within what is said.
    Speaking { paused: bool },
    /// Has lost the floor so many frames ago and ends the word.
    Ending(u32),
}

impl Player {
    /// The speaker of this number. Voices come round after four; `seed` says with which sentence to begin.
    pub fn new(number: usize, seed: u64) -> Self {
        let reel = &REELS[number % REELS.len()];
        let sentence = seed % reel.sentences.len() as u64;
        Self { reel, at: reel.sentences[sentence as usize], state: State::Silent(KEEP_ALIVE) }
    }

    /// What to send now, if anything: call it every 20 ms, with whether the speaker has the floor.
    pub fn step(&mut self, floor: bool) -> Option<Said> {
        self.state = match (self.state, floor) {
            (State::Silent(_), true) => State::Speaking { paused: true },
            (State::Ending(_), true) => State::Speaking { paused: false },
            (State::Speaking { .. }, false) => self.ending(0),
            (State::Ending(since), false) => self.ending(since + 1),
            (as_before, _) => as_before,
        };
        match self.state {
            State::Silent(since) => self.keep_alive(since),
            State::Speaking { .. } | State::Ending(_) => self.play(),
        }
    }

    /// Goes on to the end of the word; then the next sentence is what will be said next.
    fn ending(&mut self, since: u32) -> State {
        if since < LAST_WORD && self.reel.frames[self.at].level < QUIET {
            return State::Ending(since);
        }
        self.at = self.reel.sentence_after(self.at);
        State::Silent(KEEP_ALIVE)
    }

    fn keep_alive(&mut self, since: u32) -> Option<Said> {
        let due = since >= KEEP_ALIVE;
        self.state = State::Silent(if due { 1 } else { since + 1 });
        due.then_some(Said { payload: &self.reel.dtx, level: SILENT, starts: false })
    }

    fn play(&mut self) -> Option<Said> {
        let Recorded { payload, level } = self.reel.frames[self.at];
        self.at = (self.at + 1) % self.reel.frames.len();
        let silence = is_dtx(payload);
        let starts = self.state == State::Speaking { paused: true } && !silence;
        if let State::Speaking { paused } = &mut self.state {
            *paused = silence;
        }
        (!payload.is_empty()).then_some(Said { payload, level, starts })
    }
}

#[cfg(test)]
mod tests;
