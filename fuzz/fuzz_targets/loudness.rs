//! What a speaker sends whose client gives no levels: it is decoded, all of it, and never faster than time.
//! The input is split into packets by a length of two bytes before each, and cut as a microphone cuts them.
#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use media::loudness::{Level, Loudness};
use media::opus::{is_dtx, split};

fuzz_target!(|bytes: &[u8]| {
    let mut now = Instant::now();
    let mut loudness = Loudness::new(now);
    let mut rest = bytes;
    while let Some((length, tail)) = rest.split_first_chunk() {
        let (packet, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)).min(tail.len()));
        rest = tail;
        for (piece, ticks) in split(&Bytes::copy_from_slice(packet)).unwrap_or_default() {
            if is_dtx(&piece) {
                continue;
            }
            now += Duration::from_millis(u64::from(ticks.div_ceil(48)));
            let (Level::Heard(level) | Level::Assumed(level)) = loudness.hear(now, &piece, ticks);
            assert!(level <= 127);
        }
    }
});
