//! What a listener hears: every packet of every voice decoded in the order it came, and everything that
//! a person would have noticed counted.

use std::collections::HashMap;

use opus_decoder::OpusDecoder;
use rtc::rtp::Packet;

use crate::tone::{FRAME, Tone};

/// A tone is heard from here on, where the whole of it is 0.24.
const AUDIBLE: f32 = 0.1;

/// Longest packet, in samples: 120 ms.
const LONGEST: usize = 5_760;

/// One listener's ear.
#[derive(Default)]
pub(crate) struct Ear {
    voices: HashMap<u32, Voice>,
    heard: Heard,
}

/// What came so far.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Heard {
    /// Packets, silence among them.
    pub(crate) packets: u64,
    /// 20 ms pieces in which a tone sounds: low, high.
    pub(crate) tones: [u64; 2],
    /// 20 ms pieces of sound with no tone in them.
    pub(crate) noise: u64,
    /// The last of these: its packet's timestamp and bytes, how far into the sound it was, and how loud.
    pub(crate) last_noise: Option<(u32, usize, u32, f32)>,
    /// Packets that never came, or came late.
    pub(crate) lost: u64,
    /// Places where media time does not go on where it stopped.
    pub(crate) breaks: u64,
    /// The last speaker's number.
    pub(crate) speaker: u32,
}

/// One lane.
struct Voice {
    decoder: OpusDecoder,
    next: Option<(u16, u32)>,
    /// Sound since the last silence, in pieces: a decoder needs some to get going.
    pieces: u32,
}

impl Heard {
    /// What a decoder would have had to make up.
    pub(crate) fn concealed(&self) -> u64 {
        self.lost + self.breaks
    }

    /// Pieces of this tone.
    pub(crate) fn of(&self, tone: Tone) -> u64 {
        self.tones[tone as usize]
    }
}

impl Ear {
    /// What came so far.
    pub(crate) fn heard(&self) -> Heard {
        self.heard
    }

    /// Hears one packet.
    pub(crate) fn hear(&mut self, packet: &Packet) {
        let header = &packet.header;
        let voice = self.voices.entry(header.ssrc).or_insert_with(Voice::new);
        self.heard.packets += 1;
        self.heard.speaker = header.csrc.first().copied().unwrap_or_default();
        let silence = packet.payload.len() <= 2;
        let mut samples = [0.0; LONGEST];
        let count = voice.decoder.decode_float(&packet.payload, &mut samples, false).expect("Opus");
        if let Some((sequence, timestamp)) = voice.next {
            self.heard.lost += u64::from(sequence != header.sequence_number);
            // Around silence media time may jump.
            self.heard.breaks += u64::from(voice.pieces > 0 && !silence && timestamp != header.timestamp);
        }
        voice.next =
            Some((header.sequence_number.wrapping_add(1), header.timestamp.wrapping_add(count as u32)));
        if silence {
            voice.pieces = 0;
            return;
        }
        for piece in samples[..count].chunks(FRAME) {
            voice.pieces += 1;
            let tone = [Tone::Low, Tone::High].into_iter().find(|tone| tone.loudness(piece) > AUDIBLE);
            match tone {
                Some(tone) => self.heard.tones[tone as usize] += 1,
                None if voice.pieces > 5 => {
                    let loudness = piece.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
                    self.heard.noise += 1;
                    self.heard.last_noise =
                        Some((header.timestamp, packet.payload.len(), voice.pieces, loudness));
                }
                None => {}
            }
        }
    }
}

impl Voice {
    fn new() -> Self {
        Self { decoder: OpusDecoder::new(48_000, 1).expect("a valid rate"), next: None, pieces: 0 }
    }
}
