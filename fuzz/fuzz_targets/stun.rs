//! STUN from anybody: whatever can be read lies within the datagram, and nothing the fuzzer writes is
//! signed with a password that it does not know.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::stun::Message;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::parse(bytes) else { return };
    if let (Some(username), Some((ours, theirs))) = (message.username, message.ufrags()) {
        assert_eq!(ours.len() + 1 + theirs.len(), username.len());
    }
    assert!(!message.is_signed_with(b"a password that nobody has"));
});
