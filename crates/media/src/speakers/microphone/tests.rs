use std::time::Duration;

use proptest::prelude::*;
use protocol::FRAME_TICKS;
use protocol::session::{Fingerprint, IceText, Lines};

use super::*;
use crate::rtcp;
use crate::testing;

const OPUS: u8 = 111;
const RED: u8 = 63;

fn microphone(level_ext: Option<u8>) -> Microphone {
    Microphone::new(&Offer {
        ufrag: IceText::new("abcd").unwrap(),
        pwd: IceText::new("abcdefghijklmnopqrstuv").unwrap(),
        fingerprint: Fingerprint([0; 32]),
        opus: PayloadType::new(OPUS).unwrap(),
        red: PayloadType::new(RED),
        level_ext: level_ext.and_then(ExtensionId::new),
        nack: true,
        lines: Lines::new(0).unwrap(),
        framing: None,
    })
}

fn packet(ssrc: u32, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let head = [&[0x80, OPUS][..], &sequence.to_be_bytes(), &timestamp.to_be_bytes(), &ssrc.to_be_bytes()];
    [&head.concat()[..], payload].concat()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_long_packet_is_said_in_pieces_of_20_ms() {
    let mut microphone = microphone(None);
    let mut said = Vec::new();
    let sixty = [0xFB, 3, 1, 1, 2, 2, 3, 3];
    microphone.receive(testing::start(), &packet(1, 9, 500, &sixty), &mut said).unwrap();
    let pieces: Vec<_> =
        said.iter().map(|said| (said.source, said.ticks, said.payload.len(), said.starts)).collect();
    assert_eq!(pieces, [(500, 960, 3, true), (1_460, 960, 3, false), (2_420, 960, 3, false)]);
}

#[test]
fn without_the_extension_nothing_is_said_of_the_level_but_for_dtx() {
    let mut microphone = microphone(None);
    let mut said = Vec::new();
    for (sequence, len) in [(1, 90), (2, 3), (3, 1)] {
        let payload = vec![0x78; len];
        let timestamp = FRAME_TICKS * u32::from(sequence);
        microphone.receive(testing::start(), &packet(1, sequence, timestamp, &payload), &mut said).unwrap();
    }
    assert_eq!(said.iter().map(|said| said.level).collect::<Vec<_>>(), [None, None, Some(NO_LEVEL)]);
}

#[test]
fn a_second_stream_waits_until_the_first_is_quiet() {
    let mut microphone = microphone(None);
    let (now, mut said) = (testing::start(), Vec::new());
    microphone.receive(now, &packet(1, 1, 0, &[0x78, 1]), &mut said).unwrap();
    let other = packet(2, 9_000, 77, &[0x78, 1]);
    assert_eq!(microphone.receive(now + ms(20), &other, &mut said), Err(Unusable::Stream));
    microphone.receive(now + ms(60), &other, &mut said).unwrap();
    assert_eq!(said.iter().map(|said| said.starts).collect::<Vec<_>>(), [true, true]);
}

#[test]
fn what_never_comes_is_given_up() {
    let mut microphone = microphone(None);
    let (now, mut said) = (testing::start(), Vec::new());
    for sequence in [65_534, 3] {
        microphone
            .receive(now, &packet(1, sequence, u32::from(sequence) * 960, &[0x78, 1]), &mut said)
            .unwrap();
    }
    let asked = (0..10).filter(|&i| {
        let mut out = Vec::new();
        microphone.feedback(now + ms(20) * i, &mut out);
        !out.is_empty()
    });
    assert_eq!(asked.collect::<Vec<_>>(), [0, 2, 4]);
}

proptest! {
    #[test]
    fn whatever_comes_is_said_or_refused(
        packets in prop::collection::vec((any::<u16>(), any::<u32>(), 1u32..3, prop::bool::ANY,
                                          prop::collection::vec(any::<u8>(), 0..60)), 1..60),
    ) {
        let mut microphone = microphone(Some(1));
        let (mut now, mut out) = (testing::start(), Vec::new());
        for (sequence, timestamp, ssrc, is_red, payload) in packets {
            let mut bytes = packet(ssrc, sequence, timestamp, &payload);
            bytes[1] = if is_red { RED } else { OPUS };
            let mut said = Vec::new();
            let _ = microphone.receive(now, &bytes, &mut said);
            prop_assert!(said.iter().all(|said| said.level.is_none_or(|level| level <= NO_LEVEL)));
            prop_assert!(said.iter().all(|said| !said.payload.is_empty()));
            out.clear();
            microphone.feedback(now, &mut out);
            prop_assert!(out.len() <= rtcp::MAX_LEN);
            now += ms(30);
        }
    }
}
