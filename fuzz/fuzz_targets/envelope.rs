//! Whatever somebody with the cluster's key could send: an error, or what writes the same bytes again, and
//! is taken at most once.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::NodeId;
use protocol::envelope::{Envelope, Keys, Life, Refused, SIGNATURE, Trust};

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::new(b"a key that is known to everybody"));

fuzz_target!(|bytes: &[u8]| {
    let unsigned = Envelope::open(&KEYS, "nodes", Bytes::copy_from_slice(bytes));
    assert_eq!(unsigned, Err(Refused::Forged));
    let signed = Bytes::from([bytes, KEYS.sign("nodes", bytes).as_slice()].concat());
    assert_eq!(signed.len(), bytes.len() + SIGNATURE);
    let Ok(envelope) = Envelope::open(&KEYS, "nodes", signed.clone()) else { return };
    assert_eq!(envelope.seal(&KEYS, "nodes"), signed);
    let me = Life { node: NodeId::new("me").expect("a name"), boot: 1 };
    let mut trust = Trust::new(me);
    let mut ear = trust.ear();
    let now = envelope.tick % 100;
    if trust.hear(now, &mut ear, &envelope).is_ok() {
        assert!(trust.hear(now, &mut ear, &envelope).is_err());
    }
});
