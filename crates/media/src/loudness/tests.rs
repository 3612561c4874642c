use proptest::prelude::*;
use ropus::{Application, Bitrate, Encoder};

use super::*;
use crate::stage::SILENT;
use crate::{opus, testing};

/// 20 ms of a tone.
fn tone(amplitude: f64, frame: usize, channels: usize) -> Vec<i16> {
    let sample = |i: usize| {
        let t = (frame * FRAME_TICKS as usize + i / channels) as f64 / f64::from(CLOCK_HZ);
        (amplitude * (std::f64::consts::TAU * 300.0 * t).sin()) as i16
    };
    (0..FRAME_TICKS as usize * channels).map(sample).collect()
}

fn encoder(channels: Channels, application: Application, bits: u32) -> Encoder {
    let encoder = Encoder::builder(CLOCK_HZ, channels, application);
    encoder.bitrate(Bitrate::try_bits(bits).unwrap()).build().unwrap()
}

fn encode(encoder: &mut Encoder, samples: &[i16]) -> Vec<u8> {
    let mut packet = vec![0; 1_500];
    let len = encoder.encode(samples, &mut packet).unwrap();
    packet.truncate(len);
    packet
}

#[test]
fn every_coding_is_as_loud_as_what_was_said() {
    use Application::{Audio, Voip};
    let mut codings = std::collections::BTreeSet::new();
    for (channels, application, bits) in [
        (Channels::Mono, Voip, 8_000),
        (Channels::Mono, Voip, 12_000),
        (Channels::Mono, Voip, 24_000),
        (Channels::Mono, Voip, 64_000),
        (Channels::Stereo, Voip, 24_000),
        (Channels::Stereo, Audio, 96_000),
        (Channels::Mono, Audio, 64_000),
    ] {
        for loud in [10.0, 30.0, 50.0] {
            let amplitude = 32_768.0 * 2f64.sqrt() * 10f64.powf(-loud / 20.0);
            let (mut encoder, mut now) = (encoder(channels, application, bits), testing::start());
            let (mut loudness, mut heard) = (Loudness::new(now), Vec::new());
            for frame in 0..25 {
                let packet = encode(&mut encoder, &tone(amplitude, frame, channels.count()));
                codings.insert(match packet[0] >> 3 {
                    0..12 => "SILK",
                    12..16 => "hybrid",
                    _ => "CELT",
                });
                let level = loudness.hear(now, &packet, FRAME_TICKS);
                now += Duration::from_millis(20);
                let Level::Heard(level) = level else { panic!("{level:?}") };
                heard.push(f64::from(level));
            }
            let level = heard[5..].iter().sum::<f64>() / 20.0;
            // SILK at few bits makes soft tones softer still.
            assert!((level - loud).abs() < 8.0, "at {bits} bit/s −{loud} dBov are as loud as {heard:?}");
        }
    }
    assert_eq!(codings.into_iter().collect::<Vec<_>>(), ["CELT", "SILK", "hybrid"]);
}

#[test]
fn silence_is_silence_however_many_bytes_it_takes() {
    let mut encoder = Encoder::builder(CLOCK_HZ, Channels::Mono, Application::Voip)
        .bitrate(Bitrate::try_bits(64_000).unwrap())
        .vbr(false)
        .build()
        .unwrap();
    let mut now = testing::start();
    let mut loudness = Loudness::new(now);
    for frame in 0..50 {
        let packet = encode(&mut encoder, &[0; FRAME_TICKS as usize]);
        assert_eq!(packet.len(), 160);
        let level = loudness.hear(now, &packet, FRAME_TICKS);
        let is_silent = matches!(level, Level::Heard(level) if level >= SILENT);
        assert!(frame < 5 || is_silent, "{level:?} in frame {frame}");
        now += Duration::from_millis(20);
    }
}

#[test]
fn nobody_makes_it_work_faster_than_time() {
    let now = testing::start();
    let mut loudness = Loudness::new(now);
    let silence = [0xF8, 0xFF, 0xFE];
    let mut heard = 0;
    for frame in 0..10_000u32 {
        let level = loudness.hear(now + Duration::from_millis(2) * frame, &silence, FRAME_TICKS);
        heard += u32::from(matches!(level, Level::Heard(_)));
    }
    assert!((1_000..=1_010).contains(&heard), "{heard} frames in 20 s");
}

proptest! {
    #[test]
    fn whatever_comes_has_a_level(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
    ) {
        let mut now = testing::start();
        let mut loudness = Loudness::new(now);
        for packet in packets {
            let ticks = opus::Packet::parse(&packet).map_or(FRAME_TICKS, |packet| packet.ticks());
            let (Level::Heard(level) | Level::Assumed(level)) = loudness.hear(now, &packet, ticks);
            prop_assert!(level <= NO_LEVEL);
            now += Duration::from_millis(40);
        }
    }
}
