//! A text message on the WebSocket: an error that can be sent, or a request that survives being
//! written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::message::{self, Request};

fuzz_target!(|text: &str| {
    match message::read(text) {
        Ok(request) => {
            let written = serde_json::to_string(&request).expect("what was read can be written");
            assert!(serde_json::from_str::<Request>(&written).is_ok(), "{written}");
        }
        Err(unreadable) => assert!(!unreadable.error.message.is_empty()),
    }
});
