//! Tones as Opus packets: what a speaker sends who whistles without taking breath.
//!
//! The files hold one second in packets of 20 ms, each with its length before it as a big-endian u16,
//! from the middle of a longer recording; a second is a whole number of periods, so it can be repeated.

use bytes::{Buf, Bytes};

/// Samples in one packet.
pub(crate) const FRAME: usize = 960;

/// A tone that can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// 440 Hz.
    Low,
    /// 1,000 Hz.
    High,
}

impl Tone {
    /// Its frequency.
    pub(crate) fn hz(self) -> f32 {
        match self {
            Self::Low => 440.0,
            Self::High => 1_000.0,
        }
    }

    /// Its packets, for one second.
    pub(crate) fn packets(self) -> Vec<Bytes> {
        let mut file = Bytes::from_static(match self {
            Self::Low => include_bytes!("tones/440.opus"),
            Self::High => include_bytes!("tones/1000.opus"),
        });
        let mut packets = Vec::new();
        while file.has_remaining() {
            let length = usize::from(file.get_u16());
            packets.push(file.split_to(length));
        }
        packets
    }

    /// How loud it is in these samples, 1 for a full sine (Goertzel).
    pub(crate) fn loudness(self, samples: &[f32]) -> f32 {
        let turn = 2.0 * (std::f32::consts::TAU * self.hz() / 48_000.0).cos();
        let (last, before) =
            samples.iter().fold((0.0, 0.0), |(last, before), sample| (sample + turn * last - before, last));
        let power: f32 = last * last + before * before - turn * last * before;
        2.0 * power.max(0.0).sqrt() / samples.len() as f32
    }
}

#[test]
fn a_decoder_hears_the_tone_and_no_other() {
    for (tone, other) in [(Tone::Low, Tone::High), (Tone::High, Tone::Low)] {
        let mut decoder = opus_decoder::OpusDecoder::new(48_000, 1).unwrap();
        let mut samples = [0.0; FRAME];
        for packet in tone.packets() {
            assert_eq!(decoder.decode_float(&packet, &mut samples, false).unwrap(), FRAME);
        }
        assert!(tone.loudness(&samples) > 0.2);
        assert!(other.loudness(&samples) < 0.01);
    }
}
