//! RTP from a speaker: slices of the packet, never more than it has.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::rtp::Packet;

fuzz_target!(|bytes: &[u8]| {
    let Ok(packet) = Packet::parse(bytes) else { return };
    assert!(packet.payload.len() + media::rtp::FIXED_LEN <= bytes.len());
    assert!(packet.csrcs().count() <= 15);
    for id in 0..=15 {
        assert!(packet.level(id).is_none_or(|level| level <= 127));
    }
});
