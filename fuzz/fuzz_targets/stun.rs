//! STUN from anybody: whatever can be read stays within the datagram.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = media::stun::Message::parse(bytes);
});
