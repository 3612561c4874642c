//! How loud an Opus packet is, for those whose client does not say (RFC 6464): it is decoded.
//!
//! Nothing else is decoded anywhere. The bytes may be anything, from anybody on stage, and a panic would
//! end the process: the decoder behind this type is fuzzed (`fuzz/fuzz_targets/loudness.rs`), and nothing
//! beyond this file knows which it is. It works no faster than time passes, however much comes.

use std::time::{Duration, Instant};

use protocol::{CLOCK_HZ, FRAME_TICKS};
use ropus::{Channels, DecodeMode, Decoder};

use crate::audience::NO_LEVEL;
use crate::opus::MAX_TICKS;

/// What may be decoded at once, in 1/48,000 s, so that a bursty network costs no level: as much as a voice
/// takes at once.
const BURST: u32 = 10 * FRAME_TICKS;

/// The ear of one speaker: 80 KB.
pub struct Loudness {
    decoder: Decoder,
    samples: Box<[i16]>,
    /// What may be decoded still, in 1/48,000 s, and when that was so.
    spare: u32,
    at: Instant,
    /// Of the last packet that was decoded.
    level: u8,
}

/// How a level came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The packet was decoded.
    Heard(u8),
    /// It came faster than time, or is nothing that can be played: the level of the one before.
    Assumed(u8),
}

impl Loudness {
    /// An ear that has heard nothing yet.
    pub fn new(now: Instant) -> Self {
        let decoder = Decoder::new(CLOCK_HZ, Channels::Mono).expect("Opus has 48 kHz and mono");
        let samples = vec![0; MAX_TICKS as usize].into();
        Self { decoder, samples, spare: BURST, at: now, level: NO_LEVEL }
    }

    /// The level of the next packet, which lasts `ticks`, in −dBov.
    pub fn hear(&mut self, now: Instant, payload: &[u8], ticks: u32) -> Level {
        if !self.spend(now, ticks) {
            return Level::Assumed(self.level);
        }
        let decoded = self.decoder.decode(payload, &mut self.samples, DecodeMode::Normal);
        match decoded.ok().and_then(|count| self.samples.get(..count)) {
            Some(samples) => {
                self.level = level(samples);
                Level::Heard(self.level)
            }
            None => Level::Assumed(self.level),
        }
    }

    /// Whether so much may be decoded now; if so, it is counted.
    fn spend(&mut self, now: Instant, ticks: u32) -> bool {
        let passed = now.saturating_duration_since(self.at).min(Duration::from_secs(1));
        let passed_ticks = (passed.as_micros() as u64 * u64::from(CLOCK_HZ) / 1_000_000) as u32;
        (self.spare, self.at) = ((self.spare + passed_ticks).min(BURST), now);
        let left = self.spare.checked_sub(ticks);
        self.spare = left.unwrap_or(self.spare);
        left.is_some()
    }
}

impl std::fmt::Debug for Loudness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loudness({} dBov)", -i32::from(self.level))
    }
}

/// The root mean square in −dBov, where 0 is a square wave as loud as can be.
fn level(samples: &[i16]) -> u8 {
    let energy: u64 = samples.iter().map(|&sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    let mean = energy as f64 / samples.len().max(1) as f64 / f64::from(1u32 << 30);
    // Of nothing at all the logarithm is negative infinity, and the cast saturates.
    (-10.0 * mean.log10()).round().min(f64::from(NO_LEVEL)) as u8
}

#[cfg(test)]
mod tests;
