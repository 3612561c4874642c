//! Messages of a link's control stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::link::{ChildMessage, ParentMessage};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = serde_json::from_slice::<ChildMessage>(bytes) {
        let written = serde_json::to_vec(&message).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<ChildMessage>(&written).ok(), Some(message));
    }
    if let Ok(message) = serde_json::from_slice::<ParentMessage>(bytes) {
        let written = serde_json::to_vec(&message).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<ParentMessage>(&written).ok(), Some(message));
    }
});
