//! One line for clients that have only one: of all voices, the loudest of each moment.
//!
//! The voices share one clock, so their timestamps can be taken as they are; a frame that is not
//! later than the last one taken is left out, and so the line never goes back.

use protocol::{VOICES, VoiceId};

use crate::audience::NO_LEVEL;
use crate::framing::Timed;
use crate::opus;

/// Share of the newest frame in a voice's average: about the last 200 ms count.
const WEIGHT: f32 = 0.1;

/// How much louder another voice must be, in dB, so that the line does not jump between syllables.
const MARGIN: f32 = 6.0;

/// A voice without a frame for this long is silent, in ticks.
const GAP: i64 = 5;

#[derive(Debug, Default)]
pub(super) struct Line {
    current: usize,
    voices: [Heard; VOICES],
    /// Of the last frame taken.
    tick: Option<i64>,
    number: u32,
}

#[derive(Debug, Default, Clone, Copy)]
struct Heard {
    /// In dB above −127 dBov.
    loudness: f32,
    tick: i64,
    dtx: bool,
}

impl Line {
    /// The frame as it goes on the line, if it does.
    pub(super) fn take(&mut self, timed: &Timed) -> Option<Timed> {
        let voice = timed.frame.voice.index();
        self.hear(voice, timed);
        if voice != self.current && self.is_outdone_by(voice, timed.tick) {
            self.current = voice;
        }
        let keeps_alive = self.voices[voice].dtx && self.is_silent(timed.tick);
        let is_later = self.tick.is_none_or(|tick| timed.tick > tick);
        let taken = is_later && (voice == self.current || keeps_alive);
        taken.then(|| self.write(timed))
    }

    fn hear(&mut self, voice: usize, timed: &Timed) {
        let dtx = opus::is_dtx(&timed.frame.payload);
        let level = if dtx { NO_LEVEL } else { timed.frame.level.min(NO_LEVEL) };
        let heard = &mut self.voices[voice];
        heard.loudness += (f32::from(NO_LEVEL - level) - heard.loudness) * WEIGHT;
        (heard.tick, heard.dtx) = (heard.tick.max(timed.tick), dtx);
    }

    fn is_outdone_by(&self, voice: usize, tick: i64) -> bool {
        let (current, other) = (self.voices[self.current], self.voices[voice]);
        !other.dtx && (self.is_silent(tick) || other.loudness > current.loudness + MARGIN)
    }

    /// Whether the voice on the line says nothing.
    fn is_silent(&self, tick: i64) -> bool {
        let current = self.voices[self.current];
        current.dtx || tick - current.tick > GAP
    }

    fn write(&mut self, timed: &Timed) -> Timed {
        let mut taken = timed.clone();
        taken.frame.number = self.number;
        taken.frame.voice = VoiceId::all().next().unwrap_or(timed.frame.voice);
        taken.follows = true;
        self.number = self.number.wrapping_add(1);
        self.tick = Some(timed.tick);
        taken
    }
}
