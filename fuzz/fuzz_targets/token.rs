//! A token: nothing that the fuzzer writes is signed, so nothing may be taken for valid.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::token::Keys;

fuzz_target!(|token: &str| {
    let mut keys = Keys::default();
    keys.add("key", b"a secret that nobody else can know").expect("long enough");
    assert!(keys.verify(token, 1_800_000_000).is_err());
});
