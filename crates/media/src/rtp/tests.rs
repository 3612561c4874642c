use proptest::prelude::*;

use super::*;

/// A packet as Chromium sends it: level in extension 1, mid in 4.
const CHROME: &[u8] = &[
    0x90, 0xEF, 0x12, 0x34, 0, 0, 0x03, 0xC0, 0xAA, 0xBB, 0xCC, 0xDD, // fixed
    0xBE, 0xDE, 0, 2, 0x10, 0x9E, 0x40, b'0', 0, 0, 0, 0, // extensions
    0x78, 1, 2, 3,
];

#[test]
fn a_packet_of_a_browser_is_read() {
    let packet = Packet::parse(CHROME).unwrap();
    assert!(packet.marker);
    assert_eq!((packet.payload_type, packet.sequence, packet.timestamp), (111, 0x1234, 960));
    assert_eq!(packet.ssrc, 0xAABB_CCDD);
    assert_eq!(packet.payload, [0x78, 1, 2, 3]);
    assert_eq!(packet.level(1), Some(30));
    assert_eq!(packet.extension(4), Some(&b"0"[..]));
    assert_eq!(packet.level(2), None);
}

#[test]
fn two_byte_extensions_are_read_too() {
    let mut bytes = CHROME.to_vec();
    bytes.splice(12..24, [0x10, 0, 0, 1, 0, 7, 1, 0x85]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.level(7), Some(5));
    assert_eq!(packet.payload, [0x78, 1, 2, 3]);
}

#[test]
fn contributors_are_read_and_padding_is_cut() {
    let mut bytes = vec![0xA2, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 6];
    bytes.extend([9, 9, 0, 0, 3]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.csrcs().collect::<Vec<_>>(), [5, 6]);
    assert_eq!(packet.payload, [9, 9]);
}

#[test]
fn nonsense_is_named() {
    assert_eq!(Packet::parse(&CHROME[..11]), Err(RtpError::Truncated));
    assert_eq!(Packet::parse(&CHROME[..20]), Err(RtpError::Truncated));
    assert_eq!(Packet::parse(&[0x50; 40]), Err(RtpError::Version));
    let mut padded = CHROME.to_vec();
    padded[0] |= 0x20;
    *padded.last_mut().unwrap() = 0;
    assert_eq!(Packet::parse(&padded), Err(RtpError::Padding));
    *padded.last_mut().unwrap() = 200;
    assert_eq!(Packet::parse(&padded), Err(RtpError::Padding));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), id in 1u8..15) {
        if let Ok(packet) = Packet::parse(&bytes) {
            let _ = (packet.level(id), packet.csrcs().count());
            prop_assert!(packet.payload.len() + FIXED_LEN <= bytes.len());
        }
    }

    #[test]
    fn any_change_of_a_real_packet_is_read_or_refused(at in 0..CHROME.len(), byte: u8, end in 0..=CHROME.len()) {
        let mut bytes = CHROME.to_vec();
        bytes[at] = byte;
        if let Ok(packet) = Packet::parse(&bytes[..end]) {
            let _ = (packet.level(1), packet.csrcs().count());
        }
    }
}
