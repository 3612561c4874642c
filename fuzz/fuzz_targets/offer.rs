//! The small session description as JSON: within its limits, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{Answer, Offer};

fuzz_target!(|json: &str| {
    if let Ok(offer) = serde_json::from_str::<Offer>(json) {
        let written = serde_json::to_string(&offer).expect("what was read can be written");
        assert!(written.len() <= 400, "{written}");
        assert_eq!(serde_json::from_str::<Offer>(&written).expect("what was written can be read"), offer);
    }
    let _ = serde_json::from_str::<Answer>(json);
});
