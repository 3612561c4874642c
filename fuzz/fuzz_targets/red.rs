//! RED: blocks that lie within the packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use media::red::Blocks;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(blocks) = Blocks::parse(bytes) {
        assert!(blocks.iter().map(|block| block.payload.len()).sum::<usize>() < bytes.len());
    }
});
