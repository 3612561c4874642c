//! Who is loudest: gives the voices of a room to those who speak (RFC 6464 levels in, voices out).
//!
//! A voice that nobody needs is given at once, so that the first syllable of an interruption is
//! heard; who is too soft to count as speaking gets one that nobody makes a sound on. A voice in use
//! changes hands only to somebody who is louder and goes on being so, so that a cough steals nothing.
//! Whoever has a voice keeps it while nobody else wants it; silence takes none.

use std::time::{Duration, Instant};

use protocol::{SpeakerNumber, VOICES, VoiceId};

/// At this level, in −dBov, or louder, somebody speaks. Lower numbers miss soft voices, higher ones
/// take a fan for a speaker.
pub const AUDIBLE: u8 = 65;

/// From this level on there is nothing at all: 16 bits end at 96.
pub const SILENT: u8 = 100;

/// How long a holder may be inaudible before their voice is free for others. Shorter cuts people at
/// their pauses for breath, longer lets an interruption wait.
const PAUSE: Duration = Duration::from_millis(500);

/// How long somebody must speak before they may take a voice in use: longer than a cough.
const SUSTAINED: Duration = Duration::from_millis(600);

/// Pauses between syllables do not end what is sustained.
const SYLLABLE: Duration = Duration::from_millis(200);

/// How much louder they must be than the softest holder, in dB.
const MARGIN: f32 = 3.0;

/// How long a voice is safe after it changed hands, against two who are equally loud.
const SAFE: Duration = Duration::from_secs(1);

/// Over how long loudness is averaged: a few syllables.
const AVERAGING: Duration = Duration::from_millis(400);

/// Longest time between two packets of somebody who sends without pause.
const PACKET_GAP: Duration = Duration::from_millis(100);

/// What becomes of what somebody says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on the voice they have.
    Holds(VoiceId),
    /// They have a voice from now on.
    Takes {
        /// This one.
        voice: VoiceId,
        /// From whom, if anybody had it.
        from: Option<SpeakerNumber>,
    },
    /// Nobody hears it.
    Unheard,
}

/// Those who may be heard, and who of them has a voice.
#[derive(Debug, Default)]
pub struct Stage {
    speakers: Vec<Speaker>,
}

#[derive(Debug)]
struct Speaker {
    number: SpeakerNumber,
    /// The voice they have, and since when.
    voice: Option<(VoiceId, Instant)>,
    /// Average in dB above −127 dBov.
    loudness: f32,
    /// Last packet.
    heard_at: Instant,
    /// Last packet with a sound in it, however soft.
    sound_at: Option<Instant>,
    /// Last audible packet.
    audible_at: Option<Instant>,
    /// First of an unbroken row of audible packets.
    audible_since: Instant,
}

impl Stage {
    /// Takes a packet of `level` −dBov from `number`, who joins the stage with it if they are new.
    pub fn hear(&mut self, now: Instant, number: SpeakerNumber, level: u8) -> Verdict {
        let index = self.index(now, number);
        self.speakers[index].update(now, level);
        if let Some((voice, _)) = self.speakers[index].voice {
            return Verdict::Holds(voice);
        }
        match self.voice_for(now, index, level) {
            Some(voice) => self.give(now, index, voice),
            None => Verdict::Unheard,
        }
    }

    /// Somebody left, or is muted: the voice they had.
    pub fn remove(&mut self, number: SpeakerNumber) -> Option<VoiceId> {
        let index = self.speakers.iter().position(|speaker| speaker.number == number)?;
        self.speakers.swap_remove(index).voice.map(|(voice, _)| voice)
    }

    /// Who has this voice.
    pub fn holder(&self, voice: VoiceId) -> Option<SpeakerNumber> {
        self.on(voice).map(|speaker| speaker.number)
    }

    fn index(&mut self, now: Instant, number: SpeakerNumber) -> usize {
        self.speakers.iter().position(|speaker| speaker.number == number).unwrap_or_else(|| {
            self.speakers.push(Speaker::new(now, number));
            self.speakers.len() - 1
        })
    }

    fn on(&self, voice: VoiceId) -> Option<&Speaker> {
        self.speakers.iter().find(|speaker| speaker.voice.is_some_and(|(held, _)| held == voice))
    }

    fn voice_for(&self, now: Instant, index: usize, level: u8) -> Option<VoiceId> {
        let unheld = || VoiceId::all().find(|&voice| self.on(voice).is_none());
        if level >= SILENT {
            None
        } else if level > AUDIBLE {
            unheld().or_else(|| self.unused(now, |speaker| speaker.sound_at))
        } else {
            let unused = || self.unused(now, |speaker| speaker.audible_at);
            unheld().or_else(unused).or_else(|| self.outspoken(now, &self.speakers[index]))
        }
    }

    /// The voice whose holder has not used it for longest, if long enough; `last` says when they did.
    fn unused(&self, now: Instant, last: fn(&Speaker) -> Option<Instant>) -> Option<VoiceId> {
        let holders = self.speakers.iter().filter_map(|speaker| Some((last(speaker), speaker.voice?.0)));
        let (last, voice) = holders.min_by_key(|&(last, _)| last)?;
        last.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE).then_some(voice)
    }

    /// The voice of the softest holder, if `louder` may take it.
    fn outspoken(&self, now: Instant, louder: &Speaker) -> Option<VoiceId> {
        let holders = self.speakers.iter().filter_map(|speaker| Some((speaker, speaker.voice?)));
        let by_loudness =
            |a: &(&Speaker, _), b: &(&Speaker, _)| a.0.loudness_at(now).total_cmp(&b.0.loudness_at(now));
        let (softest, (voice, since)) = holders.min_by(by_loudness)?;
        let sustained = now.saturating_duration_since(louder.audible_since) >= SUSTAINED;
        let safe = now.saturating_duration_since(since) < SAFE;
        let is_louder = louder.loudness > softest.loudness_at(now) + MARGIN;
        (sustained && !safe && is_louder).then_some(voice)
    }

    fn give(&mut self, now: Instant, index: usize, voice: VoiceId) -> Verdict {
        let holder = self.speakers.iter_mut().find(|s| s.voice.is_some_and(|(held, _)| held == voice));
        let from = holder.map(|speaker| {
            speaker.voice = None;
            speaker.number
        });
        self.speakers[index].voice = Some((voice, now));
        debug_assert!(self.speakers.iter().filter(|s| s.voice.is_some()).count() <= VOICES);
        Verdict::Takes { voice, from }
    }
}

impl Speaker {
    fn new(now: Instant, number: SpeakerNumber) -> Self {
        Self {
            number,
            voice: None,
            loudness: 0.0,
            heard_at: now,
            sound_at: None,
            audible_at: None,
            audible_since: now,
        }
    }

    fn update(&mut self, now: Instant, level: u8) {
        if level < SILENT {
            self.sound_at = Some(now);
        }
        if level <= AUDIBLE {
            if self.audible_at.is_none_or(|at| now.saturating_duration_since(at) > SYLLABLE) {
                self.audible_since = now;
            }
            self.audible_at = Some(now);
        }
        let elapsed = now.saturating_duration_since(self.heard_at);
        let weight = (elapsed.as_secs_f32() / AVERAGING.as_secs_f32()).min(1.0);
        self.loudness += (f32::from(127 - level.min(127)) - self.loudness) * weight;
        self.heard_at = now;
    }

    /// Somebody who sends nothing says nothing.
    fn loudness_at(&self, now: Instant) -> f32 {
        if now.saturating_duration_since(self.heard_at) > PACKET_GAP { 0.0 } else { self.loudness }
    }
}

#[cfg(test)]
mod tests;
